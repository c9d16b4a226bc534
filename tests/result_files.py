"""Small results of each kind, whole and in two parts, and damage done to them as bytes say."""

from __future__ import annotations

import copy
import json
import lzma
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from gso.kernel.hunting import findings as hunts
from gso.kernel.report import load, zoo

STORED = Path(__file__).parent / "kernel" / "data" / "results-applications.json.xz"
NAMES = (load.RESULTS, zoo.RESULTS, hunts.RESULTS)
_VALUES = (
    *(None, True, -1, 0, 2, 1 << 70, 0.5, float("nan"), float("inf"), "", "x", "../x", "\ud800"),
    *("FIXED", "REGRESSED", "a/b\0<&>", [], {}, [1], ["x"], [[]], {"x": 1}, [{}], [None, None]),
)


def parts(name: str) -> list[dict[str, Any]]:
    """Return the results of the two parts of a run, as the file of this name has them."""
    return [_part(name, index) for index in (1, 2)]


def _part(name: str, index: int) -> dict[str, Any]:
    shard = {"index": index, "count": 2, "run": "r", "kernels": ["k"], "faults": ["f"]}
    if name == load.RESULTS:
        return {**_of_a_run(index), "shard": shard}
    if name == zoo.RESULTS:
        row = {"fault": "f", "kernel": "k", "verdict": "FIXED", "why": "", "seconds": 1}
        faults = [{**row, "folder": "x"}] if index == 1 else []
        about = {"schema": "gso.zoo/1", "exit_status": 0, "seconds": 1, "kernels": {"k": "K"}}
        return {**about, "shard": shard, "faults": faults}
    stack = {"near": [], "far": [{"kind": "gre", "outer": 4, "inner": 4, "options": ["csum"]}]}
    found = {"name": "n", "number": index, "text": "t", "first": "t", "seen": 1, "why": "lost"}
    return {
        **{"schema": hunts.NAME, "exit_status": 1, "kernel": "k", "seed": 1, "shard": [index, 2]},
        **{"seconds": 1.5, "stacks": 2, "legal": 2, "judged": 2, "outcomes": {"clean": 1}},
        **{"kinds": {"gre": {"clean": 1}}, "unjudged": {"why": 1}},
        "lost": [{"number": 3, "text": "t", "why": "w"}],
        "findings": [{**found, "stack": stack, "complaints": ["lost"], "measured": {}}],
    }


@cache
def _stored() -> str:
    """Return a real run's results with one scenario, one exchange and one application each."""
    results = json.loads(lzma.decompress(STORED.read_bytes()))
    (kernel,) = results["kernels"]
    del kernel["scenarios"][1:], kernel["applications"]["workloads"][1:]
    for scenario in kernel["scenarios"]:
        for variant in ("unpatched", "patched"):
            del scenario[variant][1:], scenario[variant][0]["offsets"][2:]
    for workload in kernel["applications"]["workloads"]:
        for variant in ("unpatched", "patched"):
            del workload[variant]["steps"][1:], workload[variant]["steps"][0]["milliseconds"][2:]
    kernel["applications"]["drops"] = {"unpatched": [[0.1, 1]], "patched": [[0.1, 0]]}
    return json.dumps(results)


def _of_a_run(index: int) -> dict[str, Any]:
    results = json.loads(_stored())
    (kernel,) = results["kernels"]
    names = [scenario["name"] for scenario in kernel["scenarios"]]
    entries = {"unpatched": 1, "patched": 2}
    code = {"file": "net/a.c", "name": "f", "symbols": ["f"], "entries": entries, "why": ""}
    kernel |= {"id": "k", "planned": names, "part": [index, 2], "crashed": [], "code": [code]}
    kernel |= {"fault": "f", "flaky": []}
    if index == 2:
        kernel |= {"scenarios": [], "applications": None}
    return results


def damaged(document: Any, changes: bytes) -> Any:
    """Replace or take out what pairs of bytes say: a place in the document, and a value."""
    document = copy.deepcopy(document)
    for where, what in zip(changes[::2], changes[1::2], strict=False):
        places = list(_places(document))
        # A byte says one of 256 of them; the next byte's high bit says which half.
        box, key = places[(where + 256 * (what >> 5)) % len(places)]
        value = what % 32
        if value < len(_VALUES):
            box[key] = copy.deepcopy(_VALUES[value])
        elif value == len(_VALUES):
            del box[key]
        else:
            box[key] = copy.deepcopy(document.get("schema"))
        if not document:
            break
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Name each item in a document: what it is in, and where there."""
    boxes = [document]
    while boxes:
        box = boxes.pop()
        for key in list(box) if isinstance(box, dict) else range(len(box)):
            yield box, key
            if isinstance(box[key], dict | list):
                boxes.append(box[key])
