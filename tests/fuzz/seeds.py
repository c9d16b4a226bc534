"""First inputs for the fuzzer: real packets of every tunnel, and small captures of both formats."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import capture_files as build

import vectorset

LONGEST = 700


def seeds(target: str) -> Iterator[bytes]:
    """Inputs in the form that the target of this name takes."""
    if target == "capture":
        yield from captures()
    elif target == "checksum":
        yield from (bytes(5) + bytes(range(n)) for n in (0, 1, 7, 64, 200))
    else:
        # No flags, a size of 256; the other bytes are for what the seeds do not need.
        yield from (bytes(4) + b"\0\1" + bytes(2) + frame for frame in frames())


def frames() -> Iterator[bytes]:
    """The super-packets of one vector for each tunnel, cut to a moderate length."""
    seen = set()
    for record in vectorset.records():
        kind = (record["tunnel"], record["inner_family"], record["inner_l4"])
        if kind not in seen:
            seen.add(kind)
            yield vectorset.frame(record)[:LONGEST]


def captures() -> Iterator[bytes]:
    frame = next(frames())
    for order in build.ORDERS:
        for ticks in build.RESOLUTIONS:
            yield build.pcap([(5, frame), (6, b"short", 70)], order=order, ticks=ticks)
        items = [(1, b"comment"), (2, bytes(4))]
        yield (
            build.section(order)
            + build.interface(order, items=[(2, b"eth0"), (9, b"\x09"), (14, bytes(8))])
            + build.enhanced(frame, order=order, items=items)
            + build.block(5, bytes(12), order)
            + build.simple(frame, order=order)
            + build.obsolete(b"1234", order=order)
        )
