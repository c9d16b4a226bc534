"""Read the guest's record of each packet: super-packets, the kernel's notes, segments."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gso.kernel import guest_files
from gso.kernel.conformance.tunnels.packets import Packet
from gso.kernel.guest.records import (
    CHECKSUM_PARTIAL,
    GSO_ECN,
    GSO_UDP,
    GSO_UDP_L4,
    LENGTH,
    OUTCOME,
    PACKET,
    PROBED_OFFSETS,
)

from gso import GsoType

_MARK = re.compile(r"tracing_mark_write: packet (\d+)")
_FIELD = re.compile(r" (\w{1,99})=(\w+)")
_MOST_NOTES = 10_000  # of a packet: two for each of its super-packets
_RECEIVED, _SEGMENTED = "_entry: dev=", "gso_segment: "
_NOTED = {
    "received": ("ip_summed", "gso_size", "gso_type"),
    "segmented": (*PROBED_OFFSETS, "head", "origin"),
}
"""The fields that are taken of each kind of line."""


@dataclass
class Super:
    """A packet as it came to the segmenting device. ``offsets``: where it was segmented."""

    frame: bytes
    gso_size: int = 0
    gso_type: int = 0
    partial: bool = False
    offsets: dict[str, int] = field(default_factory=dict)


@dataclass
class Outcome:
    """``error``: of the sending, 0 if there was none."""

    device: int
    packet: Packet
    error: int
    supers: list[Super]
    segments: list[bytes]

    @property
    def problem(self) -> str:
        """Why the packet was not sent."""
        return os.strerror(self.error) if self.error > 0 else "no such device"


def write_packets(path: Path, packets: Sequence[tuple[int, Packet]]) -> None:
    """Write the packets, each with the number of its device, for the guest."""
    with path.open("wb") as sink:
        for device, packet in packets:
            body = packet.vnet + packet.frame
            sink.write(PACKET.pack(device, packet.protocol, len(body)) + body)


def read(folder: Path, packets: Sequence[tuple[int, Packet]]) -> Iterator[Outcome]:
    """Read what became of the packets."""
    with guest_files.understood("metadata.txt"):
        notes = _notes(guest_files.lines(folder / "metadata.txt"), len(packets))
    source = io.BytesIO(guest_files.read(folder / "outcome.bin"))
    for number, (device, packet) in enumerate(packets):
        with guest_files.understood("outcome.bin"):
            found = _outcome(source, device, packet, notes[number], number)
        yield found


def _outcome(
    source: BinaryIO, device: int, packet: Packet, notes: list[_Note], number: int
) -> Outcome:
    error, n_supers, n_segments = OUTCOME.unpack(source.read(OUTCOME.size))
    frames = [_frame(source) for _ in guest_files.counted(n_supers + n_segments)]
    supers = [Super(frame) for frame in frames[:n_supers]]
    _annotate(supers, notes, number, _high_bits(packet))
    return Outcome(device, packet, error, supers, frames[n_supers:])


def _frame(source: BinaryIO) -> bytes:
    (length,) = LENGTH.unpack(source.read(LENGTH.size))
    return guest_files.exactly(source, length)


_Note = tuple[str, tuple[int, ...]]


def _notes(lines: Iterable[str], count: int) -> list[list[_Note]]:
    """Return the trace's lines by packet."""
    found: list[list[_Note]] = [[] for _ in range(count)]
    number = 0
    for line in lines:
        if match := _MARK.search(line):
            number = int(match[1])
        elif _RECEIVED in line or _SEGMENTED in line:
            kind = "received" if _RECEIVED in line else "segmented"
            fields = dict(_FIELD.findall(line))
            if fields.keys() >= set(_NOTED[kind]):
                values = tuple(int(fields[name], 0) for name in _NOTED[kind])
                found[number].append((kind, values))
                if len(found[number]) > _MOST_NOTES:
                    raise ValueError(f"packet {number} has more than {_MOST_NOTES} lines")
    return found


def _high_bits(packet: Packet) -> GsoType:
    """Return the bits of gso_type that the tracepoint leaves out: it shows 16."""
    return {GSO_UDP: GsoType.UDP, GSO_UDP_L4: GsoType.UDP_L4}.get(
        packet.gso_type & ~GSO_ECN, GsoType(0)
    )


def _annotate(supers: list[Super], notes: list[_Note], number: int, high: int) -> None:
    received = [values for kind, values in notes if kind == "received"]
    if len(received) != len(supers):
        raise ValueError(
            f"packet {number}: {len(supers)} packets were captured, the trace has {len(received)}"
        )
    for one, (summed, size, kind) in zip(supers, received, strict=True):
        one.partial, one.gso_size = summed == CHECKSUM_PARTIAL, size
        one.gso_type = kind | high if size else kind
    segmented = [values for kind, values in notes if kind == "segmented"]
    # Those that are segmented come in the order in which they arrived.
    for one, values in zip((one for one in supers if one.gso_size), segmented, strict=False):
        origin = values[-1] - values[-2]
        one.offsets = {
            name: value - (0 if name == "csum_offset" else origin)
            for name, value in zip(PROBED_OFFSETS, values, strict=False)
        }
