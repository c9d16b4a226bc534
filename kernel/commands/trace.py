"""``gso-kernel trace``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from gso.kernel.commands.common import add_boot, add_trust, check_writable, find_patch, seconds
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs import record
from gso.kernel.scenarios import DEFAULT_FAULT, named

from gso.commands.files import replacing


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Boot a kernel, send the scenarios' traffic through it, and write what the "
        "probes saw as a log that gso diagnose reads."
    )
    command.add_argument(
        "-p",
        "--patch",
        dest="patches",
        action="append",
        default=[],
        type=Path,
        metavar="PATCH",
        help="apply this patch, or the one of this name that comes with the package, first",
    )
    command.add_argument(
        "--unpatched",
        action="store_true",
        help="take the known fix of the fault out of the kernel (before patches are applied)",
    )
    command.add_argument("--fault", metavar="NAME", help="the fault that --unpatched is about")
    kernel = command.add_mutually_exclusive_group()
    kernel.add_argument("--kernel", metavar="VERSION", help="Debian kernel to take, such as 6.1")
    kernel.add_argument("--source", type=Path, metavar="DIR", help="take this kernel tree instead")
    command.add_argument(
        "--scenario",
        dest="scenarios",
        action="append",
        default=[],
        metavar="NAME",
        help="send the traffic of this scenario, glob or group of gso-kernel list; may be repeated "
        "(default: the group default)",
    )
    command.add_argument(
        "--format",
        default="pwru",
        choices=record.FORMATS,
        help="whose output the log is to look like; json is pwru --output-json (default: pwru)",
    )
    command.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="the log to write"
    )
    add_boot(command)
    command.add_argument(
        "--timeout",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for the boot with its traffic (default: 300)",
    )
    command.add_argument("--quiet", action="store_true", help="no progress")
    add_trust(command)
    command.set_defaults(run=_trace)


def _trace(options: argparse.Namespace) -> int:
    check_writable(options.output)
    screen = TerminalScreen(quiet=options.quiet)
    wanted = record.Options(
        patches=[find_patch(path) for path in options.patches],
        scenarios=options.scenarios,
        kernel=options.kernel,
        source=options.source,
        unpatched=options.unpatched,
        fault=named(options.fault) if options.fault else DEFAULT_FAULT,
        timeout=options.timeout,
    )
    # vng passes paths through a shell, and Python's own choice has no odd characters.
    with tempfile.TemporaryDirectory(prefix="gso-trace-") as folder:
        recorded = record.record(wanted, screen, Path(folder))
        with replacing(str(options.output)) as out:
            lines = record.write(recorded, options.format, out)
    screen.stage(f"{lines} lines written")
    return 0
