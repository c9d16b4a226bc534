"""The results of a run, as data: one report, with one part for each kernel."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gso.kernel.bootable import PATCHED, UNPATCHED
from gso.kernel.errors import TestBedError
from gso.kernel.judging.applications import ApplicationsReport
from gso.kernel.judging.coverage import Code
from gso.kernel.judging.parts import WHOLE, Part
from gso.kernel.judging.verdict import Judged, Verdict, worst
from gso.kernel.scenarios import Role, Scenario

# Grows with incompatible changes of what summary() returns.
SCHEMA = 2


@dataclass(frozen=True)
class ScenarioReport:
    """One scenario on both variants of a kernel.

    ``crashes``: what the kernel log says, for a variant that crashed or hung in this scenario
    (then the cells are those that were complete before). ``evidence``: each variant's folder with
    traces and captures, within the results folder. ``reused``: for a variant
    that was not measured now, the folder of the earlier boot that was. ``runs``: the verdict of
    each repetition; the rest of the report is that of the worst.
    """

    scenario: Scenario
    role: Role
    verdict: Verdict
    unpatched: list[Judged]
    patched: list[Judged]
    crashes: dict[str, str] = field(default_factory=dict)
    evidence: dict[str, str] = field(default_factory=dict)
    runs: tuple[Verdict, ...] = ()
    reused: dict[str, str] = field(default_factory=dict)

    @property
    def flaky(self) -> bool:
        """Whether repetitions disagree."""
        return len(set(self.runs)) > 1

    def summary(self) -> dict[str, Any]:
        """Return it as it goes into the report."""
        return {
            **asdict(self.scenario),
            "role": self.role,
            "verdict": self.verdict.value,
            UNPATCHED: [cell.summary() for cell in self.unpatched],
            PATCHED: [cell.summary() for cell in self.patched],
            "crashes": self.crashes,
            "evidence": self.evidence,
            "reused": self.reused,
            "runs": dict(Counter(verdict.value for verdict in self.runs)),
            "flaky": self.flaky,
        }


@dataclass
class KernelReport:
    """One kernel of the run; ``error`` as :func:`described` returns it.

    ``fault``: the known one that the patch is about. ``code``: what the patch changes, and how
    often it ran. ``boots``: every virtual machine that was started, the lost ones too.
    ``warnings``: what each variant's kernel complained of in its log. ``crashed``: the variants
    whose kernel did, reproduced. ``planned``: the scenarios of the whole run, and ``part``: which
    of them are this host's.
    """

    id: str
    label: str
    verdict: Verdict = Verdict.INCONCLUSIVE
    fault: str | None = None
    steps: tuple[str, ...] = ()
    code: list[Code] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    guests: dict[str, Any] = field(default_factory=dict)
    boots: list[dict[str, Any]] = field(default_factory=list)
    warnings: dict[str, list[str]] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    error: dict[str, str] | None = None
    scenarios: list[ScenarioReport] = field(default_factory=list)
    applications: ApplicationsReport | None = None
    crashed: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    part: Part = WHOLE

    def still_failing(self) -> list[str]:
        """Return the scenarios and applications that the patch should have fixed and did not."""
        found = [(s.scenario.name, s.verdict) for s in self.scenarios]
        if self.applications:
            found += [(w.workload.name, w.verdict) for w in self.applications.workloads]
        return [name for name, verdict in found if verdict is Verdict.NO_EFFECT]

    def flaky(self) -> list[str]:
        """Return the scenarios whose repetitions disagree."""
        return [s.scenario.name for s in self.scenarios if s.flaky]

    def reused(self) -> list[str]:
        """Say how many boots were taken from each earlier run's folder."""
        taken = [boot["reused"] for boot in self.boots if boot.get("reused")]
        runs = Counter(str(Path(folder).parents[1]) for folder in taken)
        every = len(self.boots)
        return [f"{count} of {every} boots reused from {run}" for run, count in runs.items()]

    def fail(self, error: TestBedError) -> None:
        """Record what prevented a verdict."""
        self.error = described(error)

    def summary(self) -> dict[str, Any]:
        """Return it as it goes into the report."""
        return {
            "kernel": self.label,
            "id": self.id,
            "verdict": self.verdict.value,
            "still_failing": self.still_failing(),
            "flaky": self.flaky(),
            "findings": self.findings,
            "fault": self.fault,
            "steps": list(self.steps),
            "code": [code.summary() for code in self.code],
            "seconds": self.seconds,
            "guests": self.guests,
            "boots": self.boots,
            "warnings": self.warnings,
            "error": self.error,
            "crashed": self.crashed,
            "planned": self.planned,
            "part": [self.part.index, self.part.count],
            "scenarios": [s.summary() for s in self.scenarios],
            "applications": self.applications.summary() if self.applications else None,
        }


@dataclass
class Report:
    """The whole run, or this host's part of it.

    ``run``: a digest of what the parts of one run have in common; ``every``: the ids of all its
    kernels.
    """

    patches: list[str]
    command: str
    started: str
    environment: dict[str, Any]
    acceleration: str = ""
    seconds: float = 0.0
    error: dict[str, str] | None = None
    folder: Path | None = None
    kernels: list[KernelReport] = field(default_factory=list)
    part: Part = WHOLE
    run: str = ""
    every: list[str] = field(default_factory=list)

    @property
    def exit_status(self) -> int:
        """That of the verdict; a part that nothing speaks against is well."""
        if not self.part.whole and self.verdict is Verdict.UNAFFECTED:
            return 0
        return self.verdict.exit_status

    @property
    def verdict(self) -> Verdict:
        """The worst of the kernels' verdicts."""
        return worst([kernel.verdict for kernel in self.kernels])

    def steps(self) -> list[str]:
        """Return what was done to the trees, each step once."""
        return list(dict.fromkeys(step for kernel in self.kernels for step in kernel.steps))

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict.value,
            "exit_status": self.exit_status,
            "shard": {
                "index": self.part.index,
                "count": self.part.count,
                "run": self.run,
                "kernels": self.every,
            },
            "patches": self.patches,
            "steps": self.steps(),
            "acceleration": self.acceleration,
            "command": self.command,
            "started": self.started,
            "environment": self.environment,
            "seconds": self.seconds,
            "error": self.error,
            "folder": str(self.folder),
            "kernels": [kernel.summary() for kernel in self.kernels],
        }


def described(error: TestBedError) -> dict[str, str]:
    """Return the stage that ended a run, its message, and the end of its log."""
    return {
        "stage": error.stage,
        "message": error.message,
        "log": str(error.log or ""),
        "log_tail": error.log_tail,
    }
