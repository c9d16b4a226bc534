"""``gso-kernel cache``."""

from __future__ import annotations

import argparse
import sys

from gso.kernel.commands.common import seconds
from gso.kernel.commands.saying import say
from gso.kernel.trees import cache


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.add_argument(
        "action",
        nargs="?",
        choices=["show", "clear"],
        default="show",
        help="show lists it with its size and age (the default), clear deletes it",
    )
    command.add_argument(
        "--older-than",
        type=seconds,
        default=0.0,
        metavar="DAYS",
        help="only what was not made or changed for so many days",
    )
    command.set_defaults(run=_cache)


def _cache(options: argparse.Namespace) -> int:
    if options.action == "clear":
        shown, busy = cache.clear(options.older_than)
        for entry in busy:
            say(f"in use, kept: {entry.path}", to=sys.stderr)
    else:
        shown = [entry for entry in cache.entries() if entry.days >= options.older_than]
    for entry in shown:
        say(f"{entry.size / 1e6:10,.1f} MB  {entry.days:5.1f} days  {entry.path}")
    total = sum(entry.size for entry in shown) / 1e6
    say(f"{total:10,.1f} MB  {'deleted' if options.action == 'clear' else 'in all'}")
    return 0
