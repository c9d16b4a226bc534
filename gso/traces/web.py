"""Text that web pages and word processors changed, as it was."""

from __future__ import annotations

import re

__all__ = ["MARKS", "as_written"]

_ENTITIES = re.compile(rb"&(?:amp;)*(gt|lt|quot|apos|nbsp|amp|#[0-9]{2,7}|#[xX][0-9a-fA-F]{2,6});")
_MEANT = {b"gt": b">", b"lt": b"<", b"quot": b'"', b"nbsp": b" ", b"apos": b"'", b"amp": b"&"}
_TAG = re.compile(
    rb"</?(?:a|b|br|code|div|em|font|i|kbd|li|ol|p|pre|samp|span|strong|table|tbody|td|tr|tt|ul)"
    rb"(?: [^<>\n]{0,200})?/?>"
)
# In JSON such text is a value, and quotation marks would end it.
_NO_JSON = re.compile(rb'(?m)^(?![ \t\r]*"|[^\n]*[{\[][ \t\r]*").+$')
_WRITTEN = {
    **dict.fromkeys("\u00a0\u2002\u2003\u2009\u202f", b" "),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff", b""),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2212", b"-"),
    **dict.fromkeys("\u201c\u201d\u201e", b'"'),
    **dict.fromkeys("\u2018\u2019", b"'"),
    "\u2192": b"->",
}
"""What stands for a character that such programs put in its place."""
_CHARACTERS = re.compile(b"|".join(one.encode() for one in _WRITTEN))
MARKS = (b"&gt;", b"&lt;", b"&quot;", b"&#", b"&amp;", b"<br", b"</", *map(str.encode, _WRITTEN))
"""What text that `as_written` changes has in it."""


def as_written(text: bytes) -> bytes:
    """Return lines without HTML, and with the characters of a keyboard; JSON as it is."""
    return _NO_JSON.sub(_line, text)


def _line(line: re.Match[bytes]) -> bytes:
    text = _ENTITIES.sub(_meant, _TAG.sub(b"", line[0]))
    return _CHARACTERS.sub(lambda found: _WRITTEN[found[0].decode()], text)


def _meant(entity: re.Match[bytes]) -> bytes:
    name = entity[1]
    if not name.startswith(b"#"):
        return _MEANT[name]
    number = int(name[2:], 16) if name[1:2] in b"xX" else int(name[1:])
    # A line stays one, and what is no character is left as it is.
    if number < ord(" ") or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        return entity[0]
    return chr(number).encode()
