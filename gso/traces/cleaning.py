"""What terminals, crashes and tools that pass logs on add to lines, taken out again."""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["Prefix", "clean", "find_prefix"]

Prefix = Callable[[bytes], bytes]

_ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(\x07|\x1b\\))")
_PREFIXES = (
    # kubectl logs --timestamps, the container runtimes' files; --prefix puts the pod before it.
    # Before an event it stays: pwru prints such a time, too, and it is read.
    rb"(?:\[pod/\S+\] )?\d{4}-\d\d-\d\dT[\d:]{8}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d) "
    rb"(?:std(?:out|err) [FP] |(?!0x))",
    rb"\[pod/\S+\] ",
    # The journal, or syslog.
    rb"[A-Z][a-z]{2} [ \d]\d [\d:]{8}(?:\.\d+)? \S+ [^\s:\[]+(?:\[\d+\])?: ",
    rb"\d{4}-\d\d-\d\dT[\d:]{8}(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d) \S+ [^\s:\[]+(?:\[\d+\])?: ",
    # docker compose logs, and mail.
    rb"[\w.-]+ +\| ",
    rb"(?:> ?)+",
)
_TIMED_EVENT = re.compile(rb"(?:\[pod/\S+\] )?\d{4}-\d\d-\d\dT\S+ 0x")
_MOST = 0.9
"""Part of the lines that must have a prefix."""


def clean(block: bytes | memoryview, prefix: Prefix | None) -> bytes | memoryview:
    """Return a block of lines without escape sequences, zero bytes and this prefix.

    A block without any of them is returned as it is. The lines are as many as before.
    """
    text = block.obj if isinstance(block, memoryview) else block
    size = len(block)
    if isinstance(text, (bytes, bytearray)):
        if prefix is None and text.find(b"\x1b", 0, size) < 0 and text.find(b"\0", 0, size) < 0:
            return block
        cleaned = _ESCAPES.sub(b"", bytes(block)).replace(b"\0", b"")
        return prefix(cleaned) if prefix else cleaned
    return block


def find_prefix(sample: bytes) -> Prefix | None:
    """Find the prefix that almost all lines of a sample have; None where there is none."""
    lines = [line for line in sample.split(b"\n") if line.strip()][:1000]
    for text in _PREFIXES:
        pattern = re.compile(text)
        found = [line for line in lines if pattern.match(line)]
        if found and len(found) + _with_own_time(lines, text) >= _MOST * len(lines):
            every = re.compile(rb"(?m)^" + text)
            return lambda block: every.sub(b"", block)
    return None


def _with_own_time(lines: list[bytes], text: bytes) -> int:
    """Return how many lines have the first prefix as the time of an event of pwru."""
    if text is not _PREFIXES[0]:
        return 0
    return sum(bool(_TIMED_EVENT.match(line)) for line in lines)
