"""Boot both variants of a kernel for the real applications, and judge what was measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gso.kernel import guest_files
from gso.kernel.bootable import PATCHED, UNPATCHED, Bootable
from gso.kernel.guest.applications import MEASURED
from gso.kernel.judging import applications
from gso.kernel.judging.applications import ApplicationsReport, Workload
from gso.kernel.judging.results import KernelReport
from gso.kernel.judging.verdict import Verdict
from gso.kernel.machine.jobs import Result
from gso.kernel.runs.boots import BootQueue, QueuedBoot
from gso.kernel.runs.screen import Screen
from gso.kernel.trees.modules import check_modules


class ApplicationBoots:
    """One boot for each variant; one that ends without results is repeated once."""

    def __init__(
        self, queue: BootQueue, built: dict[str, Bootable], workloads: Sequence[Workload]
    ) -> None:
        self._queue, self._built, self._workloads = queue, built, workloads
        planned = [asdict(workload) for workload in workloads]
        self._plan: dict[str, Any] = {"scenarios": [], "applications": planned}
        self._running = {
            variant: self._queued(variant, f"{variant}-applications") for variant in built
        }

    def _queued(self, variant: str, name: str) -> QueuedBoot:
        return self._queue.submit_plan(name, self._built[variant], self._plan)

    def conclude(self, report: KernelReport, screen: Screen) -> list[Verdict]:
        """Wait for both boots and record what they say; return the verdicts."""
        begun = time.monotonic()
        ended = {variant: self._result(variant, report) for variant in self._built}
        report.seconds["applications"] = round(time.monotonic() - begun, 2)
        if all(result.status == "done" for result in ended.values()):
            return self._judge(ended, report, screen)
        crashed = {v for v, result in ended.items() if result.status in ("crashed", "hung")}
        if crashed == {PATCHED} and ended[UNPATCHED].status == "done":
            message = ended[PATCHED].message
            report.findings.append(f"the patched kernel ended under applications, twice: {message}")
            return [Verdict.REGRESSED]
        lost = next(result for result in ended.values() if result.status != "done")
        report.fail(lost.error())
        return [Verdict.INCONCLUSIVE]

    def _result(self, variant: str, report: KernelReport) -> Result:
        boot = self._running[variant]
        result = boot.result.result()
        self._record(variant, boot, result, report)
        if result.status in ("crashed", "hung", "lost"):
            boot = self._running[variant] = self._queued(variant, f"{variant}-applications-boot2")
            result = boot.result.result()
            self._record(variant, boot, result, report)
        return result

    def _measured(self, variant: str) -> dict[str, Any]:
        place = self._running[variant].job.folder / MEASURED
        with guest_files.understood(MEASURED):
            return dict(guest_files.read_json(place))

    def _record(self, variant: str, boot: QueuedBoot, result: Result, report: KernelReport) -> None:
        report.boots.append(
            {
                "variant": variant,
                "folder": self._queue.relative(boot.job.folder),
                "status": result.status,
                "seconds": result.seconds,
                "message": result.message,
                "host": result.host,
            }
        )

    def _judge(
        self, ended: dict[str, Result], report: KernelReport, screen: Screen
    ) -> list[Verdict]:
        for variant, result in ended.items():
            check_modules(self._built[variant], result.guest.get("modules", {}))
        with guest_files.understood(MEASURED):
            found = {variant: self._measured(variant) for variant in ended}
            compared = applications.compare(self._workloads, found[UNPATCHED], found[PATCHED])
        for workload in compared:
            screen.workload(workload)
        drops = {variant: measured["drops"] for variant, measured in found.items()}
        report.applications = ApplicationsReport(compared, drops)
        return [workload.verdict for workload in compared]
