"""Work for a cluster that ends its worker's process: the first time it meets a file, or always."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def work(name: str, data: bytes) -> int:
    mark = Path(name).with_suffix(".met")
    if "always" in name or ("once" in name and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return len(data)


def main(names: list[str]) -> None:
    from distributed import LocalCluster  # noqa: PLC0415

    from gso.cluster import connected, over_files  # noqa: PLC0415

    with (
        LocalCluster(n_workers=5, threads_per_worker=1, dashboard_address=None) as made,
        connected(made.scheduler_address) as client,
    ):
        for file in over_files(client, names, work, len):
            print(Path(file.name).name, file.result, file.error[:12], flush=True)


if __name__ == "__main__":
    import deadly

    deadly.main(sys.argv[1:])
