"""The progress of a long command, reported step by step."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives reports of how far a command is."""

    def stage(self, text: str) -> None:
        """Report that a new step begins."""

    def note(self, text: str) -> None:
        """Report a detail worth knowing."""
