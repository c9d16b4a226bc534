"""Workers of a cluster with places of their own, and machines that are made up."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import distributed
from gso.kernel.edition import edition
from gso.kernel.fleet import worker
from gso.kernel.machine import jobs
from gso.kernel.machine.tools import equipment

import fake_machines


def own_place(folder: str, deadly: str = "", *, fake: bool = True) -> None:
    """Give a worker a cache and a working folder of its own, and machines that are made up."""
    own = Path(folder, str(os.getpid()))
    own.mkdir(exist_ok=True)
    os.environ["PYGSO_CACHE"] = str(own / "cache")
    os.chdir(own)
    if not fake:
        return
    pretended = fake_machines.Machines()

    def run(job):
        mark = Path(folder, "died")
        if deadly and deadly in job.folder.name and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return pretended.run(job)

    jobs.run = run
    worker.platform = SimpleNamespace(node=lambda: f"worker-{os.getpid()}")
    worker.describe = lambda: {
        **{"host": "made-up", "edition": edition(), "kvm": False, "cores": 2},
        **{"memory_bytes": 1 << 30, "machines": 2, "missing": []},
        "equipment": equipment(),
    }


class Place(distributed.WorkerPlugin):
    """Does so for the workers that take the place of dead ones, too."""

    name = "own-place"

    def __init__(self, *words, **options) -> None:
        self._words, self._options = words, options

    def setup(self, worker) -> None:  # noqa: ARG002
        own_place(*self._words, **self._options)
