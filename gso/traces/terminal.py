"""Text as terminals write it: without escape sequences, and a line for each that they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["MARKS", "fed", "is_fed_by_returns", "with_line_feeds", "without_escapes"]

MARKS = (b"\x1b", b"\0", b"#033[", b"^[[", b"\b", b"\f", b"\v", b"\xc2\x9b")
"""What text that `without_escapes` changes has in it."""
_ESCAPES = re.compile(
    # "#033" and "^[" are how syslog and cat -v write the first byte of an escape sequence.
    # How long they may be bounds the time that many beginnings without an end take.
    rb"(?:\x1b|#033|\^\[)(\[[0-?]{0,99}[ -/]{0,99}[@-~]|\][^\x07\x1b\n]{0,999}(\x07|\x1b\\))"
    rb"|\xc2\x9b[0-?]{0,99}[ -/]{0,99}[@-~]"
    rb"|\x1b[()][0-9A-B]|\x1b[78=>c-fDEHMNOZ]"
)
_STRUCK_OVER = re.compile(rb"[^\n\x08]\x08")
_SHOWN = bytes.maketrans(b"\f\v", b" \n")
_RETURNS = re.compile(rb"(?<!\r)\r+(?=\n)")
_BLOCK = 1 << 18


def without_escapes(text: bytes) -> bytes:
    """Return text without escape sequences, zero bytes, and letters that were struck over."""
    text = _ESCAPES.sub(b"", text).translate(_SHOWN, b"\0")
    return _STRUCK_OVER.sub(b"", text) if b"\b" in text else text


def with_line_feeds(text: bytes) -> bytes:
    """Return text in which a line ends where a terminal goes back to the start of the line."""
    if text.count(b"\r") == text.count(b"\r\n"):
        return text
    text = _RETURNS.sub(b"", text)
    return re.sub(rb"(?m)^\r+", b"", text).replace(b"\r", b"\n")


def is_fed_by_returns(start: bytes) -> bool:
    """Whether the lines of a file end in carriage returns alone, by its start."""
    return b"\r" in start and b"\n" not in start


def fed(file: BinaryIO) -> Iterator[bytes]:
    """Yield the text of such a file with line feeds."""
    while block := file.read(_BLOCK):
        yield block.replace(b"\r", b"\n")
