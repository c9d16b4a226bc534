"""Steps that builds share: keys by content, files brought up to date, logs kept."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.trees.patches import Files


def key(*parts: object) -> str:
    """Return a name for what depends on all of these."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode() + b"\0")
    return digest.hexdigest()[:24]


def content(files: Files) -> list[tuple[str, str | None]]:
    """Return the names of files with digests of what is in them."""
    return sorted(
        (name, None if data is None else hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    )


def write_files(tree: Path, files: Files) -> None:
    """Bring files to their wanted content; leave equal ones alone, so that make sees no change.

    A link in a file's place is not followed: it gives way to the file.
    """
    for name, data in files.items():
        path = tree / name
        check_inside(tree, Path(name).parent)
        if path.is_symlink() or (data is None and path.exists()):
            path.unlink()
        if data is not None and not (path.is_file() and path.read_bytes() == data):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def check_inside(tree: Path, name: Path) -> None:
    """Raise :class:`TestBedError` for a name that links lead out of the tree."""
    try:
        inside = (tree / name).resolve().is_relative_to(tree.resolve())
    except (OSError, RuntimeError):  # a loop of links
        inside = False
    if not inside:
        raise TestBedError("source", f"{name} is a link that leads out of {tree}")


def keep_log(log: Path, place: Path) -> None:
    """Keep the log of a build beside what it made, for the runs that find that in the cache."""
    shutil.copy2(log, place / "build.log")


def recall_log(place: Path, log: Path) -> None:
    """Return the log that was kept."""
    shutil.copy2(place / "build.log", log)


def jobs() -> int:
    """Return how many processes make may start."""
    return len(os.sched_getaffinity(0))
