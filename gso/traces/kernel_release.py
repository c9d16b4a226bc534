"""The kernel that wrote a log, where the log says so: a crash, a boot, uname or perf's header."""

from __future__ import annotations

import re

__all__ = ["Releases"]

_MARKS = (b"ainted", b"Linux ", b"os release")
_RELEASE = re.compile(
    rb"(?:\bLinux version |ainted(?::[ A-Z]{0,60})? {1,60}|^Linux \S+ |os release : )"
    rb"(\d{1,9}\.\d{1,9}[\w.+~-]{0,99})(?=[ \r\n]|$)",
    re.MULTILINE,
)
_OTHERWISE_NUMBERED = re.compile(r"\.el\d|uek|\.amzn|-1[45]0\d{3}\.|-default$")
"""Kernels of distributions that take over much of later ones: their numbers are not upstream's."""


class Releases:
    """Looks for the kernel's release in a log, block by block."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def look(self, block: bytes | memoryview) -> None:
        """Look at the next block of lines."""
        text = block.obj if isinstance(block, memoryview) else block
        if not isinstance(text, (bytes, bytearray)):
            return
        # Such lines have "#1 SMP", or begin with "# ": one byte is looked for far faster.
        if len(self._found) == 2 or text.find(b"#", 0, len(block)) < 0:
            return
        if any(text.find(mark, 0, len(block)) >= 0 for mark in _MARKS):
            self._found |= {found.decode("ascii", "replace") for found in _RELEASE.findall(block)}

    @property
    def release(self) -> str:
        """The release, "" if the log names none, several, or one that is numbered otherwise."""
        if len(self._found) != 1:
            return ""
        (release,) = self._found
        return "" if _OTHERWISE_NUMBERED.search(release) else release
