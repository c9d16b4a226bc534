"""Parts of a run that several hosts share without speaking to each other: who does what.

With no more parts than kernels, each part has whole kernels. With more, each part has a share of
the scenarios of one kernel, so that no host builds more than it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class Part:
    """One part of so many, counted from 1; 1 of 1 is the whole run."""

    index: int = 1
    count: int = 1

    @property
    def whole(self) -> bool:
        """Whether it is all there is."""
        return self.count == 1

    def __str__(self) -> str:
        return f"{self.index} of {self.count}"

    def of(self, units: int) -> dict[int, Part]:
        """Return which of so many units this part has, by number from 0, and what part of each."""
        at = self.index - 1
        if self.count <= units:
            return {unit: Part() for unit in range(at, units, self.count)}
        unit = at % units
        sharers = len(range(unit, self.count, units))
        return {unit: Part(at // units + 1, sharers)}

    def take(self, all_of_it: Sequence[_T]) -> list[_T]:
        """Return this part of a list: every count-th."""
        return list(all_of_it[self.index - 1 :: self.count])


WHOLE = Part()
