"""What terminals and crashes add to text, taken out again."""

from __future__ import annotations

import re

__all__ = ["clean"]

_ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\))")


def clean(block: bytes | memoryview) -> bytes | memoryview:
    """Return a block of lines without escape sequences and zero bytes.

    A block without any of them is returned as it is. The lines are as many as before.
    """
    text = block.obj if isinstance(block, memoryview) else block
    size = len(block)
    if not isinstance(text, (bytes, bytearray)):
        return block
    if text.find(b"\x1b", 0, size) < 0 and text.find(b"\0", 0, size) < 0:
        return block
    return _ESCAPES.sub(b"", bytes(block)).replace(b"\0", b"")
