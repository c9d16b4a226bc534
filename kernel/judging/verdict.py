"""The verdict: pure rules over what was measured on both kernels."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gso.kernel.errors import TestBedError
from gso.kernel.guest.complaints import COUNTED
from gso.kernel.judging.evidence import Cell
from gso.kernel.judging.wire_check import Explanation
from gso.kernel.scenarios import Role, Scenario, Traffic


class Outcome(str, Enum):
    """The outcome of one scenario on one kernel."""

    PASS = "pass"
    FAIL = "fail"
    NOT_EXERCISED = "not exercised"  # the segmenter was never met: nothing was tested
    REFUSED = "refused"  # the kernel has not what the scenario is made of

    @property
    def says_nothing(self) -> bool:
        """Whether nothing was tested."""
        return self in (Outcome.NOT_EXERCISED, Outcome.REFUSED)


class Verdict(str, Enum):
    """The verdict on a scenario, or on the patch as a whole."""

    FIXED = "FIXED"
    INCOMPLETE = "INCOMPLETE"
    NO_EFFECT = "NO EFFECT"
    REGRESSED = "REGRESSED"
    NOT_REPRODUCED = "NOT REPRODUCED"
    UNAFFECTED = "UNAFFECTED"
    # It fails, or cannot be had, with and without the patch, whose code does not run in it.
    UNRELATED = "UNRELATED"
    INCONCLUSIVE = "INCONCLUSIVE"

    @property
    def exit_status(self) -> int:
        """0: fixed; 125: nothing can be said (``git bisect run`` skips); 1: anything else."""
        return {Verdict.FIXED: 0, Verdict.INCONCLUSIVE: TestBedError.exit_status}.get(self, 1)


@dataclass(frozen=True)
class Judged:
    """One cell with what was found wrong in it."""

    traffic: Traffic
    cell: Cell
    wire: Explanation
    problems: tuple[str, ...]
    exercised: bool

    def summary(self) -> dict[str, Any]:
        """Return the cell as it goes into the report."""
        return {
            **self.cell.summary(),
            "wire": vars(self.wire),
            "exercised": self.exercised,
            "problems": list(self.problems),
        }


def judge(scenario: Scenario, traffic: Traffic, cell: Cell, wire: Explanation) -> Judged:
    """Find what went wrong. Retransmits alone are no fault: the traffic's fate decides."""
    problems = [
        *_traffic_problems(cell),
        *_refusals(scenario, cell),
        *_segmentation_problems(scenario, cell, wire),
    ]
    return Judged(traffic, cell, wire, tuple(problems), _exercised(scenario, traffic, cell, wire))


def _traffic_problems(cell: Cell) -> Iterator[str]:
    result = cell.result
    if result.get("refused"):
        yield f"the kernel refused the set-up {result['error']}"
    elif result["error"]:
        yield result["error"]
    elif not result["upload_intact"]:
        yield "the upload arrived damaged"
    elif not result["download_intact"]:
        yield "the answer arrived damaged"
    if cell.segmentation_drops:
        names = [errno.errorcode.get(number, str(number)) for number in cell.trace.segmenter_errors]
        why = f": the segmenter returned -{', -'.join(names)}" if names else ""
        yield f"{cell.segmentation_drops} packets dropped in segmentation{why}"
    if result["tx_dropped"] > cell.segmentation_drops:
        yield f"{result['tx_dropped'] - cell.segmentation_drops} other transmit drops"


def _refusals(scenario: Scenario, cell: Cell) -> Iterator[str]:
    """Tell what the receiver refused: retransmits hide it from the traffic."""
    counted = cell.result.get("refusals", {})
    for name in scenario.refusals:
        if count := counted.get(name, 0):
            yield f"{count} {COUNTED[name]}"


def _segmentation_problems(scenario: Scenario, cell: Cell, wire: Explanation) -> Iterator[str]:
    wrong = [length for length in cell.tnl_hlen if length != scenario.tnl_hlen]
    if wrong and scenario.tnl_hlen is not None:
        lengths = ", ".join(map(str, wrong))
        yield f"the segmenter computed a tunnel header of {lengths} bytes, not {scenario.tnl_hlen}"
    if scenario.segmenter is None and cell.segmenter_ran:
        yield "the segmenter ran, although nothing was to be segmented here"
    if not cell.segmentation_drops:
        if wire.segments != wire.matching:
            yield f"{wire.segments - wire.matching} of {wire.segments} segments differ"
        yield from wire.differences


def _exercised(scenario: Scenario, traffic: Traffic, cell: Cell, wire: Explanation) -> bool:
    """Return whether what the traffic is for has happened at all."""
    if not traffic.segmented:
        return True
    met = scenario.segmenter is None or bool(cell.trace.at(scenario.segmenter))
    return met and (wire.super_packets > 0 or not scenario.shown)


def outcome(cells: list[Judged]) -> Outcome:
    """Sum up one scenario on one kernel."""
    if any(cell.cell.result.get("refused") for cell in cells):
        return Outcome.REFUSED
    if any(cell.problems for cell in cells):
        return Outcome.FAIL
    if not all(cell.exercised for cell in cells):
        return Outcome.NOT_EXERCISED
    return Outcome.PASS


def compare(role: Role, unpatched: Outcome, patched: Outcome, *, touched: bool = True) -> Verdict:
    """Return the verdict on what has this role and went like this on both kernels.

    ``touched``: whether the code that the patch changes ran in it, as far as it is known.
    """
    if not touched and unpatched is patched and _unrelated(role, patched):
        return Verdict.UNRELATED
    if unpatched.says_nothing or patched.says_nothing:
        return Verdict.INCONCLUSIVE
    passes = (unpatched is Outcome.PASS, patched is Outcome.PASS)
    if role == "control" and not passes[0]:
        # What worked before the fault fails without it: the test bed itself is in doubt.
        return Verdict.INCONCLUSIVE
    return {
        (True, True): (Verdict.NOT_REPRODUCED if role == "fault" else Verdict.UNAFFECTED),
        (True, False): Verdict.REGRESSED,
        (False, True): Verdict.FIXED,
        (False, False): Verdict.NO_EFFECT,
    }[passes]


def _unrelated(role: Role, both: Outcome) -> bool:
    """Say whether what happened on both kernels is no matter of code that did not run."""
    if role == "open":
        return both is not Outcome.PASS
    return role == "control" and both is Outcome.REFUSED


def overall(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on the patch from those on its scenarios."""
    found = set(verdicts)
    for decisive in (Verdict.REGRESSED, Verdict.INCONCLUSIVE):
        if decisive in found:
            return decisive
    if Verdict.FIXED in found:
        return Verdict.INCOMPLETE if Verdict.NO_EFFECT in found else Verdict.FIXED
    return Verdict.NO_EFFECT if Verdict.NO_EFFECT in found else Verdict.NOT_REPRODUCED


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the verdict on several kernels: what is known to be bad, then what is not known."""
    order = (
        *(Verdict.REGRESSED, Verdict.NO_EFFECT, Verdict.INCOMPLETE, Verdict.INCONCLUSIVE),
        *(Verdict.NOT_REPRODUCED, Verdict.FIXED, Verdict.UNRELATED, Verdict.UNAFFECTED),
    )
    return min(verdicts, key=order.index, default=Verdict.INCONCLUSIVE)
