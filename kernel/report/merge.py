"""Merge the parts of a run of ``verify`` into the results that the whole run would have left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from gso.kernel.bootable import VARIANTS
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.judging import whole
from gso.kernel.judging.coverage import Code
from gso.kernel.judging.parts import Part
from gso.kernel.judging.results import described
from gso.kernel.judging.verdict import Verdict, worst
from gso.kernel.report.load import RESULTS, load, reading
from gso.kernel.report.parts import Found, belonging, copy_evidence
from gso.kernel.report.write import write


def merge(folders: Sequence[Path], parent: Path, command: str) -> tuple[Path, dict[str, Any]]:
    """Write the merged results into a new folder in ``parent``; return it, and them.

    A part that is not there is an error of the kernels that it has a share of.

    Raises:
        UsageError: the folders are not the parts of one run, or cannot be read.
    """
    found, missing = belonging([Found(folder, load(folder)) for folder in folders])
    with reading(found[0].folder):
        names = "+".join(found[0].results["patches"] or found[0].results["shard"]["kernels"])[:80]
        folder = parent.resolve() / f"{time.strftime('%Y%m%d-%H%M%S')}-{Path(names).name}-merged"
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            raise UsageError(f"cannot make {folder}: {error.strerror}") from None
        merged = _merged(found, missing) | {"command": command, "folder": str(folder)}
    for one in found:
        for kernel in one.results["kernels"]:
            if (one.folder / kernel["id"]).is_dir():
                copy_evidence(one.folder / kernel["id"], folder / kernel["id"])
    (folder / RESULTS).write_text(json.dumps(merged, indent=1))
    write(folder)
    return folder, merged


def _merged(found: Sequence[Found], missing: Sequence[int]) -> dict[str, Any]:
    first = found[0].results
    ids, count = first["shard"]["kernels"], first["shard"]["count"]
    kernels = []
    for number, name in enumerate(ids):
        parts = [k for one in found for k in one.results["kernels"] if k["id"] == name]
        lacking = [index for index in missing if number in Part(index, count).of(len(ids))]
        kernels.append(_kernel(name, parts, lacking, count))
    verdict = worst([Verdict(kernel["verdict"]) for kernel in kernels])
    hosts = dict.fromkeys(str(one.results["environment"].get("name", "")) for one in found)
    return {
        **first,
        "verdict": verdict.value,
        "exit_status": verdict.exit_status,
        "shard": {**first["shard"], "index": 1, "count": 1},
        "steps": _once(one.results["steps"] for one in found),
        "acceleration": ", ".join(dict.fromkeys(one.results["acceleration"] for one in found)),
        "started": min(one.results["started"] for one in found),
        "environment": {**first["environment"], "name": ", ".join(filter(None, hosts))},
        "seconds": max(one.results["seconds"] for one in found),
        "merged": [str(one.folder) for one in found],
        "error": None,
        "kernels": kernels,
    }


def _kernel(name: str, parts: list[dict[str, Any]], lacking: list[int], count: int) -> Any:
    """Merge one kernel's parts, in order; ``lacking``: those that are not there."""
    if not parts:
        parts = [_nothing(name)]
    first = parts[0]
    planned = list(dict.fromkeys(s for part in parts for s in part["planned"]))
    by_name = {s["name"]: s for part in parts for s in part["scenarios"]}
    scenarios = [by_name[name] for name in planned if name in by_name]
    error = next((part["error"] for part in parts if part["error"]), None)
    absent = [name for name in planned if name not in by_name]
    if lacking:
        which = ", ".join(map(str, lacking))
        error = described(TestBedError("merge", f"part {which} of {count} is not there"))
    elif absent and not error:
        error = described(TestBedError("merge", f"no part has the scenario {absent[0]}"))
    kernel = {
        **first,
        "still_failing": _once(part["still_failing"] for part in parts),
        "flaky": _once(part["flaky"] for part in parts),
        "findings": _once(part["findings"] for part in parts),
        "steps": _once(part["steps"] for part in parts),
        "fault": next((part["fault"] for part in parts if part["fault"]), None),
        "code": _code(parts),
        "seconds": _joined((part["seconds"] for part in parts), lambda a, b: round(a + b, 2)),
        "guests": _joined((part["guests"] for part in parts), lambda a, b: a or b),
        "boots": [boot for part in parts for boot in part["boots"]],
        "warnings": _joined((part["warnings"] for part in parts), lambda a, b: a + b),
        "crashed": sorted({variant for part in parts for variant in part["crashed"]}),
        "planned": planned,
        "part": [1, 1],
        "scenarios": scenarios,
        "applications": next(
            (part["applications"] for part in parts if part["applications"]), None
        ),
    }
    return kernel | _judged(kernel, error)


def _judged(kernel: dict[str, Any], error: dict[str, str] | None) -> dict[str, Any]:
    """Return the verdict on a merged kernel, and its error, as the whole run would have them."""
    verdicts = [Verdict(scenario["verdict"]) for scenario in kernel["scenarios"]]
    if kernel["applications"]:
        verdicts += [Verdict(one["verdict"]) for one in kernel["applications"]["workloads"]]
    code = [Code(**{**one, "symbols": tuple(one["symbols"])}) for one in kernel["code"]]
    worse, crashed = bool(kernel["findings"]), bool(kernel["crashed"])
    verdict, never_ran = whole.of_kernel(
        verdicts, code, worse=worse, failed=bool(error), crashed=crashed
    )
    return {"verdict": verdict.value, "error": described(never_ran) if never_ran else error}


def _nothing(name: str) -> dict[str, Any]:
    """Return a kernel of which no part is there."""
    lists = ("still_failing", "flaky", "findings", "steps", "code", "boots", "crashed", "planned")
    tables = ("seconds", "guests", "warnings")
    return {
        **{"kernel": name, "id": name, "fault": None, "error": None, "applications": None},
        **{key: [] for key in (*lists, "scenarios")},
        **{key: {} for key in tables},
    }


def _code(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sum up how often each function was entered, over the parts that booted anything."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for part in [part for part in parts if part["boots"]] or parts[:1]:
        for one in part["code"]:
            place = one["file"], one["name"]
            before = found.get(place)
            found[place] = {**one, **_sums(before, one)} if before else one
    return list(found.values())


def _sums(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    counts = {v: [one["entries"].get(v) for one in (first, second)] for v in VARIANTS}
    known = {variant: [n for n in both if n is not None] for variant, both in counts.items()}
    return {
        "symbols": _once([first["symbols"], second["symbols"]]),
        "entries": {variant: sum(both) if both else None for variant, both in known.items()},
        "why": first["why"] or second["why"],
    }


def _once(lists: Iterable[Iterable[Any]]) -> list[Any]:
    return list(dict.fromkeys(one for found in lists for one in found))


def _joined(tables: Iterable[dict[str, Any]], join: Callable[[Any, Any], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for table in tables:
        for key, value in table.items():
            found[key] = join(found[key], value) if key in found else value
    return found
