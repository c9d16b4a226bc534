"""``gso-kernel report``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gso.kernel.errors import UsageError
from gso.kernel.report import plots
from gso.kernel.report.load import load, reading
from gso.kernel.report.write import PAGE, write


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = "Writes report.html, junit.xml and results.ktap into the folder."
    command.add_argument("folder", type=Path, metavar="DIR", help="results folder of a run")
    command.add_argument(
        "--latency",
        type=Path,
        metavar="SVG",
        help="write the plot of latency by payload size here, too, as a picture of its own",
    )
    command.set_defaults(run=_report)


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
