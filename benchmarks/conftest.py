"""Options, pinning, and the contest that suites are written with."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import gso
from contest import Contest, Effort, clock

CORES = sorted(os.sched_getaffinity(0))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="few rounds and small files")


def pytest_configure() -> None:
    os.sched_setaffinity(0, CORES[-1:])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=clock, disable_gc=True))


def _line(path: str, start: str) -> str:
    """The value of the first line of a file of /proc that begins so."""
    for line in Path(path).read_text().splitlines():
        if line.startswith(start):
            return line.partition(":")[2].strip()
    return ""


def _says(*command: str) -> str:
    """The first line that a program says of its version."""
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout or done.stderr).partition("\n")[0]


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info["pygso"] = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": _line("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": len(CORES),
        "pinned_to": CORES[-1],
        "memory": _line("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "simd": gso.simd_path(),
        "load": os.getloadavg()[0],
        "compiler": _says("cc", "--version"),
        "versions": {name: version(name) for name in ("pygso", "numpy", "cython", "scapy", "dpkt")}
        | {
            "DPDK": _says("pkg-config", "--modversion", "libdpdk"),
            "grep": _says("grep", "--version"),
            "ripgrep": _says("rg", "--version"),
            "gawk": _says("gawk", "--version"),
            "editcap": _says("editcap", "--version"),
            "tcprewrite": _says("tcprewrite", "--version"),
        },
    }


SKIPPED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        SKIPPED.append(report.longrepr[2].removeprefix("Skipped: "))


def pytest_benchmark_update_json(output_json: dict[str, Any]) -> None:
    output_json["skipped"] = [
        f"{reason} ({count})" if count > 1 else reason for reason, count in Counter(SKIPPED).items()
    ]


@pytest.fixture(scope="session")
def effort(request: pytest.FixtureRequest) -> Effort:
    return Effort(request.config.getoption("--quick"))


@pytest.fixture
def contest(benchmark: Any, effort: Effort) -> Contest:
    return Contest(benchmark, effort)


@pytest.fixture
def all_cores() -> Iterator[int]:
    """Not pinned: for what uses threads. The number of cores there are."""
    os.sched_setaffinity(0, CORES)
    yield len(CORES)
    os.sched_setaffinity(0, CORES[-1:])
