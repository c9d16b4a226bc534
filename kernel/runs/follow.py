"""Follow the boots of one kernel, order lost ones again, and judge scenario by scenario.

What a virtual machine's end means:

- It ended without a trace of a crash, or its time ran out: the machine was *lost*. It is ordered
  once more; lost again, nothing can be said.
- The kernel *crashed* (its log says so) or *hung* (the guest had started and fell silent): it is
  ordered once more too, from the scenario where it ended. Crashed or hung again, the crash is
  reproduced: that scenario failed on that variant, like any other failure, and the scenarios after
  it get a boot of their own.
- A scenario that fails on both variants is REGRESSED where only the patched one crashes in it, or
  where a kind of traffic fails that came through without the patch.
- A warning in the kernel log, a memory leak, or packets never freed, that only the patched variant
  has, are the patch's too: REGRESSED, whatever the traffic says.
- A crash before any traffic that is reproduced on the patched variant, while the unpatched one ran
  through, is the patch's: REGRESSED. On the unpatched variant nothing can be said.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gso.kernel.errors import TestBedError
from gso.kernel.judging import kernel_log as health
from gso.kernel.judging import kmemleak
from gso.kernel.judging import wire_check as wire
from gso.kernel.judging.evidence import read_cell
from gso.kernel.judging.results import PATCHED, UNPATCHED, VARIANTS, KernelReport, ScenarioReport
from gso.kernel.judging.verdict import (
    Judged,
    Outcome,
    Verdict,
    compare,
    judge,
    outcome,
    overall,
    worst,
)
from gso.kernel.machine import jobs
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.machine.kept_shell import Keeper
from gso.kernel.scenarios import Scenario, plan
from gso.kernel.trees.build import Bootable, check_modules

if TYPE_CHECKING:
    from gso.kernel.judging.applications import WorkloadReport
    from gso.kernel.runs.application_boots import ApplicationBoots

_EXCHANGE_SECONDS = 8.0
_POLL_SECONDS = 0.1
# Once to see a crash, once to reproduce it, once for the scenarios behind it.
_MOST_BOOTS = 3


class Screen(Protocol):
    """Where the run tells how far it is."""

    def stage(self, text: str) -> None:
        """A new step begins."""

    def note(self, text: str) -> None:
        """Something worth knowing was found."""

    def kernel(self, report: KernelReport) -> None:
        """The scenarios of this kernel follow."""

    def cells(self, variant: str, done: int, total: int) -> None:
        """So many exchanges of a variant's boot are done."""

    def scenario(self, report: ScenarioReport) -> None:
        """A scenario has its verdict."""

    def workload(self, report: WorkloadReport) -> None:
        """A workload of the real applications has its verdict."""


@dataclass(frozen=True)
class Orders:
    """Where boots are ordered, and what is the same for all of one kernel's."""

    machines: Executor
    folder: Path
    stop: Path
    timeout: float
    keeper: Keeper | None = None

    def submit(self, name: str, kernel: Bootable, scenarios: list[Scenario]) -> Order:
        """Order one boot with its evidence in the folder ``name``."""
        planned = {"scenarios": plan(scenarios), "timeout": _EXCHANGE_SECONDS}
        return self.submit_plan(name, kernel, planned)

    def submit_plan(self, name: str, kernel: Bootable, plan: dict[str, Any]) -> Order:
        """Order one boot with any plan."""
        job = Job(kernel, plan, self.folder / name, self.timeout, self.stop, self.keeper)
        return Order(job, self.machines.submit(jobs.run, job))

    def place(self, folder: Path) -> str:
        """Return the path of a folder within the results folder, which is still to be renamed."""
        return str(folder.relative_to(self.folder.parent))


@dataclass(frozen=True)
class Order:
    """A boot that was ordered."""

    job: Job
    result: Future[Result]


@dataclass(frozen=True)
class Measured:
    """One scenario on one variant: what the guest reported of it, and where the evidence is."""

    folder: Path
    place: str  # the same within the results folder
    cells: list[dict[str, Any]]
    crash: str = ""


class Side:
    """One variant going through a group of scenarios, in one boot if all goes well."""

    def __init__(
        self, orders: Orders, name: str, kernel: Bootable, scenarios: Sequence[Scenario]
    ) -> None:
        self._orders, self._name, self._kernel = orders, name, kernel
        self._total = _exchanges(scenarios)
        self._lost = False  # the boot before this one was lost in this place
        self.measured: dict[str, Measured] = {}
        self.guest: dict[str, Any] = {}
        self.boots: list[dict[str, Any]] = []
        self.error: TestBedError | None = None
        self.early_crash = ""
        self.finished = False
        self._boot(list(scenarios))

    def _boot(self, left: list[Scenario]) -> None:
        number = len(self.boots) + 1
        name = self._name if number == 1 else f"{self._name}-boot{number}"
        self._left, self._cells = left, 0
        self._order = self._orders.submit(name, self._kernel, left)

    @property
    def done(self) -> tuple[int, int]:
        """The exchanges done so far, and those in all."""
        return self._total - _exchanges(self._left) + self._cells, self._total

    def poll(self) -> None:
        """Take what the guest has reported, and what its end means."""
        if self.finished:
            return
        ended = self._order.result.done()  # asked first: what is read after it is complete
        unfinished = self._take_cells()
        if ended:
            self._conclude(self._order.result.result(), unfinished)

    def _take_cells(self) -> list[dict[str, Any]]:
        """Take the scenarios that are complete; return the cells of the one that is not."""
        job = self._order.job
        cells = [event["result"] for event in jobs.events(job.folder) if event["stage"] == "cell"]
        planned = sum(len(scenario["traffic"]) for scenario in job.plan["scenarios"])
        cells = cells[planned - _exchanges(self._left) :]
        while self._left and len(cells) >= len(self._left[0].traffic):
            number = len(self._left[0].traffic)
            self._measure(cells[:number])
            cells = cells[number:]
        self._cells = len(cells)
        return cells

    def _measure(self, cells: list[dict[str, Any]], crash: str = "") -> None:
        scenario, folder = self._left.pop(0), self._order.job.folder / "cells"
        self.measured[scenario.name] = Measured(folder, self._orders.place(folder), cells, crash)
        # The next loss is in another place.
        self._lost = False

    def _conclude(self, result: Result, unfinished: list[dict[str, Any]]) -> None:
        job = self._order.job
        self.boots.append(
            {
                "folder": self._orders.place(job.folder),
                "status": result.status,
                "seconds": result.seconds,
                "message": result.message,
            }
        )
        if result.status == "done":
            self._check(result)
        elif result.status == "failed":
            self._give_up(result.error())
        elif not self._lost and len(self.boots) < _MOST_BOOTS:
            self._boot_again()
        elif result.status == "lost":
            self._give_up(result.error())
        else:
            self._reproduced(result, unfinished)

    def _boot_again(self) -> None:
        self._boot(self._left)
        self._lost = True

    def log(self) -> str:
        """Return the kernel log of the boot that went through; a crash is told elsewhere."""
        console = self._order.job.folder / "console.log"
        return console.read_text(errors="replace") if self.guest else ""

    def leaks(self) -> list[kmemleak.Leak]:
        """Return what kmemleak found, on a kernel that has it."""
        path = self._order.job.folder / "kmemleak.log"
        return kmemleak.parse(path.read_text(errors="replace")) if path.exists() else []

    def complaints(self) -> list[health.Complaint]:
        """Return what the kernel complained of."""
        return health.complaints(self.log())

    def _check(self, result: Result) -> None:
        self.finished = True
        self.guest = {key: value for key, value in result.guest.items() if key != "cells"}
        try:
            check_modules(self._kernel, result.guest["modules"])
        except TestBedError as error:
            self.error = error

    def _give_up(self, error: TestBedError) -> None:
        self.finished, self.error = True, error

    def _reproduced(self, result: Result, unfinished: list[dict[str, Any]]) -> None:
        """The kernel crashed or hung a second time in the same place."""
        crash = f"{result.message}\n{result.log_tail}"
        if not traffic_began(self._order.job.folder):
            self.early_crash = crash
            self._give_up(result.error())
            return
        self._measure(unfinished, crash)
        if self._left and len(self.boots) < _MOST_BOOTS:
            self._boot(self._left)
        elif self._left:
            self._give_up(result.error())
        else:
            self.finished = True


def _exchanges(scenarios: Sequence[Scenario]) -> int:
    return sum(len(scenario.traffic) for scenario in scenarios)


def traffic_began(folder: Path) -> bool:
    """Say whether the guest had set everything up: its next step is the first exchange."""
    return any(event["stage"] in ("probes", "traffic", "cell") for event in jobs.events(folder))


@dataclass(frozen=True)
class Kernel:
    """One kernel, built, with its boots ordered: ``rounds`` of groups of both variants."""

    groups: Sequence[tuple[Scenario, ...]]
    rounds: list[list[dict[str, Side]]]
    applications: ApplicationBoots | None = None


def order(
    orders: Orders,
    built: dict[str, Bootable],
    groups: Sequence[tuple[Scenario, ...]],
    repeat: int,
    keeper: Keeper | None = None,
) -> Kernel:
    """Order all boots of a kernel; the keeper takes over those of its variant."""
    orders_for = {
        variant: replace(orders, keeper=keeper) if keeper and keeper.variant == variant else orders
        for variant in built
    }

    def name(variant: str, group: int, number: int) -> str:
        run = f"-run{number + 1}" if number else ""
        return variant + (f"-group{group + 1}" if group else "") + run

    return Kernel(
        groups,
        [
            [
                {
                    variant: Side(orders_for[variant], name(variant, at, number), kernel, group)
                    for variant, kernel in built.items()
                }
                for at, group in enumerate(groups)
            ]
            for number in range(repeat)
        ],
    )


def one_side(
    orders: Orders, kernel: Bootable, scenarios: tuple[Scenario, ...]
) -> dict[str, Outcome]:
    """Boot one kernel and return how each scenario went on it; raise what prevents that."""
    side = Side(orders, "kernel", kernel, scenarios)
    while not side.finished:
        side.poll()
        time.sleep(_POLL_SECONDS)
    if side.early_crash:
        return dict.fromkeys((scenario.name for scenario in scenarios), Outcome.FAIL)
    if side.error:
        raise side.error
    found = {scenario: side.measured[scenario.name] for scenario in scenarios}
    return {
        scenario.name: Outcome.FAIL if measured.crash else outcome(_cells(scenario, measured))
        for scenario, measured in found.items()
    }


def follow(kernel: Kernel, report: KernelReport, screen: Screen) -> None:
    """Judge each scenario as soon as both variants have been through it; then the kernel."""
    begun = time.monotonic()
    screen.kernel(report)
    found: dict[str, list[ScenarioReport]] = {}
    further: list[Verdict] = []
    try:
        for sides_of_groups in kernel.rounds:
            for group, sides in zip(kernel.groups, sides_of_groups, strict=True):
                for scenario in _judged(group, sides, screen):
                    found.setdefault(scenario.scenario.name, []).append(scenario)
                _record(sides, report)
        if kernel.applications:
            further = kernel.applications.conclude(report, screen)
    except TestBedError as error:
        report.fail(error)
    report.scenarios = [_summed(runs) for runs in found.values()]
    report.seconds["boot and traffic"] = round(time.monotonic() - begun, 2)
    report.verdict = _verdict(
        report, [side for r in kernel.rounds for s in r for side in s.items()], further
    )


def _judged(
    group: tuple[Scenario, ...], sides: dict[str, Side], screen: Screen
) -> Iterator[ScenarioReport]:
    waiting = list(group)
    while True:
        finished = all(side.finished for side in sides.values())
        for variant, side in sides.items():
            side.poll()
            screen.cells(variant, *side.done)
        while waiting and all(waiting[0].name in side.measured for side in sides.values()):
            found = _judge(waiting.pop(0), sides)
            screen.scenario(found)
            yield found
        if finished:
            return
        time.sleep(_POLL_SECONDS)


def _judge(scenario: Scenario, sides: dict[str, Side]) -> ScenarioReport:
    measured = {variant: side.measured[scenario.name] for variant, side in sides.items()}
    cells = {variant: _cells(scenario, found) for variant, found in measured.items()}
    crashes = {variant: found.crash for variant, found in measured.items() if found.crash}
    unpatched, patched = (
        Outcome.FAIL if variant in crashes else outcome(cells[variant]) for variant in VARIANTS
    )
    verdict = compare(scenario, unpatched, patched)
    if _worse(cells, crashes):
        verdict = Verdict.REGRESSED
    return ScenarioReport(
        scenario,
        verdict,
        cells[UNPATCHED],
        cells[PATCHED],
        crashes,
        {variant: found.place for variant, found in measured.items()},
    )


def _worse(cells: dict[str, list[Judged]], crashes: dict[str, str]) -> bool:
    """Say whether the patch makes a scenario worse, even one that fails without it too.

    It does where only the patched kernel crashes, or where traffic fails that came through before.
    """
    if set(crashes) == {PATCHED}:
        return True
    return any(
        after.problems and not before.problems and before.exercised
        for before, after in zip(cells[UNPATCHED], cells[PATCHED], strict=False)
    )


def _cells(scenario: Scenario, measured: Measured) -> list[Judged]:
    folder = measured.folder
    judged = []
    for traffic, result in zip(scenario.traffic, measured.cells, strict=False):
        cell = read_cell(result, folder)
        if traffic.segmented:
            stem = f"{scenario.name}-{traffic.name}"
            wire.save_capture(scenario, cell, folder / f"{stem}.pcapng")
        judged.append(judge(scenario, traffic, cell, wire.explain(scenario, cell)))
    for raw in folder.glob(f"{scenario.name}-*.frames"):
        raw.unlink()
    return judged


def _record(sides: dict[str, Side], report: KernelReport) -> None:
    for variant, side in sides.items():
        report.warnings.setdefault(variant, []).extend(map(str, side.complaints()))
        report.boots += [{"variant": variant, **boot} for boot in side.boots]
        report.guests.setdefault(variant, side.guest)
        if side.error and not report.error:
            report.fail(side.error)
    logs = {variant: side.log() for variant, side in sides.items()}
    report.findings += map(str, health.new_complaints(logs[UNPATCHED], logs[PATCHED]))
    report.findings += health.leaks(sides[UNPATCHED].guest, sides[PATCHED].guest)
    leaks = (sides[variant].leaks() for variant in VARIANTS)
    report.findings += map(str, kmemleak.new(*leaks))


def _summed(runs: list[ScenarioReport]) -> ScenarioReport:
    """Return the worst of a scenario's repetitions, with the verdicts of all."""
    verdict = worst([run.verdict for run in runs])
    shown = next(run for run in runs if run.verdict is verdict)
    return replace(shown, runs=tuple(run.verdict for run in runs))


def _verdict(
    report: KernelReport, sides: list[tuple[str, Side]], further: list[Verdict]
) -> Verdict:
    verdicts = [scenario.verdict for scenario in report.scenarios] + further
    if report.findings:
        verdicts.append(Verdict.REGRESSED)
    crashed = {variant for variant, side in sides if side.early_crash}
    if crashed == {PATCHED} and not any(s.error for v, s in sides if v == UNPATCHED):
        report.findings.append("the patched kernel crashes before any traffic, reproduced")
        verdicts.append(Verdict.REGRESSED)
    if report.error:
        verdicts.append(Verdict.INCONCLUSIVE)
    return overall(verdicts) if verdicts else Verdict.INCONCLUSIVE
