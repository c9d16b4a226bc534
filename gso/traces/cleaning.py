"""What terminals and crashes add to text, taken out again."""

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


def clean(block: bytes | memoryview) -> bytes | memoryview:
    """Return a block of lines without escape sequences, zero bytes and JSON around messages.

    A block without any of them is returned as it is. The lines are as many as before.
    """
    text = block.obj if isinstance(block, memoryview) else block
    size = len(block)
    if not isinstance(text, (bytes, bytearray)):
        return block
    if any(text.find(mark, 0, size) >= 0 for mark in _MARKS):
        block = _ESCAPES.sub(b"", bytes(block)).replace(b"\0", b"")
        return unwrapped(block)
    if text.find(b'{"', 0, size) >= 0 or text.find(b'{ "', 0, size) >= 0:
        return unwrapped(bytes(block))
    return block
