"""Compare counts with the stored ones, and store new ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STORE = Path(__file__).parent / "counts.json"
TOLERANCE = 0.03
"""How much more a case may take: buffers lie elsewhere, strings are a byte longer."""


@dataclass(frozen=True)
class Comparison:
    """One case: instructions now and as stored (None: not stored)."""

    case: str
    now: int
    stored: int | None
    dearest: str = ""

    @property
    def change(self) -> float:
        """The part by which it grew; negative when it shrank."""
        return self.now / self.stored - 1 if self.stored else 0.0

    @property
    def failed(self) -> bool:
        """Whether it takes too many, or no count is stored for it."""
        return self.stored is None or self.now > round(self.stored * (1 + TOLERANCE))

    @property
    def improved(self) -> bool:
        """Whether the stored count is so high that it guards nothing any more."""
        return self.stored is not None and self.now < round(self.stored * (1 - TOLERANCE))

    def __str__(self) -> str:
        if self.stored is None:
            return f"{self.case}: {self.now:,} instructions, none stored"
        mark = "  FAILED" if self.failed else "  improved: refresh" if self.improved else ""
        line = f"{self.case}: {self.now:,} instructions, stored {self.stored:,}, {self.change:+.1%}"
        return f"{line}{mark}" + (f" (most in {self.dearest})" if self.failed else "")


def _dearest(functions: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in functions.most_common(3))


def compare(profiles: Mapping[str, Counter[str]], stored: Mapping[str, int]) -> list[Comparison]:
    """All cases of both, in the order of the measurement; one that is gone has none now.

    Raises:
        ValueError: a stored case was not measured, or measured without one instruction.
    """
    empty = [case for case in (*stored, *profiles) if not sum(profiles.get(case, {}).values())]
    if empty:
        raise ValueError(f"nothing was counted in: {', '.join(dict.fromkeys(empty))}")
    return [
        Comparison(case, sum(functions.values()), stored.get(case), _dearest(functions))
        for case, functions in profiles.items()
    ]


def stored_counts(identity: Mapping[str, str], path: Path = STORE) -> dict[str, int] | None:
    """The counts for such a build, or None."""
    for entry in json.loads(path.read_text()):
        if entry["identity"] == identity:
            counts: dict[str, int] = entry["counts"]
            return counts
    return None


def nearest(identity: Mapping[str, str], path: Path = STORE) -> str:
    """Name the differences from the stored build that is most like this one."""
    entries = [entry["identity"] for entry in json.loads(path.read_text())]
    if not entries:
        return "nothing is stored"
    differences = [
        [f"{key} is {identity[key]!r}, stored {e.get(key)!r}" for key in identity
         if identity[key] != e.get(key)]
        for e in entries
    ]  # fmt: skip
    return "; ".join(min(differences, key=len))


def store(
    identity: Mapping[str, str], profiles: Mapping[str, Counter[str]], path: Path = STORE
) -> None:
    """Put the counts of this build in the place of those it had."""
    entries = json.loads(path.read_text()) if path.exists() else []
    entries = [entry for entry in entries if entry["identity"] != dict(identity)]
    counts = {case: sum(functions.values()) for case, functions in profiles.items()}
    entries.append({"identity": dict(identity), "counts": counts})
    entries.sort(key=lambda entry: sorted(entry["identity"].items()))
    path.write_text(json.dumps(entries, indent=2) + "\n")
