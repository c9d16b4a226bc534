"""``gso-kernel verify``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from gso.kernel.bootable import VARIANTS
from gso.kernel.commands.common import (
    add_boot,
    add_executor,
    add_kernels,
    add_results,
    add_reuse,
    add_selection,
    add_shard,
    check_writable,
    count,
    executor,
    find_patch,
    kernel_options,
    reused,
    seconds,
)
from gso.kernel.commands.saying import say
from gso.kernel.errors import UsageError
from gso.kernel.judging import applications
from gso.kernel.judging.applications import Workload
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs import doctor
from gso.kernel.runs.verify import Options, outlook, verify


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Exit status: 0 fixed, 1 not fixed (or worse), 2 wrong usage, "
        "125 nothing can be said, which makes git bisect run skip the commit."
    )
    command.add_argument(
        "patches",
        nargs="*",
        type=Path,
        metavar="PATCH",
        help="unified diff, mbox series, or the name of a patch that comes with this package (see "
        "list); several are applied in order, as one series",
    )
    add_kernels(command)
    add_boot(command)
    add_selection(command)
    command.add_argument(
        "--claims",
        action="append",
        default=[],
        metavar="NAME|GLOB|GROUP",
        help="scenarios that the patch is said to fix: without it they must fail; may be repeated",
    )
    add_results(command)
    add_reuse(command)
    add_executor(command)
    add_shard(command, "the kernels, or of one kernel's scenarios")
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything here too")
    command.add_argument(
        "--timeout",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for one boot with its traffic (default: 300)",
    )
    command.add_argument(
        "--repeat",
        type=count,
        default=1,
        metavar="N",
        help="boot and measure so many times, and say which scenarios are flaky",
    )
    command.add_argument(
        "--applications",
        action="store_true",
        help="send the requests of real applications, too: nginx behind IPVS, HTTP/1.1 and HTTP/2 "
        "of 100 bytes to 4 MB; one boot more for each kernel",
    )
    command.add_argument(
        "--quick",
        action="store_true",
        help="with --applications: fewer requests, none above 100 kB, a quarter of the time",
    )
    command.add_argument(
        "--keep-vm",
        choices=VARIANTS,
        help="when all is judged, open a shell in the machine of this variant, as the traffic left "
        "it; the machine ends with the shell",
    )
    command.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be fetched, built and booted, and do nothing",
    )
    command.add_argument(
        "--bisect",
        action="store_true",
        help="for git bisect run: exit with 125 for wrong usage, too, such as a PATCH that is not "
        "there; git would take 2 for a bad commit",
    )
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> int:
    if options.json:
        check_writable(options.json)
    wanted = _options(options)
    if options.dry_run:
        say(*outlook(wanted))
        return 0
    if options.executor and options.keep_vm:
        raise UsageError("a machine can be kept on this host only: --keep-vm, or --executor")
    with ExitStack() as ends:
        kept = ends.enter_context(KeptMachine(options.keep_vm)) if options.keep_vm else None
        screen = TerminalScreen(quiet=options.quiet)
        try:
            machines = ends.enter_context(executor(options, screen))
            report = verify(wanted, screen, machines, kept)
        finally:
            screen.close()
        screen.finish(report)
        if options.json:
            options.json.write_text(json.dumps(report.summary(), indent=1) + "\n")
        if kept:
            kept.attach()
    return report.exit_status


def _options(options: argparse.Namespace) -> Options:
    return Options(
        patches=[find_patch(path) for path in options.patches],
        results=options.results,
        **kernel_options(options),
        timeout=options.timeout,
        repeat=options.repeat,
        applications=_workloads(options),
        part=options.shard,
        reuse=reused(options),
    )


def _workloads(options: argparse.Namespace) -> Sequence[Workload]:
    if not options.applications:
        if options.quick:
            raise UsageError("--quick says how long --applications take; it is nothing alone")
        return ()
    doctor.check_applications()
    return applications.QUICK if options.quick else applications.FULL
