"""The results of the suites, as pytest-benchmark wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Race:
    """One of ours against one of theirs; seconds are the least of an item in many rounds.

    `ratio` says how many times as long theirs took; `spread` are the quartiles of the rounds' own.
    """

    area: str
    case: str
    ours: str
    theirs: str
    ours_seconds: float
    theirs_seconds: float
    ratio: float
    spread: tuple[float, float]
    limit: bool
    leaves_out: str
    unit: str
    bytes: int | None = None
    how: str = ""

    @property
    def column(self) -> str:
        """The peer and what of ours it is held against, whatever the size of its batch."""
        return f"{self.theirs} : {self.ours.partition(' of ')[0]}"

    @property
    def remark(self) -> str:
        """All there is to say about the peer."""
        return "; ".join(text for text in (self.leaves_out, self.how) if text)


@dataclass(frozen=True)
class Curve:
    """How something grows: seconds over `x`, and the line fitted to it."""

    case: str
    x: str
    points: tuple[tuple[float, float], ...]
    slope: float
    fixed: float


@dataclass(frozen=True)
class Figure:
    """A measurement that stands alone."""

    area: str
    case: str
    seconds: float
    facts: dict[str, Any]


@dataclass
class Results:
    """Everything that was measured, and where."""

    machine: dict[str, Any] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)
    quick: bool = False
    races: list[Race] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def areas(self) -> list[str]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(race.area for race in self.races))

    def race(self, case: str, ours: str, theirs: str) -> Race | None:
        """One of them; `ours` without the size of the batch."""
        column = f"{theirs} : {ours}"
        return next((r for r in self.races if r.case == case and r.column == column), None)


def _add(results: Results, info: dict[str, Any]) -> None:
    results.quick |= info["quick"]
    if "theirs" in info:
        fields = {name: info[name] for name in Race.__dataclass_fields__ if name in info}
        results.races.append(Race(**{**fields, "spread": tuple(info["spread"])}))
    elif "points" in info:
        points = tuple((x, seconds) for x, seconds in info["points"])
        results.curves.append(Curve(info["case"], info["x"], points, info["slope"], info["fixed"]))
    else:
        facts = {
            name: value
            for name, value in info.items()
            if name not in ("area", "case", "seconds", "quick")
        }
        results.figures.append(Figure(info["area"], info["case"], info["seconds"], facts))


def load(paths: Iterable[Path]) -> Results:
    """Read the suites' files."""
    results = Results()
    for path in paths:
        content = json.loads(path.read_text())
        results.machine = content["machine_info"]["pygso"]
        results.dates.append(results.machine["date"])
        results.skipped += content.get("skipped", [])
        for benchmark in content["benchmarks"]:
            _add(results, benchmark["extra_info"])
    return results
