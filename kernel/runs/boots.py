"""One variant of a kernel going through its scenarios: boots are queued, and lost ones repeated.

What a virtual machine's end means:

- It ended without a trace of a crash, or its time ran out: the machine was *lost*. It is booted
  once more; lost again, nothing can be said.
- The kernel *crashed* (its log says so) or *hung* (the guest had started and fell silent): it is
  booted once more too, from the scenario where it ended. Crashed or hung again, the crash is
  reproduced: that scenario failed on that variant, like any other failure, and the scenarios after
  it get a boot of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError
from gso.kernel.judging import coverage, kernel_log, kmemleak
from gso.kernel.judging.coverage import Entries
from gso.kernel.machine import channel, jobs
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.runs import reuse
from gso.kernel.runs.reuse import Known
from gso.kernel.scenarios import Scenario, plan
from gso.kernel.trees import symbols
from gso.kernel.trees.functions import Function
from gso.kernel.trees.modules import check_modules

_EXCHANGE_SECONDS = 8.0
# Once to see a crash, once to reproduce it, once for the scenarios after it.
_MOST_BOOTS = 3


@dataclass(frozen=True)
class BootQueue:
    """Queues boots of one kernel; ``folder`` is that kernel's within the results folder.

    ``suffix``: ends the names of the boots' folders, so that those of several hosts differ.
    ``known``: earlier boots, taken in place of new ones.
    """

    machines: Executor
    folder: Path
    stop: Path
    timeout: float
    kept: KeptMachine | None = None
    suffix: str = ""
    known: Known | None = None

    def submit(
        self,
        name: str,
        kernel: Bootable,
        scenarios: list[Scenario],
        functions: Sequence[Function] = (),
    ) -> QueuedBoot:
        """Queue one boot of these scenarios, with its evidence in the folder ``name``.

        The entries of the functions are counted.
        """
        planned = scenarios_plan(kernel, scenarios, functions)
        if self.known and not self.kept:
            job = self._job(name, kernel, planned)
            if found := self.known.take(job):
                ended: Future[Result] = Future()
                ended.set_result(found)
                return QueuedBoot(job, ended)
        return self.submit_plan(name, kernel, planned)

    def submit_plan(self, name: str, kernel: Bootable, plan: dict[str, Any]) -> QueuedBoot:
        """Queue one boot with any plan."""
        job = self._job(name, kernel, plan)
        return QueuedBoot(job, self.machines.submit(jobs.run, job))

    def known_groups(
        self,
        built: dict[str, Bootable],
        scenarios: Sequence[Scenario],
        functions: Sequence[Function],
    ) -> tuple[list[tuple[Scenario, ...]], list[Scenario]]:
        """Return the scenarios that earlier boots did together, and those of no such boot."""
        if not self.known or self.kept:
            return [], list(scenarios)
        return self.known.groups(
            scenarios,
            lambda group: [
                self._job("", kernel, scenarios_plan(kernel, group, functions))
                for kernel in built.values()
            ],
        )

    def _job(self, name: str, kernel: Bootable, plan: dict[str, Any]) -> Job:
        folder = self.folder / f"{name}{self.suffix}"
        return Job(kernel, plan, folder, self.timeout, self.stop, self.kept)

    def relative(self, folder: Path) -> str:
        """Return the path of a folder within the results folder, which is still to be renamed."""
        return str(folder.relative_to(self.folder.parent))


def scenarios_plan(
    kernel: Bootable, scenarios: Sequence[Scenario], functions: Sequence[Function]
) -> dict[str, Any]:
    """Return what a guest is to do with these scenarios."""
    return {
        "scenarios": plan(scenarios),
        "timeout": _EXCHANGE_SECONDS,
        "functions": symbols.plan(functions, kernel),
    }


@dataclass(frozen=True)
class QueuedBoot:
    """A boot that waits for a machine, runs, or has ended."""

    job: Job
    result: Future[Result]


@dataclass(frozen=True)
class Measured:
    """One scenario on one variant: the guest's report on each exchange, and their folder."""

    folder: Path
    evidence: str  # the same folder, within the results folder
    cells: list[dict[str, Any]]
    crash: str = ""
    reused: str = ""  # the folder of the earlier boot in which it was measured and judged


class VariantRun:
    """One variant going through a group of scenarios, in one boot if all goes well."""

    def __init__(
        self,
        queue: BootQueue,
        name: str,
        kernel: Bootable,
        scenarios: Sequence[Scenario],
        functions: Sequence[Function] = (),
    ) -> None:
        self._queue, self._name, self._kernel = queue, name, kernel
        self._functions = functions
        self.entries: list[Entries] = []  # of each boot
        self._total = _exchanges(scenarios)
        self._lost = False  # the boot before this one was lost in the same scenario
        self.measured: dict[str, Measured] = {}
        self.guest: dict[str, Any] = {}
        self.boots: list[dict[str, Any]] = []
        self.error: TestBedError | None = None
        self.early_crash = ""
        self.finished = False
        self._reused = ""
        self._start(list(scenarios))

    def _start(self, left: list[Scenario]) -> None:
        number = len(self.boots) + 1
        name = self._name if number == 1 else f"{self._name}-boot{number}"
        self._left, self._cells = left, 0
        self.entries.append(Entries())
        self._boot = self._queue.submit(name, self._kernel, left, self._functions)

    @property
    def done(self) -> tuple[int, int]:
        """The exchanges done so far, and those in all."""
        return self._total - _exchanges(self._left) + self._cells, self._total

    def poll(self) -> None:
        """Take in what the guest has reported so far and, if the machine has ended, how."""
        if self.finished:
            return
        ended = self._boot.result.done()  # asked first: what is read after it is complete
        cells = self._reported()
        self._cells = len(cells)
        if ended:
            result = self._boot.result.result()
            self._reused = result.reused
            self._conclude(result, self._take_cells(cells))

    def _reported(self) -> list[dict[str, Any]]:
        """Return the cells that this boot reported so far."""
        events = channel.events(self._boot.job.folder)
        self.entries[-1] = coverage.entries(events)
        return [event["result"] for event in events if event["stage"] == "cell"]

    def _take_cells(self, cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Take the scenarios that are complete; return the cells of the one that is not.

        Their evidence is there when the machine has ended, and not before.
        """
        while self._left and len(cells) >= len(self._left[0].traffic):
            number = len(self._left[0].traffic)
            self._measure(cells[:number])
            cells = cells[number:]
        self._cells = len(cells)
        return cells

    def _measure(self, cells: list[dict[str, Any]], crash: str = "") -> None:
        scenario, folder = self._left.pop(0), self._boot.job.folder / "cells"
        self.measured[scenario.name] = Measured(
            folder, self._queue.relative(folder), cells, crash, self._reused
        )
        # The next loss is in another scenario.
        self._lost = False

    def _conclude(self, result: Result, unfinished: list[dict[str, Any]]) -> None:
        job = self._boot.job
        self.boots.append(
            {
                "folder": self._queue.relative(job.folder),
                "status": result.status,
                "seconds": result.seconds,
                "message": result.message,
                "host": result.host,
                **({"reused": result.reused} if result.reused else {}),
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
        self._start(self._left)
        self._lost = True

    def log(self) -> Iterator[str]:
        """Yield the lines of the kernel log of the boot that went through; none if none did."""
        if self.guest:
            yield from guest_files.lines(self._boot.job.folder / "console.log")

    def leaks(self) -> list[kmemleak.Leak]:
        """Return the leaks that kmemleak found, on a kernel that has it."""
        path = self._boot.job.folder / "kmemleak.log"
        if not os.path.lexists(path):
            return []
        with guest_files.understood(path.name):
            return kmemleak.parse(guest_files.lines(path))

    def seal(self) -> None:
        """Let later runs take this boot, if it went through at the first attempt."""
        if len(self.boots) == 1 and self.finished and self.guest and not self.error:
            reuse.seal(self._boot.job, self._boot.result.result())

    def complaints(self) -> list[str]:
        """Return the warnings in the kernel log as texts."""
        return kernel_log.told(kernel_log.complaints(self.log()))

    def _check(self, result: Result) -> None:
        self.finished = True
        self.guest = result.guest
        try:
            if self._left:
                raise TestBedError("guest", f"it ended before scenario {self._left[0].name}")
            check_modules(self._kernel, result.guest.get("modules", {}))
        except TestBedError as error:
            self.error = error

    def _give_up(self, error: TestBedError) -> None:
        self.finished, self.error = True, error

    def _reproduced(self, result: Result, unfinished: list[dict[str, Any]]) -> None:
        """Take it for the kernel's fault: it crashed or hung a second time in one scenario."""
        crash = f"{result.message}\n{result.log_tail}"
        if not traffic_began(self._boot.job.folder):
            self.early_crash = crash
            self._give_up(result.error())
            return
        self._measure(unfinished, crash)
        if self._left and len(self.boots) < _MOST_BOOTS:
            self._start(self._left)
        elif self._left:
            self._give_up(result.error())
        else:
            self.finished = True


def _exchanges(scenarios: Sequence[Scenario]) -> int:
    return sum(len(scenario.traffic) for scenario in scenarios)


def traffic_began(folder: Path) -> bool:
    """Say whether the guest had set everything up: its next step is the first exchange."""
    return any(event["stage"] in ("probes", "traffic", "cell") for event in channel.events(folder))
