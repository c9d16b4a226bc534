"""The work of a worker of the cluster: say what it is, keep parcels, boot a machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gso.kernel.bootable import Bootable
from gso.kernel.edition import edition
from gso.kernel.fleet import parcels
from gso.kernel.fleet.parcels import Parcel
from gso.kernel.machine import capacity, channel, jobs, kvm, tools
from gso.kernel.machine.jobs import Job
from gso.kernel.machine.vm import Way
from gso.kernel.processes import SEARCH_PATH

MACHINES, KVM = "gso-machines", "gso-kvm"
"""Resources of a worker: the machines that it carries at once, and whether they run natively."""

_TELL_SECONDS = 0.5
_STOP = "stop"


@dataclass(frozen=True)
class Order:
    """A boot as plain data: what is to be there, and what is to be done.

    ``topic`` and ``stop``: where progress goes, and the event that ends it early.
    """

    edition: str
    image: Parcel
    modules: tuple[Parcel, ...]
    tree: Parcel | None
    plan: dict[str, Any]
    name: str
    timeout: float
    topic: str
    stop: str
    inputs: tuple[Parcel, ...] = ()
    how: Way = "qemu"

    def parcels(self) -> list[Parcel]:
        """Return all that it needs."""
        tree = [self.tree] if self.tree else []
        return [self.image, *self.modules, *tree, *self.inputs]


def describe() -> dict[str, Any]:
    """Say what this host is: name, edition, KVM, cores, machines, memory, and what it lacks."""
    os.environ["PATH"] = SEARCH_PATH
    missing = [tool.program for tool in tools.lacking(tools.MACHINE)]
    native = kvm.probe()
    return {
        "host": platform.node(),
        "edition": edition(),
        "kvm": native.works,
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "machines": 0 if missing else capacity.local_slots(),
        "missing": missing,
        "equipment": tools.equipment(),
    }


class Announcement:
    """A plugin of workers: each states its resources, also one that comes later.

    Dask asks for no more of a plugin than this method and a name.
    """

    name = "gso-kernel"

    async def setup(self, worker: Any) -> None:
        """State them."""
        found = await asyncio.to_thread(describe)
        usable = found["machines"] if found["edition"] == edition() else 0
        await worker.set_resources(**{MACHINES: usable, KVM: usable * found["kvm"]})


def boot(order: Order) -> dict[str, Any]:
    """Boot and return the result with the evidence, or the parcels that are missing here."""
    from distributed import get_client, get_worker  # noqa: PLC0415  (an extra)

    worker = get_worker()
    said = {"host": platform.node(), "address": worker.address}
    if order.edition != edition():
        return {**said, "refused": f"it has the edition {edition()}, this is {order.edition}"}
    if lacking := [one.digest for one in order.parcels() if not one.place.exists()]:
        return {**said, "missing": lacking}
    os.environ["PATH"] = SEARCH_PATH
    with tempfile.TemporaryDirectory(prefix="gso-kernel-fleet-") as home:
        folder, stop = Path(home, order.name), Path(home, _STOP)
        tree = order.tree.place if order.tree else None
        modules = tuple(one.place for one in order.modules)
        kernel = Bootable(order.image.place, modules, _release(tree) if tree else None)
        given = tuple(one.place for one in order.inputs)
        job = Job(kernel, order.plan, folder, order.timeout, stop, inputs=given, how=order.how)
        with _told(worker, event(order.stop, get_client()), order.topic, folder):
            result = jobs.run(job)
        found = {**vars(result), "log": result.log.name if result.log else None}
        return {**said, "result": found, "evidence": parcels.pack(folder)}


def event(name: str, client: Any) -> Any:
    """Return an event that all of the cluster can see."""
    from distributed import Event  # noqa: PLC0415

    make: Any = Event
    return make(name, client=client)


def _release(tree: Path) -> Path:
    """Return the only folder lib/modules/RELEASE below a tree."""
    (found,) = (tree / "lib" / "modules").iterdir()
    return found


@contextmanager
def _told(worker: Any, wanted: Any, topic: str, folder: Path) -> Iterator[None]:
    """Tell what the guest says while it runs, and end it when the run does."""
    ended = threading.Event()
    teller = threading.Thread(target=_tell, args=(worker, wanted, topic, folder, ended))
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell(worker: Any, wanted: Any, topic: str, folder: Path, ended: threading.Event) -> None:
    attempt, told = uuid.uuid4().hex, 0
    while not ended.wait(_TELL_SECONDS):
        # Whatever is wrong with the way back: the job goes on, and its result says all again.
        with contextlib.suppress(Exception):
            if wanted.is_set():
                folder.with_name(_STOP).touch()
            lines = channel.lines(folder)
            if len(lines) > told:
                worker.log_event(topic, {"attempt": attempt, "lines": lines[told:]})
                told = len(lines)
