"""``gso-kernel bisect``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gso.kernel.commands.common import add_boot, add_trust, seconds
from gso.kernel.commands.saying import say
from gso.kernel.judging.verdict import Verdict
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs import bisect
from gso.kernel.scenarios import SCENARIOS
from gso.kernel.trees.repository import Repository


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Runs git bisect in a clone of its own. What was tested once is remembered: "
        "the same command goes on where it was interrupted. Exit status: 0 found, 125 nothing can "
        "be said."
    )
    command.add_argument("good", metavar="GOOD", help="commit where the scenarios pass")
    command.add_argument("bad", metavar="BAD", help="commit where one of them fails")
    command.add_argument(
        "--source", type=Path, required=True, metavar="DIR", help="git repository of the kernel"
    )
    command.add_argument(
        "--scenario",
        action="append",
        required=True,
        choices=[scenario.name for scenario in SCENARIOS],
        metavar="NAME",
        help="what must pass (see list); may be given several times",
    )
    command.add_argument(
        "--find-fix", action="store_true", help="GOOD is the newer: find the first good commit"
    )
    command.add_argument(
        "--kernel",
        metavar="VERSION",
        help="build only the module whose folder the repository holds, for this Debian kernel",
    )
    command.add_argument(
        "--path", action="append", default=[], help="look only at commits that touch this"
    )
    command.add_argument(
        "--config", action="append", default=[], metavar="FRAGMENT", help="as in verify"
    )
    add_boot(command)
    command.add_argument(
        "--timeout",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for one boot with its traffic (default: 300)",
    )
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    add_trust(command)
    command.set_defaults(run=_bisect)


def _bisect(options: argparse.Namespace) -> int:
    subject = bisect.Subject(
        options.source,
        [scenario for scenario in SCENARIOS if scenario.name in options.scenario],
        options.kernel,
        options.path,
        options.config,
        options.timeout,
    )
    screen = TerminalScreen(quiet=options.quiet)
    found = bisect.bisect(subject, options.good, options.bad, screen, find_fix=options.find_fix)
    repository = Repository(options.source)
    kind = "good" if options.find_fix else "bad"
    if len(found.commits) > 1:
        say(f"the first {kind} commit is one of these; the others could not be tested:")
    else:
        say(f"the first {kind} commit is")
    for commit in found.commits:
        said = repository.git("show", "--stat", "--format=%H%n  %an, %ad%n  %s%n", commit)
        say(said.rstrip())
    return 0 if len(found.commits) == 1 else Verdict.INCONCLUSIVE.exit_status
