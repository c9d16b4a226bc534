"""The subcommands that read results folders: ``report`` and ``compare``."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from gso.kernel.commands.common import Commands
from gso.kernel.errors import UsageError
from gso.kernel.report import plots
from gso.kernel.report.compare import Comparison, compare
from gso.kernel.report.load import load, reading
from gso.kernel.report.write import PAGE, write


def add(commands: Commands) -> None:
    """Add the subcommands to those of ``gso-kernel``."""
    command = commands.add_parser(
        "report",
        help="make the report of a run again, from its results folder",
        description="Writes report.html, junit.xml and results.ktap into the folder.",
    )
    command.add_argument("folder", type=Path, metavar="DIR", help="results folder of a run")
    command.add_argument(
        "--latency",
        type=Path,
        metavar="SVG",
        help="write the plot of latency by payload size here, too, as a picture of its own",
    )
    command.set_defaults(run=_report)
    command = commands.add_parser(
        "compare",
        help="say what differs between two runs",
        description="Compares verdicts and the outcome of every exchange; times are shown, and "
        "are no difference. Exit status: 0 the same, 1 differences, 2 wrong usage.",
    )
    command.add_argument("first", type=Path, metavar="A", help="results folder of a run")
    command.add_argument("second", type=Path, metavar="B", help="results folder of another")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_compare)


def _report(options: argparse.Namespace) -> int:
    write(options.folder)
    print(options.folder / PAGE)
    if options.latency:
        with reading(options.folder):
            picture = plots.picture(load(options.folder))
        if picture is None:
            raise UsageError(f"{options.folder} has no applications: verify with --applications")
        try:
            options.latency.write_text(picture)
        except OSError as error:
            raise UsageError(f"cannot write {options.latency}: {error.strerror}") from None
        print(options.latency)
    return 0


def _compare(options: argparse.Namespace) -> int:
    runs: list[dict[str, Any]] = []
    for folder in (options.first, options.second):
        with reading(folder):
            runs.append(load(folder))
    with reading(options.first), reading(options.second):
        found = compare(*runs)
    if options.json:
        print(json.dumps(found.summary(), indent=1))
    else:
        _print(found)
    return int(bool(found.differences))


def _print(found: Comparison) -> None:
    for difference in found.differences:
        print(difference)
    for row in found.latency:
        first, second = plots.duration(row["first_ms"]), plots.duration(row["second_ms"])
        print(f"median of {row['what']}: {first} -> {second}")
    number = len(found.differences)
    print(f"{number} differences" if number else "the same verdicts and outcomes")
