"""Verify patches on a matrix of kernels: the same traffic through both variants of each.

Builds happen one after the other in the calling thread; each kernel's boots are queued as soon as
it is built (:mod:`gso.kernel.machine.jobs`) and judged in order while later kernels are still
being built (:mod:`gso.kernel.runs.follow`).
"""

from __future__ import annotations

import errno
import json
import os
import platform
import shlex
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from gso.kernel.bootable import VARIANTS, Bootable
from gso.kernel.edition import edition
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.judging.applications import Workload
from gso.kernel.judging.parts import WHOLE, Part
from gso.kernel.judging.results import KernelReport, Report
from gso.kernel.judging.verdict import Verdict
from gso.kernel.machine import capacity, jobs, kvm, qemu, tools, vm
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.machine.qemu import Machine
from gso.kernel.machine.share import Share
from gso.kernel.processes import output
from gso.kernel.report.write import write
from gso.kernel.runs import baseline, doctor
from gso.kernel.runs.application_boots import ApplicationBoots
from gso.kernel.runs.baseline import Asked, Baseline
from gso.kernel.runs.boots import BootQueue
from gso.kernel.runs.follow import KernelRun, follow, queue_kernel
from gso.kernel.runs.reuse import Known
from gso.kernel.runs.screen import Screen
from gso.kernel.scenarios import Scenario
from gso.kernel.trees.build import SourceTree
from gso.kernel.trees.kept import key
from gso.kernel.trees.patches import Patch, read_series
from gso.kernel.trees.repository import Repository
from gso.kernel.trees.targets import (
    CommitTarget,
    DebianPair,
    DebianTarget,
    ImageTarget,
    Target,
    TreeTarget,
    distinct,
)

_SMALLEST_GROUP = 4


@dataclass(frozen=True)
class Options:
    """Patches to verify, and how. No ``kernels`` and no ``sources``: Debian's newest kernel."""

    patches: Sequence[Path]
    results: Path
    kernels: Sequence[str] = ()
    sources: Sequence[Path] = ()
    asked: Asked = field(default_factory=Asked)  # what is to be compared, and where
    commit: str | None = None  # of the only source; without patches it is the patch itself
    range: str | None = None  # commits of the only source, each the patch itself
    images: Sequence[Path] = ()  # unpatched and patched, compared as they are
    modules: Sequence[Path] = ()  # lib/modules/RELEASE of the images: one for both, or two
    pair: tuple[str | None, str | None] = (None, None)  # Debian's kernels: before, and after
    config: Sequence[str] = ()  # configuration fragments for sources, beside the standard ones
    timeout: float = 300.0
    repeat: int = 1
    applications: Sequence[Workload] = ()
    part: Part = WHOLE  # this host's of the run
    reuse: Path | None = None  # a folder with results whose boots are taken where they are the same

    def targets(self) -> list[Target]:
        """Return the kernels that were asked for."""
        self._check()
        chosen: list[Target] = [DebianTarget(kernel, self.config) for kernel in self.kernels]
        if self.images:
            chosen.append(ImageTarget(self.images, self.modules))
        before, after = self.pair
        if before and after:
            chosen.append(DebianPair(before, after))
        for source in self.sources:
            if self.patches:
                chosen.append(TreeTarget(SourceTree(source, self.commit, self.config)))
            else:
                chosen += [CommitTarget(source, each, self.config) for each in self._commits()]
        return distinct(chosen or [DebianTarget(None, self.config)])

    def _commits(self) -> list[str]:
        if self.range:
            return Repository(self.sources[0]).range(self.range)
        return [self.commit] if self.commit else []

    def _check(self) -> None:
        """Refuse combinations that mean nothing."""
        baseline.check(self.asked)
        if (self.commit or self.range) and len(self.sources) != 1:
            raise UsageError("--commit and --range need one --source, the repository")
        if self.range and self.patches:
            raise UsageError("the commits of --range are the patches: give no PATCH with it")
        if (self.pair[0] is None) != (self.pair[1] is None):
            raise UsageError("--before and --after belong together")
        itself = bool(self.images or self.commit or self.range or self.pair[0])
        if not self.patches and (not itself or self.kernels):
            raise UsageError(
                "no PATCH given; only --commit, --range, --image and --before do without one"
            )
        if self.patches and (self.images or self.pair[0]):
            raise UsageError(
                "a PATCH cannot be applied to --image or --before; compare the two without one"
            )
        if self.modules and not self.images:
            raise UsageError("--modules belong to --image")

    def run_key(self, targets: Sequence[Target]) -> str:
        """Return a digest of what the parts of one run have in common, on whichever host."""
        patches = [(path.name, path.read_bytes()) for path in self.patches]
        kernels = [(target.id, target.label) for target in targets]
        asked = (self.asked, self.config, self.repeat, self.applications)
        return key(edition(), patches, kernels, asked)


def verify(
    options: Options,
    screen: Screen,
    executor: Executor | None = None,
    kept: KeptMachine | None = None,
) -> Report:
    """Build, boot, measure, judge. Whatever prevents a verdict ends in INCONCLUSIVE, with why.

    ``executor`` gets the boots as picklable :class:`gso.kernel.machine.jobs.Job`, leaves their
    evidence in the results folder, and stays open. The default runs as many on this machine as its
    memory and cores carry. ``kept`` takes over the machine of its variant; then there is one kernel
    and one boot of each.
    """
    begun = time.monotonic()
    series = [patch for path in options.patches for patch in read_series(path)]
    targets = options.targets()
    if kept and (len(targets) != 1 or options.repeat != 1 or not options.part.whole):
        raise UsageError(
            "one machine can be kept: give one kernel or commit, and no --repeat or --shard"
        )
    ours = [(targets[number], part) for number, part in options.part.of(len(targets)).items()]
    report = Report(
        patches=[patch.name for patch in series],
        command=shlex.join(["gso-kernel", *sys.argv[1:]]),
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        environment=_environment(),
        kernels=[KernelReport(target.id, target.label, part=part) for target, part in ours],
        part=options.part,
        run=options.run_key(targets),
        every=[target.id for target in targets],
    )
    known = _known(options, executor, screen)
    with _results_folder(options.results, report) as folder:
        run = _Run(options, series, screen, folder, kept, boots_here=executor is None, known=known)
        with nullcontext(executor) if executor else jobs.local_executor() as machines:
            every = zip((target for target, _ in ours), report.kernels, strict=True)
            run.perform(list(every), machines)
        report.acceleration = getattr(executor, "acceleration", "") or _acceleration()
        report.seconds = round(time.monotonic() - begun, 2)
    return report


def build(options: Options, folder: Path, screen: Screen) -> Iterator[tuple[str, str, Bootable]]:
    """Make both variants of each kernel ready, logs in ``folder``; yield id, variant and kernel."""
    series = [patch for path in options.patches for patch in read_series(path)]
    for target in options.targets():
        screen.stage(f"preparing {target.label}")
        for step in target.prepare(baseline.chooser(series, options.asked)):
            screen.note(step)
        for variant in VARIANTS:
            screen.stage(f"building the {variant} kernel")
            yield target.id, variant, target.build(variant, folder / f"{target.id}-{variant}.log")


def outlook(options: Options) -> list[str]:
    """Return, line by line, what :func:`verify` would fetch, build and boot; nothing is done."""
    series = [patch for path in options.patches for patch in read_series(path)]
    lines = []
    targets = options.targets()
    for target in targets:
        lines.append(f"{target.id}: {target.label}")
        try:
            lines += [f"  {line}" for line in baseline.outlook(target, series, options.asked)]
        except TestBedError as error:
            lines.append(f"  {error}")
    boots = len(targets) * len(VARIANTS) * options.repeat
    at_once = min(boots, capacity.local_slots())
    folder = Path("FOLDER")
    machine = Machine(Bootable(Path("IMAGE")), Share(folder, folder), folder, port=3)
    example = qemu.command(machine, Path("INITRAMFS"))
    return [
        *lines,
        f"{boots} boots, {at_once} at once, up to {options.timeout:g} s each",
        f"  each: {shlex.join(example)}",
    ]


def _acceleration() -> str:
    native = kvm.probe()
    return "KVM" if native.works else f"emulation ({native.reason})"


def _environment() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        emulator = output("qemu-system-x86_64", "--version").splitlines()[0]
    except TestBedError:
        emulator = "not installed"
    return {
        "pygso": metadata.version("pygso"),
        "virtme-ng": metadata.version("virtme-ng"),
        "qemu": emulator,
        "boot": vm.way(),
        "python": platform.python_version(),
        "name": platform.node(),
        "host": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory,
    }


def _known(options: Options, executor: Executor | None, screen: Screen) -> Known | None:
    """Return the earlier boots that this run may take."""
    if options.reuse is None:
        return None
    own = getattr(executor, "equipment", None) if executor else tools.equipment()
    if not own:
        screen.note("nothing is reused: the workers' machines are not made of the same programs")
        return None
    return Known(options.reuse, own, screen.note)


def _free_folder(parent: Path, stem: str) -> tuple[Path, Path]:
    """Make a folder for a run that goes on; return it and its later name, both its own."""
    number = 0
    while True:
        number += 1
        final = parent / (f"{stem}-{number}" if number > 1 else stem)
        partial = final.with_name(f".{final.name}.partial")
        try:
            partial.mkdir(parents=True)
        except FileExistsError:
            continue  # another run began in the same second
        except OSError as error:
            text = f"cannot make the results folder {partial}: {error.strerror}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise TestBedError("set-up", text) from None
            raise UsageError(text) from None
        if not final.exists():
            return partial, final
        partial.rmdir()


@contextmanager
def _results_folder(parent: Path, report: Report) -> Iterator[Path]:
    """Make the run's folder; it gets its name when it is complete, and goes when interrupted."""
    name = "+".join(report.patches or [kernel.id for kernel in report.kernels])[:80]
    part = "" if report.part.whole else f"-shard{report.part.index}of{report.part.count}"
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{name}{part}"
    partial, final = _free_folder(parent.resolve(), stem)
    try:
        yield partial
    except (KeyboardInterrupt, UsageError):
        shutil.rmtree(partial)
        raise
    for kernel in report.kernels:
        if kernel.error:
            kernel.error["log"] = kernel.error["log"].replace(str(partial), str(final))
    report.folder = final
    (partial / "results.json").write_text(json.dumps(report.summary(), indent=1))
    partial.rename(final)
    # Last: whatever the report may stumble over, the run is kept.
    try:
        write(final)
    except UsageError as error:  # nobody has named this folder
        raise TestBedError("report", str(error)) from None


class _Run:
    def __init__(
        self,
        options: Options,
        series: list[Patch],
        screen: Screen,
        folder: Path,
        kept: KeptMachine | None,
        *,
        boots_here: bool,
        known: Known | None,
    ) -> None:
        self._options, self._series, self._known = options, series, known
        self._screen, self._folder, self._kept = screen, folder, kept
        self._boots_here = boots_here
        self._stop = folder / "stop"

    def perform(self, kernels: list[tuple[Target, KernelReport]], machines: Executor) -> None:
        """Build each kernel and queue its boots; judge them, in order, in one other thread."""
        with ThreadPoolExecutor(1, thread_name_prefix="judge") as judge:
            judged: list[Future[None]] = []
            try:
                for target, report in kernels:
                    made = self._build(target, report)
                    if made is not None:
                        kernel = self._queued(report, *made, len(kernels), machines)
                        partial = not report.part.whole
                        judged.append(
                            judge.submit(follow, kernel, report, self._screen, partial=partial)
                        )
                for future in judged:
                    future.result()
            except BaseException:
                self._stop.touch()
                raise

    def _build(
        self, target: Target, report: KernelReport
    ) -> tuple[Baseline, dict[str, Bootable]] | None:
        """Return both variants, or ``None`` when one cannot be made: other kernels go on."""
        folder = self._folder / target.id
        folder.mkdir()
        try:
            self._screen.stage(f"preparing {target.label}")
            with _timed(report, "prepare"):
                found, report.steps = baseline.find(target, self._series, self._options.asked)
            report.fault = found.fault.name if found.fault else None
            for step in report.steps:
                self._screen.note(step)
            report.planned = [scenario.name for scenario in found.scenarios]
            found = replace(found, scenarios=tuple(report.part.take(found.scenarios)))
            if not found.scenarios and not self._workloads(report):
                self._screen.note(f"{target.label}: nothing is left for part {report.part}")
                report.verdict = Verdict.UNAFFECTED
                return None
            doctor.check(*self._parts(target))
            built = {v: self._built(target, report, v, folder) for v in VARIANTS}
            config = built[VARIANTS[-1]].config
            if config:
                shutil.copy2(config, folder / "config")
            return found, built
        except TestBedError as error:
            report.fail(error)
            self._screen.note(f"{target.label}: {error}")
            return None

    def _parts(self, target: Target) -> tuple[str, ...]:
        """Return the parts of the run for which this host needs programs."""
        return (target.work(), tools.MACHINE) if self._boots_here else (target.work(),)

    def _built(self, target: Target, report: KernelReport, variant: str, folder: Path) -> Bootable:
        self._screen.stage(f"building the {variant} kernel")
        with _timed(report, f"build {variant}"):
            return target.build(variant, folder / f"build-{variant}.log")

    def _queued(
        self,
        report: KernelReport,
        found: Baseline,
        built: dict[str, Bootable],
        kernels: int,
        machines: Executor,
    ) -> KernelRun:
        slots = jobs.slots(machines)
        self._screen.stage(f"booting {report.label}, both variants")
        suffix = "" if self._options.part.whole else f"-shard{self._options.part.index}"
        folder, timeout = self._folder / report.id, self._options.timeout
        queue = BootQueue(machines, folder, self._stop, timeout, suffix=suffix, known=self._known)
        groups, scenarios = queue.known_groups(built, found.scenarios, found.functions)
        spare = slots // (len(VARIANTS) * kernels * self._options.repeat)
        # What is kept has all scenarios set up.
        groups += _groups(scenarios, 1 if self._kept else spare)
        kernel = queue_kernel(
            queue, built, groups, found, repeat=self._options.repeat, kept=self._kept
        )
        if workloads := self._workloads(report):
            if not (found.fault and found.fault.applications and found.roles.fails):
                workloads = [replace(workload, role="control") for workload in workloads]
            boots = ApplicationBoots(queue, built, workloads)
            kernel = replace(kernel, applications=boots)
        return kernel

    def _workloads(self, report: KernelReport) -> Sequence[Workload]:
        """Return the applications' workloads, which the first part of a kernel has."""
        return self._options.applications if report.part.index == 1 else ()


def _groups(scenarios: Sequence[Scenario], spare: int) -> list[tuple[Scenario, ...]]:
    """Divide the scenarios among as many boots as there are machines to spare, but not too thin."""
    if not scenarios:
        return []
    number = max(1, min(spare, len(scenarios) // _SMALLEST_GROUP))
    size = -(-len(scenarios) // number)
    return [tuple(scenarios[at : at + size]) for at in range(0, len(scenarios), size)]


@contextmanager
def _timed(report: KernelReport, stage: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    report.seconds[stage] = round(time.monotonic() - begun, 2)
