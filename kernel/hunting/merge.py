"""Merge what the parts of one hunt have found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.guest.judge import same
from gso.kernel.guest.stacks import Stack, explains
from gso.kernel.guest_files import understood
from gso.kernel.hunting.findings import LOST, NAME, RESULTS

from gso.printable import printable_lines

_SUMS = ("stacks", "legal", "judged")
_LOST = ("name", *LOST)


def merge(folders: Sequence[Path], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of all; ``results`` are those in the folders.

    What one host would have taken for the same fault becomes one finding, that of the lowest stack.
    A part that is not there is named, and then nothing is called whole.

    Raises:
        UsageError: they are not parts of one hunt.
    """
    with understood(RESULTS):
        return _merged(folders, results)


def of_one_host(
    folders: Sequence[Path], results: Sequence[dict[str, Any]], shard: tuple[int, int]
) -> dict[str, Any]:
    """Return the summary of a hunt, itself a part of so many, whose parts were done at once."""
    index, count = shard
    parts = [
        {**one, "shard": [(one["shard"][0] - index) // count + 1, one["shard"][1] // count]}
        for one in results
    ]
    return {**merge(folders, parts), "shard": list(shard)}


def _merged(folders: Sequence[Path], results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = results[0]
    seen: dict[int, Path] = {}
    for folder, one in zip(folders, results, strict=True):
        if one["schema"] != NAME:
            raise UsageError(f"{folder / RESULTS} is not of the schema {NAME}")
        same = all(one[key] == first[key] for key in ("kernel", "seed"))
        if not same or one["shard"][1] != first["shard"][1]:
            raise UsageError(f"{folders[0]} and {folder} are not parts of one hunt")
        index = one["shard"][0]
        if index in seen:
            raise UsageError(f"{seen[index]} and {folder} are both part {index}: give one")
        seen[index] = folder
    missing = [n for n in range(1, first["shard"][1] + 1) if n not in seen]
    found = _findings(results)
    # Earlier editions named no hosts, and told no stack.
    every = [{"host": "", **lost} for one in results for lost in one["lost"]]
    lost = [{key: one[key] for key in _LOST if key in one} for one in every]
    sums = {key: sum(one[key] for one in results) for key in _SUMS}
    nothing = missing or not sums["judged"]
    return {
        **first,
        "exit_status": 1 if found or lost else TestBedError.exit_status if nothing else 0,
        "shard": [1, 1],
        "missing": missing,
        "seconds": max(one["seconds"] for one in results),
        **sums,
        "outcomes": _counts(one["outcomes"] for one in results),
        "kinds": {
            kind: _counts(one["kinds"].get(kind, {}) for one in results)
            for kind in sorted({kind for one in results for kind in one["kinds"]})
        },
        "unjudged": _counts(one["unjudged"] for one in results),
        "hosts": _counts(one.get("hosts", {}) for one in results),
        "lost": sorted(lost, key=lambda one: int(one["number"])),
        "findings": found,
    }


def _findings(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    every = [finding for one in results for finding in one["findings"]]
    found: list[dict[str, Any]] = []
    for finding in sorted(every, key=lambda one: int(one["number"])):
        before = next((one for one in found if _explains(one, finding)), None)
        if before is None:
            found.append({**finding, "why": finding["why"], "seen": finding["seen"]})
        else:
            before["seen"] += finding["seen"]
    return found


def _explains(earlier: dict[str, Any], finding: dict[str, Any]) -> bool:
    """Say whether one host would have taken a finding for an earlier one of another part."""
    alike = explains(Stack.of(earlier["stack"]), Stack.of(finding["stack"]))
    return alike and bool(same(*(frozenset(one["complaints"]) for one in (finding, earlier))))


def _counts(tables: Any) -> dict[str, int]:
    total: Counter[str] = Counter()
    for table in tables:
        total.update(table)
    return dict(total)


def text(merged: dict[str, Any]) -> str:
    """Return the findings and the sums, for people."""
    lines = [f"kernel {merged['kernel']}, seed {merged['seed']}"]
    for finding in merged["findings"]:
        lines.append(f"FINDING {finding['text']}")
        where = f", first on {finding['host']}" if finding.get("host") else ""
        lines.append(f"        {finding['why']} (seen {finding['seen']} times{where})")
    for lost in merged["lost"]:
        lines += [f"LOST    {lost['text']}", f"        {lost['why']}"]
    lines += [f"part {index} is not there" for index in merged["missing"]]
    lines += [f"machines of {host}: {count}" for host, count in sorted(merged["hosts"].items())]
    counts = ", ".join(f"{merged[key]} {key}" for key in _SUMS)
    return printable_lines("\n".join([*lines, f"{counts}, {len(merged['findings'])} findings"]))
