"""One way of calling, in a process of its own, as the compiled peers are (contest.Program).

    python ways.py FUNCTION KIND VERSION SIZE FRAMES WAY

FUNCTION is one of CALLS, WAY one of WAYS. Each line on standard input, ``MODE REPEATS``, is
answered by the mean nanoseconds of so many calls. What other calls did to the memory of a process
decides what the next ones cost, so ways do not share one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import repeat
from time import perf_counter
from typing import Any

import numpy as np

import cases
import gso
from gso import Frames

DROPPED, KEPT, OUT, PORTS = "dropped", "kept in a list", "out=", "dropped, ports given"
WAYS = (DROPPED, KEPT, OUT, PORTS)
KEEP = 30
"""Results of a list; then it is dropped."""

Call = Callable[..., Any]
Given = tuple[Call, tuple[Any, ...], int]


def _batch(case: cases.Case, n: int) -> Given:
    frames = Frames.from_list([case.frame] * n)
    size = n * (len(case.payload) + case.segments * case.headers)
    return gso.segment_batch, (frames, case.mss), size


def _coalesce(case: cases.Case, n: int) -> Given:
    segments = gso.segment_batch(Frames.from_list([case.frame] * n), case.mss)
    return gso.coalesce, (segments,), 0


CALLS: dict[str, Callable[[cases.Case, int], Given]] = {
    "segment": lambda case, _: (gso.segment, (case.frame, case.mss), 0),
    "segment_headers": lambda case, _: (gso.segment_headers, (case.frame, case.mss), 0),
    "segment_batch": _batch,
    "segment_headers_batch": lambda case, n: (gso.segment_headers_batch, _batch(case, n)[1], 0),
    "coalesce": _coalesce,
}


def work(function: str, case: cases.Case, n: int, way: str) -> Callable[[], object]:
    """A function that calls once, or KEEP times and keeps the results until its end."""
    call, arguments, size = CALLS[function](case, n)
    names = {f"a{i}": argument for i, argument in enumerate(arguments)}
    names |= {"call": call, "repeat": repeat, "KEEP": KEEP}
    given = [*names][: len(arguments)]
    if way == OUT:
        names["out"] = np.zeros(size, np.uint8)
        given.append("out=out")
    elif way == PORTS:
        names["ports"] = {5501: gso.Tunnel.GUE}
        given.append("tunnel_ports=ports")
    # Spelled out as callers do: a call with * or ** builds a tuple or a dict first.
    text = f"call({', '.join(given)})"
    if way == KEPT:
        text = f"[{text} for _ in repeat(None, KEEP)]"
    made: Callable[[], object] = eval(f"lambda: {text}", names)
    return made


def main() -> None:
    """Answer rounds until standard input ends."""
    function, kind, version, size, frames, way = sys.argv[1:]
    one = work(function, cases.case(kind, int(version), size), int(frames), way)
    calls = KEEP if way == KEPT else 1
    for _ in range(3):
        one()
    print("ready", flush=True)
    for line in sys.stdin:
        rounds = max(int(line.split()[-1]) // calls, 1)
        start = perf_counter()
        for _ in repeat(None, rounds):
            one()
        print((perf_counter() - start) / (rounds * calls) * 1e9, flush=True)


if __name__ == "__main__":
    main()
