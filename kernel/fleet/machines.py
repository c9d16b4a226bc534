"""The machines of a cluster as an executor, for runs that queue :class:`Job`s."""

from __future__ import annotations

import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gso.kernel.edition import edition
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.fleet import parcels, worker
from gso.kernel.fleet.parcels import Parcel
from gso.kernel.fleet.worker import MACHINES, Announcement, Order
from gso.kernel.guest_files import GuestFileError
from gso.kernel.machine import channel, jobs, messages
from gso.kernel.machine.jobs import Job, Result

from gso.cluster import ClusterError, awaited, connected, worker_died

_POLL_SECONDS = 0.5
_MOST_SAID = 16 << 20
_MOST_JOURNEYS = 100


class _GoneError(Exception):
    """A worker died before it had done what it was asked."""


@contextmanager
def machines(address: str, note: Callable[[str], None]) -> Iterator[Executor]:
    """Connect to a cluster; ``note`` is told what its workers are.

    Raises:
        UsageError: there is none, or no worker of it can boot a machine.
    """
    try:
        with connected(address) as client:
            client.register_plugin(_plugin())
            found = list(client.run(worker.describe).values())
            for one in found:
                note(_words(one))
            usable = [one for one in found if one["machines"] and one["edition"] == edition()]
            if not usable:
                raise UsageError(
                    f"no worker of {address} can boot a machine: {'; '.join(map(_words, found))}"
                )
            executor = _Machines(client, len(usable), _acceleration(usable), _equipment(usable))
            try:
                yield executor
            finally:
                executor.shutdown()
    except ClusterError as error:
        raise UsageError(str(error)) from None


def _plugin() -> Any:
    from distributed import WorkerPlugin  # noqa: PLC0415

    # Dask, of whose kind a plugin must be, is not there where ours is defined.
    return type("Announcement", (Announcement, WorkerPlugin), {"name": Announcement.name})()


def _acceleration(usable: list[dict[str, Any]]) -> str:
    native = sum(one["kvm"] for one in usable)
    return f"a cluster of {len(usable)} workers, {native} with KVM"


def _equipment(usable: list[dict[str, Any]]) -> str:
    """Return what the machines of all workers are made of; empty where they differ."""
    every = {str(one["equipment"]) for one in usable}
    return every.pop() if len(every) == 1 else ""


def _words(found: dict[str, Any]) -> str:
    how = "KVM" if found["kvm"] else "emulation"
    text = f"{found['host']}: {found['machines']} machines, {how}, {found['cores']} cores"
    if found["missing"]:
        text += f", lacks {', '.join(found['missing'])} (gso-kernel doctor --install)"
    if found["edition"] != edition():
        text += f", has the edition {found['edition']}, not {edition()}"
    return text


class _Machines(Executor):
    """Boots jobs at workers. ``slots``: how many at once; ``acceleration``: how, for people.

    ``equipment``: what each worker's machines are made of, if they are alike.
    """

    def __init__(self, client: Any, slots: int, acceleration: str, equipment: str) -> None:
        self.slots, self.acceleration, self.equipment = slots, acceleration, equipment
        self._client, self._ended = client, False
        self._pool = ThreadPoolExecutor(2 * slots + 2, thread_name_prefix="cluster")
        self._stop = f"gso-stop-{uuid.uuid4().hex}"
        self._deliveries: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def submit(self, function: Any, job: Any, /, *_: Any, **__: Any) -> Future[Any]:  # type: ignore[override]
        """Queue a job; ``function`` must be :func:`gso.kernel.machine.jobs.run`."""
        if function is not jobs.run:
            raise TypeError("a cluster's machines boot jobs and do nothing else")
        return self._pool.submit(self._boot, job)

    def end(self) -> None:
        """End what is under way; nothing is begun any more."""
        self._ended = True
        worker.event(self._stop, self._client).set()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for what is queued."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _boot(self, job: Job) -> Result:
        begun = time.monotonic()
        try:
            if self._ended:
                raise TestBedError("cluster", "it was ended before it began")
            return self._result(job)
        except GuestFileError as error:
            failed = TestBedError("guest", str(error))
        except TestBedError as error:
            failed = error
        seconds = round(time.monotonic() - begun, 2)
        return Result("failed", seconds, {}, failed.stage, failed.message)

    def _result(self, job: Job) -> Result:
        job.folder.mkdir(parents=True)
        topic = f"gso-progress-{uuid.uuid4().hex}"
        said = _Progress(job.folder)
        self._client.subscribe_topic(topic, said.take)
        order = _order(job, topic, self._stop)
        try:
            found = self._journey(job, order)
        finally:
            self._forget(order)
            self._client.unsubscribe_topic(topic)
            said.end()
        if isinstance(found, Result):
            return found
        parcels.unpack(found["evidence"], job.folder)
        result = found["result"]
        log = job.folder / Path(result["log"]).name if result["log"] else None
        return Result(**{**result, "log": log, "host": str(found["host"])})

    def _journey(self, job: Job, order: Order) -> dict[str, Any] | Result:
        """Send an order until a worker that has all it needs has done it."""
        archives = {one.digest: one.archive for one in order.parcels()}
        for _ in range(_MOST_JOURNEYS):
            found = self._outcome(job, order)
            if isinstance(found, Result) or "result" in found:
                return found
            if "refused" in found:
                raise TestBedError("cluster", f"the worker at {found['host']}: {found['refused']}")
            self._deliver(found["address"], {d: archives[d] for d in found["missing"]})
        raise TestBedError("cluster", f"no worker kept what it was sent, {_MOST_JOURNEYS} times")

    def _deliver(self, address: str, wanted: dict[str, Path]) -> None:
        """Send parcels to a worker, once for all jobs; one that is gone gets none."""
        with self._deliveries[address], suppress(_GoneError):
            for digest in self._at(address, _lacking, sorted(wanted)):
                self._at(address, parcels.store, digest, wanted[digest].read_bytes())

    def _forget(self, order: Order) -> None:
        """Keep nowhere what no other boot needs."""
        if not order.inputs:
            return
        digests = [one.digest for one in order.inputs]
        for address in list(self._deliveries):
            with suppress(_GoneError, ClusterError):
                self._at(address, parcels.forget, digests)
        for one in order.inputs:
            one.archive.unlink(missing_ok=True)

    def _at(self, address: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Have one worker call a function. Raises _GoneError where it dies before it has."""
        # Dask would wait for a worker of this address for ever.
        if address not in self._client.nthreads():
            raise _GoneError
        future = self._client.submit(function, *arguments, workers=[address], pure=False)
        while not future.done():
            if address not in self._client.nthreads():
                future.cancel()
                raise _GoneError
            time.sleep(_POLL_SECONDS)
        try:
            return future.result()
        except worker_died():
            raise _GoneError from None

    def _outcome(self, job: Job, order: Order) -> Any:
        future = self._client.submit(worker.boot, order, resources={MACHINES: 1}, pure=False)
        begun = time.monotonic()

        def pass_on_stop() -> None:
            if job.stop.exists():
                self.end()

        try:
            return awaited(self._client, future, pass_on_stop)
        except worker_died() as error:
            seconds = round(time.monotonic() - begun, 2)
            return Result("lost", seconds, {}, "cluster", str(error).partition("\n")[0])
        except ClusterError as error:
            raise TestBedError("cluster", str(error)) from None
        except (ImportError, AttributeError) as error:
            raise TestBedError("cluster", f"a worker has another pygso: {error}") from None


def _lacking(digests: list[str]) -> list[str]:
    """Return the parcels, of these, that this worker does not have."""
    return [digest for digest in digests if not Parcel(digest, "").place.exists()]


def _order(job: Job, topic: str, stop: str) -> Order:
    kernel = job.kernel
    tree = None
    if kernel.modules_folder:
        tree = parcels.made(kernel.modules_folder, f"tree/lib/modules/{kernel.modules_folder.name}")
        tree = Parcel(tree.digest, "tree")
    return Order(
        edition(),
        parcels.made(kernel.image, kernel.image.name),
        tuple(parcels.made(module, module.name) for module in kernel.modules),
        tree,
        job.plan,
        job.folder.name,
        job.timeout,
        topic,
        stop,
        tuple(parcels.made(one, one.name) for one in job.inputs),
        job.how,
    )


class _Progress:
    """Writes what a guest says at a worker where one at home would; a repetition begins anew."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / channel.PROGRESS
        self._attempt, self._size, self._ended = "", 0, False
        self._lock = threading.Lock()

    def take(self, event: tuple[float, dict[str, Any]]) -> None:
        """Take in what a worker tells."""
        said = event[1]
        with self._lock:
            if self._ended:
                return
            if said["attempt"] != self._attempt:
                self._attempt, self._size = said["attempt"], 0
                self._file.write_text("")
            with self._file.open("a") as sink:
                for line in said["lines"]:
                    self._size += len(line)
                    if self._size > _MOST_SAID:
                        return
                    messages.read(line.encode())
                    sink.write(f"{line}\n")

    def end(self) -> None:
        """What comes now is late: the evidence has it."""
        with self._lock:
            self._ended = True
