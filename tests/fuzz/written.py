"""Call each function and write its result, so that valgrind sees bytes that nobody wrote.

    python tests/fuzz/written.py --rounds 1             all of them
    python tests/fuzz/written.py --rounds 1 --seeded    what has to be reported

run_memory.py starts this. A system call is given every byte of every result, padding included; what
the library itself reads too early is reported where it is read. Of what one round leaves behind,
several rounds must not leave more.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import os
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))

from log_mutator import FORMATS, Mutator

import gso
import vectorset
from gso.buffers import _checksum
from gso.buffers._memory import new_array
from gso.headers.checks import check
from gso.headers.fields import dissect
from gso.segmentation import _batch
from gso.versions import KERNELS

PORTS = dict(list(vectorset.PORTS.items())[:8])
LONGEST_LOG = 6000
DEEPEST = 4
ARRAYS = ("data", "offsets", "lengths", "parent", "payload", "headers", "frames")
ARRAYS += ("gso_size", "gso_segs", "gso_type", "first", "into", "held", "columns", "state")
CUT = (0, 1, 13, 14, 20, 33, 34, 40, 54, 60, 77, 90, 110)


def main() -> int:
    gso.memory_limit(0)  # results use the C library's memory, which valgrind knows
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--seeded", action="store_true", help="give bytes that nobody wrote, and leak one object"
    )
    options = parser.parse_args()
    with Path(os.devnull).open("wb", buffering=0) as sink:
        if options.seeded:
            give(sink, new_array(5000, np.uint8))
            for _ in range(options.rounds):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(bytearray(99)))
            return 0
        for name, calls in (group for _ in range(options.rounds) for group in groups()):
            made = 0
            for call in calls:
                with contextlib.suppress(gso.GsoError):
                    give(sink, call())
                made += 1
            print(f"written: {name}, {made} calls", flush=True)
    return 0


def give(sink: io.RawIOBase | io.FileIO, result: Any, depth: int = 0) -> None:
    """Write what the result has, and what has it in it."""
    if depth > DEEPEST or result is None:
        return
    if isinstance(result, (bytes, bytearray, memoryview)):
        sink.write(bytes(result))
    elif isinstance(result, np.ndarray) and result.dtype != object:
        sink.write(np.ascontiguousarray(result).view(np.uint8).data if result.size else b"")
    elif isinstance(result, dict):
        give(sink, list(result.values()), depth + 1)
    elif isinstance(result, (list, tuple)):
        for part in result:
            give(sink, part, depth + 1)
    elif isinstance(result, (gso.Layout, gso.SkbState)):
        sink.write(pickle.dumps(result))
    else:
        for name in ARRAYS:
            give(sink, getattr(result, name, None), depth + 1)


def groups() -> Iterator[tuple[str, Iterator[Callable[[], Any]]]]:
    """Name groups of calls."""
    frames = chosen()
    yield "packets", packets(frames)
    yield "truncated packets", truncated(frames)
    yield "batches", batches(gso.Frames.from_list(frames))
    yield "records", records()
    yield "captures", captures(frames)
    yield "logs", logs()


def chosen() -> list[bytes]:
    """A super-packet of each tunnel and packet inside."""
    seen: dict[tuple[str, ...], bytes] = {}
    for record in vectorset.records():
        kind = record["tunnel"], str(record["inner_family"]), record["inner_l4"]
        seen.setdefault(kind, vectorset.frame(record)[:2500])
    return list(seen.values())


def packets(frames: list[bytes]) -> Iterator[Callable[[], Any]]:
    for frame in frames:
        yield lambda frame=frame: gso.segment(frame, 500, tunnel_ports=PORTS)
        yield lambda frame=frame: gso.segment_headers(frame, 500, tunnel_ports=PORTS)
        yield lambda frame=frame: gso.parse(frame, tunnel_ports=PORTS)
        yield lambda frame=frame: str(gso.validate(frame)).encode()
        yield lambda frame=frame: str(dissect(frame, tunnel_ports=PORTS)).encode()
        yield lambda frame=frame: str(check(frame, tunnel_ports=PORTS)).encode()
        yield lambda frame=frame: str(gso.checksum(frame)).encode()


def truncated(frames: list[bytes]) -> Iterator[Callable[[], Any]]:
    """Each is a block of its own, behind whose end nothing may be read."""
    for frame in frames[::3]:
        for size in CUT:
            yield lambda cut=frame[:size]: gso.segment(cut, 100, tunnel_ports=PORTS)
            yield lambda cut=frame[:size]: gso.parse(cut, tunnel_ports=PORTS)
            yield lambda cut=frame[:size]: gso.segment_vnet(cut)
            yield lambda cut=frame[:size]: gso.coalesce([cut, cut])


def batches(frames: gso.Frames) -> Iterator[Callable[[], Any]]:
    _batch._THREAD_WORK = 1
    for kernel in KERNELS:
        choice: dict[str, Any] = {"tunnel_ports": PORTS, "kernel": kernel}
        for checksum in ("partial", "complete"):
            both: dict[str, Any] = {**choice, "checksum": checksum, "errors": "pass"}
            yield lambda both=both: gso.segment_batch(frames, 500, **both)
            yield lambda both=both: gso.segment_batch(frames, 500, threads=2, **both)
            yield lambda both=both: gso.segment_headers_batch(frames, 500, **both)
        cut = gso.segment_batch(frames, 500, errors="pass", **choice)
        yield lambda cut=cut, choice=choice: gso.coalesce(cut, **choice)
        merged = gso.coalesce(cut, **choice)
        told = merged[np.flatnonzero(merged.describable())]
        yield told.vnet_headers
        yield lambda told=told: gso.segment_vnet_batch(told, told.vnet_headers(), errors="pass")
    yield lambda: gso.parse_batch(frames, tunnel_ports=PORTS, errors="mark")
    yield lambda: gso.checksum_batch(frames)
    yield lambda: frames.take([3, 1, 1])
    yield lambda: frames[::2]
    way = {"source": "192.0.2.1", "destination": "192.0.2.2"}
    for tunnel in ("gue", "vxlan", "geneve", "gre"):
        yield lambda tunnel=tunnel: gso.encapsulate(frames, tunnel, checksum=True, **way)
    outside = gso.encapsulate(frames, "vxlan", **way)
    yield lambda: gso.decapsulate(outside)
    for path in _checksum.simd_paths():
        yield lambda path=path: on_path(path, frames)


def on_path(path: str, frames: gso.Frames) -> gso.Segments:
    _checksum.use_simd(path)
    try:
        return gso.segment_batch(frames, 500, tunnel_ports=PORTS, errors="pass")
    finally:
        _checksum.use_simd(None)


def records() -> Iterator[Callable[[], Any]]:
    states = [gso.SkbState(network_header=i, gso_size=i % 3) for i in range(200)]
    rows = gso.skb_array(states)
    yield lambda: rows
    yield lambda: gso.skb_array(300)
    yield lambda: gso.validate_batch(rows)
    yield lambda: [gso.SkbState.from_row(row) for row in rows[:5]]


def captures(frames: list[bytes]) -> Iterator[Callable[[], Any]]:
    for name in ("c.pcap", "c.pcapng"):
        path = Path(name)
        gso.write_capture(str(path), gso.Frames.from_list(frames))
        yield lambda path=path: path.read_bytes()
        yield lambda path=path: gso.read_capture(str(path)).timestamps
        yield lambda path=path: gso.read_capture(str(path)).frames


def logs() -> Iterator[Callable[[], Any]]:
    """Mutated lines of each format."""
    mutator, dice = Mutator(), random.Random(1)
    for kind in FORMATS:
        cases = [line for _ in range(30) for line in mutator.case(dice, kind)]
        log = b"\n".join(cases)[:LONGEST_LOG]
        yield lambda log=log, kind=kind: columns(log, kind)
        yield lambda log=log, kind=kind: columns(log[: len(log) // 2 + 5], kind)


def columns(log: bytes, kind: str) -> list[Any]:
    trace = gso.read_trace(io.BytesIO(log), kind)
    return [trace.columns, trace.state, gso.diagnose(trace).to_text().encode()]


if __name__ == "__main__":
    sys.exit(main())
