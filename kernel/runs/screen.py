"""The display of a run of ``verify`` while it goes on."""

from __future__ import annotations

from typing import Protocol

from gso.kernel.judging.applications import WorkloadReport
from gso.kernel.judging.results import KernelReport, ScenarioReport
from gso.kernel.progress import Progress


class Screen(Progress, Protocol):
    """Receives the progress of a run, and each verdict as soon as it is known."""

    def kernel(self, report: KernelReport) -> None:
        """Show that the scenarios of this kernel follow."""

    def cells(self, variant: str, done: int, total: int) -> None:
        """Show that so many exchanges of a variant's boot are done."""

    def scenario(self, report: ScenarioReport) -> None:
        """Show the verdict on a scenario."""

    def code(self, report: KernelReport) -> None:
        """Show how often the code that the patch changes ran."""

    def workload(self, report: WorkloadReport) -> None:
        """Show the verdict on a workload of the real applications."""
