"""Runs of conformance of which is noted what code they run, added up in a folder."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.conformance.coverage import code, counted, table
from gso.kernel.conformance.coverage.table import Counts
from gso.kernel.errors import UsageError
from gso.kernel.guest.records import SECTIONS
from gso.kernel.machine import blocks
from gso.kernel.progress import Progress
from gso.kernel.trees import debian, debug
from gso.kernel.trees.debian import DebianKernel

COUNTED, PAGE = "coverage.json", "coverage.md"
# Where x86 has modules, which are loaded when the machine runs.
_MODULES = range(0xFFFFFFFFC0000000, 0xFFFFFFFFFF000000)


class Coverage:
    """The counts in a folder, and those of one run more: how many machines ran each line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._counts: Counts = {}
        self._runs: list[dict[str, Any]] = []

    def prepare(self, kernel: DebianKernel, progress: Progress) -> None:
        """Find the code of the functions that are meant in one of Debian's kernels."""
        self._kernel = kernel
        self._recall()
        progress.stage("fetching its debugging symbols and its source")
        place = debug.symbols(kernel, counted.modules())
        names = {
            name
            for file in counted.files()
            for name in counted.lines(file, self.read(file.name)).values()
        }
        progress.stage("finding the instructions of each line")
        self._code = code.of_kernel(place, names)
        for one in self._code:
            for places in one.lines.values():
                self._count(places, 0)

    @property
    def watched(self) -> tuple[range, ...]:
        """The addresses of the code in a machine."""
        own = [extent for one in self._code if not one.module for extent in one.extents]
        return (*own, _MODULES)

    def read(self, name: str) -> str:
        """Return the text of a file of the kernel's source."""
        path = debian.whole_source(self._kernel) / name
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def _of(self) -> str:
        return f"{self._kernel.release}, {self._kernel.version}"

    def _recall(self) -> None:
        """Read what earlier runs counted, in the same kernel: in others lines differ."""
        path = self._folder / COUNTED
        if not path.exists():
            return
        try:
            found = json.loads(path.read_text())
            if found["kernel"] != self._of:
                raise UsageError(f"{path} is of {found['kernel']}, not of {self._of}")
            self._runs = list(found["runs"])
            self._counts = {
                file: Counter({int(line): int(count) for line, count in lines.items()})
                for file, lines in found["lines"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: not the counts of earlier runs: {error}") from None

    def take(self, folder: Path) -> None:
        """Add what a machine left in its folder: what QEMU noted, and where its modules were."""
        ran = blocks.ran(folder)
        sections = guest_files.read_json(folder / SECTIONS)
        reached: set[tuple[str, int]] = set()
        for one in self._code:
            with guest_files.understood(SECTIONS):
                start = code.at(one, sections)
            if start is not None:
                for address, places in one.lines.items():
                    if start + address in ran:
                        reached.update(places)
        self._count(list(reached), 1)

    def _count(self, places: code.Places, by: int) -> None:
        for file, line in places:
            self._counts.setdefault(file, Counter())[line] += by

    def write(self, run: Mapping[str, Any]) -> str:
        """Keep the counts with this run among their runs, and the page; return a table."""
        self._runs.append(dict(run))
        text = json.dumps({"kernel": self._of, "runs": self._runs, "lines": self._counts})
        (self._folder / COUNTED).write_text(text + "\n")
        found = table.lines(self._counts, self.read)
        (self._folder / PAGE).write_text(table.page(self._of, self._runs, found))
        return table.files(found)
