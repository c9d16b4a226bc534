"""The zoo: the fix of each known fault, verified on each kernel, one run of ``verify`` a fault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from gso.kernel.errors import UsageError
from gso.kernel.judging.verdict import Verdict
from gso.kernel.report.zoo import Specimen, Zoo, specimen
from gso.kernel.runs.baseline import Asked
from gso.kernel.runs.screen import Screen
from gso.kernel.runs.verify import Options, verify
from gso.kernel.scenarios import FAULTS, Fault
from gso.kernel.trees.targets import Target


@dataclass(frozen=True)
class Visit:
    """Which faults, by names or globs (none: all), on which of Debian's kernels."""

    results: Path
    kernels: Sequence[str] = ()
    only: Sequence[str] = ()
    timeout: float = 300.0

    def faults(self) -> list[Fault]:
        """Return the faults; raise :class:`UsageError` for a word that takes none."""
        known = ", ".join(fault.name for fault in FAULTS)
        for word in self.only:
            if not any(fnmatchcase(fault.name, word) for fault in FAULTS):
                raise UsageError(f"no fault {word!r}; there are {known}")
        words = self.only or ("*",)
        return [fault for fault in FAULTS if any(fnmatchcase(fault.name, w) for w in words)]

    def options(self, fault: Fault) -> Options:
        """Return how the fix of a fault is verified."""
        asked = Asked(fault.name)
        patches = [fault.patch_path]
        return Options(patches, self.results, self.kernels, asked=asked, timeout=self.timeout)


def zoo(visit: Visit, screen: Screen) -> Zoo:
    """Verify fault after fault. One that dies costs no other its verdict."""
    begun = time.monotonic()
    faults = visit.faults()
    # What no fault could be verified with is wrong usage, before the first.
    targets = visit.options(faults[0]).targets()
    _writable(visit.results)
    found: list[Specimen] = []
    for number, fault in enumerate(faults, 1):
        screen.stage(f"fault {number} of {len(faults)}: {fault.name}")
        found += _verified(visit, fault, targets, screen)
    kernels = {target.id: target.label for target in targets}
    return Zoo(kernels, found, round(time.monotonic() - begun, 2))


def _verified(visit: Visit, fault: Fault, targets: list[Target], screen: Screen) -> list[Specimen]:
    begun = time.monotonic()
    try:
        report = verify(visit.options(fault), screen)
    except Exception as error:
        # Whatever it is, the other faults have their own runs.
        why = f"{type(error).__name__}: {error}"
        screen.note(f"{fault.name}: {why}")
        seconds = round(time.monotonic() - begun, 2)
        nothing = Verdict.INCONCLUSIVE
        return [Specimen(fault.name, target.id, nothing, why, seconds) for target in targets]
    return [specimen(fault.name, kernel, report.folder) for kernel in report.kernels]


def _writable(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the results folder {results}: {error.strerror}") from None
