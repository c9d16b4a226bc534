"""Verify a patch: two kernels, the same traffic through both, and a verdict with evidence."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from gso.kernel import build, debian, patches, vm, wire
from gso.kernel.build import Bootable
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.evidence import read_cell
from gso.kernel.patches import Patch, Variants
from gso.kernel.paths import patches_folder
from gso.kernel.run import output
from gso.kernel.scenarios import FIX, SCENARIOS, TRAFFIC, Scenario
from gso.kernel.verdict import Judged, Verdict, compare, judge, outcome, overall

SCHEMA = 1
UNPATCHED, PATCHED = "unpatched", "patched"

_PLAN: dict[str, Any] = {
    "scenarios": [asdict(scenario) for scenario in SCENARIOS],
    "traffic": [asdict(traffic) for traffic in TRAFFIC],
    "timeout": 8.0,  # seconds for one exchange
}


class Screen(Protocol):
    """Where the run tells how far it is."""

    def stage(self, text: str) -> None:
        """A new step begins."""

    def note(self, text: str) -> None:
        """Something worth knowing was found."""

    def cells(self, kernel: str, done: int, total: int) -> None:
        """So many cells of a kernel's run are done."""

    def scenario(self, report: ScenarioReport) -> None:
        """A scenario has its verdict."""


@dataclass(frozen=True)
class Options:
    """What to verify and how. ``source`` replaces the distribution's kernel by a tree."""

    patches: Sequence[Path]
    results: Path
    kernel: str | None = None
    source: Path | None = None
    fault: bool = True  # take the known fix out of the unpatched tree
    timeout: float = 300.0


@dataclass(frozen=True)
class ScenarioReport:
    """One scenario on both kernels."""

    scenario: Scenario
    verdict: Verdict
    unpatched: list[Judged]
    patched: list[Judged]

    def summary(self) -> dict[str, Any]:
        """Return it as it goes into the report."""
        return {
            **asdict(self.scenario),
            "verdict": self.verdict.value,
            UNPATCHED: [cell.summary() for cell in self.unpatched],
            PATCHED: [cell.summary() for cell in self.patched],
        }


@dataclass
class Report:
    """The whole run. ``error``: the stage that ended it, its message, and the end of its log."""

    verdict: Verdict = Verdict.INCONCLUSIVE
    patches: list[str] = field(default_factory=list)
    kernel: str = ""
    acceleration: str = ""
    steps: tuple[str, ...] = ()
    scenarios: list[ScenarioReport] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    guests: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] | None = None
    folder: Path | None = None

    def still_failing(self) -> list[str]:
        """Return the scenarios that the patch should have fixed and did not."""
        return [s.scenario.name for s in self.scenarios if s.verdict is Verdict.NO_EFFECT]

    def summary(self) -> dict[str, Any]:
        """Return everything as plain data; ``schema`` grows with incompatible changes."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict.value,
            "exit_status": self.verdict.exit_status,
            "still_failing": self.still_failing(),
            "patches": self.patches,
            "kernel": self.kernel,
            "acceleration": self.acceleration,
            "steps": list(self.steps),
            "seconds": self.seconds,
            "guests": self.guests,
            "error": self.error,
            "folder": str(self.folder),
            "scenarios": [s.summary() for s in self.scenarios],
        }


def verify(options: Options, screen: Screen) -> Report:
    """Build, boot, measure, judge. Whatever prevents a verdict ends in INCONCLUSIVE, with why."""
    series = [Patch.read(path) for path in options.patches]
    report = Report(patches=[patch.name for patch in series])
    with _results_folder(options.results, report) as folder:
        try:
            _Run(options, series, screen, report, folder).perform()
        except TestBedError as error:
            report.verdict = Verdict.INCONCLUSIVE
            report.error = {
                "stage": error.stage,
                "message": error.message,
                "log": str(error.log or ""),
                "log_tail": error.log_tail(),
            }
    return report


@contextmanager
def _results_folder(parent: Path, report: Report) -> Iterator[Path]:
    """Make the run's folder; it gets its name when it is complete, and goes when interrupted."""
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{'+'.join(report.patches)[:80]}"
    final = parent.resolve() / stem
    partial = final.with_name(f".{stem}.partial")
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"cannot make the results folder {partial}: {error.strerror}") from None
    try:
        yield partial
        text = json.dumps(report.summary(), indent=1).replace(str(partial), str(final))
        (partial / "results.json").write_text(text)
    except (KeyboardInterrupt, UsageError):
        shutil.rmtree(partial)
        raise
    partial.rename(final)
    report.folder = final


class _Run:
    def __init__(
        self, options: Options, series: list[Patch], screen: Screen, report: Report, folder: Path
    ) -> None:
        self.options, self.series = options, series
        self.screen, self.report, self.folder = screen, report, folder

    def perform(self) -> None:
        kvm = vm.probe_kvm()
        self.report.acceleration = "KVM" if kvm.works else f"emulation ({kvm.reason})"
        self._boot(self._build())
        self.report.verdict = overall([s.verdict for s in self.report.scenarios])

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.report.seconds[stage] = round(time.monotonic() - begun, 2)

    def _variants(self, pristine: Any) -> Variants:
        fix = Patch.read(patches_folder() / f"{FIX}.patch") if self.options.fault else None
        found = patches.variants(pristine, self.series, fix)
        self.report.steps = found.steps
        for step in found.steps:
            self.screen.note(step)
        return found

    def _build(self) -> dict[str, Bootable]:
        if self.options.source:
            return self._build_tree(build.SourceTree(self.options.source))
        return self._build_modules()

    def _build_modules(self) -> dict[str, Bootable]:
        kernel = debian.choose(self.options.kernel)
        self.report.kernel = f"Debian {kernel.release} ({kernel.version})"
        self.screen.stage(f"fetching Debian's kernel {kernel.release}")
        with self._timed("fetch"):
            debian.fetch(kernel)
            found = self._variants(lambda names: debian.source_files(kernel, names))
        return {
            name: self._built(name, lambda log, files=files: build.modules(kernel, files, log))
            for name, files in ((UNPATCHED, found.unpatched), (PATCHED, found.patched))
        }

    def _build_tree(self, tree: build.SourceTree) -> dict[str, Bootable]:
        self.report.kernel = f"{tree.version()} from {tree.source}"
        found = self._variants(tree.pristine)
        return {
            name: self._built(name, lambda log, files=files: tree.build(files, log))
            for name, files in ((UNPATCHED, found.unpatched), (PATCHED, found.patched))
        }

    def _built(self, name: str, make: Any) -> Bootable:
        self.screen.stage(f"building the {name} kernel")
        with self._timed(f"build {name}"):
            made: Bootable = make(self.folder / f"build-{name}.log")
            return made

    def _boot(self, kernels: dict[str, Bootable]) -> None:
        self.screen.stage(f"booting both kernels under {self.report.acceleration}")
        stop = threading.Event()
        judge = _Judge(self.folder, self.report, self.screen)
        with self._timed("boot and traffic"), ThreadPoolExecutor(len(kernels)) as pool:
            running = {
                name: pool.submit(self._boot_one, name, kernel, judge, stop)
                for name, kernel in kernels.items()
            }
            try:
                guests = {name: future.result() for name, future in running.items()}
            except BaseException:
                stop.set()
                raise
        for name, guest in guests.items():
            _check_modules(kernels[name], guest)
            self.report.guests[name] = {k: v for k, v in guest.items() if k != "cells"}

    def _boot_one(
        self, name: str, kernel: Bootable, judge: _Judge, stop: threading.Event
    ) -> dict[str, Any]:
        def progress(event: dict[str, Any]) -> None:
            if event["stage"] == "cell":
                judge.cell_done(name, event["result"])

        def boot() -> dict[str, Any]:
            return vm.boot(
                kernel,
                _PLAN,
                self.folder / name,
                timeout=self.options.timeout,
                progress=progress,
                stop=stop,
            )

        try:
            return boot()
        except vm.VmLostError as lost:
            if lost.booted:
                raise
            # Nothing of the patch had run yet, so this says nothing about it.
            self.screen.note(f"the {name} kernel did not boot ({lost.message}): once more")
            (self.folder / name).rename(self.folder / f"{name}-first-boot")
            return boot()


class _Judge:
    """Judges each scenario as soon as both kernels have been through it."""

    def __init__(self, folder: Path, report: Report, screen: Screen) -> None:
        self._folder, self._report, self._screen = folder, report, screen
        self._done: dict[str, list[dict[str, Any]]] = {UNPATCHED: [], PATCHED: []}
        self._lock = threading.Lock()

    def cell_done(self, kernel: str, result: dict[str, Any]) -> None:
        """Take one cell; both kernels go through the scenarios in the same order."""
        with self._lock:
            cells = self._done[kernel]
            cells.append(result)
            self._screen.cells(kernel, len(cells), len(SCENARIOS) * len(TRAFFIC))
            judged = len(self._report.scenarios)
            if all(len(done) >= (judged + 1) * len(TRAFFIC) for done in self._done.values()):
                self._conclude(judged)

    def _conclude(self, number: int) -> None:
        scenario = SCENARIOS[number]
        unpatched, patched = (
            self._judged(scenario, name, done[number * len(TRAFFIC) :])
            for name, done in self._done.items()
        )
        verdict = compare(scenario, outcome(unpatched), outcome(patched))
        found = ScenarioReport(scenario, verdict, unpatched, patched)
        self._report.scenarios.append(found)
        self._screen.scenario(found)

    def _judged(self, scenario: Scenario, name: str, results: list[dict[str, Any]]) -> list[Judged]:
        folder = self._folder / name / "cells"
        judged = []
        for traffic, result in zip(TRAFFIC, results, strict=False):
            cell = read_cell(result, folder)
            if traffic.segmented:
                stem = f"{scenario.name}-{traffic.name}"
                wire.save_capture(scenario, cell, folder / f"{stem}.pcapng")
            judged.append(judge(traffic, cell, wire.explain(scenario, cell)))
        for raw in folder.glob(f"{scenario.name}-*.frames"):
            raw.unlink()
        return judged


def _check_modules(kernel: Bootable, guest: dict[str, Any]) -> None:
    """Make sure that the modules under test, and not the distribution's, were running."""
    for module in kernel.modules:
        notes = output("readelf", "-n", str(module))
        match = re.search(r"Build ID: ([0-9a-f]+)", notes)
        built = match[1] if match else "none"
        running = guest["modules"].get(module.stem.replace("-", "_"), "none")
        if built != running:
            raise TestBedError(
                "guest", f"{module.name} has build ID {built}, but {running} was running"
            )
