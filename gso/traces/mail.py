"""Logs as mail carries them: quoted-printable, and lines that were folded as format=flowed says.

RFC 2045, section 6.7, and RFC 3676. What a sender's program wrapped otherwise cannot be put
together again: where a line was cut is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["is_mail", "is_quoted", "unfolded"]

_TYPE, _ENCODING = b"content-type:", b"content-transfer-encoding:"
_HEADERS = re.compile(
    rb"(?mi)^content-transfer-encoding:[ \t]*quoted-printable"
    rb"|^content-type:[^\n]*(\n[ \t][^\n]*){0,9}format=\"?flowed"
)
# Of the numbers that quoted-printable may write these are needed; that of "len=1544" is not.
_CODE = re.compile(rb"=(09|0[ADad]|1[Bb]|20|2[Ee]|3[Dd]|46|7[Ff]|[89A-Fa-f][0-9A-Fa-f])")
_SURE = 2
"""Signs of equality that show a mail without its headers."""
_LARGEST = 1 << 20
"""Bytes of a line; the pieces of a longer one are passed on as they are."""


def is_mail(start: bytes) -> bool:
    """Whether the start of a file is from a mail that is quoted-printable or flowed."""
    return _HEADERS.search(start) is not None or is_quoted(start)


def is_quoted(start: bytes) -> bool:
    """Whether text without headers is quoted-printable, by each "=" in it."""
    lines = start.split(b"\n")[:-1] or [start]
    return (
        start.count(b"=3D") >= _SURE
        and _HEADERS.search(start) is None
        and all(map(_is_quoted_line, lines))
    )


def unfolded(file: BinaryIO, *, quoted: bool) -> Iterator[bytes]:
    """Yield the lines of a mail as they were sent, each with empty lines for those it is made of.

    Args:
        file: the mail.
        quoted: whether it is quoted-printable before a header says what it is.
    """
    flow = _Flow()
    decoded = _joined(_pieces(file, quoted=quoted))
    parts = ((*flow.read(line), newlines) for line, newlines in decoded)
    for text, newlines in _joined(parts):
        yield text + b"\n" * max(newlines - text.count(b"\n"), 0)


def _joined(pieces: Iterator[tuple[bytes, bool, int]]) -> Iterator[tuple[bytes, int]]:
    """Join pieces: text, whether the next one goes on with it, line feeds; no line is too large."""
    parts: list[bytes] = []
    size = count = 0
    for text, goes_on, newlines in pieces:
        parts.append(text)
        size, count = size + len(text), count + newlines
        if not goes_on or size > _LARGEST:
            yield b"".join(parts), count
            parts, size, count = [], 0, 0
    yield b"".join(parts), count


def _pieces(file: BinaryIO, *, quoted: bool) -> Iterator[tuple[bytes, bool, int]]:
    """Yield a line's text, whether the next one goes on with it, and its line feeds."""
    while line := file.readline(_LARGEST):
        if line.lower().startswith(_ENCODING):
            quoted = b"quoted-printable" in line.lower()
        text, goes_on = line.rstrip(b"\r\n"), False
        if quoted and _is_quoted_line(text):
            plain = text.rstrip(b" \t")
            goes_on = plain.endswith(b"=")
            text = _CODE.sub(_meant, plain[:-1] if goes_on else text)
        yield text, goes_on, line.endswith(b"\n")


def _is_quoted_line(line: bytes) -> bool:
    text = line.rstrip(b" \t\r\n").removesuffix(b"=")
    return text.count(b"=") == len(_CODE.findall(text))


def _meant(code: re.Match[bytes]) -> bytes:
    return bytes([int(code[1], 16)])


class _Flow:
    """Which lines go on in the next one, by the header of the mail, or the part, they are in."""

    def __init__(self) -> None:
        self._flowed = self._delete_space = self._in_header = False

    def read(self, line: bytes) -> tuple[bytes, bool]:
        """Return the text of a line, and whether the next one goes on with it."""
        self._look(line.lower())
        if not self._flowed or self._in_header:
            return line, False
        text = line.removeprefix(b" ")
        if not text.endswith(b" ") or text == b"-- ":
            return text, False
        return (text[:-1] if self._delete_space else text), True

    def _look(self, line: bytes) -> None:
        begins = line.startswith(_TYPE)
        self._in_header = begins or (self._in_header and line[:1] in (b" ", b"\t"))
        if begins:
            self._flowed = self._delete_space = False
        if self._in_header:
            self._flowed |= b"format=flowed" in line or b'format="flowed"' in line
            self._delete_space |= b"delsp=yes" in line or b'delsp="yes"' in line
