"""List the content of the cache, and delete it."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.paths import cache_folder

# The folders of the cache, and what each of them holds.
KINDS = {
    "debian": "kernel packages, unpacked",
    "toolchains": "compilers of Debian's suites, unpacked",
    "build": "module sources and objects",
    "modules": "modules, built",
    "trees": "source trees with their objects and kernels",
    "initramfs": "initramfs archives",
    "logs": "logs of builds by hand",
    "bisect": "repositories and results of bisections",
}
_DAY = 86_400.0


@dataclass(frozen=True)
class Entry:
    """One thing in the cache. ``used``: the newest time of a file in it."""

    path: Path
    kind: str
    size: int
    used: float

    @property
    def days(self) -> float:
        """The days since it was last used."""
        return (time.time() - self.used) / _DAY


def entries() -> list[Entry]:
    """Return everything in the cache, by kind and name."""
    found = []
    for kind in KINDS:
        folder = cache_folder() / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            if path.suffix != ".lock":
                found.append(_entry(path, kind))
    return found


def _entry(path: Path, kind: str) -> Entry:
    size, used = 0, path.lstat().st_mtime
    for folder, _, names in os.walk(path):
        for name in names:
            status = os.lstat(f"{folder}/{name}")
            size += status.st_blocks * 512
            # Unpacked files have times of their own, from before they came here.
            used = max(used, status.st_ctime)
    if path.is_file():
        size = path.lstat().st_blocks * 512
    return Entry(path, kind, size, used)


def clear(older_than_days: float = 0.0) -> tuple[list[Entry], list[Entry]]:
    """Delete entries that were not used for so long; return those deleted, and those in use."""
    gone: list[Entry] = []
    busy: list[Entry] = []
    for entry in entries():
        if entry.days >= older_than_days:
            (gone if _delete(entry.path) else busy).append(entry)
    return gone, busy


def _delete(path: Path) -> bool:
    lock = path.with_name(f"{path.name}.lock")
    if not lock.exists():
        _remove(path)
        return True
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        _remove(path)
        lock.unlink()
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
