"""The formats of logs: the scanner of each, and how its lines are recognised."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from gso.traces._dmesg import DmesgScanner
from gso.traces._events import EventScanner
from gso.traces._pwru import PwruScanner
from gso.traces._pwru_json import JsonScanner
from gso.traces._scanner import Scanner
from gso.traces.source import UTF32_MARKS, refused

__all__ = ["SCANNERS", "Format", "recognise"]

Format: TypeAlias = Literal["auto", "pwru", "pwru-json", "perf", "ftrace", "dmesg"]

SCANNERS: dict[str, type[Scanner]] = {
    "pwru": PwruScanner,
    "pwru-json": JsonScanner,
    "perf": EventScanner,
    "ftrace": EventScanner,
    "dmesg": DmesgScanner,
}

_MARKS = {
    "pwru-json": re.compile(rb'\s*\{.*"(skb|func)"\s*:'),
    "pwru": re.compile(
        rb"(\S+ )?\s*0x[0-9a-f]+\s+(\d+\s+)?(\[.*?\]\s+\S|\S.*:\d+\s)"
        rb"|\s*(TIME\s+)?SKB\s+(CPU|PROCESS)"
    ),
    "dmesg": re.compile(
        rb".*(\bskb len=\d+ headroom=|\bskb (linear|headroom|tailroom|frag):"
        rb"|: caps=\(.*\) len=)"
    ),
    "ftrace": re.compile(
        rb"# tracer:|CPU:\d+ \[LOST"
        rb"|\s*\S.*-\d+\s+(\(\s*[\d-]+\)\s+)?\[\d{3,}\]\s+([^\s:]{4,6}\s+)?\d+\.\d+: "
    ),
    "perf": re.compile(rb"\s*\S.*?\s-?\d+(/\d+)?\s+(\[\d+\]\s+)?\d+\.\d{6,9}:\s"),
}


_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a]")


def _is_wide(start: bytes) -> bool:
    """Whether every other byte is zero, as in UTF-16."""
    return start.strip(b"\0") != b"" and b"\0\0" in (start[0:4:2], start[1:4:2])


def recognise(start: bytes, sample: bytes, name: str, *, more: bool) -> str:
    """Return the format that most lines at the start of a log have.

    Args:
        start: the first bytes of the log.
        sample: the same without prefixes, escape sequences and zero bytes.
        name: what messages call the log.
        more: whether it goes on after these.

    A long log of which the start has none of the formats may be the kernel's: its messages are
    passed over until one is of an sk_buff.

    Raises:
        GsoError: there are none, or it is binary, or none has one of the formats.
    """
    if not start.strip():
        raise refused(name, f"it is empty ({len(start)} bytes of white space)", 0, 0)
    if start.startswith(UTF32_MARKS) or _is_wide(start[:4]):
        hint = (
            "it is UTF-32, UTF-16 without a byte order mark, or binary: "
            "iconv -f UTF-16LE -t UTF-8 makes UTF-8 of text that Windows wrote"
        )
        raise refused(name, hint, 0, 0)
    lines = sample.split(b"\n")
    if len(lines) > 1:
        lines.pop()
    counts = {
        kind: sum(bool(mark.match(line[:4096])) for line in lines) for kind, mark in _MARKS.items()
    }
    # skb_dump's blocks stand between other messages of the kernel: a few lines are enough.
    best = max(counts, key=lambda kind: counts[kind])
    if counts[best]:
        return best
    if b"\0" in start and (_CONTROL.search(start) or not more):
        at = start.index(b"\0")
        hint = "for perf.data use perf script, for trace.dat trace-cmd report"
        raise refused(name, f"it is binary: byte {at} is zero ({hint})", at, len(start))
    if more and len(lines) > 1:
        return "dmesg"
    shown = max(lines, key=len)[:60].decode("utf-8", "replace")
    message = (
        f"none of its first {len(lines)} lines is of pwru, perf script, ftrace or skb_dump, "
        f"such as {shown!r}"
    )
    raise refused(name, message, 0, len(lines))
