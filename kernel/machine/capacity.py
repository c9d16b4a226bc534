"""Limit the virtual machines on this host: those of one run, and those of all together."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gso.kernel.errors import TestBedError
from gso.kernel.machine import kvm
from gso.kernel.paths import cache_folder

_POLL_SECONDS = 0.1
# The memory that one machine needs of the host: its own, QEMU's, and the page cache of its files.
_MEMORY_BYTES = 5 << 28
_MEMORY_FRACTION = 0.8


def cpus() -> int:
    """Return the processors of one machine.

    Emulated processors patch each other's code unsafely (seen with QEMU 7.2: the kernel dies in
    its own static branches), so under emulation there is only one. Two boots of QEMU 7.2.22 and
    three of Debian 13's 10.0.13, each with two processors and the traffic of six exchanges, went
    well: too few to rely on.
    """
    return 2 if kvm.probe().works else 1


def local_slots() -> int:
    """Return how many virtual machines a run has at once: by cores and free memory."""
    free = next(
        int(line.split()[1]) << 10
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )
    return max(1, min(_by_cores(), int(free * _MEMORY_FRACTION) // _MEMORY_BYTES))


def _by_cores() -> int:
    return max(1, len(os.sched_getaffinity(0)) // cpus())


@contextmanager
def place(stop: Path) -> Iterator[None]:
    """Hold one of the host's places for machines, which all runs share: one for its processors.

    Where all are taken this waits; it raises :class:`TestBedError` when the file ``stop`` appears.
    """
    folder = cache_folder() / "machines"
    folder.mkdir(parents=True, exist_ok=True)
    while not stop.exists():
        for number in range(_by_cores()):
            with (folder / str(number)).open("w") as lock:
                if _locked(lock):
                    yield
                    return
        time.sleep(_POLL_SECONDS)
    raise TestBedError("vm", "the run was interrupted")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
