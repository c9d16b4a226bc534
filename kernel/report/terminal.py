"""The run on a terminal (bars and a table), or as plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from gso.kernel.judging.applications import Measured, WorkloadReport, latency
from gso.kernel.judging.results import KernelReport, Report, ScenarioReport
from gso.kernel.judging.verdict import Judged, Verdict
from gso.kernel.report.plots import duration
from gso.kernel.report.write import PAGE
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from gso.printable import printable_lines

_STYLES = {
    Verdict.FIXED: "bold green",
    Verdict.UNAFFECTED: "green",
    Verdict.UNRELATED: "yellow",
    Verdict.NOT_REPRODUCED: "yellow",
    Verdict.INCOMPLETE: "bold yellow",
    Verdict.INCONCLUSIVE: "bold magenta",
    Verdict.NO_EFFECT: "bold red",
    Verdict.REGRESSED: "bold red",
}
_LOG_WIDTH = 140


def _console(file: TextIO, *, quiet: bool = False) -> Console:
    # A file or a pipe has no width to fit into.
    width = None if file.isatty() else _LOG_WIDTH
    return Console(file=file, width=width, highlight=False, quiet=quiet)


def _safe(text: str | Text) -> Text:
    """Return a text that may be a guest's, a log's or a patch's; it may lose its style."""
    given = Text(text) if isinstance(text, str) else text
    shown = printable_lines(given.plain)
    return given if shown == given.plain else Text(shown)


class TerminalScreen:
    """Shows how far the run is on standard error, and its table and verdict on standard output.

    ``rows``: where to show the table where it is no more than progress.
    """

    def __init__(self, *, quiet: bool = False, rows: TextIO | None = None) -> None:
        self._out = _console(rows or sys.stdout, quiet=quiet and rows is not None)
        self._log = _console(sys.stderr, quiet=quiet)
        self._begun = time.monotonic()
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        # One thread builds and another judges.
        self._lock = threading.RLock()

    def stage(self, text: str) -> None:
        """Print a new step."""
        self.close()
        self._print_log(f"[{time.monotonic() - self._begun:6.1f} s] {text}")

    def note(self, text: str) -> None:
        """Print something worth knowing."""
        self._print_log(f"           {text}")

    def _print_log(self, text: str) -> None:
        self._log.print(_safe(text), soft_wrap=True)

    def _print(self, text: str | Text) -> None:
        self._out.print(_safe(text), soft_wrap=True)

    def kernel(self, report: KernelReport) -> None:
        """Print the heading of a kernel's table."""
        self._print(Text(f"{report.label}\n{_HEADING}", "bold"))

    def cells(self, variant: str, done: int, total: int) -> None:
        """Move the variant's bar; without a terminal the rows of the table show progress enough."""
        if not self._log.is_terminal or self._log.quiet:
            return
        with self._lock:
            if self._progress is None:
                self._progress = self._new_progress()
                self._progress.start()
            if variant not in self._bars:
                self._bars[variant] = self._progress.add_task(variant, total=total)
            self._progress.update(self._bars[variant], completed=done)

    def _new_progress(self) -> Progress:
        # Where both go to the same terminal, the table must scroll above the bars.
        console = self._out if self._out.is_terminal else self._log
        return Progress(
            TextColumn("{task.description:10}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} exchanges"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )

    def close(self) -> None:
        """Leave the terminal in order; a run may end at any point."""
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
                self._bars = {}

    def scenario(self, report: ScenarioReport) -> None:
        """Print a row of the table, and what was wrong on the patched kernel if that is news."""
        self._print(_row(report))
        if report.verdict not in (Verdict.NO_EFFECT, Verdict.FIXED, Verdict.UNRELATED):
            for cell in (*report.unpatched, *report.patched):
                for problem in cell.problems:
                    self._print(f"    {cell.traffic.name}: {problem}")
        for variant, crash in report.crashes.items():
            self._print(f"    the {variant} kernel crashed here, twice: {crash}")

    def code(self, report: KernelReport) -> None:
        """Print how often each changed function was entered."""
        for number, code in enumerate(report.code):
            self._print(f"{'' if number else 'changed code:':14}{code}")

    def workload(self, report: WorkloadReport) -> None:
        """Print a line for a workload of the real applications, with its slowest median."""
        before, after = (_slowest(side) for side in (report.unpatched, report.patched))
        line = Text(f"{report.workload.name:26} slowest median {before} -> {after}  ")
        self._print(line.append(report.verdict.value, _STYLES[report.verdict]))
        if report.verdict is not Verdict.FIXED:
            for problem in (*report.unpatched.problems, *report.patched.problems):
                self._print(f"    {problem}")

    def finish(self, report: Report) -> None:
        """Print the verdict on each kernel and on all, and where the evidence is."""
        self.close()
        for kernel in report.kernels:
            if kernel.error and kernel.error["log_tail"]:
                self._print(f"{kernel.id}, end of the log:\n{kernel.error['log_tail']}\n")
            if len(report.kernels) > 1:
                self._print(_judgement(f"{kernel.id}: ", kernel.verdict, [kernel]))
            for words in kernel.reused():
                self._print(f"{kernel.id}: {words}")
        title = "verdict: " if report.part.whole else f"part {report.part}: "
        self._print(_judgement(title, report.verdict, report.kernels))
        if not report.part.whole:
            self._print("the verdict on the patch: gso-kernel report --merge FOLDER of every part")
        labels = ", ".join(kernel.label for kernel in report.kernels)
        seconds = time.monotonic() - self._begun
        self._print(f"{labels}; {report.acceleration}; {seconds:.0f} s")
        if report.folder:
            here = report.folder.is_relative_to(Path.cwd())
            shown = report.folder.relative_to(Path.cwd()) if here else report.folder
            self._print(f"report: {shown / PAGE}")


def _slowest(measured: Measured) -> str:
    """Return the largest median of a workload's steps, and whether that is only a lower bound."""
    found = [latency(step) for step in measured.steps]
    known = [one for one in found if one["p50"] is not None]
    if not known:
        return "unknown"
    slowest = max(known, key=lambda one: float(one["p50"]))
    return "> " * ("p50" in slowest["at_least"]) + duration(slowest["p50"])


def _judgement(title: str, verdict: Verdict, kernels: list[KernelReport]) -> Text:
    line = Text(title).append(verdict.value, _STYLES[verdict])
    failing = dict.fromkeys(name for kernel in kernels for name in kernel.still_failing())
    flaky = dict.fromkeys(name for kernel in kernels for name in kernel.flaky())
    if failing:
        line.append(f", still failing: {', '.join(failing)}")
    if flaky:
        line.append(f", flaky: {', '.join(flaky)}")
    for kernel in kernels:
        for finding in kernel.findings:
            # The report has all of it, stack and all.
            line.append(f", {' '.join(finding.splitlines()[:2])}")
        if kernel.error:
            line.append(f", {kernel.error['stage']}: {kernel.error['message']}")
    return line


_SIDE = "{:>6} {:>7} {:>6} {:>8}"
_ROW = f"{{:34}} {_SIDE}  {_SIDE} {{:>9}}  "
_TITLES = ("drops", "retrans", "bulk s", "tnl_hlen")
_HEADING = (
    _ROW.format("", "without", "patch", "", "", "with", "patch", "", "", "").rstrip()
    + "\n"
    + _ROW.format("scenario", *_TITLES, *_TITLES, "wire=gso")
    + "verdict"
)


def _row(report: ScenarioReport) -> Text:
    matching = sum(cell.wire.matching for cell in report.patched)
    segments = sum(cell.wire.segments for cell in report.patched)
    measured = _ROW.format(
        report.scenario.name,
        *_measures(report.unpatched),
        *_measures(report.patched),
        f"{matching}/{segments}",
    )
    return Text(measured).append(report.verdict.value, _STYLES[report.verdict])


def _measures(cells: list[Judged]) -> tuple[str, str, str, str]:
    lengths = {length for c in cells for length in c.cell.tnl_hlen}
    return (
        str(sum(c.cell.result["tx_dropped"] for c in cells)),
        str(sum(c.cell.result["retransmits"] for c in cells)),
        f"{cells[0].cell.result['seconds']:.2f}" if cells else "-",
        ",".join(str(length) for length in sorted(lengths)) or "-",
    )
