"""The core takes no more instructions than stored. Nothing is timed: a busy machine may run it."""

from __future__ import annotations

import os

import pytest

from guard.compare import compare, nearest, stored_counts
from guard.measure import UnableError, check_machine, identity, measure

CASE = "segment_batch, VXLAN, 1448 + 12"


@pytest.fixture(scope="module")
def stored() -> dict[str, int]:
    try:
        check_machine()
    except UnableError as error:
        if os.environ.get("CI") == "true" and "not installed" in str(error):
            pytest.fail(str(error))
        pytest.skip(str(error))
    build = identity()
    counts = stored_counts(build)
    if counts is None:
        pytest.skip(f"no counts are stored for such a build: {nearest(build)}")
    return counts


@pytest.fixture(scope="module")
def profiles(stored):  # only where they can be compared
    assert stored
    return measure(CASE)


@pytest.fixture(scope="module")
def dearer(profiles):
    return profiles.pop(f"{CASE}, a tenth more")


@pytest.mark.usefixtures("dearer")
def test_no_core_case_takes_more_instructions(stored, profiles):
    comparisons = compare(profiles, stored)
    print(*comparisons, sep="\n")
    failed = [str(comparison) for comparison in comparisons if comparison.failed]
    assert not failed, "see benchmarks/GUARD.md\n" + "\n".join(failed)


def test_a_tenth_more_work_is_seen(stored, profiles, dearer):
    (comparison,) = compare({CASE: dearer}, {CASE: stored[CASE]})
    assert comparison.now == pytest.approx(1.1 * sum(profiles[CASE].values()), rel=0.01)
    # The stored count may be higher than the present one, but not by so much.
    assert comparison.failed, f"{comparison}: the stored count is too high, refresh it"
