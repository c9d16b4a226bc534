"""Lines that a container runtime wrote in pieces, put together again.

A log of the Kubernetes Container Runtime Interface has a time, a stream and a tag before each text:

    2026-11-28T05:17:01.123456789Z stdout P 0xffff947712f34400 9   <empty>:0
    2026-11-28T05:17:01.123456789Z stdout F  ip_local_out

The tag P says that the next text of that stream goes on with this one, F that the line ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["is_container_log", "joined"]

_HEAD = (
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d) (?P<stream>stdout|stderr) "
    rb"(?P<tag>[FP])(?::\S{0,80})?(?: |$)"
)
_LINE = re.compile(rb"(?P<before>[^\n]{0,200}?)" + _HEAD)
_FIRST = re.compile(rb"(?m)^[^\n]{0,200}?" + _HEAD)
_PARTIAL = (b" stdout P", b" stderr P")
_BLOCK = 1 << 18
_LARGEST = 1 << 20
"""Bytes of a line; the pieces of a longer one are passed on as they are."""


def is_container_log(start: bytes) -> bool:
    """Whether the start of a file is from such a log."""
    return _FIRST.search(start) is not None


def joined(file: BinaryIO) -> Iterator[bytes]:
    """Yield the text of a log, each line whole where its last piece is, and as many lines."""
    pieces = _Pieces()
    rest = b""
    while block := file.read(_BLOCK):
        block = rest + block
        end = block.rfind(b"\n") + 1
        if not end and len(block) > _LARGEST:
            end = len(block)
        lines, rest = block[:end], block[end:]
        if pieces.waiting or any(mark in lines for mark in _PARTIAL):
            yield b"".join(map(pieces.line, lines.splitlines(keepends=True)))
        else:
            yield lines
    yield (pieces.line(rest) if rest else b"") + pieces.end()


class _Pieces:
    """The pieces of each stream's line that did not end yet.

    Attributes:
        waiting: by stream, the line so far, as if it ended there.
    """

    def __init__(self) -> None:
        self.waiting: dict[bytes, bytearray] = {}
        self._owed = b""

    def line(self, line: bytes) -> bytes:
        """Return what to write for a line; the line feed of a piece is owed until the next."""
        owed, self._owed = self._owed, b""
        head = _LINE.match(line)
        if head is None:
            return owed + line
        stream = head["stream"]
        before = self.waiting.pop(stream, None)
        text = line[head.end() :]
        if head["tag"] == b"F":
            return owed + (line if before is None else bytes(before) + text)
        text = text.rstrip(b"\r\n")
        if before is None:
            before = bytearray(line[: head.start("tag")] + b"F ")
        elif len(before) > _LARGEST:
            return owed + bytes(before) + text + b"\n"
        before += text
        self.waiting[stream] = before
        self._owed = b"\n" if line.endswith(b"\n") else b""
        return owed

    def end(self) -> bytes:
        """Return the lines of which the log lacks the end: the last of them is cut there."""
        return b"\n".join(map(bytes, self.waiting.values()))
