"""Fuzz the trace readers: whatever is in a log, and however it is read, its columns are the same.

Each round makes some hundred cases of one format, and reads them together in several ways: as one
block, without the template of the line before, in small blocks of which each is freed before the
next one comes, and by two threads. If two of these differ, it looks for the smallest log that shows
the difference. It does not know the coverage, but tries some ten thousand cases a second.

Exits 1 if it finds something. Should a reader crash, the log that it read is FOLDER/logs-last.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from log_mutator import FORMATS, Mutator

import gso
from gso.traces import reader, source
from gso.traces.cleaning import clean
from gso.traces.formats import new_scanner
from gso.traces.trace import NAME_COLUMNS

CASES = (1, 3, 10, 300, 300, 300)
"""How many cases are read together; the first lines of a log are read unlike the rest."""
FEW = 200
SHOWN = 20
CUTS = 8
SMALLEST = 4000
"""Most attempts to make the log that shows a fault smaller."""

Reading = Sequence[tuple[str, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="the first round's")
    parser.add_argument("--rounds", type=int, help="end after so many")
    parser.add_argument("--format", choices=FORMATS, action="append", help="default: every one")
    parser.add_argument("--folder", type=Path, default=Path(), help="where to put what is found")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    mutator = Mutator()
    formats = options.format or FORMATS
    begin = time.monotonic()
    rounds = tried = 0
    while time.monotonic() - begin < options.seconds and rounds != options.rounds:
        seed = options.seed + rounds
        kind = formats[rounds % len(formats)]
        dice = random.Random(seed)
        cases = [mutator.case(dice, kind) for _ in range(dice.choice(CASES))]
        tried += len(cases)
        lines = [line for case in cases for line in case]
        (options.folder / "logs-last").write_bytes(b"\n".join(lines))
        rounds += 1
        if difference(kind, lines, seed):
            # Where blocks end changes with the log: several ways to cut it are tried.
            def wrong(some: list[bytes], kind: str = kind, seed: int = seed) -> str:
                told = (difference(kind, some, seed + n) for n in range(CUTS))
                return next(filter(None, told), "")

            smallest = shrink(lines, wrong)
            found = options.folder / f"logs-{kind}-{seed}"
            found.write_bytes(b"\n".join(smallest))
            print(f"format {kind}, seed {seed}: {wrong(smallest)[:1000]}")
            for line in smallest[:SHOWN]:
                print(f"  {line[:300]!r}")
            print(f"the log is {found}")
            return 1
    seconds = time.monotonic() - begin
    print(f"{tried} cases in {seconds:.0f} s, {tried / seconds:.0f} a second: no difference")
    return 0


def difference(kind: str, lines: list[bytes], seed: int) -> str:
    """Return in which column two ways to read the log differ, and where; "" if in none."""
    # What is cleaned, and a number that the end of a file cuts, is not the scanners' business.
    lines = [bytes(clean(line)) for line in lines]
    while lines and not lines[-1]:
        lines.pop()  # at the end of a block it would be no line
    data = b"\n".join([*lines, b""])
    dice = random.Random(seed)
    expected = whole(kind, data)
    ways: tuple[tuple[str, Callable[[], Reading]], ...] = (
        ("each line for itself", lambda: without_templates(kind, data)),
        ("small blocks", lambda: in_blocks(kind, lines, dice)),
        ("two threads", lambda: threaded(kind, data, dice)),
    )
    for way, read in ways:
        for (name, one), (_, other) in zip(expected, read(), strict=True):
            if not equal(one, other):
                return f"as a whole and {way}: {name}: {first(one, other)}"
    return ""


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and bool((one == other).all())
    return bool(one == other)


def first(one: Any, other: Any) -> str:
    """Return where two columns begin to differ."""
    if not isinstance(one, np.ndarray):
        return f"{one!r} and {other!r}"
    for at, (a, b) in enumerate(zip(one.tolist(), other.tolist(), strict=False)):
        if a != b:
            return f"event {at}: {a!r} and {b!r}"
    return f"{len(one)} and {len(other)} events"


# --- the ways ----------------------------------------------------------------------------------


def scanner(kind: str, rows: int) -> Any:
    return new_scanner(kind, rows, alone=True)


def whole(kind: str, data: bytes) -> Reading:
    one = scanner(kind, data.count(b"\n") + 1)
    one.feed(data, 0)
    one.end()
    return columns([one.take()], one)


def without_templates(kind: str, data: bytes) -> Reading:
    os.environ["GSO_LINE_TEMPLATES"] = "0"
    try:
        return whole(kind, data)
    finally:
        del os.environ["GSO_LINE_TEMPLATES"]


def in_blocks(kind: str, lines: list[bytes], dice: random.Random) -> Reading:
    one = scanner(kind, dice.choice((1, 2, 3) if len(lines) < FEW else (20, 100, 700)))
    most = dice.choice((1, 2, 5, 20))
    batches = []
    at = 0
    while at < len(lines):
        count = 1 + int(dice.random() * most)
        # The block is a copy, so that the sanitizer sees a read of it after it was freed.
        last = at + count >= len(lines)
        block = b"\n".join(lines[at : at + count]) + b"\n" * (not last)
        at += count
        start = 0
        while start < len(block):
            start, full = one.feed(block, start)
            if full:
                batches.append(one.take())
        del block
    one.end()
    batches.append(one.take())
    return columns(batches, one)


def threaded(kind: str, data: bytes, dice: random.Random) -> Reading:
    kept = reader._PIECE, source._BUFFER, source._SAMPLE
    reader._PIECE = dice.choice((64, 500, 5000, 50_000))
    source._BUFFER = source._SAMPLE = 64
    try:
        with gso.TraceReader(io.BytesIO(data), kind, threads=2, rows=500) as log:
            batches = list(log)
    finally:
        reader._PIECE, source._BUFFER, source._SAMPLE = kept
    last = batches[-1]
    totals = last.lines, last.damaged, last.lost, last.relative, last.damaged_lines
    return resolved([(batch.columns, batch.state, batch.names) for batch in batches], totals)


def columns(batches: list[Any], one: Any) -> Reading:
    lines, _, damaged, lost = one.totals
    return resolved(batches, (lines, damaged, lost, one.relative, one.damaged_lines))


def resolved(batches: list[Any], totals: tuple[Any, ...]) -> Reading:
    """Return totals and columns, with names in place of their numbers."""
    told: list[tuple[str, Any]] = []
    for name in batches[0][0]:
        parts = [batch[0][name] for batch in batches]
        if name in NAME_COLUMNS:
            tables = [np.array([*batch[2], ""], object) for batch in batches]
            parts = [table[part] for table, part in zip(tables, parts, strict=True)]
        told.append((name, np.concatenate(parts)))
    told.append(("state", np.concatenate([batch[1] for batch in batches])))
    told.append(("totals", totals))
    return told


# --- the smallest log that shows it ------------------------------------------------------------


def shrink(lines: list[bytes], wrong: Callable[[list[bytes]], str]) -> list[bytes]:
    """Leave out lines, then parts of lines, as long as `wrong` still finds a difference."""
    tries = SMALLEST
    size = len(lines) // 2
    while size:
        at = 0
        while at < len(lines) and tries:
            fewer = lines[:at] + lines[at + size :]
            tries -= 1
            if fewer and wrong(fewer):
                lines = fewer
            else:
                at += size
        size //= 2
    for number in range(len(lines)):
        size = len(lines[number]) // 2
        while size:
            at = 0
            while at < len(lines[number]) and tries:
                shorter = lines[number][:at] + lines[number][at + size :]
                tries -= 1
                if wrong([*lines[:number], shorter, *lines[number + 1 :]]):
                    lines = [*lines[:number], shorter, *lines[number + 1 :]]
                else:
                    at += size
            size //= 2
    return lines


if __name__ == "__main__":
    sys.exit(main())
