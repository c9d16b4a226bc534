"""Packets of a capture where a reader has put them, and the blocks between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.buffers._memory import new_array
from gso.buffers._spans import Spans
from gso.buffers.rows import take_rows
from gso.capture._records import (
    OLD_PCAP_RECORD,
    PCAP_RECORD,
    RECORD_DTYPE,
    gather,
    nanoseconds,
)
from gso.capture.format import MOST_RECORDS, Int64s, Interface, Records
from gso.capture.options import Options, Order, packet_options

Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Columns: TypeAlias = "tuple[Int64s, Int64s, Int64s, list[str | None], list[Options]]"
Clock: TypeAlias = "tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], Int64s]"


def _no_clocks(count: int) -> Clock:
    return (
        np.full(count, 10**9, np.uint64),
        np.ones(count, np.uint64),
        np.zeros(count, np.int64),
    )


@dataclass
class Section:
    """Byte order and interfaces of one pcapng section, or of one pcap file."""

    order: Order
    base: int = 0
    """Interface 0 of this section is number `base` of the file."""
    interfaces: list[Interface] = field(default_factory=list)
    _clock: Clock = field(default_factory=lambda: _no_clocks(16))
    _clocks: int = 0
    _same: dict[int, npt.NDArray[np.uint32]] = field(default_factory=dict)

    def same(self, value: int) -> npt.NDArray[np.uint32]:
        """The value for each interface, for `gather` and `pack`; kept as the clocks are."""
        count = len(self.interfaces)
        if len(self._same.get(value, ())) < count:
            self._same[value] = np.full(2 * count, value, np.uint32)
        return self._same[value][:count] if count else np.empty(0, np.uint32)

    @property
    def clock(self) -> Clock:
        """Numerator, ticks a second and offset of each interface, for `nanoseconds`.

        They are kept and grow, as a file may describe many thousand interfaces one by one.
        """
        count = len(self.interfaces)
        if count > len(self._clock[0]):
            grown = _no_clocks(2 * count)
            for new, old in zip(grown, self._clock, strict=True):
                new[: len(old)] = old
            self._clock = grown
        _, denominators, offsets = self._clock
        for i in range(self._clocks, count):
            denominators[i] = self.interfaces[i].ticks_per_second
            offsets[i] = self.interfaces[i].offset
        self._clocks = count
        return self._clock

    @property
    def swapped(self) -> bool:
        """Whether the byte order is not this machine's."""
        return (self.order == "<") != (np.little_endian)


@dataclass(frozen=True)
class Block:
    """A file header or a pcapng block that is not a packet."""

    raw: bytes
    kind: int
    section: Section


@dataclass(frozen=True)
class Packets:
    """Packets that follow one another in the file.

    The records are valid until the reader takes its next step, the buffer until two others have
    been filled.
    """

    buffer: Bytes
    records: Records
    section: Section
    origin: int
    """Offset in the file of ``buffer[0]``."""
    between: tuple[tuple[int, Block], ...] = ()
    """Blocks of other kinds, each with the number of the packet that it stands before."""
    room: int = 0
    """Bytes at the beginning of the buffer that hold nothing, and are the receiver's to use."""

    def offsets(self, skip: int = 0) -> Int64s:
        """Where each packet starts after `gather` has put them together, and the end."""
        captured = self.records["captured"].astype(np.int64)
        captured -= np.minimum(captured, skip)
        ends = np.zeros(len(captured) + 1, np.int64)
        np.cumsum(captured, out=ends[1:])
        return ends

    def frames(self, skip: int = 0) -> Frames:
        """Copy of the packets, each without its first `skip` bytes."""
        offsets = self.offsets(skip)
        data = new_array(offsets[-1], np.uint8)
        gather(self.buffer, self.records, self.section.same(skip), data)
        return Frames(data.data, offsets)

    def spans(self, skip: int = 0) -> Spans:
        """The packets where they lie, each without its first `skip` bytes; valid as the buffer."""
        starts = self.records["data"]
        ends = starts + self.records["captured"]
        return Spans(self.buffer.data, np.minimum(starts + skip, ends) if skip else starts, ends)

    def take(self, which: Int64s) -> Packets:
        """The packets with these numbers, without the blocks between them."""
        return Packets(self.buffer, take_rows(self.records, which), self.section, self.origin)

    def as_written(self) -> memoryview:
        """All that the file has of them, headers, options and padding; valid as the buffer is."""
        start, last = int(self.records["block"][0]), self.records[-1]
        return self.buffer.data[start : int(last["block"]) + int(last["block_length"])]

    def packet(self, index: int) -> bytes:
        """The bytes of one packet."""
        record = self.records[index]
        return self.buffer[record["data"] :][: record["captured"]].tobytes()

    @property
    def _is_pcap(self) -> bool:
        kinds = (PCAP_RECORD, OLD_PCAP_RECORD)
        return bool(len(self.records)) and self.records["kind"][0] in kinds

    def timestamps(self) -> Int64s:
        """Nanoseconds since 1970; those that 64 bits cannot hold are NumPy's NaT."""
        ticks = self.records["ticks"]
        interfaces = self.section.interfaces
        if len(ticks) and self._is_pcap:
            fraction = 10**9 // interfaces[0].ticks_per_second
            whole: Int64s = (ticks >> np.uint64(32)).astype(np.int64) * 10**9
            whole += (ticks & np.uint64(0xFFFFFFFF)).astype(np.int64) * fraction
            return whole
        out = np.empty(len(ticks), np.int64)
        nanoseconds(self.records, *self.section.clock, out)
        return out

    def columns(self) -> Columns:
        """Each packet's timestamp, interface in the file, original length, comment and options."""
        return (
            self.timestamps(),
            self.records["interface"].astype(np.int64) + self.section.base,
            self.records["original"].astype(np.int64),
            *self.options(),
        )

    def comments(self) -> list[str | None]:
        """Each packet's comment."""
        return self.options()[0]

    def options(self) -> tuple[list[str | None], list[Options]]:
        """Each packet's comment, and its other options; no list of these if there are none."""
        comments: list[str | None] = [None] * len(self.records)
        others: list[Options] = []
        if self._is_pcap:
            return comments, others
        for i in np.flatnonzero(self.records["options_length"]).tolist():
            start, length = int(self.records["options"][i]), int(self.records["options_length"][i])
            body = self.buffer[start : start + length].tobytes()
            comments[i], found = packet_options(body, self.section.order, self.origin + start)
            if found:
                others = others or [()] * len(self.records)
                others[i] = found
        return comments, others


class Held:
    """Packets of one buffer and section put together."""

    def __init__(self, room: int) -> None:
        self.count = 0
        self._room = room
        self._given: Bytes | None = None
        self._records = np.empty(MOST_RECORDS, RECORD_DTYPE)
        self._last: Packets | None = None
        self._between: list[tuple[int, Block]] = []

    def goes_on(self, part: Block | Packets, buffer: Bytes) -> bool:
        """Whether packets can be added after this part, and those of the part as well."""
        more = len(part.records) if isinstance(part, Packets) else 0
        last = self._last
        same = last is not None and last.buffer is buffer and last.section is part.section
        return same and self.count + more <= len(self._records)

    def add(self, packets: Packets) -> None:
        """Put these behind those before."""
        stop = self.count + len(packets.records)
        # As bytes: NumPy copies records field by field.
        new = np.ascontiguousarray(packets.records)
        self._records[self.count : stop].view(np.uint8)[:] = new.view(np.uint8)
        self.count, self._last = stop, packets

    def add_block(self, block: Block) -> None:
        """Note a block that is no packet, in its place."""
        self._between.append((self.count, block))

    def take(self) -> Packets:
        """All of them; valid until others are added."""
        assert self._last is not None
        count, self.count = self.count, 0
        between, self._between = tuple(self._between), []
        last, records = self._last, self._records[:count]
        # What was put there with the first packets of a buffer may still be needed.
        room = 0 if last.buffer is self._given else self._room
        self._given = last.buffer
        return Packets(last.buffer, records, last.section, last.origin, between, room)
