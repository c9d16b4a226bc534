"""The run on a terminal (bars and a table), or as plain lines in a log."""

from __future__ import annotations

import sys
import threading
import time
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from gso.kernel.verdict import Judged, Verdict
from gso.kernel.verify import Report, ScenarioReport

_STYLES = {
    Verdict.FIXED: "bold green",
    Verdict.UNAFFECTED: "green",
    Verdict.NOT_REPRODUCED: "yellow",
    Verdict.INCOMPLETE: "bold yellow",
    Verdict.INCONCLUSIVE: "bold magenta",
    Verdict.NO_EFFECT: "bold red",
    Verdict.REGRESSED: "bold red",
}
_LOG_WIDTH = 132
_LOG_STEP = 16  # without a terminal, one line for so many cells


def _console(file: TextIO, *, quiet: bool = False) -> Console:
    # A file or a pipe has no width to fit into.
    width = None if file.isatty() else _LOG_WIDTH
    return Console(file=file, width=width, highlight=False, quiet=quiet)


class TerminalScreen:
    """Shows the run on standard error as it goes, and the report on standard output."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._out = _console(sys.stdout)
        self._log = _console(sys.stderr, quiet=quiet)
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._rows: list[ScenarioReport] = []

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._begun:6.1f} s]"

    def stage(self, text: str) -> None:
        """Print a new step."""
        self.close()
        self._log.print(Text(f"{self._clock()} {text}"), soft_wrap=True)

    def note(self, text: str) -> None:
        """Print something worth knowing."""
        self._log.print(Text(f"           {text}"), soft_wrap=True)

    def cells(self, kernel: str, done: int, total: int) -> None:
        """Move the kernel's bar."""
        with self._lock:
            if not self._log.is_terminal:
                if done and done % _LOG_STEP == 0:
                    self.note(f"{kernel}: {done} of {total} exchanges done")
                return
            if self._progress is None:
                columns = (TextColumn("           {task.description:10}"), BarColumn())
                self._progress = Progress(
                    *columns,
                    TextColumn("{task.completed}/{task.total}"),
                    TimeElapsedColumn(),
                    console=self._log,
                )
                self._progress.start()
            if kernel not in self._bars:
                self._bars[kernel] = self._progress.add_task(kernel, total=total)
            self._progress.update(self._bars[kernel], completed=done)

    def close(self) -> None:
        """Leave the terminal in order; a run may end at any point."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._bars = {}

    def scenario(self, report: ScenarioReport) -> None:
        """Keep a row of the table."""
        self._rows.append(report)

    def finish(self, report: Report) -> None:
        """Print the table and the verdict."""
        self.close()
        if self._rows:
            self._out.print(_table(self._rows))
        for row in self._rows:
            for cell in row.patched:
                for problem in cell.problems if row.verdict is not Verdict.NO_EFFECT else ():
                    name = f"{row.scenario.name} {cell.traffic.name}"
                    self._out.print(Text(f"{name}: {problem}"), soft_wrap=True)
        self._verdict(report)

    def _verdict(self, report: Report) -> None:
        line = Text("verdict: ").append(report.verdict.value, _STYLES[report.verdict])
        if report.still_failing():
            line.append(f", still failing: {', '.join(report.still_failing())}")
        if report.error:
            if report.error["log_tail"]:
                self._out.print(Text(f"end of the log:\n{report.error['log_tail']}\n"))
            line.append(f", {report.error['stage']}: {report.error['message']}")
        self._out.print(line, soft_wrap=True)
        kernel = f"{report.kernel}, {report.acceleration}" if report.kernel else "no kernel"
        self._out.print(Text(f"{kernel}; {time.monotonic() - self._begun:.0f} s"), soft_wrap=True)
        self._out.print(Text(f"evidence: {report.folder}"), soft_wrap=True)


def _table(rows: list[ScenarioReport]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("scenario", no_wrap=True)
    for kernel in ("unpatched", "patched"):
        table.add_column(f"{kernel}\ndrops", justify="right")
        table.add_column("\nretrans", justify="right")
        table.add_column("\nbulk s", justify="right")
        table.add_column("\ntnl_hlen", justify="right")
    table.add_column("\nwire = gso", justify="right")
    table.add_column("\nverdict", no_wrap=True)
    for row in rows:
        wire = sum(cell.wire.matching for cell in row.patched)
        segments = sum(cell.wire.segments for cell in row.patched)
        table.add_row(
            row.scenario.name,
            *_columns(row.unpatched),
            *_columns(row.patched),
            f"{wire}/{segments}",
            Text(row.verdict.value, _STYLES[row.verdict]),
        )
    return table


def _columns(cells: list[Judged]) -> list[str]:
    lengths = {e.tnl_hlen for c in cells for e in c.cell.trace.at("skb_udp_tunnel_segment")}
    return [
        str(sum(c.cell.result["tx_dropped"] for c in cells)),
        str(sum(c.cell.result["retransmits"] for c in cells)),
        f"{cells[0].cell.result['seconds']:.2f}",
        ",".join(str(length) for length in sorted(lengths)) or "-",
    ]
