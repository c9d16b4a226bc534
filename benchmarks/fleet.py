"""The costs of a cluster for each file: processor time in the command, scheduler and workers.

    python benchmarks/fleet.py [--files 1000] [--workers 1 2] [--json FILE]

Each row is a run of `gso validate`, `diagnose` or `segment` over so many small files, here or with
so many worker processes. The processor time for the first file, in which all is started and
connected, is taken off. The limit is what no number of workers gets over: so many files a second
the command and the scheduler keep up with, of which the one counts that uses more processor time
for a file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

import gso
from cases import case

_LOG = Path(__file__).parents[1] / "tests/vectors/traces/bpftrace.txt"
_PACKETS, _MSS = 20, 1448
_START_SECONDS = 120.0
COMMANDS = {
    "captures": ("validate",),
    "logs": ("diagnose",),
    "super-packets": ("segment", "--gso-size", str(_MSS)),
}


@dataclass(frozen=True)
class Row:
    """A run. Seconds: elapsed in all, and of processor time for each file; `workers` 0: here."""

    kind: str
    workers: int
    files: int
    elapsed: float
    command: float
    scheduler: float = 0.0
    work: float = 0.0

    @property
    def limit(self) -> float:
        """Files a second that the command and the scheduler keep up with, each on a core."""
        return 1 / max(self.command, self.scheduler, 1e-9)


def make_files(kind: str, count: int, folder: Path) -> list[Path]:
    """Write so many equal small files."""
    folder.mkdir()
    first = folder / f"0.{'log' if kind == 'logs' else 'pcap'}"
    frame = case("plain", 4, "16 x 1448").frame
    if kind == "logs":
        shutil.copy(_LOG, first)
    elif kind == "captures":
        gso.write_capture(first, (list(gso.segment(frame, _MSS)) * 2)[:_PACKETS])
    else:
        gso.write_capture(first, [frame])
    every = [first.with_stem(str(number)) for number in range(count)]
    for path in every[1:]:
        shutil.copy(first, path)
    return every


@contextmanager
def cluster(workers: int, folder: Path) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Start a scheduler and its workers; yield the scheduler's file, and all processes."""
    file = folder / f"scheduler-{workers}.json"
    program = [sys.executable, "-m"]
    with ExitStack() as ends:

        def start(module: str, *words: str) -> psutil.Process:
            command = [*program, f"distributed.cli.{module}", "--scheduler-file", str(file), *words]
            process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
            ends.callback(process.wait)
            ends.callback(process.terminate)
            return psutil.Process(process.pid)

        scheduler = start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        end = time.monotonic() + _START_SECONDS
        while not file.exists():
            if time.monotonic() > end:
                raise TimeoutError("the scheduler did not start")
            time.sleep(0.1)
        worker = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        yield str(file), [scheduler, *(start("dask_worker", *worker) for _ in range(workers))]


def measure(kind: str, files: Sequence[Path], workers: int, folder: Path) -> Row:
    """Run the command over all files, and over one alone."""
    if not workers:
        first, _ = run(kind, files[:1], ())
        spent, elapsed = run(kind, files, ())
        return Row(kind, 0, len(files), elapsed, each(spent - first, files))
    with cluster(workers, folder) as (address, processes):
        options = ("--executor", address)
        counts = [[used(one) for one in processes]]
        first, _ = run(kind, files[:1], options)
        counts.append([used(one) for one in processes])
        spent, elapsed = run(kind, files, options)
        counts.append([used(one) for one in processes])
    grown = [(end - middle) - (middle - start) for start, middle, end in zip(*counts, strict=True)]
    shares = (each(grown[0], files), each(sum(grown[1:]), files))
    return Row(kind, workers, len(files), elapsed, each(spent - first, files), *shares)


def run(kind: str, files: Sequence[Path], options: Sequence[str]) -> tuple[float, float]:
    """Return the seconds of processor time that the command used, and those that went by."""
    words = COMMANDS[kind]
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="gso-fleet-") as copies,
        tempfile.TemporaryFile() as said,
        tempfile.TemporaryFile() as complaints,
    ):
        named = [*map(str, files), *([copies] if words[0] == "segment" else [])]
        command = [sys.executable, "-m", "gso", *words, "--json", *options, *named]
        process = subprocess.Popen(command, stdout=said, stderr=complaints)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            complaints.seek(0)
            why = complaints.read().decode(errors="replace")
            raise RuntimeError(f"gso {command[3]} ended with {process.returncode}: {why}")
        said.seek(0)
        check(json.load(said), len(files))
    return usage.ru_utime + usage.ru_stime, time.monotonic() - begun


def check(report: dict[str, Any], files: int) -> None:
    """Make sure that the report is of all files: what did less would cost less."""
    names = [key for key in ("captures", "files", "logs") if key in report]
    found = len(report[names[0]]) if names else 1
    if found != files:
        raise RuntimeError(f"the report is of {found} files, not of {files}")


def used(process: psutil.Process) -> float:
    """Return the processor time of a process so far, in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def each(seconds: float, files: Sequence[Path]) -> float:
    """Return the share of a file, of all but the first."""
    return max(seconds, 0.0) / max(len(files) - 1, 1)


def table(rows: Sequence[Row]) -> str:
    """Return all of it as Markdown; milliseconds of processor time for each file."""
    lines = [
        "| files | workers | elapsed | command | scheduler | workers | limit |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = (1000 * one for one in (row.command, row.scheduler, row.work))
        cells = " | ".join(f"{one:.2f} ms" for one in times)
        where = str(row.workers) if row.workers else "here"
        kind = f"{row.files} {row.kind}"
        lines.append(
            f"| {kind} | {where} | {row.elapsed:.1f} s | {cells} | {row.limit:.0f} files/s |"
        )
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write the rows as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    if options.files < 2:
        parser.error("--files: two at least, for the first is taken off")
    with tempfile.TemporaryDirectory(prefix="gso-fleet-") as name:
        rows = [
            measure(kind, files, workers, Path(name))
            for kind in COMMANDS
            for files in [make_files(kind, options.files, Path(name, kind))]
            for workers in (0, *options.workers)
        ]
    print(table(rows))
    if options.json:
        found = [{**asdict(row), "limit": row.limit} for row in rows]
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
