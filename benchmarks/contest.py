"""Two contestants in turn, round after round, so that a disturbance hits both.

pytest-benchmark keeps the peer's times. It reads a clock that every contestant moves on by what one
call took, so that programs which time themselves count exactly; ours, and how they compare, go
along as extra information.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from timeit import Timer
from typing import Any

ROUND = 2e-3
"""Seconds that a round lasts at least, so that neither the clock nor its call matters."""


class Clock:
    """Seconds that measured calls took; the timer of all benchmarks here."""

    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


clock = Clock()


@dataclass
class Contestant:
    """Something that can be timed.

    Attributes:
        name: how results call it.
        seconds: mean seconds of so many calls.
        items: how many units of work a call does; results are per unit.
        leaves_out: what it does not do that we do, or what it does more.
        limit: it is no rival but what the machine allows.
        unit: what an item is.
    """

    name: str
    seconds: Callable[[int], float]
    items: float = 1
    leaves_out: str = ""
    limit: bool = False
    unit: str = "super-packet"
    repeats: int = field(default=0, init=False)

    def calibrate(self) -> None:
        """Warm up, and find how many calls make a round."""
        self.repeats = 1
        while (total := self.seconds(self.repeats) * self.repeats) < ROUND:
            self.repeats = max(2 * self.repeats, int(0.5 * ROUND / max(total, 1e-9)))

    def round(self) -> float:
        """Seconds of one unit in a new round."""
        return self.seconds(self.repeats) / self.items


def python(name: str, call: Callable[[], object], **options: Any) -> Contestant:
    """A contestant that is called from Python."""
    timer = Timer(call)
    return Contestant(name, lambda n: timer.timeit(n) / n, **options)


class Program:
    """A compiled program that times itself, a round for every line it is sent (native/rounds.h)."""

    def __init__(self, command: Sequence[object]) -> None:
        self._process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said = ""
        while (line := self._read()) != "ready\n":
            self.said += line

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            raise RuntimeError(f"{self._process.args!r} ended: {self._process.returncode}: {said}")
        return line

    def seconds(self, mode: str, repeats: int) -> float:
        """Mean seconds of one call in a round of so many."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{mode} {repeats}\n")
        self._process.stdin.flush()
        return float(self._read()) * 1e-9

    def contestant(self, name: str, mode: str, **options: Any) -> Contestant:
        """One of the program's modes as a contestant."""
        return Contestant(name, lambda n: self.seconds(mode, n), **options)

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@dataclass(frozen=True)
class Effort:
    """How much time is spent: a minute for everything, or a quarter of an hour."""

    quick: bool

    @property
    def seconds(self) -> float:
        """For one contest, about."""
        return 0.06 if self.quick else 0.6

    def rounds(self, one: float) -> int:
        """How many rounds that last `one` second together fit."""
        least, most = (3, 9) if self.quick else (5, 41)
        return min(most, max(least, int(self.seconds / one)))

    def scaled(self, full: int, quick: int) -> int:
        """A size that depends on the effort."""
        return quick if self.quick else full


class Contest:
    """The fixture of tests: times ours against theirs, and notes it for pytest-benchmark."""

    def __init__(self, benchmark: Any, effort: Effort) -> None:
        self._benchmark = benchmark
        self.effort = effort

    def __call__(
        self, area: str, case: str, ours: Contestant, theirs: Contestant, **facts: object
    ) -> None:
        """Race two; `facts` go into the results as they are."""
        ours.calibrate()
        theirs.calibrate()
        mine: list[float] = []
        their: list[float] = []

        def one_round() -> None:
            for contestant, times in ((ours, mine), (theirs, their))[:: 1 - 2 * (len(mine) % 2)]:
                times.append(contestant.round())
            clock.seconds += their[-1]

        both = sum(c.seconds(c.repeats) * c.repeats for c in (ours, theirs))
        self._benchmark.group = f"{area}: {case}"
        self._benchmark.pedantic(one_round, rounds=self.effort.rounds(both), iterations=1)
        ratios = [b / a for a, b in zip(mine, their, strict=True)]
        self._benchmark.extra_info.update(
            area=area,
            case=case,
            ours=ours.name,
            theirs=theirs.name,
            limit=theirs.limit,
            leaves_out=theirs.leaves_out,
            unit=theirs.unit,
            ours_seconds=min(mine),
            theirs_seconds=min(their),
            ratio=min(their) / min(mine),
            spread=[sorted(ratios)[len(ratios) // 4], sorted(ratios)[-1 - len(ratios) // 4]],
            rounds=len(ratios),
            quick=self.effort.quick,
            **facts,
        )

    def rounds(self, area: str, case: str, one_round: Callable[[], None]) -> None:
        """Repeat a round as often as the effort allows; it moves the clock on itself."""
        start = perf_counter()
        one_round()
        one = perf_counter() - start
        self._benchmark.group = f"{area}: {case}"
        self._benchmark.pedantic(one_round, rounds=self.effort.rounds(one), iterations=1)

    def note(self, area: str, case: str, **facts: object) -> None:
        """Add to the report what was measured in another way."""
        self._benchmark.extra_info.update(area=area, case=case, quick=self.effort.quick, **facts)

    def once(self, area: str, case: str, seconds: float, **facts: object) -> None:
        """Report something that was measured once, by others."""

        def one_round() -> None:
            clock.seconds += seconds

        self._benchmark.group = f"{area}: {case}"
        self._benchmark.pedantic(one_round, rounds=1, iterations=1)
        self.note(area, case, seconds=seconds, **facts)


def save_packets(path: Path, packets: Sequence[bytes]) -> None:
    """Write packets for a compiled peer, each with its length in front."""
    path.write_bytes(b"".join(len(one).to_bytes(4, "little") + one for one in packets))


def saved_segments(path: Path) -> list[bytes]:
    """The output of a compiled peer: frames with their lengths in front."""
    data, segments = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:4], "little")
        segments.append(data[4 : 4 + length])
        data = data[4 + length :]
    return segments
