"""Read capture files, whole or in batches. Use it through `gso.capture`."""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from gso.buffers._frames import Frames
from gso.buffers._memory import new_array
from gso.capture import format as form
from gso.capture._records import (
    ENHANCED_PACKET_BLOCK,
    MAX_BLOCK,
    OBSOLETE_PACKET_BLOCK,
    PCAP_RECORD,
    RECORD_DTYPE,
    SIMPLE_PACKET_BLOCK,
    gather,
    scan_pcap,
    scan_pcapng,
)
from gso.capture.damage import damaged
from gso.capture.format import (
    CHUNK,
    MOST_RECORDS,
    Format,
    Int64s,
    Interface,
    Records,
    Source,
    as_file,
    is_path,
)
from gso.capture.options import Options, Order
from gso.capture.packets import Block, Bytes, Columns, Held, Packets, Section
from gso.capture.whole import Capture
from gso.compressed import LONGEST_MAGIC, DamagedError, Expander, compression
from gso.constants import Reason
from gso.errors import GsoError

_MAX_INTERFACES = 1 << 16
_PACKET_BLOCKS = (OBSOLETE_PACKET_BLOCK, SIMPLE_PACKET_BLOCK, ENHANCED_PACKET_BLOCK)
_PCAP_MAGICS = tuple(
    struct.pack(order + "I", magic)
    for order in "<>"
    for magic in (form.PCAP_MICROSECONDS, form.PCAP_NANOSECONDS, form.PCAP_MODIFIED)
)


class Reader:
    """Reads a capture file in batches, in memory that does not depend on the file's size.

    Iterating gives a `Capture` for each stretch of about `chunk_size` bytes, whose `interfaces`
    are those described up to there. `source` is a path or a binary file, which may be a pipe;
    gzip, bzip2, xz and, with modules for them, zstd and lz4 are recognised. Raises GsoError for a
    damaged file, at the place where it is. `room` is how many bytes of each buffer are left free
    for those who put packets together.

    Attributes:
        format: ``"pcap"`` or ``"pcapng"``.
        interfaces: the interfaces described so far.
        position: bytes of the file (after decompression) read so far.
        truncated: after the last batch, what the file's end lacks, or None.
    """

    def __init__(self, source: Source, *, chunk_size: int = CHUNK, room: int = 0) -> None:
        if chunk_size <= 0:
            raise ValueError(f"chunk_size is {chunk_size}, at least 1 is needed")
        self.interfaces: list[Interface] = []
        self.truncated: str | None = None
        self._owned = is_path(source)
        self._file: Any = io.FileIO(source, "r") if is_path(source) else as_file(source)
        self._stream: Any = self._file
        self._room = room
        self._buffer = np.empty(room + max(chunk_size, 64), np.uint8)
        # Filled in turn, so that packets last while one who copies them is a step behind.
        self._others = [np.empty(0, np.uint8)] * 2
        self._held: Bytes | None = None
        self._start = self._stop = room
        self._origin = -room
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._fill(LONGEST_MAGIC)
        self._compression = compression(self._peek(LONGEST_MAGIC))
        if self._compression:
            head = self._peek(self._available)
            try:
                self._stream = Expander(self._compression, head, self._file)
            except DamagedError as error:
                raise _unreadable(str(error)) from None
            self._start = self._stop = self._room
        self._fill(4)
        magic = self._peek(4)
        self.format: Format = "pcapng"
        if magic in _PCAP_MAGICS:
            self.format = "pcap"
        elif magic != struct.pack("<I", form.SECTION_HEADER):
            raise _unknown_magic(magic)

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if the reader was given its path."""
        if self._owned:
            self._file.close()

    @property
    def position(self) -> int:
        """Bytes of the file (after decompression) read so far."""
        return self._origin + self._start

    def __iter__(self) -> Iterator[Capture]:
        for part in self.packets():
            yield self.describe(part, part.frames())

    def describe(self, packets: Packets, frames: Frames | None = None) -> Capture:
        """All that the file says of `packets`; with `frames`, if these are given."""
        times, interface_ids, original_lengths, comments, options = packets.columns()
        return Capture(
            Frames() if frames is None else frames,
            times,
            tuple(self.interfaces),
            interface_ids,
            original_lengths,
            comments,
            self.format,
            options=options,
        )

    def parts(self) -> Iterator[Block | Packets]:
        """Yield everything in the file, in order, for programs that rewrite a capture."""
        yield from self._pcap() if self.format == "pcap" else self._pcapng()
        self.close()

    def packets(self) -> Iterator[Packets]:
        """Yield the packets alone, in pieces that do not end where an interface is described."""
        for part in self.stretches():
            if isinstance(part, Packets):
                yield part

    def stretches(self) -> Iterator[Block | Packets]:
        """Yield everything as `parts` does, packets in pieces with the blocks between them."""
        held = Held(self._room)
        try:
            for part in self.parts():
                if held.count and not held.goes_on(part, self._buffer):
                    yield held.take()
                if isinstance(part, Packets):
                    held.add(part)
                elif held.count:
                    held.add_block(part)
                else:
                    yield part
                self._held = self._buffer if held.count else None
        except GsoError:
            if held.count:
                yield held.take()
            raise
        if held.count:
            yield held.take()

    # --- pcap ---

    def _pcap(self) -> Iterator[Block | Packets]:
        if not self._fill(form.PcapHeader.SIZE):
            raise self._cut_header(form.PcapHeader.SIZE)
        raw = self._take(form.PcapHeader.SIZE)
        header = form.PcapHeader.unpack(raw)
        section = Section(header.order, 0, [header.interface])
        self.interfaces.append(header.interface)
        yield Block(raw, PCAP_RECORD, section)
        records = np.empty(MOST_RECORDS, RECORD_DTYPE)
        while True:
            found, after = scan_pcap(
                self._buffer,
                self._start,
                self._stop,
                section.swapped,
                records,
                self._origin,
                header.minor,
                header.record,
            )
            if found:
                yield self._found(records[:found], section, after)
            elif not self._fill(self._record_size(header)):
                return self._note_truncation(self._record_size(header))

    def _record_size(self, header: form.PcapHeader) -> int:
        """Size of the next pcap record, or of its header while that is not whole."""
        if self._available < header.record:
            return header.record
        captured, original = struct.unpack_from(header.order + "II", self._peek(16), 8)
        if header.minor < 3 or (header.minor == 3 and captured > original):
            captured = original
        return header.record + int(captured)

    # --- pcapng ---

    def _pcapng(self) -> Iterator[Block | Packets]:
        section = Section("<")
        records = np.empty(MOST_RECORDS, RECORD_DTYPE)
        while True:
            interfaces = section.interfaces
            found, after = scan_pcapng(
                self._buffer,
                self._start,
                self._stop,
                section.swapped,
                len(interfaces),
                interfaces[0].snaplen if interfaces else 0,
                records,
                self._origin,
            )
            if found:
                yield self._found(records[:found], section, after)
                continue
            if not self._fill(12):
                return self._note_truncation(12)
            kind, size = self._next_block(section.order)
            if not self._fill(size):
                return self._note_truncation(size)
            if kind not in _PACKET_BLOCKS:
                section = yield from self._block(kind, size, section)

    def _next_block(self, order: Order) -> tuple[int, int]:
        """Type and size of the next block, whose first 12 bytes are in the buffer."""
        head = self._peek(12)
        kind = struct.unpack_from(order + "I", head)[0]
        if kind == form.SECTION_HEADER:
            order = form.section_order(head[8:], self.position + 8)
        size = struct.unpack_from(order + "I", head, 4)[0]
        least = 28 if kind == form.SECTION_HEADER else 12
        if size > MAX_BLOCK:
            wrong, limit, reason = f"is more than {MAX_BLOCK}", MAX_BLOCK, Reason.TOO_LONG
        elif size < least:
            wrong = f"is less than the {least} bytes of its fixed fields"
            limit, reason = least, Reason.BAD_HEADER
        elif size % 4:
            wrong, limit, reason = "is not a multiple of 4", 4, Reason.BAD_HEADER
        else:
            return kind, size
        text = f"block total length {size} {wrong}"
        raise damaged(self.position, text, "block total length", limit, reason)

    def _block(
        self, kind: int, size: int, section: Section
    ) -> Generator[Block | Packets, None, Section]:
        """Read a block that is not a packet; returns the section of what follows it."""
        offset = self.position
        raw = self._take(size)
        if kind == form.SECTION_HEADER:
            section = Section(form.section_order(raw[8:12], offset + 8), len(self.interfaces))
        _check_block(raw, section.order, offset)
        if kind == form.SECTION_HEADER:
            _check_version(raw, section.order, offset)
        elif kind == form.INTERFACE_DESCRIPTION:
            self._describe(form.unpack_interface(raw, section.order, offset), section, offset)
        yield Block(raw, kind, section)
        return section

    def _describe(self, interface: Interface, section: Section, offset: int) -> None:
        if len(self.interfaces) >= _MAX_INTERFACES:
            raise damaged(
                offset,
                f"interface {len(self.interfaces) + 1} of the file, at most {_MAX_INTERFACES} fit",
                "interface description",
                _MAX_INTERFACES,
                Reason.TOO_LONG,
            )
        section.interfaces.append(interface)
        self.interfaces.append(interface)

    # --- the buffer ---

    @property
    def _available(self) -> int:
        return self._stop - self._start

    def _peek(self, size: int) -> bytes:
        return self._buffer[self._start : min(self._start + size, self._stop)].tobytes()

    def _take(self, size: int) -> bytes:
        taken = self._peek(size)
        self._start += size
        return taken

    def _found(self, records: Records, section: Section, after: int) -> Packets:
        self._start = after
        return Packets(self._buffer, records, section, self._origin)

    def _fill(self, need: int) -> bool:
        """Read until `need` bytes are in the buffer; returns False if the file ends before."""
        if need <= self._available:
            return True
        rest, room = self._buffer[self._start : self._stop], self._room
        size = max(room + need, len(self._buffer))
        self._others.append(self._buffer)
        self._buffer = self._others.pop(0)
        if self._buffer is self._held or len(self._buffer) < size:
            self._buffer = np.empty(size, np.uint8)
        self._buffer[room : room + len(rest)] = rest
        self._origin += self._start - room
        self._start, self._stop = room, room + len(rest)
        while self._available < need:
            count = self._read(self._buffer.data[self._stop :])
            if not count:
                return False
            self._stop += count
        return True

    def _read(self, into: memoryview) -> int:
        try:
            return int(self._stream.readinto(into) or 0)
        except EOFError:
            self.truncated = f"the {self._compression} stream is cut off"
            return 0
        except DamagedError as error:
            offset, kind = self._origin + self._stop, str(self._compression)
            raise damaged(offset, str(error), kind, offset, Reason.BAD_HEADER) from error

    def _note_truncation(self, need: int) -> None:
        if self._available:
            self.truncated = (
                f"the last record, at byte {self.position}, is cut off: it has "
                f"{self._available} of {'at least ' * (need <= 16)}{need} bytes"
            )

    def _cut_header(self, need: int) -> GsoError:
        return damaged(
            self.position,
            f"the file ends after {self._available} of the {need} bytes of its header",
            "file header",
            need,
            Reason.TRUNCATED,
        )

    def size_hint(self) -> int:
        """Size of the file in bytes, 0 if it is not known."""
        try:
            status = os.fstat(self._file.fileno())
        except (AttributeError, OSError):
            return 0
        known = stat.S_ISREG(status.st_mode) and self._stream is self._file
        return status.st_size if known else 0


def _unknown_magic(magic: bytes) -> GsoError:
    text = f"starts with {magic.hex()}: neither pcap nor pcapng" if magic else "is empty"
    return GsoError(
        f"not a capture: the file {text}",
        reason=Reason.UNSUPPORTED if magic else Reason.TRUNCATED,
        field="magic number",
        offset=0,
        limit=4,
    )


def _unreadable(text: str) -> GsoError:
    return GsoError(
        f"not readable here: {text}", reason=Reason.UNSUPPORTED, field="compression", offset=0,
        limit=LONGEST_MAGIC,
    )  # fmt: skip


def _check_block(raw: bytes, order: Order, offset: int) -> None:
    trailer = struct.unpack(order + "I", raw[-4:])[0]
    if trailer != len(raw):
        raise damaged(
            offset,
            f"block total length is {len(raw)} at the block's start but {trailer} at its end",
            "block total length",
            len(raw),
            Reason.BAD_HEADER,
        )


def _check_version(raw: bytes, order: Order, offset: int) -> None:
    major, minor = struct.unpack_from(order + "HH", raw, 12)
    if major != 1:
        raise damaged(
            offset + 12,
            f"pcapng version {major}.{minor}, only major version 1 is known",
            "version",
            1,
            Reason.UNSUPPORTED,
        )


def read_capture(source: Source) -> Capture:
    """Read a whole pcap or pcapng file, which may be compressed.

    `source` is a path or a binary file. Raises OSError if it cannot be opened, and GsoError if it
    is no capture or damaged, with the byte offset; a cut-off last record is left out and reported
    in the result's `truncated`.
    """
    data = np.empty(0, np.uint8)
    used = 0
    offsets: list[Int64s] = [np.zeros(1, np.int64)]
    none = np.zeros(0, np.int64)
    columns: list[Columns] = [(none, none, none, [], [])]
    with Reader(source) as reader:
        data = new_array(reader.size_hint(), np.uint8)
        for part in reader.packets():
            ends = part.offsets()[1:] + used
            if ends[-1] > len(data):
                grown = new_array(max(2 * len(data), int(ends[-1])), np.uint8)
                grown[:used] = data[:used]
                data = grown
            used = gather(part.buffer, part.records, part.section.same(0), data, used)
            offsets.append(ends)
            columns.append(part.columns())
    times, interface_ids, original_lengths, comments, options = zip(*columns, strict=True)
    return Capture(
        Frames(data[:used].data, np.concatenate(offsets)),
        np.concatenate(times),
        tuple(reader.interfaces),
        np.concatenate(interface_ids),
        np.concatenate(original_lengths),
        [text for batch in comments for text in batch],
        reader.format,
        reader.truncated,
        _joined_options([len(ids) for ids in interface_ids], options),
    )


def _joined_options(sizes: Sequence[int], options: Sequence[list[Options]]) -> Sequence[Options]:
    """The options of all batches, which have these sizes; empty if none has any."""
    if not any(options):
        return ()
    batches = zip(sizes, options, strict=True)
    return [one for size, some in batches for one in some or [()] * size]
