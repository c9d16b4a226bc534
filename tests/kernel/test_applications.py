"""Measurements of real applications, and the verdicts they lead to."""

from __future__ import annotations

import math
import re

import pytest
from gso.kernel.errors import UsageError
from gso.kernel.judging.applications import (
    FULL,
    PERCENTILES,
    QUICK,
    Workload,
    compare,
    judge,
    latency,
)
from gso.kernel.judging.verdict import Outcome, Verdict
from gso.kernel.runs.doctor import check_applications
from hypothesis import given
from hypothesis import strategies as st

FAULT = next(w for w in QUICK if w.role == "fault")
CONTROL = next(w for w in QUICK if w.role == "control")


def step(**changes):
    return {
        "size": 100_000,
        "requests": 3,
        "limit": 3.0,
        "milliseconds": [10.0, 30.0, 20.0],
        "failed": 0,
        "unfinished": 0,
        "waited": None,
        "not_started": 0,
        "intact": True,
        "drops": 0,
        "timeouts": 0,
        "segmented": 6,
        **changes,
    }


CUT = {"milliseconds": [10.0], "unfinished": 1, "waited": 2990.0, "not_started": 1}


def test_the_workloads_are_those_of_the_incident():
    for workloads in (FULL, QUICK):
        assert len({w.name for w in workloads}) == len(workloads)
        faults = [w for w in workloads if w.role == "fault"]
        assert {w.protocol for w in faults} == {"http1", "http2"}
        assert {w.family for w in faults} == {4, 6}
        assert max(w.connections for w in faults) >= 32
        assert any(w.role == "control" and w.direction == "download" for w in workloads)
        # Some need no segmentation, some do.
        sizes = {s.size for w in faults for s in w.steps}
        assert min(sizes) < 1400 < max(sizes)
    assert {s.size for s in FULL[0].steps} >= {100, 1_400, 2_000, 100_000, 4_000_000}


def test_percentiles_by_nearest_rank():
    found = latency(step())
    assert found == {"p50": 20.0, "p90": 30.0, "p99": 30.0, "max": 30.0, "at_least": []}


def test_what_was_cut_off_makes_percentiles_lower_bounds():
    found = latency(step(**CUT))
    assert found["p50"] == 10.0
    assert (found["max"], found["at_least"]) == (2990.0, ["p90", "p99", "max"])
    # The cut request waited less than the other took: how long it would have taken is unknown.
    found = latency(step(milliseconds=[9000.0], unfinished=1, waited=2500.0))
    assert (found["p50"], found["max"]) == (2500.0, 9000.0)
    assert found["at_least"] == list(PERCENTILES)


def test_no_request_at_all():
    found = latency(step(milliseconds=[], failed=3))
    assert found == {"p50": None, "p90": None, "p99": None, "max": None, "at_least": []}


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(0, 3), st.floats(0, 1e6))
def test_percentiles_against_counting(known, unfinished, waited):
    """A percentile is the least value that so many of all are at or below."""
    found = latency(step(milliseconds=known, unfinished=unfinished, waited=waited))
    everything = known + [waited] * unfinished
    for name, percent in PERCENTILES.items():
        value = found[name]
        assert value in everything
        enough = len(everything) * percent / 100
        assert sum(v <= value for v in everything) >= enough
        assert sum(v < value for v in everything) < max(enough, 1) or math.isclose(percent, 0)


@pytest.mark.parametrize(
    ("changes", "outcome", "problem"),
    [
        ({}, Outcome.PASS, None),
        ({"drops": 5}, Outcome.FAIL, "5 packets dropped at the director with 3 requests of 100000"),
        ({"failed": 2}, Outcome.FAIL, "2 of 3 requests of 100000 bytes failed"),
        ({"intact": False}, Outcome.FAIL, "damaged"),
        ({**CUT, "timeouts": 4}, Outcome.FAIL, "2 of 3 requests .* not done within 3 s"),
        (CUT, Outcome.NOT_EXERCISED, "this machine is too slow to tell"),
        ({"segmented": 0}, Outcome.NOT_EXERCISED, None),
    ],
)
def test_each_measure_counts(changes, outcome, problem):
    found = judge(FAULT, [step(**changes)])
    assert found.outcome is outcome
    if problem is None:
        assert found.problems == ()
    else:
        assert len(found.problems) == 1
        assert re.search(problem, found.problems[0])


def test_responses_need_no_segmenter():
    assert judge(CONTROL, [step(segmented=0)]).outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("workload", "before", "after", "verdict"),
    [
        (FAULT, {"drops": 9}, {}, Verdict.FIXED),
        (FAULT, {"drops": 9}, {"drops": 9}, Verdict.NO_EFFECT),
        (FAULT, {}, {}, Verdict.NOT_REPRODUCED),
        (FAULT, {"drops": 9}, CUT, Verdict.INCONCLUSIVE),
        (CONTROL, {}, {}, Verdict.UNAFFECTED),
        (CONTROL, {}, {"failed": 1}, Verdict.REGRESSED),
        (CONTROL, {"failed": 1}, {}, Verdict.INCONCLUSIVE),
    ],
)
def test_verdicts(workload: Workload, before, after, verdict):
    sides = [
        {"workloads": [{"name": workload.name, "steps": [step(**changes)]}]}
        for changes in (before, after)
    ]
    (report,) = compare([workload], *sides)
    assert report.verdict is verdict
    summary = report.summary()
    assert summary["verdict"] == verdict.value
    assert summary["patched"]["steps"][0]["latency"]["p50"] == 20.0 or after is CUT


def test_missing_programs_are_named_before_the_run(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="nginx, h2load, curl: gso-kernel doctor --install"):
        check_applications()


def test_quick_is_nothing_alone(gso_kernel, tmp_path):
    done = gso_kernel("verify", "ipvs-gue-inner-mac-header", "--quick")
    assert done.status == 2
    assert "--applications" in done.err
    assert not (tmp_path / "results").exists()
