"""JSON that tools put around the lines of a log, or that was spread over lines, made lines again.

    {"MESSAGE":"skb len=1544 ...","_TRANSPORT":"kernel"}       journalctl -o json
    {"log":"0xffff88... \\u003cempty\\u003e:0\\n","stream":"stdout"}    Docker's json-file

A block has as many lines afterwards as before, but for an array in one line (jq -c): there each
element becomes a line.
"""

from __future__ import annotations

import json
import re

__all__ = ["unwrapped"]

_NAMES = (b'"MESSAGE"', b'"log"', b'"message"', b'"msg"')
_WRAPPED = re.compile(
    rb'(?m)^.*?\{(?:[^\n]*?[,{])?\s*"(?:MESSAGE|log|message|msg)"\s*:\s*'
    rb'("(?:[^"\\\n]|\\.)*"|\[[\d,\s]*\])[^\n]*\}\s*?$'
)
# One that is not closed was cut off, which the scanner counts.
_ARRAY = re.compile(rb"(?m)^\[(\{[^\n]*\})\][ \t\r]*$")
_EVENT = re.compile(rb'"(?:skb|func)"\s*:\s*["\d]')


def unwrapped(block: bytes) -> bytes:
    """Return a block of lines in which messages stand for the objects that they were members of."""
    if b"[{" in block:
        block = _ARRAY.sub(_elements, block)
    if b"{" not in block or not any(name in block for name in _NAMES):
        return block
    return _WRAPPED.sub(_message, block)


def _elements(match: re.Match[bytes]) -> bytes:
    return b"[\n" + match[1].replace(b'},{"', b'},\n{"') + b"\n]"


def _message(match: re.Match[bytes]) -> bytes:
    if _EVENT.search(match[0][: match.start(1) - match.start()]):
        return match[0]
    try:
        value = json.loads(match[1])
        text = value.encode() if isinstance(value, str) else bytes(value)
    except (ValueError, TypeError):
        return match[0]
    # The kernel's scanner takes several messages in one line apart again.
    return bytes(text.strip(b"\r\n").replace(b"\r", b"").replace(b"\n", b"#012"))
