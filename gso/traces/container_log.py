"""Lines that a container runtime wrote in pieces, put together again.

A log of the Kubernetes Container Runtime Interface has a time, a stream and a tag before each text:

    2026-11-28T05:17:01.123456789Z stdout P 0xffff947712f34400 9   <empty>:0
    2026-11-28T05:17:01.123456789Z stdout F  ip_local_out

The tag P says that the next text of that stream goes on with this one, F that the line ends. Docker
writes an object of JSON for every 16 KiB of a line; only the last of these ends in a line feed:

    {"log":"0xffff947712f34400 9   <empty>:0","stream":"stdout","time":"2026-11-28T05:17:01Z"}
    {"log":" ip_local_out\\n","stream":"stdout","time":"2026-11-28T05:17:01Z"}
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

__all__ = ["is_container_log", "joined"]

_HEAD = (
    rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+(?:Z|[+-]\d\d:\d\d) (?P<stream>stdout|stderr) "
    rb"(?P<tag>[FP])(?::\S{0,80})?(?: |$)"
)
_LINE = re.compile(rb"[^\n]{0,200}?" + _HEAD)
_FIRST = re.compile(rb'(?m)^[^\n]{0,200}?(?:%b|\{[^\n]{0,200}?"log": ?")' % _HEAD)
_PARTIAL = (b" stdout P", b" stderr P")
_LOG = re.compile(rb'"log": ?"((?:[^"\\]|\\.)*)"')
_STREAM = re.compile(rb'"stream": ?"(\w+)"')
_FEED = b"\\n"
_DOCKERS_PIECE = 1 << 14
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
        if pieces.waiting or _has_piece(lines):
            yield pieces.lines(lines)
        else:
            yield lines
    yield pieces.lines(rest) + pieces.end()


def _has_piece(lines: bytes) -> bool:
    return any(mark in lines for mark in _PARTIAL) or (
        lines.count(b'"log":') != lines.count(b'\\n","stream":"')
    )


class _Piece(NamedTuple):
    """A line of such a log.

    Attributes:
        stream: the line's piece belongs to a line of this stream.
        ends: whether the line of the stream ends with it.
        head, text, tail: the piece, and what is around it where the line of the stream ends.
    """

    stream: bytes
    ends: bool
    head: bytes
    text: bytes
    tail: bytes


class _Pieces:
    """The pieces of each stream's line that did not end yet.

    Attributes:
        waiting: by stream, the line so far, as if it ended there, in two parts: its next piece
            belongs between them.
    """

    def __init__(self) -> None:
        self.waiting: dict[bytes, tuple[bytearray, bytes]] = {}
        self._owed = b""
        self._feeds = False

    def lines(self, lines: bytes) -> bytes:
        """Return what to write for whole lines."""
        self._feeds |= b'\\n","stream":' in lines
        return b"".join(map(self._line, lines.splitlines(keepends=True)))

    def _line(self, line: bytes) -> bytes:
        """Return what to write for a line; the line feed of a piece is owed until the next."""
        owed, self._owed = self._owed, b""
        piece = _of_kubernetes(line) or self._of_docker(line)
        if piece is None:
            return owed + line
        before = self.waiting.pop(piece.stream, None)
        if piece.ends:
            whole = line if before is None else bytes(before[0]) + piece.text + piece.tail
            return owed + whole
        if before is not None and len(before[0]) > _LARGEST:
            return owed + before[0] + piece.text + piece.tail + b"\n"
        so_far = bytearray(piece.head) if before is None else before[0]
        so_far += piece.text
        self.waiting[piece.stream] = so_far, piece.tail
        self._owed = b"\n" if line.endswith(b"\n") else b""
        return owed

    def _of_docker(self, line: bytes) -> _Piece | None:
        """Return an object of Docker; where no text has a line feed, another tool took it off."""
        found = _LOG.search(line)
        stream = _STREAM.search(line) if found else None
        if not found or not stream:
            return None
        ends = found[1].endswith(_FEED) or not (self._feeds or len(found[1]) >= _DOCKERS_PIECE)
        tail = line[found.end(1) :]
        head = line[: found.start(1)]
        return _Piece(stream[1], ends, head, found[1], tail if ends else tail.rstrip(b"\r\n"))

    def end(self) -> bytes:
        """Return the lines of which the log lacks the end: the last of them is cut there."""
        return b"\n".join(bytes(before) + tail for before, tail in self.waiting.values())


def _of_kubernetes(line: bytes) -> _Piece | None:
    head = _LINE.match(line)
    if head is None:
        return None
    ends, text = head["tag"] == b"F", line[head.end() :]
    start = line[: head.start("tag")] + b"F "
    return _Piece(head["stream"], ends, start, text if ends else text.rstrip(b"\r\n"), b"")
