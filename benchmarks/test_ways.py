"""As users call: results that are dropped, kept in a list, written to `out`; ports given.

Each way has a process of its own. Whoever stands second is the plain call, whose result is dropped:
a ratio below 1 says how much more another way costs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ways
from cases import BIG, INCIDENT
from contest import Contest, Contestant, Program

AREA = "ways of calling"
Race = Callable[[str, str, int, str], None]


@pytest.fixture
def race(contest: Contest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Race]:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    programs = []

    def begin(function: str, size: str, n: int, way: str) -> Contestant:
        script = Path(ways.__file__)
        program = Program([sys.executable, script, function, "VXLAN", 4, size, n, way])
        programs.append(program)
        return program.contestant(f"{function}, {way}", way, items=n)

    def two(function: str, size: str, n: int, way: str) -> None:
        call = function, size, n
        name = f"{function} of {n} x VXLAN IPv4, {size}"
        contest(AREA, name, begin(*call, way), begin(*call, ways.DROPPED))

    yield two
    for program in programs:
        program.close()


@pytest.mark.parametrize("way", ways.WAYS[1:])
@pytest.mark.parametrize(
    ("function", "size", "n"),
    [
        ("segment", INCIDENT, 1),
        ("segment", BIG, 1),
        ("segment_headers", INCIDENT, 1),
        ("segment_headers", BIG, 1),
        ("segment_batch", INCIDENT, 64),
        ("segment_batch", BIG, 16),
        ("segment_headers_batch", INCIDENT, 64),
        ("segment_headers_batch", BIG, 16),
        ("coalesce", BIG, 1),
    ],
)
def test_way(race: Race, function: str, size: str, n: int, way: str) -> None:
    if way == ways.OUT and function != "segment_batch":
        pytest.skip(f"{function} has no out")
    race(function, size, n, way)
