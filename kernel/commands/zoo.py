"""``gso-kernel zoo``."""

from __future__ import annotations

import argparse
import json
import sys
import time

from gso.kernel.commands.common import (
    add_boot,
    add_executor,
    add_results,
    add_reuse,
    add_shard,
    executor,
    reused,
    seconds,
)
from gso.kernel.commands.saying import say, say_json
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.report.zoo import RESULTS
from gso.kernel.runs.zoo import Visit, zoo


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Verifies the fix of each known fault: the kernel without it must fail, the one with it "
        "must pass, and what worked must go on working. Exit status: 0 all are FIXED, 1 one is "
        "not, 2 wrong usage, 125 nothing can be said of one."
    )
    command.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="VERSION",
        help="Debian kernel, such as 6.1 (default: newest); may be given several times",
    )
    command.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FAULT",
        help="name or glob of faults (default: all; see list); may be repeated",
    )
    add_results(command)
    add_reuse(command)
    add_boot(command)
    add_executor(command)
    add_shard(command, "the pairs of a fault and a kernel")
    command.add_argument(
        "--timeout",
        type=seconds,
        default=900.0,
        metavar="SECONDS",
        help="longest time for one boot with its traffic (default: 900)",
    )
    command.add_argument("--json", action="store_true", help="for machines")
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_zoo)


def _zoo(options: argparse.Namespace) -> int:
    part, results = options.shard, options.results
    if not part.whole:
        results /= time.strftime(f"%Y%m%d-%H%M%S-zoo-shard{part.index}of{part.count}")
    earlier = reused(options)
    visit = Visit(results, options.kernel, options.only, options.timeout, part, earlier)
    # The rows of each run are progress here: the table alone is the result.
    screen = TerminalScreen(quiet=options.quiet, rows=sys.stderr)
    try:
        with executor(options, screen) as machines:
            found = zoo(visit, screen, machines)
    finally:
        screen.close()
    if not part.whole:
        (results / RESULTS).write_text(json.dumps(found.summary(), indent=1) + "\n")
    if options.json:
        say_json(found.summary())
    else:
        say(found.text())
    return found.exit_status
