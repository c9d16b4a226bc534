"""Whether the kernel that runs here has the known faults; pure.

No model of the kernel is needed: what arrives without segmentation must arrive with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gso.kernel.errors import TestBedError
from gso.kernel.guest.complaints import complaints, hard, whole, words
from gso.kernel.scenarios import SCENARIOS, Fault, Scenario

TRAFFIC = "bulk"
"""What is sent: a stream, which is cut into segments."""
ATTEMPTS = 2
"""Runs with segmentation, where the first has something to complain of: the host may be busy."""


class Answer(str, Enum):
    """The answer for a scenario or for a fault."""

    AFFECTED = "AFFECTED"
    NOT_AFFECTED = "NOT AFFECTED"
    CANNOT_TELL = "CANNOT TELL"


@dataclass(frozen=True)
class Finding:
    """The answer of one scenario, and ``why``; ``measured``: what the guest left."""

    scenario: str
    answer: Answer
    why: str
    measured: dict[str, Any]


@dataclass(frozen=True)
class FaultFindings:
    """All of one fault."""

    fault: Fault
    findings: tuple[Finding, ...]

    @property
    def answer(self) -> Answer:
        """One scenario is enough for AFFECTED; for NOT AFFECTED it takes all of them."""
        return worst([finding.answer for finding in self.findings])

    @property
    def why(self) -> str:
        """The first scenario with this answer and its reason, and how many more there are."""
        same = [finding for finding in self.findings if finding.answer is self.answer]
        if self.answer is Answer.NOT_AFFECTED:
            return ""
        others = f" ({len(same) - 1} more with this answer)" if len(same) > 1 else ""
        return f"{same[0].scenario}: {same[0].why}{others}"


def worst(answers: Sequence[Answer]) -> Answer:
    """Return the answer for all of them: what is known to be bad, then what is not known."""
    order = (Answer.AFFECTED, Answer.CANNOT_TELL, Answer.NOT_AFFECTED)
    return min(answers, key=order.index, default=Answer.CANNOT_TELL)


def exit_status(answer: Answer) -> int:
    """0: not affected; 1: affected; 125: nothing can be said."""
    return {Answer.NOT_AFFECTED: 0, Answer.AFFECTED: 1}.get(answer, TestBedError.exit_status)


def scenarios_of(fault: Fault) -> tuple[Scenario, ...]:
    """Return those that fail with it and show it best: one a kind and pair of IP versions.

    There are none for a fault of packets that nothing segments: no control run tells. Nor for one
    of which the kernel dies: the one that runs is not to be tried.
    """
    if fault.deadly:
        return ()
    chosen: dict[tuple[str, int, int], Scenario] = {}
    for scenario in SCENARIOS:
        shows = any(map(scenario.matches, fault.fails)) and any(
            map(scenario.matches, fault.scenarios)
        )
        sent = any(traffic.name == TRAFFIC for traffic in scenario.traffic)
        if shows and sent and not scenario.from_director:
            chosen.setdefault((scenario.kind, scenario.outer, scenario.inner), scenario)
    return tuple(chosen.values())


def judge(fault: Fault, measured: dict[str, dict[str, Any]]) -> FaultFindings:
    """Judge what the guest measured in the fault's scenarios."""
    return FaultFindings(fault, tuple(_finding(s, measured[s.name]) for s in scenarios_of(fault)))


def _finding(scenario: Scenario, measured: dict[str, Any]) -> Finding:
    if "refused" in measured:
        needs = f" (it takes {', '.join(scenario.modules)})" if scenario.modules else ""
        why = f"this kernel refuses the set-up{needs}: {measured['refused']}"
        return Finding(scenario.name, Answer.CANNOT_TELL, why, measured)
    return Finding(scenario.name, *_answer(measured), measured)


def _answer(measured: dict[str, Any]) -> tuple[Answer, str]:
    controls, runs = measured["controls"], measured["runs"]
    if broken := [control for control in controls if not whole(control)]:
        why = broken[0]["error"] or "it arrives damaged"
        return Answer.CANNOT_TELL, f"without segmentation it does not get through either: {why}"
    if not any(run["super_packets"] for run in runs):
        return Answer.CANNOT_TELL, "no packet came that had to be segmented"
    every = [complaints(controls, run) for run in runs]
    # A fault is there each time: a run that had super-packets and no trouble has disproved it.
    if any(run["super_packets"] and not found for run, found in zip(runs, every, strict=True)):
        return Answer.NOT_AFFECTED, ""
    if all(map(hard, every)):
        return Answer.AFFECTED, f"{words(every[0], runs[0])}; none without segmentation"
    seen = words(every[-1], runs[-1])
    return Answer.CANNOT_TELL, f"{seen}, but no counter tells of a loss: is this host busy?"
