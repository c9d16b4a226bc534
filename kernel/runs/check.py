"""Ask the kernel that runs here whether it has the known faults, in namespaces of this host."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from gso.kernel import guest_files
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.guest.check import RESULTS
from gso.kernel.judging import check as judging
from gso.kernel.report.check import Check
from gso.kernel.runs import namespaces
from gso.kernel.scenarios import FAULTS, Fault, plan


def check(only: Sequence[str] = ()) -> Check:
    """Send each fault's traffic without segmentation and with it, and judge what arrives.

    ``only``: names or globs of faults; all of what is segmented where there is none.

    Raises:
        UsageError: a word matches no fault.
        TestBedError: there can be no topology here.
    """
    faults, begun = _chosen(only), time.monotonic()
    scenarios = dict.fromkeys(s for fault in faults for s in judging.scenarios_of(fault))
    with tempfile.TemporaryDirectory(prefix="gso-kernel-") as name:
        wanted = {
            **{"scenarios": plan(list(scenarios)), "traffic": judging.TRAFFIC},
            "attempts": judging.ATTEMPTS,
        }
        if namespaces.call(wanted, Path(name), "check"):
            raise TestBedError("set-up", "nothing could be measured on this kernel")
        found = judged(faults, Path(name, RESULTS))
    return Check(platform.release(), found, round(time.monotonic() - begun, 1))


def judged(faults: Sequence[Fault], file: Path) -> list[judging.FaultFindings]:
    """Judge the faults by what was measured, which the file has."""
    with guest_files.understood(file.name):
        measured = guest_files.read_json(file)
        return [judging.judge(fault, measured) for fault in faults]


def _chosen(only: Sequence[str]) -> list[Fault]:
    asked = [fault for fault in FAULTS if judging.scenarios_of(fault)]
    for word in only:
        if any(fault.deadly and fault.name == word for fault in FAULTS):
            said = f"{word} is a fault of which the kernel would die: gso-kernel zoo --only {word}"
            raise UsageError(f"{said} tries it in a virtual machine")
        if not any(fnmatchcase(fault.name, word) for fault in asked):
            known = ", ".join(fault.name for fault in asked)
            raise UsageError(f"no fault {word!r} of what is segmented; there are {known}")
    wanted = only or ("*",)
    return [fault for fault in asked if any(fnmatchcase(fault.name, word) for word in wanted)]
