"""First inputs for the fuzzer: real packets of every tunnel, and small captures of both formats."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import capture_files as build

import vectorset

LONGEST = 700


def seeds(target: str) -> Iterator[bytes]:
    """Inputs in the form that the target of this name takes."""
    if target == "capture":
        yield from captures()
    elif target == "vnet":
        yield from vnet()
    elif target == "checksum":
        yield from (bytes(5) + bytes(range(n)) for n in (0, 1, 7, 64, 200))
    else:
        # No flags, a size of 256; the other bytes are for what the seeds do not need.
        yield from (bytes(4) + b"\0\1" + bytes(2) + frame for frame in frames())


def chosen() -> Iterator[dict[str, Any]]:
    """One vector for each tunnel and packet inside."""
    seen = set()
    for record in vectorset.records():
        kind = (record["tunnel"], record["inner_family"], record["inner_l4"])
        if kind not in seen:
            seen.add(kind)
            yield record


def frames() -> Iterator[bytes]:
    """Their super-packets, cut to a moderate length."""
    for record in chosen():
        yield vectorset.frame(record)[:LONGEST]


def vnet() -> Iterator[bytes]:
    """Packets with the virtio header they were injected with, or a 24-byte one for a UDP tunnel."""
    for record in vectorset.records():
        if record["input_source"] == "injected":
            header = bytes.fromhex(record["injected"]["vnet_hdr"])
            yield b"\0" + header + vectorset.frame(record)[: 2 * LONGEST]
    kinds = {(4, "tcp"): 1, (6, "tcp"): 4, (4, "udp"): 5, (6, "udp"): 5}
    for frame, record in zip(frames(), chosen(), strict=True):
        given = record["input"]
        if given.get("inner_network_header"):
            kind = kinds[record["inner_family"], record["inner_l4"]]
            outer = {4: 0x20, 6: 0x40}[record["outer_family"]]
            place = given["inner_network_header"]
            fields = (1, kind | outer, 0, 256, given["csum_start"], given["csum_offset"])
            header = struct.pack("<BBHHHHHIHHHH", *fields, 0, 0, 0, 0, place - 16, place)
            yield b"\3" + header + frame


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
