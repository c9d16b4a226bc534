"""Wrong lengths and checksums of packets set right."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from gso.capture.format import Source
from gso.capture.reader import Reader
from gso.errors import GsoError
from gso.headers.checks import Check, Status, check
from gso.headers.faults import header_faults
from gso.headers.fields import read_headers
from gso.headers.fragments import Reassembler, Whole
from gso.headers.tunnels import TunnelPorts
from gso.rewriting.fine import look

_MOST_STEPS = 64
_TO_FIX = (Status.WRONG, Status.BLANK, Status.PARTIAL, Status.MISSING)
Values = dict[int, int]
"""16-bit fields to write into a packet, by their offset."""


def fixed(
    frame: bytes,
    *,
    link_type: str,
    tunnel_ports: TunnelPorts | None,
    complete: bool,
    values: Values | None = None,
) -> bytes | None:
    """The frame with all lengths and checksums right that can be told; the same if they are.

    Lengths come first, the innermost checksum next: those around it cover it. `values` are written
    before. `complete` is False for a frame that the capture cut. None is for a frame whose headers
    have faults that no length sets right: where its lengths and checksums are is not sure.
    """
    made = bytearray(frame)
    for at, value in (values or {}).items():
        made[at : at + 2] = value.to_bytes(2, "big")
    for _ in range(_MOST_STEPS):
        checks = check(made, link_type=link_type, tunnel_ports=tunnel_ports, complete=complete)
        one = _next(checks)
        if one is None:
            break
        # A checksum that is missing becomes a wrong one, whose right value the next step tells.
        value = 1 if one.expected is None else one.expected
        made[one.offset : one.offset + one.size] = value.to_bytes(one.size, "big")
    headers = read_headers(bytes(made), link_type=link_type, tunnel_ports=tunnel_ports)
    if any(header_faults(headers, bytes(made), complete=complete)):
        return None
    return bytes(made)


def _next(checks: list[Check]) -> Check | None:
    """The field to set right first."""
    wrong = [one for one in checks if one.status in _TO_FIX]
    lengths = [one for one in wrong if one.name != "checksum"]
    return lengths[0] if lengths else wrong[-1] if wrong else None


def sums_of_fragments(source: Source, tunnel_ports: TunnelPorts | None) -> dict[int, Values]:
    """The wrong checksums of packets in fragments, right: by the packet's number, from 1.

    They cover the whole packet, so that the capture is read for them in advance; only packets all
    of whose fragments are there have one. Damage ends the reading.
    """
    found: dict[int, Values] = {}
    pieces = Reassembler()
    # The copy that follows meets damage, too, and reports it.
    with contextlib.suppress(GsoError):
        for number, frame, link_type in _fragments(source, tunnel_ports):
            whole = pieces.add(number, frame, link_type=link_type, tunnel_ports=tunnel_ports)
            for packet, at, value in _sums(whole, tunnel_ports) if whole else ():
                found.setdefault(packet, {})[at] = value
    return found


def _fragments(
    source: Source, tunnel_ports: TunnelPorts | None
) -> Iterator[tuple[int, bytes, str]]:
    """Number, frame and link type of each packet that may be a fragment."""
    first = 1
    with Reader(source) as reader:
        for batch in reader:
            seen = look(batch, tunnel_ports)
            for index in np.flatnonzero(seen.fragments & ~seen.cut).tolist():
                interface: Any = batch.interfaces[int(batch.interface_ids[index])]
                yield first + index, bytes(batch.frames[index]), interface.link_type
            first += len(batch)


def _sums(whole: Whole, tunnel_ports: TunnelPorts | None) -> Iterator[tuple[int, int, int]]:
    """Number, offset and value of each field that differs in the packet when it is right."""
    right = fixed(whole.packet, link_type="raw", tunnel_ports=tunnel_ports, complete=True)
    if right is None:
        return
    for one in check(right, link_type="raw", tunnel_ports=tunnel_ports):
        for at in range(one.offset, one.offset + one.size, 2):
            field = slice(at, at + 2)
            place = whole.place(at)
            if place is not None and right[field] != whole.packet[field]:
                yield *place, int.from_bytes(right[field], "big")
