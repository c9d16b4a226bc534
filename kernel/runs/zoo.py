"""The zoo: the fix of each known fault, verified on each kernel, one run of ``verify`` a fault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from gso.kernel.edition import edition
from gso.kernel.errors import UsageError
from gso.kernel.judging.parts import WHOLE, Part
from gso.kernel.judging.verdict import Verdict
from gso.kernel.report.zoo import Specimen, Zoo, specimen
from gso.kernel.runs.baseline import Asked
from gso.kernel.runs.screen import Screen
from gso.kernel.runs.verify import Options, verify
from gso.kernel.scenarios import FAULTS, Fault
from gso.kernel.trees.kept import key
from gso.kernel.trees.targets import Target


@dataclass(frozen=True)
class Visit:
    """Which faults, by names or globs (none: all), on which of Debian's kernels."""

    results: Path
    kernels: Sequence[str] = ()
    only: Sequence[str] = ()
    timeout: float = 300.0
    part: Part = WHOLE
    reuse: Path | None = None

    def faults(self) -> list[Fault]:
        """Return the faults; raise :class:`UsageError` for a word that takes none."""
        known = ", ".join(fault.name for fault in FAULTS)
        for word in self.only:
            if not any(fnmatchcase(fault.name, word) for fault in FAULTS):
                raise UsageError(f"no fault {word!r}; there are {known}")
        words = self.only or ("*",)
        return [fault for fault in FAULTS if any(fnmatchcase(fault.name, w) for w in words)]

    def options(self, fault: Fault, kernels: Sequence[str]) -> Options:
        """Return how the fix of a fault is verified."""
        asked = Asked(fault.name)
        patches = [fault.patch_path]
        return Options(
            *(patches, self.results, kernels),
            asked=asked,
            timeout=self.timeout,
            reuse=self.reuse,
        )

    def run_key(self, faults: Sequence[Fault], targets: Sequence[Target]) -> str:
        """Return a digest of what the parts of one visit have in common, on whichever host."""
        words = [
            (fault.name, *(path.read_bytes() for path in fault.patch_paths)) for fault in faults
        ]
        return key(edition(), words, [(target.id, target.label) for target in targets])


def zoo(visit: Visit, screen: Screen, executor: Executor | None = None) -> Zoo:
    """Verify fault after fault. One that dies costs no other its verdict.

    A part of a visit has some of the pairs of a fault and a kernel.
    """
    begun = time.monotonic()
    faults = visit.faults()
    # What no fault could be verified with is wrong usage, before the first.
    targets = visit.options(faults[0], visit.kernels).targets()
    _writable(visit.results)
    pairs = [(fault.name, target.id) for fault in faults for target in targets]
    ours = set(visit.part.take(pairs))
    words = dict(zip(targets, visit.kernels or ("",), strict=True))
    found: list[Specimen] = []
    for number, fault in enumerate(faults, 1):
        mine = {t: word for t, word in words.items() if (fault.name, t.id) in ours}
        if mine:
            screen.stage(f"fault {number} of {len(faults)}: {fault.name}")
            found += _verified(visit, fault, mine, screen, executor)
    kernels = {target.id: target.label for target in targets}
    seconds = round(time.monotonic() - begun, 2)
    run = visit.run_key(faults, targets)
    return Zoo(kernels, found, seconds, visit.part, run, [fault.name for fault in faults])


def _verified(
    visit: Visit,
    fault: Fault,
    targets: dict[Target, str],
    screen: Screen,
    executor: Executor | None,
) -> list[Specimen]:
    """Verify a fault's fix on kernels, which are given with the words that mean them."""
    begun = time.monotonic()
    try:
        kernels = list(filter(None, targets.values()))
        report = verify(visit.options(fault, kernels), screen, executor)
    except Exception as error:
        # Whatever it is, the other faults have their own runs.
        why = f"{type(error).__name__}: {error}"
        screen.note(f"{fault.name}: {why}")
        seconds = round(time.monotonic() - begun, 2)
        nothing = Verdict.INCONCLUSIVE
        return [Specimen(fault.name, target.id, nothing, why, seconds) for target in targets]
    return [
        replace(specimen(fault.name, kernel, report.folder), kernel=target.id)
        for target, kernel in zip(targets, report.kernels, strict=True)
    ]


def _writable(results: Path) -> None:
    try:
        results.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the results folder {results}: {error.strerror}") from None
