"""One boot as a job: plain data in, plain data out, so that any executor on any machine can do it.

A job shares only its folder with the run that queued it. The guest's progress appears there
while the job runs, and a file named ``stop`` in :attr:`Job.stop`'s place ends it early. An executor
that boots elsewhere (:mod:`gso.kernel.fleet`) carries both there and back.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import capacity, vm
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.machine.tools import equipment

# "lost" says nothing about the kernel under test; "crashed" and "hung" may.
Status = Literal["done", "crashed", "hung", "lost", "failed"]


@dataclass(frozen=True)
class Job:
    """Boot this kernel, perform this plan, leave the evidence in this folder.

    ``kept``: takes the machine over when it has results; only on this machine. ``inputs``: files
    that the guest finds in :data:`gso.kernel.machine.share.GIVEN`. ``how``: the way of booting.
    ``watched``: addresses of which is noted what ran (:mod:`gso.kernel.machine.blocks`).
    """

    kernel: Bootable
    plan: dict[str, Any]
    folder: Path
    timeout: float
    stop: Path
    kept: KeptMachine | None = None
    inputs: tuple[Path, ...] = ()
    how: vm.Way = field(default_factory=vm.way)
    watched: tuple[range, ...] = ()


@dataclass(frozen=True)
class Result:
    """The end of a job; ``stage``, ``message``, ``log`` and ``log_tail`` describe an error.

    ``host``: where it was done, if not here. ``equipment``: what the machine was made of
    (:func:`gso.kernel.machine.tools.equipment`). ``reused``: the folder of the earlier boot that it
    is.
    """

    status: Status
    seconds: float
    guest: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    message: str = ""
    log: Path | None = None
    log_tail: str = ""
    host: str = ""
    equipment: str = ""
    reused: str = ""

    @property
    def place(self) -> str:
        """The name of the host where it was done, this one or another."""
        return self.host or platform.node()

    def error(self) -> TestBedError:
        """Return what went wrong as an error."""
        return TestBedError(self.stage, self.message, self.log)


def run(job: Job) -> Result:
    """Do the job on this machine."""
    begun = time.monotonic()
    status: Status = "failed"
    try:
        guest = vm.boot(
            job.kernel,
            job.plan,
            job.folder,
            timeout=job.timeout,
            stop=job.stop,
            kept=job.kept,
            inputs=job.inputs,
            how=job.how,
            watched=job.watched,
        )
    except GuestFileError as found:
        error = TestBedError("guest", str(found))
    except TestBedError as found:
        error = found
        if isinstance(error, vm.VmLostError):
            status = error.status
    else:
        seconds = round(time.monotonic() - begun, 2)
        return Result("done", seconds, guest, equipment=equipment())
    seconds = round(time.monotonic() - begun, 2)
    return Result(status, seconds, {}, error.stage, error.message, error.log, error.log_tail)


def done(job: Job, machines: Executor | None) -> Result:
    """Return the result of a job that is done now: by an executor, or else on this machine."""
    return machines.submit(run, job).result() if machines else run(job)


@contextmanager
def waiting(machines: Executor) -> Iterator[ThreadPoolExecutor]:
    """Return threads that wait for an executor's machines, which end where something goes wrong."""
    with ThreadPoolExecutor(slots(machines), thread_name_prefix="waiting") as threads:
        try:
            yield threads
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            if end := getattr(machines, "end", None):
                end()
            raise


def slots(machines: Executor) -> int:
    """Return how many jobs an executor does at once: it says so itself, or it is this machine's."""
    found: int = getattr(machines, "slots", 0)
    return found or capacity.local_slots()


def local_executor() -> Executor:
    """Return an executor for this machine; threads suffice, for QEMU is a process of its own."""
    return ThreadPoolExecutor(capacity.local_slots(), thread_name_prefix="vm")
