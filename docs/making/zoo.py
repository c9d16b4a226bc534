"""The verdicts of ``gso-kernel zoo`` that are to be remembered, and their table.

    python -m making.zoo RESULT...

Each RESULT is what ``gso-kernel zoo --json`` printed. What they say comes into ``docs/zoo.json``,
in the place of what was there of the same faults and kernels, and the table of all into the README.
Of a kernel whose package is another one now, nothing stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from gso.kernel.scenarios import FAULTS

from making.markdown import code, plain, table
from page import replace_table

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs/zoo.json"
BEGIN, END = "<!-- making.zoo: begin -->", "<!-- making.zoo: end -->"

Kept = dict[str, dict[str, Any]]
"""The label of each kernel, and the verdict and the seconds of each fault, by the kernel's id."""


def added(kept: Kept, results: Sequence[dict[str, Any]]) -> Kept:
    """Return what is kept, with what these results say of their kernels."""
    found = dict(kept)
    for result in results:
        for kernel, label in result["kernels"].items():
            same = kernel in found and found[kernel]["label"] == label
            faults = dict(found[kernel]["faults"]) if same else {}
            for one in result["faults"]:
                if one["kernel"] == kernel:
                    faults[one["fault"]] = [one["verdict"], round(one["seconds"])]
            found[kernel] = {"label": label, "faults": dict(sorted(faults.items()))}
    return found


def verdicts(kept: Kept | None = None) -> str:
    """Return the table of faults and kernels; a fault that was not verified has a dash."""
    kernels = list((read() if kept is None else kept).values())
    rows = [
        [code(fault), *(kernel["faults"].get(fault, "-")[0] for kernel in kernels)]
        for fault in sorted(fault.name for fault in FAULTS)
    ]
    halves = [median(seconds for _, seconds in kernel["faults"].values()) for kernel in kernels]
    took = ["half of them took at most", *(f"{round(one)} s each" for one in halves)]
    return table(["fault", *(plain(kernel["label"]) for kernel in kernels)], [*rows, took])


def read() -> Kept:
    """Return what is kept."""
    kept: Kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    return kept


def placed(text: str, shown: str) -> str:
    """Return the text with a table between the marks of the zoo's; ValueError if it lacks them."""
    return replace_table(text, shown, BEGIN, END)


def main(paths: Sequence[str]) -> int:
    """Keep what the results say, and show it in the README."""
    kept = added(read(), [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths])
    KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    readme = ROOT / "README.md"
    readme.write_text(placed(readme.read_text(encoding="utf-8"), verdicts(kept)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
