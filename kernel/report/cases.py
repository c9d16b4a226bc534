"""The run as a tree of test cases: what JUnit, KTAP and the comparison of runs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["pass", "fail", "error", "skip"]

_STATUS: dict[str, Status] = {"FIXED": "pass", "UNAFFECTED": "pass", "INCONCLUSIVE": "error"}
_OUTCOMES: dict[str, Status] = {"pass": "pass", "fail": "fail"}


def status(verdict: str) -> Status:
    """Return what a verdict is to a CI system; "error": nothing can be said, and no pass."""
    return _STATUS.get(verdict, "fail")


@dataclass(frozen=True)
class Case:
    """One thing that was tested, with what was wrong."""

    name: str
    status: Status
    seconds: float
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """A scenario or workload: its verdict, and its cases on the patched kernel.

    The first case says whether the unpatched kernel behaved as the scenario's role demands.
    """

    name: str
    verdict: str
    cases: tuple[Case, ...]

    @property
    def status(self) -> Status:
        """Its status for CI systems; a fault that was not reproduced is no failure."""
        unproved = self.verdict in ("NOT REPRODUCED", "UNRELATED")
        return "skip" if unproved else status(self.verdict)


@dataclass(frozen=True)
class Suite:
    """One kernel. ``error``: what prevented a verdict."""

    name: str
    label: str
    verdict: str
    groups: tuple[Group, ...]
    error: tuple[str, ...]

    @property
    def status(self) -> Status:
        """Its status for CI systems."""
        return status(self.verdict)


def suites(results: dict[str, Any]) -> list[Suite]:
    """Return the kernels of a run with all their cases."""
    return [_suite(kernel) for kernel in results["kernels"]]


def _suite(kernel: dict[str, Any]) -> Suite:
    groups = [_scenario(scenario) for scenario in kernel["scenarios"]]
    if kernel.get("applications"):
        groups += [_workload(workload) for workload in kernel["applications"]["workloads"]]
    return Suite(
        kernel["id"], kernel["kernel"], kernel["verdict"], tuple(groups), _lines(kernel["error"])
    )


def _lines(error: dict[str, str] | None) -> tuple[str, ...]:
    if not error:
        return ()
    return (f"{error['stage']}: {error['message']}", *error["log_tail"].splitlines())


def _scenario(scenario: dict[str, Any]) -> Group:
    before = scenario["unpatched"]
    failing = any(cell["problems"] for cell in before)
    crashes = scenario.get("crashes") or {}
    first = _expectation(scenario["role"], failing or "unpatched" in crashes, before, "seconds")
    cases = [
        Case(
            cell["traffic"],
            _cell_status(cell),
            cell["seconds"],
            tuple(cell["problems"]) or _not_exercised(cell),
        )
        for cell in scenario["patched"]
    ]
    if crash := crashes.get("patched"):
        cases.append(Case("crash", "fail", 0.0, tuple(crash.splitlines())))
    return Group(scenario["name"], scenario["verdict"], (first, *cases))


def _cell_status(cell: dict[str, Any]) -> Status:
    if cell["problems"]:
        return "fail"
    return "pass" if cell["exercised"] else "error"


def _not_exercised(cell: dict[str, Any]) -> tuple[str, ...]:
    return () if cell["exercised"] else ("the kernel's segmenter never ran: nothing was tested",)


def _workload(workload: dict[str, Any]) -> Group:
    before, after = workload["unpatched"], workload["patched"]
    first = _expectation(workload["role"], before["outcome"] == "fail", [], "")
    seconds = round(sum(step["ended"] - step["begun"] for step in after["steps"]), 3)
    ended = _OUTCOMES.get(after["outcome"], "error")
    case = Case("patched", ended, seconds, tuple(after["problems"]))
    return Group(workload["name"], workload["verdict"], (first, case))


def _expectation(role: str, failing: bool, cells: list[dict[str, Any]], key: str) -> Case:
    seconds = round(sum(cell[key] for cell in cells), 3)
    if role == "fault":
        problems = () if failing else ("the unpatched kernel did not fail",)
        return Case("unpatched-fails", "pass" if failing else "skip", seconds, problems)
    if role == "open":
        return Case("unpatched", "pass", seconds, ())
    problems = ("the unpatched kernel failed where it must not",) if failing else ()
    return Case("unpatched-passes", "error" if failing else "pass", seconds, problems)
