"""The verdict on one kernel, from all that was found in it: pure, so that parts can be merged."""

from __future__ import annotations

from collections.abc import Sequence

from gso.kernel.errors import TestBedError
from gso.kernel.judging import coverage
from gso.kernel.judging.coverage import Code
from gso.kernel.judging.verdict import Verdict, overall

_NOTHING_AGAINST = {Verdict.UNAFFECTED, Verdict.UNRELATED}


def of_kernel(
    verdicts: Sequence[Verdict],
    code: Sequence[Code],
    *,
    worse: bool,
    failed: bool,
    crashed: bool,
) -> tuple[Verdict, TestBedError | None]:
    """Return the verdict on a patch in one kernel, and an error where its code never ran.

    ``verdicts``: those on scenarios and workloads. ``worse``: something speaks against the patch
    whatever the traffic says. ``failed``: something prevented a part of it. ``crashed``: a
    kernel did.
    """
    found = [*verdicts, *_besides(worse=worse, failed=failed)]
    verdict = overall(found) if found else Verdict.INCONCLUSIVE
    if not failed and not crashed and _none_ran(code, verdict):
        # Whatever was measured, it was not this code's doing.
        names = ", ".join(one.name for one in code if one.name)
        return Verdict.INCONCLUSIVE, TestBedError("code", f"no scenario exercises {names}")
    return verdict, None


def of_part(verdicts: Sequence[Verdict], *, worse: bool, failed: bool) -> Verdict:
    """Return what a part of a kernel's scenarios says; UNAFFECTED: nothing, for or against.

    Whether the patch's code ran, and whether the fault was met, only all parts together can say.
    """
    found = [*verdicts, *_besides(worse=worse, failed=failed)]
    return overall(found) if set(found) - _NOTHING_AGAINST else Verdict.UNAFFECTED


def _besides(*, worse: bool, failed: bool) -> list[Verdict]:
    return [Verdict.REGRESSED] * worse + [Verdict.INCONCLUSIVE] * failed


def _none_ran(code: Sequence[Code], verdict: Verdict) -> bool:
    """Say whether none of the changed code ran; what is no function may have made a difference."""
    made_a_difference = verdict in (Verdict.FIXED, Verdict.INCOMPLETE, Verdict.REGRESSED)
    if made_a_difference and not all(one.name for one in code):
        return False
    return coverage.none_ran(code)
