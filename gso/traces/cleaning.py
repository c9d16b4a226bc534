"""Take out of a text the marks that terminals, crashes and web pages add to it."""

from __future__ import annotations

import re

from gso.traces.wrapping import unwrapped

__all__ = ["clean"]

_ESCAPES = re.compile(
    # "#033" and "^[" are how syslog and cat -v write the first byte of an escape sequence.
    # How long they may be bounds the time that many beginnings without an end take.
    rb"(?:\x1b|#033|\^\[)(\[[0-?]{0,99}[ -/]{0,99}[@-~]|\][^\x07\x1b\n]{0,999}(\x07|\x1b\\))"
    rb"|\x1b[()][0-9A-B]"
)
_MARKS = (b"\x1b", b"\0", b"#033[", b"^[[")
_ENTITIES = re.compile(rb"&(amp;)*(gt|lt|quot|apos|#39|#x27|nbsp);")
_MEANT = {b"gt": b">", b"lt": b"<", b"quot": b'"', b"nbsp": b" "}
_TAG = re.compile(rb"</?(?:br|code|div|p|pre|span)(?: [^<>\n]{0,200})?/?>")
# In JSON such text is a value, and quotation marks would end it.
_NO_JSON = re.compile(rb'(?m)^(?![ \t\r]*"|[^\n]*[{\[][ \t\r]*").+$')
_SPACE = "\N{NO-BREAK SPACE}".encode()
_WEB = (b"&gt;", b"&lt;", b"&quot;", b"&#39;", b"&amp;", b"<br", _SPACE)
# journalctl -o export and -o verbose: a line for each field of a message.
_OTHER_FIELD = re.compile(
    rb"(?m)^[ \t]*(?!MESSAGE=)_{0,2}[A-Z][A-Z0-9_]*=[^\n]*$"
    rb"|^\w{3} [0-9-]{10} [0-9:.]+ \S+ \[s=[0-9a-f]+;i=[^\n]*\]\r?$"
)
_MESSAGE = re.compile(rb"(?m)^[ \t]*MESSAGE=")
_FIELD = (b"MESSAGE=",)
_QUOTE = (b'"',)
_JSON = (b'{"', b'{ "', b'msg="', b'MESSAGE="')


def clean(block: bytes | memoryview) -> bytes | memoryview:
    """Return a block of lines as they were before they were shown, stored or passed on.

    Escape sequences, zero bytes, HTML and what is around messages are taken out. A
    block without any of them is returned as it is. The lines are as many as before.
    """
    text = block.obj if isinstance(block, memoryview) else block
    size = len(block)
    if not isinstance(text, (bytes, bytearray)):
        return block

    def has(marks: tuple[bytes, ...]) -> bool:
        # One byte is looked for many times faster than several; few blocks have one of them.
        starts = ((mark, text.find(mark[:1], 0, size)) for mark in marks)
        return any(at >= 0 and text.find(mark, at, size) >= 0 for mark, at in starts)

    escaped, of_web = has(_MARKS), has(_WEB)
    if escaped:
        block = _ESCAPES.sub(b"", bytes(block)).replace(b"\0", b"")
    if of_web:
        block = _NO_JSON.sub(_shown, bytes(block))
    if has(_FIELD):
        block = _MESSAGE.sub(b"", _OTHER_FIELD.sub(b"", bytes(block)))
    if escaped or of_web or (has(_QUOTE) and has(_JSON)):
        return unwrapped(bytes(block))
    return block


def _shown(line: re.Match[bytes]) -> bytes:
    """Return a line of HTML as a browser shows it."""
    text = _TAG.sub(b"", line[0]).replace(_SPACE, b" ")
    return _ENTITIES.sub(lambda found: _MEANT.get(found[2], b"'"), text)
