"""JSON that was spread over lines, an object a line again.

jq, journalctl -o json-pretty, dmesg --json and others write so. The objects stand one after the
other, in an array, or in the array of dmesg's one object; a string that stands there instead is a
line of the log.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["compacted", "is_pretty"]

_BEGIN = re.compile(rb"\s*(\[\s*)?[\[{][ \t]*\r?\n")
_EVENT_OF_PWRU = b'"func"'
"""Its reader reads objects of several lines."""
_AROUND = re.compile(rb'\s*\{\s*"dmesg"\s*:\s*\[(?=\s*\{)')
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(")?|[][{}]')
_BRACKET = re.compile(rb"[][{}]")
_STRING = re.compile(rb'\s*("(?:[^"\\]|\\.)*")\s*,?\s*')
_BETWEEN = b" \t\r\n,[]}"
_LARGEST = 1 << 20
"""Bytes of an object, or of a line; larger ones are left as they are."""


def is_pretty(start: bytes) -> bool:
    """Whether a file begins as JSON over several lines, and not with events of pwru."""
    return _BEGIN.match(start) is not None and _EVENT_OF_PWRU not in start


def without_around(start: bytes) -> bytes:
    """Return the start of a file without the beginning of dmesg's object around its array."""
    found = _AROUND.match(start)
    return b"\n" * found[0].count(b"\n") + start[found.end() :] if found else start


def compacted(file: BinaryIO) -> Iterator[bytes]:
    """Yield as many lines, of which that in which an object begins has all of it.

    No more than a line and an object of the file are in memory, and of both no more than 1 MiB.
    """
    parts: list[bytes] = []
    depth = waiting = size = 0
    while line := file.readline(_LARGEST):
        if len(line) == _LARGEST and not line.endswith(b"\n"):
            yield b"".join(part + b"\n" for part in parts)
            parts, depth, waiting, size = [], 0, 0, 0
            yield from _rest_of_line(line, file)
            continue
        if not depth and (string := _STRING.fullmatch(line)):
            yield _decoded(string[1])
            continue
        if not depth and b"{" not in line and line.strip(_BETWEEN):
            yield line  # no JSON
            continue
        whole, depth = _split(line, parts, depth)
        waiting, size = waiting + 1, size + len(line) if depth else 0
        if size > _LARGEST:
            yield b"".join(part + b"\n" for part in parts)
            parts, depth, waiting, size = [], 0, 0, 0
        elif whole or not depth:
            # The line in which one object ends may begin the next.
            open_lines = 1 if depth else 0
            blank = max(waiting - open_lines - len(whole), 0)
            yield b"".join(text + b"\n" for text in whole) + b"\n" * blank
            waiting = open_lines
    yield b"".join(part + b"\n" for part in parts)


def _rest_of_line(start: bytes, file: BinaryIO) -> Iterator[bytes]:
    """Yield a line that is too long, piece by piece."""
    piece = start
    while piece:
        yield piece
        piece = b"" if piece.endswith(b"\n") else file.readline(_LARGEST)


def _split(line: bytes, parts: list[bytes], depth: int) -> tuple[list[bytes], int]:
    """Return (the objects that end in a line, brackets that are open after it).

    `parts` has the text of the object that is open.
    """
    whole = []
    start = 0
    for token in _tokens(line):
        if token[0] in (b"{", b"["):
            if not depth:
                start = token.start()
            depth += depth > 0 or token[0] == b"{"
        elif token[0] in (b"}", b"]") and depth:
            depth -= 1
            if not depth:
                every = [*parts, line[start : token.end()]]
                whole.append(b"".join(part.strip() for part in every))
                parts.clear()
    if depth:
        parts.append(line[start:].rstrip(b"\r\n"))
    return whole, depth


def _tokens(line: bytes) -> Iterator[re.Match[bytes]]:
    """Yield strings and brackets; of a string that does not end, the brackets in it."""
    for token in _TOKEN.finditer(line):
        if token[0].startswith(b'"') and not token[1]:
            yield from _BRACKET.finditer(line, token.start())
            return
        yield token


def _decoded(string: bytes) -> bytes:
    try:
        text = json.loads(string)
        return str(text).encode("utf-8", "replace") + b"\n"
    except ValueError:
        return string + b"\n"
