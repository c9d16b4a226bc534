"""Machines that are made up: they say what a guest would say, and boot nothing.

A kernel is an image whose name says its variant. Without the patch the scenarios of the default
fault fail that must; with it nothing does, but what the test adds.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
from gso.kernel.judging import verdict
from gso.kernel.machine import jobs
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.machine.tools import equipment
from gso.kernel.report.load import SCHEMA
from gso.kernel.runs import doctor, verify
from gso.kernel.scenarios import DEFAULT_FAULT, SCENARIOS
from gso.kernel.trees.targets import ImageTarget, distinct

import fake_guests

CONFORMANCE = {"tunnels", "gro", "types"}
KINDS = ("ingress", "mirror", "wire")
SAME = ("verdict", "exit_status", "patches", "steps", "acceleration", "error")
SAME_OF_A_KERNEL = (
    *("kernel", "id", "verdict", "still_failing", "flaky", "findings", "fault", "steps", "code"),
    *("guests", "warnings", "error", "crashed", "planned", "part", "applications"),
)
SAME_OF_A_SCENARIO = ("name", "role", "verdict", "unpatched", "patched", "crashes", "runs", "flaky")
FAILING = frozenset(s.name for s in SCENARIOS if DEFAULT_FAULT.roles.of(s) == "fault")


class Machines:
    """``broken``: pairs of variant and scenario that fail though they need not."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.broken: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def run(self, job: Job) -> Result:
        """Perform a plan as a machine would."""
        with self._lock:
            self.jobs.append(job)
        variant = job.kernel.image.name.partition("-")[0]
        cells = job.folder / "cells"
        cells.mkdir(parents=True)
        for given in job.inputs:
            (job.folder / f"{given.name}.seen").write_bytes(given.read_bytes())
        (job.folder / "console.log").write_text("Linux version 6.12\n")
        if "hunt" in job.plan:
            fake_guests.hunt(job.plan["hunt"], job.folder)
            return Result("done", 1.0)
        if CONFORMANCE & job.plan.keys():
            (given,) = job.inputs
            guest = fake_guests.answers(job.plan, given.read_bytes(), job.folder)
            return Result("done", 1.0, guest)
        with (job.folder / "progress.jsonl").open("w") as log:
            for scenario in job.plan.get("scenarios", ()):
                for traffic in scenario["traffic"]:
                    self._exchange(cells, variant, scenario["name"], traffic["name"], log)
        guest = {"ok": True, "modules": {}, "packets_before": {}, "packets_after": {}}
        return Result("done", 1.0, guest, equipment=equipment())

    def _exchange(self, cells: Path, variant: str, scenario: str, traffic: str, log) -> None:
        fails = variant == "unpatched" and scenario in FAILING
        fails |= (variant, scenario) in self.broken
        for kind in KINDS:
            (cells / f"{scenario}-{traffic}.{kind}.frames").touch()
        (cells / f"{scenario}-{traffic}.trace").touch()
        counts = dict.fromkeys(("mss", "retransmits", "tx_dropped", "tx_packets"), 0)
        whole = {"upload_intact": not fails, "download_intact": not fails, "seconds": 0.25}
        error = "the upload timed out" if fails else None
        named = {"scenario": scenario, "traffic": traffic, "error": error}
        log.write(json.dumps({"stage": "cell", "result": {**named, **counts, **whole}}) + "\n")


@contextmanager
def fake_machines(folder: Path, kernels: int = 1) -> Iterator[Machines]:
    """Put them in the place of the real ones, for ``verify`` of so many pairs of images."""
    made = Machines()
    folder.mkdir(parents=True, exist_ok=True)

    def targets(_options: verify.Options) -> list[ImageTarget]:
        pairs = []
        for number in range(kernels):
            pair = [folder / f"{variant}-{number}" for variant in ("unpatched", "patched")]
            for image in pair:
                image.write_text(image.name)
            pairs.append(ImageTarget(pair, ()))
        return distinct(pairs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "run", made.run)
        patch.setattr(verify.Options, "targets", targets)
        patch.setattr(verdict, "_exercised", lambda *_: True)
        # What real machines need may be missing on this host.
        patch.setattr(doctor, "check", lambda *_: None)
        yield made


def results(folder: Path) -> dict:
    (path,) = folder.glob("*/results.json")
    found = json.loads(path.read_text())
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    return found


def alike(found: dict) -> dict:
    """What a merged run and a whole one have in common: all but times and places."""
    kernels = []
    for kernel in found["kernels"]:
        scenarios = [{k: s[k] for k in SAME_OF_A_SCENARIO} for s in kernel["scenarios"]]
        kernels.append({**{k: kernel[k] for k in SAME_OF_A_KERNEL}, "scenarios": scenarios})
    return {**{key: found[key] for key in SAME}, "kernels": kernels}
