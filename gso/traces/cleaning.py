"""Take out of a text the marks that terminals, crashes and web pages add to it."""

from __future__ import annotations

import re

from gso.traces import terminal, web
from gso.traces._marks import Marks
from gso.traces.wrapping import unwrapped

__all__ = ["clean"]

# journalctl -o export and -o verbose: a line for each field of a message.
_OTHER_FIELD = re.compile(
    rb"(?m)^[ \t]*(?!MESSAGE=)_{0,2}[A-Z][A-Z0-9_]*=[^\n]*$"
    rb"|^\w{3} [0-9-]{10} [0-9:.]+ \S+ \[s=[0-9a-f]+;i=[^\n]*\]\r?$"
)
_MESSAGE = re.compile(rb"(?m)^[ \t]*MESSAGE=")
_ESCAPES, _OF_WEB = Marks(*terminal.MARKS), Marks(*web.MARKS)
_RETURN = Marks(b"\r")
_FIELD = Marks(b"MESSAGE=")
_JSON = Marks(b'{"', b'{ "', b'["', b'\n"', b'msg="', b'MESSAGE="')


def clean(block: bytes | memoryview) -> bytes | memoryview:
    """Return a block of lines as they were before they were shown, stored or passed on.

    Escape sequences, zero bytes, HTML and what is around messages are taken out. A
    block without any of them is returned as it is. The lines are as many as before, but for those
    that end in a carriage return alone, and for several messages, or lines of one, in one line.
    """
    escaped, of_web = _ESCAPES.are_in(block), _OF_WEB.are_in(block)
    if escaped:
        block = terminal.without_escapes(bytes(block))
    if _RETURN.are_in(block):
        block = terminal.with_line_feeds(bytes(block))
    if of_web:
        block = web.as_written(bytes(block))
    if _FIELD.are_in(block):
        block = _MESSAGE.sub(b"", _OTHER_FIELD.sub(b"", bytes(block)))
    if escaped or of_web or _JSON.are_in(block):
        return _messages(bytes(block))
    return block


def _messages(block: bytes) -> bytes:
    """Return lines without what is around messages, and these as they were written, too."""
    inner = unwrapped(block)
    return block if inner == block else web.as_written(terminal.without_escapes(inner))
