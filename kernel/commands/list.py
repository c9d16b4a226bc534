"""``gso-kernel list``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from gso.kernel.commands.saying import say, say_json
from gso.kernel.errors import TestBedError
from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import FAULTS, SCENARIOS, TRAFFIC
from gso.kernel.trees import debian


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Exit status: 0, or 125 where a suite's kernels are not known (its lists cannot be had)."
    )
    command.add_argument(
        "what",
        nargs="?",
        choices=["kernels"],
        help="Debian's kernels instead, of all suites: what --kernel, --before and --after take",
    )
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_list)


def _list(options: argparse.Namespace) -> int:
    return _kernels(options) if options.what == "kernels" else _own(options)


def _own(options: argparse.Namespace) -> int:
    names = sorted(path.name for path in patches_folder().glob("*.patch"))
    if options.json:
        found = {
            "patches": names,
            "faults": [asdict(fault) for fault in FAULTS],
            "scenarios": [asdict(scenario) for scenario in SCENARIOS],
            "traffic": [asdict(traffic) for traffic in TRAFFIC],
        }
        say_json(found)
        return 0
    say("patches:", *(f"  {name}" for name in names))
    say("faults:", *(f"  {fault.name}: {fault.title}" for fault in FAULTS))
    say(
        "scenarios (* in the group default):",
        *(f"  {'*' if s.default else ' '} {s.name:42} {s.kind}" for s in SCENARIOS),
    )
    say(
        "traffic:",
        *(f"  {t.name:28} {t.upload} bytes up, {t.download} down" for t in TRAFFIC),
    )
    return 0


def _kernels(options: argparse.Namespace) -> int:
    kernels: list[dict[str, Any]] = []
    unknown: dict[str, str] = {}
    for suite, found in debian.offered():
        if isinstance(found, TestBedError):
            unknown[suite] = str(found)
            continue
        known = {kernel["release"] for kernel in kernels}
        kernels += [
            {
                "suite": suite,
                "release": kernel.release,
                "version": kernel.version,
                "fetched": debian.fetched(kernel),
            }
            for kernel in found
            # A suite that the host has, too, adds nothing.
            if kernel.release not in known
        ]
    if options.json:
        say_json({"kernels": kernels, "unknown": unknown})
    else:
        for kernel in kernels:
            here = "here" if kernel["fetched"] else ""
            row = f"{kernel['release']:28}{kernel['version']:24}{kernel['suite']:18}{here}"
            say(row.rstrip())
    for suite, why in unknown.items():
        say(f"{suite}: its kernels are not known: {why}", to=sys.stderr)
    return TestBedError.exit_status if unknown else 0
