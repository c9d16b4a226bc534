"""Copy a capture with some of its packets replaced or left out, in memory of a fixed size."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import stat
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture._records import pack, packed_size
from gso.capture.format import SECTION_HEADER, Int64s, Source, is_path
from gso.capture.packets import Block, Packets
from gso.capture.reader import Reader
from gso.capture.writer import write_all
from gso.errors import GsoError

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_SMALL = 1 << 14
"""Bytes of a piece that is written together with others: a thread costs more than it gains."""
_TOGETHER = 1 << 18
_LENGTH_AT = 16
"""Of a section, in its header: a number of 64 bits."""
_UNKNOWN = b"\xff" * 8


def copy_capture(
    source: Source,
    target: Any,
    rewrite: Callable[[Packets], Iterator[memoryview]],
    *,
    finish: Callable[[], Iterator[memoryview]] | None = None,
    keep: Callable[[Block], bytes] = attrgetter("raw"),
    room: int = 0,
    progress: Callable[[int], None] | None = None,
) -> str | None:
    """Copy a capture, with the packets replaced by what `rewrite` yields for them.

    Args:
        source: path, binary file, or the bytes of one.
        target: path, or binary file, to write to.
        rewrite: yields the bytes to write for some packets and the blocks between them; each piece
            must last until the next but one.
        finish: yields the bytes to write for packets that `rewrite` has kept back; called where
            anything but packets follows.
        keep: returns the bytes to write for any other block but section headers, whose lengths are
            those of the sections that are written; by default the block as it is.
        room: bytes to leave free in front of packets, as `Reader` does.
        progress: called now and then with the number of bytes read.

    Returns what the file's end lacks, or None. Raises GsoError for a damaged capture; what precedes
    the damage has been written by then. Raises ValueError for a path of the very file that is read.
    """
    finish = finish or _nothing
    with (
        Reader(source, room=room) as reader,
        _opened(source, target) as file,
        _sections(file) as sections,
        _output(file) as write_piece,
    ):

        def write(piece: bytes | memoryview) -> None:
            sections.written += len(piece)
            write_piece(piece)

        try:
            for part in reader.stretches():
                if isinstance(part, Block):
                    _write_all(write, finish())
                    write(sections.header(part) if part.kind == SECTION_HEADER else keep(part))
                else:
                    _write_all(write, rewrite(part))
                if progress is not None:
                    progress(reader.position)
        except GsoError:
            _write_all(write, finish())
            raise
        _write_all(write, finish())
        return reader.truncated


def _nothing() -> Iterator[memoryview]:
    return iter(())


def _write_all(write: Callable[[bytes | memoryview], None], pieces: Iterator[memoryview]) -> None:
    for piece in pieces:
        write(piece)


class _Sections:
    """The section headers that are written, and the lengths of their sections.

    A length is known when the section has been written. It is put in then, where the file lets us
    go back; elsewhere, and where the capture that is read does not tell any, it is "unknown" (-1:
    pcapng section 4.1).
    """

    def __init__(self) -> None:
        self.written = 0
        self._headers: list[tuple[int, Block]] = []

    def header(self, block: Block) -> bytes:
        """The header to write now."""
        self._headers.append((self.written, block))
        return block.raw[:_LENGTH_AT] + _UNKNOWN + block.raw[_LENGTH_AT + len(_UNKNOWN) :]

    def lengths(self) -> Iterator[tuple[int, bytes]]:
        """Where each length is that is to be put in, counted from the first byte written."""
        places = [*(at for at, _ in self._headers), self.written]
        for (at, block), end in zip(self._headers, places[1:], strict=True):
            if block.raw[_LENGTH_AT:].startswith(_UNKNOWN):
                continue
            length = struct.pack(block.section.order + "q", end - at - len(block.raw))
            yield at + _LENGTH_AT, length


@contextlib.contextmanager
def _sections(file: Any) -> Iterator[_Sections]:
    """Sections of which the lengths are put in when all has been written."""
    sections = _Sections()
    start = file.tell() if _goes_back(file) else None
    try:
        yield sections
    finally:
        if start is not None:
            for at, length in sections.lengths():
                file.seek(start + at)
                write_all(file, length)
            file.seek(start + sections.written)


def _goes_back(file: Any) -> bool:
    """Whether bytes in the middle of the file can be written: not of a pipe or to the end only."""
    if isinstance(file, io.BytesIO):
        return True
    plain = isinstance(file, (io.FileIO, io.BufferedWriter, io.BufferedRandom))
    return plain and _is_on_disk(file) and not fcntl.fcntl(file, fcntl.F_GETFL) & os.O_APPEND


class Replacements(NamedTuple):
    """Frames in place of packets.

    Attributes:
        frames: the frames; a packet may have several, in a row.
        parents: the number of the packet that each replaces.
        behind, tails: where the last bytes of each frame are, if they are not in `frames`: offset
            in `behind` and length, shape (len(frames), 2).
    """

    frames: Frames
    parents: Int64s
    behind: npt.NDArray[np.uint8] | None = None
    tails: Int64s | None = None

    def lengths(self) -> Int64s:
        """Of the frames, in bytes."""
        lengths: Int64s = self.frames.lengths
        return lengths if self.tails is None else lengths + self.tails[:, 1]

    def of(self, packets: slice) -> Replacements:
        """Those of some packets, whose numbers count from the first of them."""
        low, high = np.searchsorted(self.parents, [packets.start, packets.stop]).tolist()
        tails = None if self.tails is None else self.tails[low:high]
        parents = self.parents[low:high] - packets.start
        return Replacements(self.frames[low:high], parents, self.behind, tails)


NOTHING = Replacements(Frames(), np.empty(0, np.int64))


class Packer:
    """Makes the bytes of a capture file; a result lasts until the next but one.

    With `spell_out`, simple packet blocks that were cut become enhanced ones: see `pack`.
    """

    def __init__(self, *, spell_out: bool = False) -> None:
        self._spell_out = spell_out
        self._buffer = self._other = np.empty(0, np.uint8)

    def pack(self, packets: Packets, made: Replacements, skip: int = 0) -> memoryview:
        """Pack the packets for a file, with the frames that were made in place of some.

        Each gets its timestamp, interface and first `skip` bytes; the first one of a packet also
        its options. Blocks between packets stay where they are.
        """
        if not packets.between:
            return self._pack(packets, made, skip)
        packed = bytearray()
        start = 0
        for stop, block in (*packets.between, (len(packets.records), None)):
            if stop > start:
                which = slice(start, stop)
                some = replace(packets, records=packets.records[which], between=())
                packed += self._pack(some, made.of(which), skip)
                start = stop
            packed += block.raw if block else b""
        return memoryview(packed)

    def _pack(self, packets: Packets, made: Replacements, skip: int) -> memoryview:
        records, frames = packets.records, made.frames
        first = np.searchsorted(made.parents, np.arange(len(records) + 1))
        skips = packets.section.same(skip)
        # A replacement of another length is all there is of it; one of the same length is the
        # packet with some fields changed, and lacks what the packet lacks.
        others = made.parents[made.lengths() + skip != records["captured"][made.parents]]
        records["original"][others] = 0
        need = packed_size(records, frames.offsets, first, skips, made.tails)
        # The last buffer may still be on its way to the disk.
        self._buffer, self._other = self._other, self._buffer
        if need > len(self._buffer):
            self._buffer = np.empty(need, np.uint8)
        size = pack(
            packets.buffer,
            records,
            frames.data,
            frames.offsets,
            first,
            skips,
            packets.section.swapped,
            self._buffer,
            self._spell_out,
            made.behind,
            made.tails,
        )
        return self._buffer.data[:size]


def _opened(source: Source, target: Any) -> contextlib.AbstractContextManager[Any]:
    """The file to write to, which stays open if it is the caller's."""
    if not is_path(target):
        return contextlib.nullcontext(target)
    with contextlib.suppress(FileNotFoundError):
        if is_path(source) and Path(source).samefile(target):
            raise ValueError(f"{os.fspath(target)} is the capture that is read")
    return Path(target).open("wb")


@contextlib.contextmanager
def _output(file: Any) -> Iterator[Callable[[bytes | memoryview], None]]:
    """A function that writes a piece: to a disk while the next one is made, else at once.

    A write to a pipe may take for ever, and a thread in it could not be interrupted.
    """
    if not _is_on_disk(file):
        yield lambda piece: write_all(file, piece)
        return
    small = bytearray()
    with _writer(file) as (submit, wait):

        def flush() -> None:
            nonlocal small
            if small:
                submit(small)
                small = bytearray()

        def write(piece: bytes | memoryview) -> None:
            nonlocal small
            if len(piece) >= _SMALL:
                flush()
                submit(piece)
                return
            wait()  # the bytes that are being written may be those of the next piece
            small += piece
            if len(small) >= _TOGETHER:
                flush()

        try:
            yield write
        finally:
            wait()
            write_all(file, small)


@contextlib.contextmanager
def _writer(
    file: Any,
) -> Iterator[tuple[Callable[[bytes | bytearray | memoryview], None], Callable[[], None]]]:
    """Functions that write a piece when the last one is written, and wait for that.

    A thread writes where there is a second core for it, from the first piece on.
    """
    if len(os.sched_getaffinity(0)) == 1:
        yield partial(write_all, file), lambda: None
        return
    last: Future[None] | None = None

    @cache
    def writer() -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  (slow)

        return stack.enter_context(ThreadPoolExecutor(1, "gso-write"))

    def submit(piece: bytes | bytearray | memoryview) -> None:
        nonlocal last
        before, last = last, writer().submit(write_all, file, piece)
        if before is not None:
            before.result()

    def wait() -> None:
        nonlocal last
        before, last = last, None
        if before is not None:
            before.result()

    with contextlib.ExitStack() as stack:
        yield submit, wait


def _is_on_disk(file: Any) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (AttributeError, OSError):
        return False
