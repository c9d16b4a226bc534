"""``gso-kernel compare``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from gso.kernel.commands.saying import say, say_json
from gso.kernel.report import plots
from gso.kernel.report.compare import Comparison, compare
from gso.kernel.report.load import load, reading


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Compares verdicts and the outcome of every exchange; times are shown, and "
        "are no difference. Exit status: 0 the same, 1 differences, 2 wrong usage."
    )
    command.add_argument("first", type=Path, metavar="A", help="results folder of a run")
    command.add_argument("second", type=Path, metavar="B", help="results folder of another")
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_compare)


def _compare(options: argparse.Namespace) -> int:
    runs: list[dict[str, Any]] = []
    for folder in (options.first, options.second):
        with reading(folder):
            runs.append(load(folder))
    with reading(options.first), reading(options.second):
        found = compare(*runs)
    if options.json:
        say_json(found.summary())
    else:
        _print(found)
    return int(bool(found.differences))


def _print(found: Comparison) -> None:
    for difference in found.differences:
        say(difference)
    for row in found.latency:
        first, second = plots.duration(row["first_ms"]), plots.duration(row["second_ms"])
        say(f"median of {row['what']}: {first} -> {second}")
    number = len(found.differences)
    say(f"{number} differences" if number else "the same verdicts and outcomes")
