"""The errors that end a command before a kernel is judged."""

from __future__ import annotations

import errno
import re
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from gso.kernel import guest_files

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where there is no room: nobody has used a command wrongly then."""
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
        lines = guest_files.lines(log)
        end: deque[str] = deque(maxlen=_TAIL_LINES)
        for line in lines:
            if _CRASH.search(line):
                end = deque((line, *islice(lines, _TAIL_LINES - 1)))
                break
            end.append(line)
    except guest_files.GuestFileError as error:
        return str(error)
    return "\n".join(line.rstrip() for line in end)


def tells_of_crash(lines: Iterable[str]) -> bool:
    """Say whether a kernel log tells of a crash."""
    return any(map(_CRASH.search, lines))
