"""The guard's logic: what it reads from callgrind, and when it fails."""

from __future__ import annotations

from collections import Counter

import pytest

from guard.callgrind import read_profile
from guard.compare import compare, nearest, store, stored_counts

PROFILE = """\
# callgrind format
version: 1
cmd:  python workload.py
part: 3
desc: Timerange: Basic block 5 - 9
desc: Trigger: Client Request: parse_batch, ten kinds
positions: line
events: Ir
summary: 9999

ob=(1) /home/x/gso/headers/_layout.cpython-311.so
fl=(1) gso/headers/_layout.c
fn=(1) walk
12 100
+3 20
* 7
cob=(2) /usr/lib/libc.so.6
cfi=(2) memcpy.S
cfn=(2) memcpy
calls=4 0
15 5000
-2 3
fn=(3) parse_batch
0 11

ob=(2)
fn=(2)
0 5000

ob=(1)
fn=(1)
99 1
totals: 9999
"""


def test_own_instructions_of_our_objects_are_counted():
    title, counts = read_profile(PROFILE.splitlines(), "/home/x/gso/")
    assert title == "parse_batch, ten kinds"
    assert counts == {"walk": 131, "parse_batch": 11}


def test_objects_elsewhere_are_not_counted():
    assert read_profile(PROFILE.splitlines(), "/home/y/gso/")[1] == {}


def test_a_dearer_case_fails_and_names_its_dearest_function():
    (one,) = compare({"a": Counter(walk=1050, parse=50)}, {"a": 1000})
    assert one.failed
    assert one.change == pytest.approx(0.1)
    assert str(one) == (
        "a: 1,100 instructions, stored 1,000, +10.0%  FAILED (most in walk 1,050, parse 50)"
    )


@pytest.mark.parametrize(
    ("now", "failed", "improved"),
    [(1030, False, False), (1031, True, False), (970, False, False), (969, False, True)],
)
def test_tolerance(now, failed, improved):
    (one,) = compare({"a": Counter(f=now)}, {"a": 1000})
    assert (one.failed, one.improved) == (failed, improved)


def test_a_case_that_nobody_stored_fails():
    (one,) = compare({"new": Counter(f=1)}, {})
    assert one.failed
    assert "none stored" in str(one)


@pytest.mark.parametrize("profiles", [{}, {"a": Counter()}, {"a": Counter(f=0)}])
def test_a_case_without_instructions_is_an_error(profiles):
    with pytest.raises(ValueError, match="nothing was counted in: a"):
        compare(profiles, {"a": 1000})


def test_counts_are_kept_for_each_build(tmp_path):
    path = tmp_path / "counts.json"
    old, new = {"compiler": "gcc 12", "python": "3.11"}, {"compiler": "gcc 14", "python": "3.11"}
    store(old, {"a": Counter(f=1, g=2)}, path)
    store(new, {"a": Counter(f=5)}, path)
    store(old, {"a": Counter(f=4)}, path)
    assert stored_counts(old, path) == {"a": 4}
    assert stored_counts(new, path) == {"a": 5}
    other = {"compiler": "gcc 13", "python": "3.11"}
    assert stored_counts(other, path) is None
    assert nearest(other, path) == "compiler is 'gcc 13', stored 'gcc 12'"
