"""``gso-kernel list``."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import FAULTS, SCENARIOS, TRAFFIC


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.add_argument("--json", action="store_true", help="for machines")
    command.set_defaults(run=_list)


def _list(options: argparse.Namespace) -> int:
    names = sorted(path.name for path in patches_folder().glob("*.patch"))
    if options.json:
        found = {
            "patches": names,
            "faults": [asdict(fault) for fault in FAULTS],
            "scenarios": [asdict(scenario) for scenario in SCENARIOS],
            "traffic": [asdict(traffic) for traffic in TRAFFIC],
        }
        print(json.dumps(found, indent=1))
        return 0
    print("patches:", *names, sep="\n  ")
    print("faults:", *(f"{fault.name}: {fault.title}" for fault in FAULTS), sep="\n  ")
    print(
        "scenarios (* in the group default):",
        *(f"{'*' if s.default else ' '} {s.name:42} {s.kind}" for s in SCENARIOS),
        sep="\n  ",
    )
    print(
        "traffic:",
        *(f"{t.name:28} {t.upload} bytes up, {t.download} down" for t in TRAFFIC),
        sep="\n  ",
    )
    return 0
