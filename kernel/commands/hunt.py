"""``gso-kernel hunt``."""

from __future__ import annotations

import argparse
import json
import re
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from gso.kernel.commands.common import (
    add_boot,
    add_executor,
    add_results,
    add_shard,
    add_words,
    executor,
)
from gso.kernel.commands.saying import say
from gso.kernel.hunting import merge, rules
from gso.kernel.hunting.findings import RESULTS, leave, summary, text
from gso.kernel.hunting.run import Options, hunt, hunt_on
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.scenarios import DEFAULT_FAULT, named

_UNITS = {"s": 1, "m": 60, "h": 3600}


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Builds random stacks of encapsulations in a VM and sends through each, without "
        "segmentation and with it: what arrives without must arrive with it. A stack that carries "
        "nothing without is not judged. What is found is made as small as it can be. Exit status: "
        "0 all that was judged is whole, 1 something is not, 2 wrong usage, 125 nothing was judged."
    )
    command.add_argument("--kernel", metavar="VERSION", help="Debian kernel (default: newest)")
    command.add_argument(
        "--unpatched",
        nargs="?",
        const=DEFAULT_FAULT.name,
        metavar="FAULT",
        help="take the fix of a fault out of it (default: that of the incident)",
    )
    add_boot(command)
    command.add_argument("--seed", type=int, default=0, help="another one makes other stacks")
    command.add_argument(
        "--for",
        dest="seconds",
        type=_duration,
        default=1800.0,
        metavar="TIME",
        help="how long, such as 90s, 30m, 2h (default: 30m)",
    )
    add_shard(command, "the stacks")
    command.add_argument(
        "--stack",
        dest="stacks",
        type=int,
        action="append",
        default=[],
        metavar="NUMBER",
        help="only this stack of the seed; may be repeated",
    )
    which = f": names or globs of {', '.join(rules.read())}; may be repeated"
    add_words(
        command,
        "KIND",
        f"make stacks of these kinds alone{which}",
        f"leave these kinds out{which}",
    )
    add_results(command)
    add_executor(command)
    command.add_argument("--json", action="store_true", help="for machines")
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_hunt)


def _duration(words: str) -> float:
    match = re.fullmatch(r"(\d+)([smh]?)", words)
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(f"{words!r} is no time such as 90s, 30m or 2h")
    return float(int(match[1]) * _UNITS[match[2] or "s"])


def _hunt(options: argparse.Namespace) -> int:
    part = "" if options.shard.whole else f"-shard{options.shard.index}of{options.shard.count}"
    stem = time.strftime(f"%Y%m%d-%H%M%S-hunt-{options.seed}{part}")
    folder: Path = options.results / stem
    wanted = Options(
        kernel=options.kernel,
        fix=named(options.unpatched).patch_paths if options.unpatched else (),
        seed=options.seed,
        seconds=options.seconds,
        shard=(options.shard.index, options.shard.count),
        only=options.only,
        without=options.without,
        stacks=options.stacks,
    )
    screen = TerminalScreen(quiet=options.quiet)
    with executor(options, screen) as machines:
        if machines:
            return _told(_spread(machines, wanted, folder, screen), folder, options)
        found = hunt(wanted, folder, screen)
    leave(found, rules.read(), folder)
    return _told((summary(found), text(found)), folder, options)


def _spread(
    machines: Executor, wanted: Options, folder: Path, screen: TerminalScreen
) -> tuple[dict[str, Any], str]:
    """Hunt in parts; return what they found together, as data and for people."""
    folder.mkdir(parents=True)
    parts = hunt_on(machines, wanted, folder, screen)
    summaries = []
    for found, place in parts:
        leave(found, rules.read(), place)
        summaries.append(summary(found))
        (place / RESULTS).write_text(json.dumps(summaries[-1], indent=1))
    together = merge.of_one_host([place for _, place in parts], summaries, wanted.shard)
    return together, merge.text(together)


def _told(found: tuple[dict[str, Any], str], folder: Path, options: argparse.Namespace) -> int:
    data, words = found
    result = json.dumps(data, indent=1)
    (folder / RESULTS).write_text(result)
    say(result if options.json else words)
    return int(data["exit_status"])
