"""The folders of the test bed: its package, its cache, its patches."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).parent
GUEST = PACKAGE / "guest"

RESULTS, ZOO_RESULTS, HUNT_RESULTS, SEAL = "results.json", "zoo.json", "hunt.json", "seal.json"
BELIEVED = frozenset((RESULTS, ZOO_RESULTS, HUNT_RESULTS, SEAL))
"""Files that later commands look for in folders, and believe: no guest may leave one."""


def cache_folder() -> Path:
    """Return the folder for downloads and builds: $PYGSO_CACHE, or pygso below $XDG_CACHE_HOME."""
    if own := os.environ.get("PYGSO_CACHE"):
        return Path(own).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "pygso"


def patches_folder() -> Path:
    """Return the folder of the patches that come with the package."""
    installed = PACKAGE / "patches"
    return installed if installed.is_dir() else PACKAGE.parent / "patches"


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder of the cache: two runs at once must not download or build in one place."""
    folder.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
