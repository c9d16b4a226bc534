"""Compare two runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gso.kernel.report.cases import suites


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same; ``None``: that run did not have it.

    ``what`` is a path such as ``debian-6.12.117/gue-outer4-inner4-csum/bulk``; ``problems`` are
    those of the run where it went worse.
    """

    what: str
    first: str | None
    second: str | None
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        change = f"{self.what}: {self.first or 'absent'} -> {self.second or 'absent'}"
        return "\n  ".join([change, *self.problems])


@dataclass(frozen=True)
class Comparison:
    """Two runs. Measured times differ always: they are shown beside, and are no difference."""

    differences: list[Difference]
    latency: list[dict[str, Any]]

    def summary(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "same": not self.differences,
            "differences": [asdict(difference) for difference in self.differences],
            "latency": self.latency,
        }


def compare(first: dict[str, Any], second: dict[str, Any]) -> Comparison:
    """Compare the verdicts, and the outcome of each exchange, of two runs."""
    before, after = _outcomes(first), _outcomes(second)
    found = []
    for name in dict.fromkeys([*before, *after]):
        (one, was_wrong), (two, is_wrong) = (run.get(name, (None, ())) for run in (before, after))
        if one != two:
            found.append(Difference(name, one, two, is_wrong or was_wrong))
    return Comparison(found, _latency(first, second))


def _outcomes(results: dict[str, Any]) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Return each verdict or status by its path. Counts in problems vary, so are not compared."""
    found: dict[str, tuple[str | None, tuple[str, ...]]] = {"verdict": (results["verdict"], ())}
    for suite in suites(results):
        found[suite.name] = suite.verdict, suite.error[:1]
        for group in suite.groups:
            found[f"{suite.name}/{group.name}"] = group.verdict, ()
            for case in group.cases:
                found[f"{suite.name}/{group.name}/{case.name}"] = case.status, case.problems
    return found


def _latency(first: dict[str, Any], second: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the medians of the patched kernels, where both runs have them."""
    before, after = _medians(first), _medians(second)
    return [
        {"what": name, "first_ms": before[name], "second_ms": after[name]}
        for name in before
        if name in after
    ]


def _medians(results: dict[str, Any]) -> dict[str, float]:
    return {
        f"{kernel['id']}/{work['name']}/{step['size']}": step["latency"]["p50"]
        for kernel in results["kernels"]
        for work in (kernel.get("applications") or {"workloads": []})["workloads"]
        for step in work["patched"]["steps"]
        if step["latency"]["p50"] is not None
    }
