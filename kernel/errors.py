"""What can go wrong before a kernel can be judged."""

from __future__ import annotations

from pathlib import Path

_TAIL_LINES = 25


class UsageError(Exception):
    """The command was called with something that cannot be a patch, tree or kernel; exit 2."""


class TestBedError(Exception):
    """Nothing can be said about the patch; ``stage`` says where it ended. Exit 125.

    ``log``: the file that has the whole story; the message shows its end.
    """

    __test__ = False  # the name would make pytest collect it

    def __init__(self, stage: str, message: str, log: Path | None = None) -> None:
        super().__init__(f"{stage}: {message}")
        self.stage = stage
        self.message = message
        self.log = log

    def log_tail(self) -> str:
        """Return the last lines of the log, or an empty string without one."""
        if self.log is None or not self.log.exists():
            return ""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])
