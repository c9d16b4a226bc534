"""Whether the code that a patch changes was run at all: entries of functions, counted in the guest.

A function that a compiler put into its callers has no entry of its own. Then those of its callers
are counted: where none of them ran, it did not run either; where one did, it may have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entries:
    """The counts of one boot.

    ``symbols``: what stood for each function; ``why``: why nothing did.
    """

    symbols: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Code:
    """A function that the patch changes (without a name: code outside functions).

    ``symbols``: the functions whose entries were counted for it, itself or its callers.
    ``entries``: for each variant how often; ``None`` where it was not counted. ``why``: why not.
    """

    file: str
    name: str
    symbols: tuple[str, ...]
    entries: Mapping[str, int | None]
    why: str = ""

    @property
    def counted(self) -> bool:
        """Whether any variant counted it."""
        return any(count is not None for count in self.entries.values())

    @property
    def ran(self) -> bool:
        """Whether it, or what it may be a part of, was entered."""
        return any(self.entries.values())

    @property
    def itself(self) -> bool:
        """Whether its own entries were counted, and not its callers'."""
        names = [symbol.rpartition(":")[2].partition(".")[0] for symbol in self.symbols]
        return set(names) == {self.name}

    def summary(self) -> dict[str, Any]:
        """Return it as it goes into the report."""
        return {**asdict(self), "symbols": list(self.symbols)}

    def __str__(self) -> str:
        name = self.name or f"code of {self.file} outside functions"
        if not self.counted:
            return f"{name}: not counted, because {self.why}"
        said = ", ".join(
            f"{variant} not counted" if count is None else f"{count} {variant}"
            for variant, count in self.entries.items()
        )
        if self.itself:
            return f"{name}: entered {said}"
        return f"{name}: counted through {' and '.join(self.symbols)}: entered {said}"


def entries(events: Iterable[Mapping[str, Any]]) -> Entries:
    """Return what a guest has said of it."""
    symbols: dict[str, tuple[str, ...]] = {}
    why: dict[str, str] = {}
    counts: dict[str, int] = {}
    for event in events:
        for name, watched in event.get("watched", {}).items():
            symbols[name] = tuple(watched["symbols"])
            why[name] = watched["why"]
        for name, count in {**event, **event.get("result", {})}.get("entries", {}).items():
            counts[name] = counts.get(name, 0) + count
    return Entries(symbols, why, counts)


def code(file: str, name: str, boots: Mapping[str, Sequence[Entries]]) -> Code:
    """Sum up one function over the boots of each variant."""
    if not name:
        return Code(file, name, (), dict.fromkeys(boots), "it is no function")
    every = [entries for found in boots.values() for entries in found]
    symbols = dict.fromkeys(s for entries in every for s in entries.symbols.get(name, ()))
    why = next((entries.why[name] for entries in every if entries.why.get(name)), "")
    counts = {variant: _sum(name, found) for variant, found in boots.items()}
    return Code(file, name, tuple(symbols), counts, why or "no boot came so far")


def _sum(name: str, found: Sequence[Entries]) -> int | None:
    counted = [entries.counts.get(name, 0) for entries in found if entries.symbols.get(name)]
    return sum(counted) if counted else None


def none_ran(codes: Sequence[Code]) -> bool:
    """Say whether it is certain that no function that differs was entered."""
    named = [code for code in codes if code.name]
    return bool(named) and all(code.counted and not code.ran for code in named)


def touches(codes: Sequence[Code], results: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether the exchanges with these results ran the code, as far as it is known."""
    if not all(code.counted for code in codes):
        return True
    return not codes or any(any(result.get("entries", {}).values()) for result in results)
