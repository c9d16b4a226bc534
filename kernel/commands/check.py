"""``gso-kernel check``."""

from __future__ import annotations

import argparse

from gso.kernel.commands.saying import say, say_json
from gso.kernel.runs.check import check


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Says whether the kernel that runs here has one of the known faults. It sends the same "
        "traffic without segmentation and with it, in namespaces of its own, as root or as any "
        "user who may make them; nothing is left behind, but for modules that the kernel itself "
        "loads. Exit status: 0 NOT AFFECTED by any, 1 AFFECTED by one, 2 wrong usage, 125 of one "
        "nothing can be said."
    )
    command.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FAULT",
        help="name or glob of faults (default: all; see list); may be repeated",
    )
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_check)


def _check(options: argparse.Namespace) -> int:
    found = check(options.only)
    if options.json:
        say_json(found.summary())
    else:
        say(found.text())
    return found.exit_status
