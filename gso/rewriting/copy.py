"""Copy a capture with some of its packets replaced or left out, in memory of a fixed size."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from gso.buffers._frames import Frames
from gso.capture._records import pack, packed_size
from gso.capture.format import LINKS, SECTION_HEADER, SLL2_TYPE, Int64s, Source
from gso.capture.reader import Block, Packets, Reader
from gso.capture.writer import write_all
from gso.errors import GsoError
from gso.headers.protocols import AF_INET, AF_INET6

SLL2_HLEN = 20


def copy_capture(
    source: Source,
    target: Any,
    replace: Callable[[Packets], Iterator[memoryview]],
    *,
    finish: Callable[[], Iterator[memoryview]] | None = None,
    keep: Callable[[Block], bytes] | None = None,
    progress: Callable[[int], None] | None = None,
) -> str | None:
    """Copy a capture, with the packets replaced by what `replace` yields for them.

    Args:
        source: path or binary file.
        target: binary file to write to.
        replace: yields the bytes to write for some packets; each piece must last until the next
            but one.
        finish: yields the bytes to write for packets that `replace` has kept back; called where
            anything but packets follows.
        keep: returns the bytes to write for any other block, by default :func:`as_written`.
        progress: called now and then with the number of bytes read.

    Returns what the file's end lacks, or None. Raises GsoError for a damaged capture; what precedes
    the damage has been written by then.
    """
    keep = keep or as_written
    finish = finish or _nothing
    with Reader(source) as reader, _output(target) as write:
        try:
            for part in reader.parts():
                if isinstance(part, Block):
                    _write_all(write, finish())
                    write(keep(part))
                else:
                    _write_all(write, replace(part))
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


def as_written(block: Block) -> bytes:
    """The block itself; a section header without the section's length, which will change."""
    if block.kind == SECTION_HEADER:
        return block.raw[:16] + b"\xff" * 8 + block.raw[24:]
    return block.raw


def runs(packets: Packets) -> Iterator[tuple[Packets, str]]:
    """Yield the packets in pieces of one link type each, with its name."""
    records, section = packets.records, packets.section
    if (records["interface"] == records["interface"][0]).all():
        yield packets, section.interfaces[records["interface"][0]].link_type
        return
    used, which = np.unique(records["interface"], return_inverse=True)
    links = [section.interfaces[i].link_type for i in used.tolist()]
    kinds = np.array([_number(link) for link in links])[which]
    edges = np.flatnonzero(np.diff(kinds)) + 1
    for start, stop in pairwise([0, *edges.tolist(), len(records)]):
        yield (
            Packets(packets.buffer, records[start:stop], section, packets.origin),
            links[which[start]],
        )


def link_frames(packets: Packets, link_type: str) -> Frames:
    """The packets' frames as `gso.parse` reads them: without the bytes that `LINKS` skips.

    A cooked header of version 2 begins with the type of what follows. The type is put where an
    Ethernet header has it, over bytes of the sender's address that `restore_link` puts back. What
    a loopback header announces as anything but the IP version that follows is not read as IP.
    """
    skip = LINKS[link_type][1]
    frames = packets.frames(np.full(len(packets.section.interfaces), skip, np.uint32))
    if link_type in ("null", "loop"):
        return _without_other_families(packets, frames)
    if link_type != "linux_sll2":
        return frames
    whole = np.flatnonzero(frames.lengths >= SLL2_HLEN - skip)
    return _with_types(packets, whole, 0, frames, frames.offsets[whole] + SLL2_TYPE - skip)


def _without_other_families(packets: Packets, frames: Frames) -> Frames:
    """The frames, with no version in those whose address family is not that of their version."""
    whole = np.flatnonzero(frames.lengths > 0)
    heads = packets.records["data"][whole, np.newaxis] + np.arange(4)
    raw = np.ascontiguousarray(np.take(packets.buffer, heads, mode="clip"))
    family = raw.view(">u4").ravel()
    # The number is in the byte order of the system that captured.
    family = np.where(family > 0xFFFF, raw.view("<u4").ravel(), family)
    places = frames.offsets[whole]
    version = frames.data[places] >> 4
    right = (version == 4) & (family == AF_INET) | (version == 6) & np.isin(family, AF_INET6)
    if right.all():
        return frames
    data = frames.data.copy()
    data[places[~right]] &= 0x0F
    return Frames(data.data, frames.offsets)


def restore_link(packets: Packets, link_type: str, frames: Frames, parents: Int64s) -> Frames:
    """Undo what `link_frames` did, in frames that replace the packets `parents`."""
    if link_type != "linux_sll2":
        return frames
    places = frames.offsets[:-1] + SLL2_TYPE - LINKS[link_type][1]
    return _with_types(packets, parents, SLL2_TYPE, frames, places)


def _with_types(packets: Packets, which: Int64s, at: int, frames: Frames, places: Int64s) -> Frames:
    """The frames with two bytes, from `at` on of the packets `which`, copied to `places`."""
    data = frames.data.copy()
    first = packets.records["data"][which] + at
    for byte in range(2):
        data[places + byte] = packets.buffer[first + byte]
    return Frames(data.data, frames.offsets)


def _number(link_type: str) -> int:
    """A number of a link type: equal for all that are unknown."""
    return list(LINKS).index(link_type) if link_type in LINKS else -1


class Packer:
    """Makes the bytes of a capture file; a result lasts until the next but one.

    With `spell_out`, simple packet blocks that were cut become enhanced ones: see `pack`.
    """

    def __init__(self, *, spell_out: bool = False) -> None:
        self._spell_out = spell_out
        self._buffer = self._other = np.empty(0, np.uint8)

    def pack(self, packets: Packets, frames: Frames, parents: Int64s, skip: int = 0) -> memoryview:
        """Pack the packets for a file, with ``frames[i]`` in place of packet ``parents[i]``.

        A packet may have several frames, in a row. Each gets its timestamp, interface and first
        `skip` bytes; the first one also its options.
        """
        records = packets.records
        first = np.searchsorted(parents, np.arange(len(records) + 1))
        skips = np.full(len(packets.section.interfaces), skip, np.uint32)
        # A replacement's length on the wire is its own: the packet's is no longer true.
        records["original"][parents] = 0
        need = packed_size(records, frames.offsets, first, skips)
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
        )
        return self._buffer.data[:size]


@contextlib.contextmanager
def _output(file: Any) -> Iterator[Callable[[bytes | memoryview], None]]:
    """A function that writes a piece: to a disk while the next one is made, else at once.

    A write to a pipe may take for ever, and a thread in it could not be interrupted.
    """
    if not _is_on_disk(file):
        yield lambda piece: write_all(file, piece)
        return
    last: Future[None] | None = None

    def write(piece: bytes | memoryview) -> None:
        nonlocal last
        before, last = last, writer.submit(write_all, file, piece)
        if before is not None:
            before.result()

    with ThreadPoolExecutor(1, "gso-write") as writer:
        yield write
        if last is not None:
            last.result()


def _is_on_disk(file: Any) -> bool:
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (AttributeError, OSError):
        return False
