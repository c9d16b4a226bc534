"""A file in blocks of whole lines.

A block is read into a buffer that the caller gives, and gives again: only the line, or the event,
in the middle of which a block ends is copied.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

__all__ = ["BinaryFile", "LineBlocks"]

_LONGEST_EVENT = 1 << 25


class BinaryFile(Protocol):
    """A binary file."""

    def read(self, size: int, /) -> bytes:
        """Read up to so many bytes; none at the end."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill the buffer; return how much of it was filled, less than all only at the end."""


_CUT_NUMBER = re.compile(rb"=\s{0,80}(\([^()\s]{0,80}\)?)?(0x)?[0-9a-f]{1,80}\Z")


def _without_cut_number(buffer: bytearray, used: int) -> int:
    """Return where a file ends without a number after "=" that may have lost digits."""
    last = bytes(buffer[max(used - 80, 0) : used])
    found = _CUT_NUMBER.search(last)
    return used - len(last) + found.start() + 1 if found else used


class LineBlocks:
    """Reads a file block by block.

    Args:
        file: the file.
        start: its first bytes, which were read already.
        size: bytes that a block should have.
        longest: bytes of a line that is passed on whole; a longer one is cut to one byte more.
        cut: called with a block of whole lines, returns at which byte it should end, 0 if it is
            too short; the next block begins there.
    """

    def __init__(
        self,
        file: BinaryFile,
        start: bytes,
        size: int,
        longest: int,
        cut: Callable[[memoryview], int] | None = None,
    ) -> None:
        self._file = file
        self._kept = start
        self._size = size
        self._longest = longest
        self._cut = cut

    def read_into(self, buffer: bytearray) -> memoryview:
        """Read the next block into `buffer`, which may grow; empty at the end of the file.

        Release the block before the buffer is used again.
        """
        used = len(self._kept)
        buffer[:used] = self._kept
        room = max(self._size, used + 1)
        while True:
            buffer.extend(bytes(max(room - len(buffer), 0)))
            with memoryview(buffer) as whole, whole[used:room] as free:
                used += self._file.readinto(free)
            at_end = used < room
            end = self._end(buffer, used, at_end)
            if at_end:
                used = end = _without_cut_number(buffer, used)
            if end or at_end:
                self._kept = bytes(buffer[end:used])
                return memoryview(buffer)[:end]
            if used > self._longest and b"\n" not in buffer[:used]:
                return self._start_of_line(buffer)
            room *= 2

    def _end(self, buffer: bytearray, used: int, at_end: bool) -> int:
        """Return where the block ends; 0 if it cannot end yet."""
        end = buffer.rfind(b"\n", 0, used) + 1
        if at_end:
            return used
        if not end or self._cut is None:
            return end
        with memoryview(buffer) as whole, whole[:end] as lines:
            return self._cut(lines) or end * (end > _LONGEST_EVENT)

    def _start_of_line(self, buffer: bytearray) -> memoryview:
        """Return the start of a line that is too long, and pass over the rest of the line."""
        size = self._longest + 1
        buffer[size : size + 1] = b"\n"
        self._kept = b""
        while block := self._file.read(self._size):
            end = block.find(b"\n") + 1
            if end:
                self._kept = block[end:]
                break
        return memoryview(buffer)[: size + 1]
