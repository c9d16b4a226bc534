"""Capture files: pcap and pcapng, read and written whole or in batches.

    capture = gso.read_capture("eth0.pcapng")
    gso.write_capture("copy.pcapng", capture.frames, timestamps=capture.timestamps)

    with gso.capture.Reader("huge.pcap") as reader:     # bounded memory
        for batch in reader:
            ...

The block scanner and the packet writer are compiled. No library for Python comes near the speed
of segmentation: on the machine of the README's figures a file of 1500 byte packets is read at
0.9 GB/s by dpkt, 0.4 GB/s by scapy's raw reader (0.01 with its dissectors) and 0.1 GB/s by
python-pcapng; here, at several GB/s. They also take lengths in the file on trust.

Nothing in a file is believed: a length that cannot be right raises GsoError with the numbers and
the byte offset. The one exception is the end: a file whose last record is cut off, as a capture
that is still being written or was interrupted has it, loses that record only, and `truncated`
tells so.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

import numpy as np
import numpy.typing as npt

from gso import capture_format as form
from gso._capture import (
    ENHANCED_PACKET_BLOCK,
    MAX_BLOCK,
    OBSOLETE_PACKET_BLOCK,
    PCAP_RECORD,
    RECORD_DTYPE,
    SIMPLE_PACKET_BLOCK,
    gather,
    nanoseconds,
    pack,
    packed_size,
    scan_pcap,
    scan_pcapng,
)
from gso._frames import Frames
from gso.capture_format import Interface, Order, damaged, link_name, link_number
from gso.constants import Reason
from gso.errors import GsoError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Capture", "Interface", "Reader", "Writer", "read_capture", "write_capture"]

Format: TypeAlias = Literal["pcap", "pcapng"]
Source: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
Bytes: TypeAlias = "npt.NDArray[np.uint8]"
Int64s: TypeAlias = "npt.NDArray[np.int64]"
Records: TypeAlias = "npt.NDArray[np.void]"

_CHUNK = 1 << 20
_RECORDS = 1 << 14
_MAX_INTERFACES = 1 << 16
_LONGEST_SNAPLEN = 262144  # what libpcap and Wireshark accept for most link types
_PACKET_BLOCKS = (OBSOLETE_PACKET_BLOCK, SIMPLE_PACKET_BLOCK, ENHANCED_PACKET_BLOCK)
_PCAP_MAGICS = tuple(
    struct.pack(order + "I", magic)
    for order in "<>"
    for magic in (form.PCAP_MICROSECONDS, form.PCAP_NANOSECONDS)
)
_GZIP = b"\x1f\x8b"
_OTHER_COMPRESSION = {b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz", b"\x04\x22\x4d\x18": "lz4"}


@dataclass(frozen=True, eq=False)
class Capture:
    """Captured packets.

    Attributes:
        frames: the packets' bytes.
        timestamps: nanoseconds since 1970-01-01 UTC, int64, shape (n,).
        interfaces: every interface that the file describes (one for pcap).
        interface_ids: index into `interfaces` of each packet, int64, shape (n,).
        original_lengths: each packet's bytes on the wire, more than the frame has if the capture
            cut it (snaplen); int64, shape (n,).
        comments: each packet's comment or None; lines of text where there are several.
        format: ``"pcap"`` or ``"pcapng"``.
        truncated: what the file's end lacks, if its last record is cut off.
    """

    frames: Frames
    timestamps: Int64s
    interfaces: tuple[Interface, ...]
    interface_ids: Int64s
    original_lengths: Int64s
    comments: Sequence[str | None]
    format: Format = "pcapng"
    truncated: str | None = None

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def link_type(self) -> str:
        """What all frames start with (``"ethernet"``, ``"raw"``...), or ``"mixed"``."""
        used = np.unique(self.interface_ids) if len(self) else range(len(self.interfaces))
        types = {self.interfaces[i].link_type for i in used}
        return types.pop() if len(types) == 1 else "mixed" if types else "ethernet"


@dataclass
class Section:
    """What applies to the packets of one pcapng section, or of one pcap file."""

    order: Order
    base: int = 0
    """Interface 0 of this section is number `base` of the file."""
    interfaces: list[Interface] = field(default_factory=list)

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
    """Packets that follow one another in the file; valid until the reader takes its next step."""

    buffer: Bytes
    records: Records
    section: Section
    origin: int
    """Offset in the file of ``buffer[0]``."""

    def offsets(self, skips: npt.NDArray[np.uint32]) -> Int64s:
        """Where each packet starts after `gather` has put them together, and the end."""
        captured = self.records["captured"].astype(np.int64)
        captured -= np.minimum(captured, skips[self.records["interface"]])
        ends = np.zeros(len(captured) + 1, np.int64)
        np.cumsum(captured, out=ends[1:])
        return ends

    def frames(self, skips: npt.NDArray[np.uint32] | None = None) -> Frames:
        """Copy of the packets, each without the first ``skips[interface]`` bytes."""
        if skips is None:
            skips = np.zeros(len(self.section.interfaces), np.uint32)
        offsets = self.offsets(skips)
        data = np.empty(offsets[-1], np.uint8)
        gather(self.buffer, self.records, skips, data)
        return Frames(data.data, offsets)

    def timestamps(self) -> Int64s:
        """Nanoseconds since 1970."""
        ticks = self.records["ticks"]
        interfaces = self.section.interfaces
        if len(ticks) and self.records["kind"][0] == PCAP_RECORD:
            fraction = 10**9 // interfaces[0].ticks_per_second
            whole: Int64s = (ticks >> np.uint64(32)).astype(np.int64) * 10**9
            whole += (ticks & np.uint64(0xFFFFFFFF)).astype(np.int64) * fraction
            return whole
        out = np.empty(len(ticks), np.int64)
        nanoseconds(
            self.records,
            np.full(len(interfaces), 10**9, np.uint64),
            np.array([i.ticks_per_second for i in interfaces], np.uint64),
            np.array([i.offset for i in interfaces], np.int64),
            out,
            self.origin,
        )
        return out

    def comments(self) -> list[str | None]:
        """Each packet's comment."""
        found: list[str | None] = [None] * len(self.records)
        for i in np.flatnonzero(self.records["options_length"]):
            start, length = int(self.records["options"][i]), int(self.records["options_length"][i])
            body = self.buffer[start : start + length].tobytes()
            found[i] = form.comment(body, self.section.order, self.origin + start)
        return found


class Reader:
    """Reads a capture file in batches, in memory that does not depend on the file's size.

    Iterating gives a `Capture` for each stretch of about `chunk_size` bytes, whose `interfaces`
    are those described up to there. `source` is a path or a binary file, which may be a pipe;
    gzip is recognised. Raises GsoError for a damaged file, at the place where it is.

    Attributes:
        format: ``"pcap"`` or ``"pcapng"``.
        interfaces: the interfaces described so far.
        position: bytes of the file (after decompression) read so far.
        truncated: after the last batch, what the file's end lacks, or None.
    """

    def __init__(self, source: Source, *, chunk_size: int = _CHUNK) -> None:
        if chunk_size <= 0:
            raise ValueError(f"chunk_size is {chunk_size}, at least 1 is needed")
        self.interfaces: list[Interface] = []
        self.truncated: str | None = None
        self._owned = _is_path(source)
        self._file: Any = io.FileIO(source, "r") if _is_path(source) else source
        self._stream: Any = self._file
        self._buffer = np.empty(max(chunk_size, 64), np.uint8)
        self._start = self._stop = self._origin = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        if self._fill(2) and self._peek(2) == _GZIP:
            self._stream = _Gunzip(self._peek(self._available), self._file)
            self._start = self._stop = 0
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
        for part in self.parts():
            if isinstance(part, Packets):
                yield self.describe(part, part.frames())

    def describe(self, packets: Packets, frames: Frames | None = None) -> Capture:
        """All that the file says of `packets`, with `frames` or without any."""
        records = packets.records
        return Capture(
            Frames() if frames is None else frames,
            packets.timestamps(),
            tuple(self.interfaces),
            records["interface"].astype(np.int64) + packets.section.base,
            records["original"].astype(np.int64),
            packets.comments(),
            self.format,
        )

    def parts(self) -> Iterator[Block | Packets]:
        """Everything in the file, in order: what a program that rewrites a capture needs."""
        return self._pcap() if self.format == "pcap" else self._pcapng()

    # --- pcap ---

    def _pcap(self) -> Iterator[Block | Packets]:
        if not self._fill(form.PcapHeader.SIZE):
            raise self._cut_header(form.PcapHeader.SIZE)
        raw = self._take(form.PcapHeader.SIZE)
        header = form.PcapHeader.unpack(raw)
        section = Section(header.order, 0, [header.interface])
        self.interfaces.append(header.interface)
        yield Block(raw, PCAP_RECORD, section)
        records = np.empty(_RECORDS, RECORD_DTYPE)
        while True:
            found, after = scan_pcap(
                self._buffer, self._start, self._stop, section.swapped, records, self._origin
            )
            if found:
                yield self._found(records[:found], section, after)
            elif not self._fill(self._record_size(section.order)):
                return self._note_truncation(self._record_size(section.order))

    def _record_size(self, order: Order) -> int:
        """Size of the pcap record at hand, or of its header while that is not whole."""
        if self._available < 16:
            return 16
        return 16 + int(struct.unpack_from(order + "I", self._peek(12), 8)[0])

    # --- pcapng ---

    def _pcapng(self) -> Iterator[Block | Packets]:
        section = Section("<")
        records = np.empty(_RECORDS, RECORD_DTYPE)
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
        """Type and size of the block at hand, whose first 12 bytes are there."""
        head = self._peek(12)
        kind = struct.unpack_from(order + "I", head)[0]
        if kind == form.SECTION_HEADER:
            order = form.section_order(head[8:], self.position + 8)
        size = struct.unpack_from(order + "I", head, 4)[0]
        least = 28 if kind == form.SECTION_HEADER else 12
        if not least <= size <= MAX_BLOCK or size % 4:
            raise damaged(
                self.position,
                f"block total length {size} is not a multiple of 4 from {least} to {MAX_BLOCK}",
                "block total length",
                least if size < least else MAX_BLOCK,
                Reason.BAD_HEADER,
            )
        return kind, size

    def _block(
        self, kind: int, size: int, section: Section
    ) -> Generator[Block | Packets, None, Section]:
        """Deal with a block that is not a packet; returns the section it leads to."""
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
        """Have `need` bytes at hand; False if the file ends before."""
        if need <= self._available:
            return True
        rest = self._buffer[self._start : self._stop]
        if need > len(self._buffer):
            self._buffer = np.empty(need, np.uint8)
        self._buffer[: len(rest)] = rest
        self._origin += self._start
        self._start, self._stop = 0, len(rest)
        while self._stop < need:
            count = self._read(self._buffer.data[self._stop :])
            if not count:
                return False
            self._stop += count
        return True

    def _read(self, into: memoryview) -> int:
        try:
            return int(self._stream.readinto(into) or 0)
        except EOFError:
            self.truncated = "the gzip stream is cut off"
            return 0
        except zlib.error as error:
            offset = self._origin + self._stop
            raise damaged(offset, str(error), "gzip", offset, Reason.BAD_HEADER) from error

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
        """Size of the file, 0 if nobody knows."""
        try:
            status = os.fstat(self._file.fileno())
        except (AttributeError, OSError):
            return 0
        known = stat.S_ISREG(status.st_mode) and self._stream is self._file
        return status.st_size if known else 0


class _Gunzip:
    """A gzip file of which the beginning has been read already.

    The standard library's GzipFile would lose what precedes the place where a file is cut off.
    """

    def __init__(self, head: bytes, file: Any) -> None:
        self._input = head
        self._file = file
        self._inflate = zlib.decompressobj(31)

    def readinto(self, into: memoryview) -> int:
        while True:
            self._input = self._input or self._file.read(1 << 16)
            if self._inflate.eof and self._input:  # another member follows
                self._inflate = zlib.decompressobj(31)
            last = not self._input
            data = self._inflate.decompress(self._input, len(into))
            self._input = self._inflate.unconsumed_tail or self._inflate.unused_data
            if data:
                into[: len(data)] = data
                return len(data)
            if last and not self._inflate.eof:
                raise EOFError
            if last:
                return 0


def _unknown_magic(magic: bytes) -> GsoError:
    text = f"starts with {magic.hex()}: neither pcap nor pcapng" if magic else "is empty"
    if magic in _OTHER_COMPRESSION:
        tool = _OTHER_COMPRESSION[magic]
        text = f"is compressed with {tool}: decompress it first ({tool} -d)"
    return GsoError(
        f"not a capture: the file {text}",
        reason=Reason.UNSUPPORTED if magic else Reason.TRUNCATED,
        field="magic number",
        offset=0,
        limit=4,
    )


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
    """Read a whole pcap or pcapng file, which may be compressed with gzip.

    `source` is a path or a binary file. Raises OSError if it cannot be opened, and GsoError if it
    is no capture or damaged, with the byte offset; a cut-off last record is left out and reported
    in the result's `truncated`.
    """
    data = np.empty(0, np.uint8)
    used = 0
    offsets: list[Int64s] = [np.zeros(1, np.int64)]
    batches: list[Capture] = []
    with Reader(source) as reader:
        data = np.empty(reader.size_hint(), np.uint8)
        for part in reader.parts():
            if not isinstance(part, Packets):
                continue
            skips = np.zeros(len(part.section.interfaces), np.uint32)
            ends = part.offsets(skips)[1:] + used
            if ends[-1] > len(data):
                grown = np.empty(max(2 * len(data), int(ends[-1])), np.uint8)
                grown[:used] = data[:used]
                data = grown
            used = gather(part.buffer, part.records, skips, data, used)
            offsets.append(ends)
            batches.append(reader.describe(part))
    none = np.zeros(0, np.int64)
    return Capture(
        Frames(data[:used].data, np.concatenate(offsets)),
        np.concatenate([none, *(batch.timestamps for batch in batches)]),
        tuple(reader.interfaces),
        np.concatenate([none, *(batch.interface_ids for batch in batches)]),
        np.concatenate([none, *(batch.original_lengths for batch in batches)]),
        [text for batch in batches for text in batch.comments],
        reader.format,
        reader.truncated,
    )


class Writer:
    """Writes a capture file, batch by batch.

    `target` is a path or a binary file. `format` is ``"pcap"`` (nanosecond timestamps) or
    ``"pcapng"``; by default pcap for a path that ends in ``.pcap`` or ``.cap``, else pcapng.
    `interfaces` are the file's interfaces; by default there is one of `link_type`, a name such as
    ``"ethernet"`` or a LINKTYPE_ number. `snaplen` is the pcap header's.
    """

    def __init__(
        self,
        target: Source,
        *,
        format: Format | None = None,
        link_type: str | int = "ethernet",
        interfaces: Sequence[Interface] | None = None,
        snaplen: int = _LONGEST_SNAPLEN,
    ) -> None:
        if interfaces is None:
            interfaces = (Interface(link_name(link_number(link_type))),)
        if format is None:
            format = "pcap" if _suffix(target) in (".pcap", ".cap") else "pcapng"
        if format not in ("pcap", "pcapng"):
            raise ValueError(f"format {format!r}: use 'pcap' or 'pcapng'")
        if format == "pcap" and len(interfaces) != 1:
            raise ValueError(f"a pcap file has one interface, not {len(interfaces)}: use pcapng")
        self.format: Format = format
        self.interfaces = tuple(interfaces)
        self._pending = self._header(snaplen)
        self._target = target
        self._file: Any = None
        self._buffer = np.empty(0, np.uint8)

    def _header(self, snaplen: int) -> bytes:
        if self.format == "pcap":
            return form.PcapHeader.pack(self.interfaces[0], snaplen)
        return b"".join([form.pack_section(), *map(form.pack_interface, self.interfaces)])

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._start()
        self._end()

    def close(self) -> None:
        """Complete the file, and close it if the writer was given its path."""
        self._start()
        self._end()

    def write(
        self,
        frames: Frames | Iterable[Buffer],
        timestamps: npt.ArrayLike | None = None,
        *,
        interface_ids: npt.ArrayLike | None = None,
        comments: Sequence[str | None] | None = None,
        original_lengths: npt.ArrayLike | None = None,
    ) -> None:
        """Append frames; the other arguments are as `write_capture` has them."""
        if not isinstance(frames, Frames):
            frames = Frames.from_list(frames)
        records = np.zeros(len(frames), RECORD_DTYPE)
        records["kind"] = PCAP_RECORD if self.format == "pcap" else ENHANCED_PACKET_BLOCK
        records["ticks"] = self._ticks(_integers("timestamps", timestamps, len(frames), 0))
        ids = _integers("interface_ids", interface_ids, len(frames), 0)
        _within("interface_ids", ids, 0, len(self.interfaces) - 1)
        records["interface"] = ids
        original = frames.lengths
        if original_lengths is not None:
            original = _integers("original_lengths", original_lengths, len(frames), 0)
        _within("frame lengths", frames.lengths, 0, MAX_BLOCK - 64)
        _within("original_lengths", original, 0, 2**32 - 1)
        records["original"] = original
        options = self._options(comments, records)
        self._start()
        self._write(frames, records, options)

    def _start(self) -> None:
        """Open the file: so late that arguments which do not fit leave an old file alone."""
        if self._file is None:
            target = self._target
            self._file = io.FileIO(target, "w") if _is_path(target) else target
        write_all(self._file, self._pending)
        self._pending = b""

    def _end(self) -> None:
        if self._file is not None and self._file is not self._target:
            self._file.close()

    def _ticks(self, timestamps: Int64s) -> npt.NDArray[np.uint64]:
        longest = 2**63 - 1 if self.format == "pcapng" else 2**32 * 10**9 - 1
        _within("timestamps", timestamps, 0, longest)
        if self.format == "pcapng":
            return timestamps.astype(np.uint64)
        seconds, fraction = np.divmod(timestamps, 10**9)
        ticks: Int64s = seconds << 32 | fraction
        return ticks.view(np.uint64)

    def _options(self, comments: Sequence[str | None] | None, records: Records) -> Bytes:
        """One run of all packets' options; their places are noted in `records`."""
        if comments is None:
            comments = ()
        elif len(comments) != len(records):
            raise ValueError(f"{len(comments)} comments for {len(records)} frames")
        run = bytearray()
        for i, text in enumerate(comments):
            if text is None:
                continue
            if self.format == "pcap":
                raise ValueError("a pcap file has no comments: use pcapng")
            encoded = text.encode("utf-8", "backslashreplace")
            packed = form.pack_options([(form.OPT_COMMENT, encoded)])
            records["options"][i], records["options_length"][i] = len(run), len(packed)
            run += packed
        return np.frombuffer(bytes(run), np.uint8)

    def _write(self, frames: Frames, records: Records, options: Bytes) -> None:
        data, offsets = frames.data, frames.offsets
        skips = np.zeros(len(self.interfaces), np.uint32)
        # Pieces, so that the memory needed does not grow with the batch.
        cuts = np.searchsorted(offsets, np.arange(0, offsets[-1], _CHUNK), "right")
        steps = np.arange(0, len(records), _RECORDS)
        for start, stop in pairwise(np.unique([0, *cuts, *steps, len(records)]).tolist()):
            piece, own = records[start:stop], offsets[start : stop + 1]
            first = np.arange(stop - start + 1)
            need = packed_size(piece, own, first, skips)
            if need > len(self._buffer):
                self._buffer = np.empty(need, np.uint8)
            size = pack(options, piece, data, own, first, skips, not np.little_endian, self._buffer)
            write_all(self._file, self._buffer.data[:size])


def _is_path(target: Source) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(target, (str, os.PathLike))


def write_all(file: Any, data: Buffer) -> None:
    """Write every byte: an unbuffered file may take only some at a time."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _suffix(target: Source) -> str:
    return Path(target).suffix.lower() if _is_path(target) else ""


def _integers(name: str, values: npt.ArrayLike | None, count: int, default: int) -> Int64s:
    """`values` as int64 of shape (count,)."""
    if values is None:
        return np.full(count, default, np.int64)
    array = np.asarray(values)
    if array.dtype.kind == "M":
        array = array.astype("datetime64[ns]").view(np.int64)
    if array.size and array.dtype.kind not in "iu":
        raise TypeError(f"{name} are integers, not {array.dtype}")
    if array.shape != (count,):
        raise ValueError(f"{name} of shape {array.shape} for {count} frames")
    if array.dtype == np.uint64:
        _within(name, array, 0, 2**63 - 1)
    return array.astype(np.int64)


def _within(name: str, values: npt.NDArray[Any], least: int, most: int) -> None:
    if values.size and not least <= values.min() <= values.max() <= most:
        wrong = values.min() if values.min() < least else values.max()
        raise ValueError(f"{name}: {wrong} is not within {least} to {most}")


def write_capture(
    target: Source,
    frames: Frames | Iterable[Buffer],
    *,
    timestamps: npt.ArrayLike | None = None,
    link_type: str | int = "ethernet",
    interfaces: Sequence[Interface] | None = None,
    interface_ids: npt.ArrayLike | None = None,
    comments: Sequence[str | None] | None = None,
    original_lengths: npt.ArrayLike | None = None,
    format: Format | None = None,
) -> None:
    """Write frames to a pcap or pcapng file, replacing it.

    Args:
        target: path or binary file.
        frames: a `Frames`, or buffers.
        timestamps: nanoseconds since 1970 (or datetime64), shape (n,); 0 by default.
        link_type: name or LINKTYPE_ number of the one interface, if `interfaces` is not given.
        interfaces: the file's interfaces, for names, several of them, or other link types.
        interface_ids: index into `interfaces` for each frame, shape (n,); 0 by default.
        comments: text or None for each frame (pcapng only).
        original_lengths: bytes that each packet had on the wire, shape (n,); if less than the
            frame has, and by default, the frame's own length.
        format: ``"pcap"`` (with nanoseconds) or ``"pcapng"``; by default pcap for a name that
            ends in ``.pcap`` or ``.cap``, else pcapng.

    Raises ValueError or TypeError, before it writes anything, for arguments that do not fit.
    """
    if not isinstance(frames, Frames):
        frames = Frames.from_list(frames)
    longest = max([_LONGEST_SNAPLEN, *frames.lengths.max(initial=0, keepdims=True).tolist()])
    with Writer(
        target, format=format, link_type=link_type, interfaces=interfaces, snaplen=longest
    ) as writer:
        writer.write(
            frames,
            timestamps,
            interface_ids=interface_ids,
            comments=comments,
            original_lengths=original_lengths,
        )
