"""What the subcommands of ``gso-kernel`` share: options and their values."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TypeAlias

from gso.kernel.errors import UsageError
from gso.kernel.paths import patches_folder

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_selection(command: argparse.ArgumentParser) -> None:
    """Add the options that say which scenarios."""
    for option, destination, help_text in (
        ("--only", "only", "run these scenarios, of all that there are (default: group default)"),
        ("--except", "without", "leave these scenarios out"),
    ):
        command.add_argument(
            option,
            dest=destination,
            action="append",
            default=[],
            metavar="NAME|GLOB|GROUP",
            help=f"{help_text}; may be repeated; see list",
        )


def seconds(text: str) -> float:
    """Read an option's value that is a time."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def count(text: str) -> int:
    """Read an option's value that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def check_writable(path: Path) -> None:
    """Find out before the long run, not after it."""
    target = path if path.exists() else path.parent
    if path.is_dir() or not path.parent.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"cannot write {path}")


def find_patch(path: Path) -> Path:
    """Return the path itself, or that of the package's patch of this name."""
    named = patches_folder() / f"{path.name.removesuffix('.patch')}.patch"
    return named if not path.exists() and path.name == str(path) and named.exists() else path
