"""The errors that end a command before a kernel is judged."""

from __future__ import annotations

import re
from pathlib import Path

from gso.kernel import guest_files

_TAIL_LINES = 25
# The first line that a kernel logs of a crash (arch/x86/kernel/dumpstack.c, kernel/panic.c).
_CRASH = re.compile(r"BUG: |Oops: |general protection fault|kernel BUG at|Kernel panic")


class UsageError(Exception):
    """The command was called with something that cannot be a patch, tree or kernel."""

    exit_status = 2


class TestBedError(Exception):
    """Nothing can be said about the patch; ``stage`` says where it ended.

    ``log``: the file that has the whole story; the message shows its end.
    """

    exit_status = 125  # makes git bisect run skip the commit
    __test__ = False  # the name would make pytest collect it

    def __init__(self, stage: str, message: str, log: Path | None = None) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage
        self.message = message
        self.log = log
        # Read at once: the log may be in a folder that goes when the command ends.
        self.log_tail = _tail(log) if log and log.exists() else ""


def _tail(log: Path) -> str:
    """Return the end of a log, from the first sign of a crash where there is one."""
    try:
        lines = guest_files.read_text(log).splitlines()
    except guest_files.GuestFileError as error:
        return str(error)
    crash = crash_line(lines)
    end = lines[-_TAIL_LINES:] if crash is None else lines[crash:][:_TAIL_LINES]
    return "\n".join(line.rstrip() for line in end)


def crash_line(lines: list[str]) -> int | None:
    """Return the number of the line where a kernel log begins to tell of a crash."""
    return next((number for number, line in enumerate(lines) if _CRASH.search(line)), None)
