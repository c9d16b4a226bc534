"""``gso-kernel bisect-step``: what ``git bisect run`` calls for each commit; not for people."""

from __future__ import annotations

import argparse
from pathlib import Path

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs import bisect
from gso.kernel.scenarios import SCENARIOS


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.add_argument("home", type=Path)
    command.set_defaults(run=_step)


def _step(options: argparse.Namespace) -> int:
    try:
        return bisect.step(options.home, SCENARIOS, TerminalScreen())
    except UsageError as error:
        # git bisect takes the status of wrong usage for a bad commit.
        raise TestBedError("bisect", str(error)) from None
