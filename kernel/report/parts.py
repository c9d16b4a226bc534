"""The results of the parts of one run, found in folders, and told to belong together."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.errors import UsageError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.judging.parts import Part

_DEPTH = 4  # folders below one that was given, as those who gather artifacts make
_NEEDED = {"index": int, "count": int, "run": str}


@dataclass(frozen=True)
class Found:
    """The results of one part, and the folder they are in."""

    folder: Path
    results: dict[str, Any]

    @property
    def part(self) -> Part:
        """Which part of the run it is."""
        return Part(self.results["shard"]["index"], self.results["shard"]["count"])


def named(name: str, folders: Sequence[Path]) -> list[Path]:
    """Return the folders that have a file of this name: those given, or those inside of them."""
    found: list[Path] = []
    for top in folders:
        if not top.is_dir():
            raise UsageError(f"{top} is no folder")
        below = [path for path, names in _walk(top, _DEPTH) if name in names]
        found += below
    return list(dict.fromkeys(path.resolve() for path in found))


def files(folder: Path) -> Iterable[Path]:
    """Return the regular files in a folder and below it; no link is followed."""
    return [at / name for at, names in _walk(folder, _DEPTH) for name in sorted(names)]


def _walk(top: Path, depth: int) -> Iterable[tuple[Path, set[str]]]:
    try:
        entries = sorted(os.scandir(top), key=lambda entry: entry.name)
    except OSError as error:
        raise UsageError(f"cannot read {top}: {error.strerror}") from None
    yield top, {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
    for entry in entries:
        # A hidden folder is that of a run which has not ended.
        if depth and entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from _walk(Path(entry.path), depth - 1)


def read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file that another host has written."""
    try:
        results = json.loads(guest_files.read(path, guest_files.LARGEST_JSON))
    except GuestFileError as error:
        raise UsageError(f"cannot read {path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON: {error}") from None
    if not isinstance(results, dict):
        raise UsageError(f"{path} has no object of results")
    return results


def belonging(found: Sequence[Found]) -> tuple[list[Found], list[int]]:
    """Return the parts in order, and the numbers of those that are not there.

    Raises:
        UsageError: they are not all of one run, or one is there twice.
    """
    for one in found:
        _check(one)
    first = found[0]
    for other in found[1:]:
        if other.part.count != first.part.count:
            raise UsageError(
                f"{first.folder} is part {first.part}, {other.folder} is part {other.part}: "
                "these are two ways to divide a run"
            )
        if other.results["shard"]["run"] != first.results["shard"]["run"]:
            raise UsageError(
                f"{first.folder} and {other.folder} are not of one run: patches, kernels, "
                "scenarios or this program's edition differ"
            )
    seen: dict[int, Found] = {}
    for one in found:
        if one.part.index in seen:
            raise UsageError(
                f"{seen[one.part.index].folder} and {one.folder} are both part {one.part}: give one"
            )
        seen[one.part.index] = one
    missing = [index for index in range(1, first.part.count + 1) if index not in seen]
    return [seen[index] for index in sorted(seen)], missing


def _check(one: Found) -> None:
    shard = one.results.get("shard")
    proper = isinstance(shard, dict) and all(
        type(shard.get(key)) is kind for key, kind in _NEEDED.items()
    )
    if not proper or not shard or not 1 <= shard["index"] <= shard["count"] <= 10**6:
        raise UsageError(f"{one.folder} does not say which part of a run it is (shard)")


def copy_evidence(source: Path, target: Path) -> None:
    """Copy a folder of evidence: regular files through no link, each within the limit of a guest's.

    What is there already, such as a build's log of another part, stays.
    """
    for folder, names in _walk(source, _DEPTH):
        place = target / folder.relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in sorted(names):
            if not os.path.lexists(place / name):
                try:
                    (place / name).write_bytes(guest_files.read(folder / name))
                except GuestFileError as error:
                    raise UsageError(f"{folder}: {error}") from None
