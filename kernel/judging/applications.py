"""Real applications as data, and the judgement of their measurements.

Each workload is one client program (h2load) and one service (nginx) behind IPVS with GUE; the
guest runs them and records the duration of each request.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from gso.kernel.judging.verdict import Outcome, Verdict
from gso.kernel.judging.verdict import compare as compare_outcomes
from gso.kernel.scenarios import Family, Role

PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


@dataclass(frozen=True)
class Step:
    """So many requests with a body of so many bytes."""

    size: int
    requests: int


@dataclass(frozen=True)
class Workload:
    """The requests of one kind of user; a step has at most ``limit`` seconds (on an idle machine).

    ``role``: on the unpatched kernel ``"fault"`` workloads must suffer, ``"control"`` ones not.
    """

    name: str
    role: Role
    protocol: Literal["http1", "http2"]
    family: Family
    direction: Literal["upload", "download"]
    connections: int
    limit: float
    steps: tuple[Step, ...]


def _steps(*counts: tuple[int, int]) -> tuple[Step, ...]:
    return tuple(Step(size, requests) for size, requests in counts)


# For steps that end by themselves, on a kernel with the fault, too.
_AMPLE = 20.0


def _workloads(limit: float, sizes: tuple[Step, ...], many: Step) -> tuple[Workload, ...]:
    response = (Step(100_000, 5), Step(1_000_000, 3))
    return (
        Workload("http1-uploads-ipv4", "fault", "http1", 4, "upload", 1, limit, sizes),
        Workload("http2-uploads-ipv6", "fault", "http2", 6, "upload", 1, limit, sizes),
        Workload("http2-many-ipv4", "fault", "http2", 4, "upload", 32, _AMPLE, (many,)),
        Workload("http1-responses-ipv4", "control", "http1", 4, "download", 1, _AMPLE, response),
        Workload("http2-responses-ipv6", "control", "http2", 6, "download", 1, _AMPLE, response),
    )


# Under emulation, on a kernel with the fault: about a minute, and a quarter of that.
FULL = _workloads(
    6.0,
    _steps(
        *((100, 15), (1_000, 15), (1_400, 15), (2_000, 15), (10_000, 15)),
        *((100_000, 8), (1_000_000, 3), (4_000_000, 1)),
    ),
    Step(10_000, 160),
)
QUICK = _workloads(3.0, _steps((100, 10), (2_000, 8), (10_000, 8), (100_000, 3)), Step(10_000, 64))


@dataclass(frozen=True)
class Measured:
    """One workload on one kernel: its steps as the guest recorded them, and the problems."""

    steps: list[dict[str, Any]]
    problems: tuple[str, ...]
    outcome: Outcome

    def summary(self) -> dict[str, Any]:
        """Return the steps with the distribution of their durations."""
        steps = [{**step, "latency": latency(step)} for step in self.steps]
        return {"outcome": self.outcome.value, "problems": list(self.problems), "steps": steps}


@dataclass(frozen=True)
class WorkloadReport:
    """One workload on both kernels."""

    workload: Workload
    verdict: Verdict
    unpatched: Measured
    patched: Measured

    def summary(self) -> dict[str, Any]:
        """Return it as it goes into the report."""
        return {
            **{k: v for k, v in asdict(self.workload).items() if k != "steps"},
            "verdict": self.verdict.value,
            "unpatched": self.unpatched.summary(),
            "patched": self.patched.summary(),
        }


def latency(step: dict[str, Any]) -> dict[str, Any]:
    """Return percentiles of a step's durations in milliseconds, by nearest rank.

    Requests that were in progress when time was up count with the time they had waited;
    ``at_least`` names the percentiles that one of them could raise: they are lower bounds.
    """
    known = [(duration, False) for duration in step["milliseconds"]]
    ranked = sorted(known + [(step["waited"], True)] * step["unfinished"])
    if not ranked:
        return {**dict.fromkeys(PERCENTILES), "at_least": []}
    places = {
        name: max(math.ceil(len(ranked) * percent / 100), 1)
        for name, percent in PERCENTILES.items()
    }
    return {
        **{name: ranked[place - 1][0] for name, place in places.items()},
        "at_least": [n for n, place in places.items() if any(cut for _, cut in ranked[:place])],
    }


def judge(workload: Workload, steps: list[dict[str, Any]]) -> Measured:
    """Find what went wrong. Slowness alone is no fault: under emulation nothing is fast."""
    problems: list[str] = []
    too_slow = False
    for step in steps:
        of = f"{step['requests']} requests of {step['size']} bytes"
        if step["failed"]:
            problems.append(f"{step['failed']} of {of} failed")
        if step["intact"] is False:
            problems.append(f"what arrived of {of} was damaged")
        if step["unfinished"]:
            left = step["unfinished"] + step["not_started"]
            text = f"{left} of {of} not done within {step['limit']:g} s"
            if not step["timeouts"] and not step["drops"]:
                too_slow = True
                text += ", though nothing was lost: this machine is too slow to tell"
            problems.append(text)
        if step["drops"]:
            problems.append(f"{step['drops']} packets dropped at the director with {of}")
    if too_slow:
        outcome = Outcome.NOT_EXERCISED
    elif problems:
        outcome = Outcome.FAIL
    elif workload.role == "fault" and not any(step["segmented"] for step in steps):
        outcome = Outcome.NOT_EXERCISED
    else:
        outcome = Outcome.PASS
    return Measured(steps, tuple(problems), outcome)


def compare(
    workloads: Sequence[Workload], unpatched: dict[str, Any], patched: dict[str, Any]
) -> list[WorkloadReport]:
    """Judge each workload by what the guests measured on both kernels."""
    found = []
    sides = zip(unpatched["workloads"], patched["workloads"], strict=True)
    for workload, (before, after) in zip(workloads, sides, strict=True):
        measured = judge(workload, before["steps"]), judge(workload, after["steps"])
        verdict = compare_outcomes(workload.role, measured[0].outcome, measured[1].outcome)
        found.append(WorkloadReport(workload, verdict, *measured))
    return found


@dataclass(frozen=True)
class ApplicationsReport:
    """The applications on one kernel.

    ``drops``: for each variant, pairs of seconds and the drops of the director's device until then.
    """

    workloads: list[WorkloadReport]
    drops: dict[str, list[tuple[float, int]]]

    def summary(self) -> dict[str, Any]:
        """Return it as it goes into the report."""
        return {
            "workloads": [report.summary() for report in self.workloads],
            "drops": self.drops,
        }
