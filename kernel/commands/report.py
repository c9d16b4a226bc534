"""``gso-kernel report``."""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from gso.kernel.commands.common import add_results
from gso.kernel.commands.saying import say, say_json
from gso.kernel.errors import FULL, UsageError
from gso.kernel.hunting import findings as hunts
from gso.kernel.hunting import merge as hunted
from gso.kernel.report import load, parts, plots, zoo
from gso.kernel.report.merge import merge
from gso.kernel.report.write import PAGE, write


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Writes report.html, junit.xml, results.ktap and kcidb.json into the folder. With --merge, "
        "puts the parts of a run of verify, zoo or hunt (--shard) together, and ends as the whole "
        "run would."
    )
    command.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="results folder of a run; with --merge, those of the parts, or folders around them",
    )
    command.add_argument(
        "--merge", action="store_true", help="the folders are of the parts of one run"
    )
    add_results(command)
    command.add_argument("--json", action="store_true", help="with --merge: for machines")
    command.add_argument(
        "--latency",
        type=Path,
        metavar="SVG",
        help="write the plot of latency by payload size here, too, as a picture of its own",
    )
    command.set_defaults(run=_report)


def _report(options: argparse.Namespace) -> int:
    if options.merge:
        return _merge(options)
    if len(options.folders) > 1:
        raise UsageError("several folders are parts of one run with --merge only")
    (folder,) = options.folders
    write(folder)
    say(folder / PAGE)
    if options.latency:
        _latency(folder, options.latency)
    return 0


def _latency(folder: Path, target: Path) -> None:
    with load.reading(folder):
        picture = plots.picture(load.load(folder))
    if picture is None:
        raise UsageError(f"{folder} has no applications: verify with --applications")
    try:
        target.write_text(picture)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise UsageError(f"cannot write {target}: {error.strerror}") from None
    say(target)


def _merge(options: argparse.Namespace) -> int:
    # Beside each fault's results a zoo has its own.
    if found := parts.named(zoo.RESULTS, options.folders):
        return _merge_zoo(found, json_wanted=options.json)
    if found := parts.named(hunts.RESULTS, options.folders):
        return _merge_hunt(found, json_wanted=options.json)
    found = parts.named(load.RESULTS, options.folders)
    if not found:
        names = ", ".join((load.RESULTS, zoo.RESULTS, hunts.RESULTS))
        raise UsageError(f"none of {names} in {', '.join(map(str, options.folders))}")
    command = shlex.join(["gso-kernel", *sys.argv[1:]])
    folder, merged = merge(found, options.results, command)
    if options.json:
        say_json(merged)
    else:
        for kernel in merged["kernels"]:
            error = kernel["error"]
            why = f", {error['stage']}: {error['message']}" if error else ""
            say(f"{kernel['id']}: {kernel['verdict']}{why}")
        say(f"verdict: {merged['verdict']}", f"report: {folder / PAGE}")
    return int(merged["exit_status"])


def _merge_zoo(found: list[Path], *, json_wanted: bool) -> int:
    merged = zoo.merge(found)
    if json_wanted:
        say_json(merged.summary())
    else:
        say(merged.text())
    return merged.exit_status


def _merge_hunt(found: list[Path], *, json_wanted: bool) -> int:
    merged = hunted.merge(found, [parts.read(folder / hunts.RESULTS) for folder in found])
    if json_wanted:
        say_json(merged)
    else:
        say(hunted.text(merged))
    return int(merged["exit_status"])
