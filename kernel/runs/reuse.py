"""Boots of earlier runs, taken in place of new ones where all that they depend on is the same.

A boot that went through at the first attempt is *sealed* when it is judged: beside its evidence
lies a file with what it depends on (a key), what the guest said at its end, and a digest of each
file. A later run takes it where the key is the same: kernel image and modules, scenarios and the
functions whose entries are counted, this program, and what machines are made of. The evidence is
copied and judged again, but for the comparison of the frames, which are not kept.

Boots, not single scenarios, are taken: a warning in a kernel's log is all its scenarios' together.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gso.kernel import guest_files
from gso.kernel.bootable import Bootable
from gso.kernel.edition import edition
from gso.kernel.errors import UsageError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.judging.wire_check import Explanation
from gso.kernel.machine import channel, messages
from gso.kernel.machine.jobs import Job, Result
from gso.kernel.paths import SEAL
from gso.kernel.report import parts
from gso.kernel.scenarios import Scenario
from gso.kernel.trees.kept import key

import gso

_SCHEMA = "gso.boot/1"
_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("key", "host", "equipment"), str),
    **{"seconds": (int, float), "guest": dict, "files": dict},
}


@dataclass(frozen=True)
class _Sealed:
    """An earlier boot. ``files``: the digest of each file of its evidence."""

    folder: Path
    key: str
    scenarios: tuple[str, ...]
    seconds: float
    guest: dict[str, Any]
    host: str
    equipment: str
    files: dict[str, str]


class Known:
    """The sealed boots below a folder, each of which is taken once at most.

    ``equipment``: what the machines of this run are made of. ``note`` is told what is not believed.
    """

    def __init__(self, top: Path, equipment: str, note: Callable[[str], None]) -> None:
        self._equipment, self._note = equipment, note
        self._left = [s for folder in parts.named(SEAL, [top]) if (s := self._read(folder))]

    def _read(self, folder: Path) -> _Sealed | None:
        try:
            return _unsealed(folder)
        except GuestFileError as error:
            self._note(f"not reused: {folder}: {error}")
            return None

    def groups(
        self, scenarios: Sequence[Scenario], plans: Callable[[Sequence[Scenario]], Iterable[Job]]
    ) -> tuple[list[tuple[Scenario, ...]], list[Scenario]]:
        """Divide scenarios as known boots did; return the groups, and the scenarios of none.

        ``plans``: the jobs, one a variant, that would boot a group.
        """
        left = {scenario.name: scenario for scenario in scenarios}
        known: dict[tuple[str, ...], set[str]] = {}
        for sealed in self._left:
            known.setdefault(sealed.scenarios, set()).add(sealed.key)
        found = []
        for names in sorted(known, key=len, reverse=True):
            if names and left.keys() >= set(names):
                group = tuple(left[name] for name in names)
                if known[names].intersection(map(self._key, plans(group))):
                    found.append(group)
                    left = {name: one for name, one in left.items() if name not in names}
        return found, list(left.values())

    def take(self, job: Job) -> Result | None:
        """Return the result of a known boot that is as good as this job, its evidence copied."""
        wanted = self._key(job)
        for sealed in [one for one in self._left if one.key == wanted]:
            self._left.remove(sealed)
            try:
                _copy(sealed, job)
            except (GuestFileError, UsageError) as error:
                shutil.rmtree(job.folder, ignore_errors=True)
                self._note(f"not reused: {sealed.folder}: {error}")
                continue
            self._note(f"{job.folder.name}: reused from {sealed.folder}")
            return Result(
                *("done", sealed.seconds, sealed.guest),
                host=sealed.host,
                equipment=sealed.equipment,
                reused=str(sealed.folder),
            )
        return None

    def _key(self, job: Job) -> str:
        return _key(job, self._equipment)


def seal(job: Job, result: Result) -> None:
    """Seal a boot whose evidence has been judged; one by unknown means stays as it is."""
    if not result.equipment:
        return
    sealed = {
        "schema": _SCHEMA,
        "key": _key(job, result.equipment),
        "scenarios": [scenario["name"] for scenario in job.plan["scenarios"]],
        "seconds": result.seconds,
        "guest": result.guest,
        "host": result.host,
        "equipment": result.equipment,
        "files": {name: _digest(data) for name, data in _evidence(job.folder)},
    }
    place = job.folder / SEAL
    guest_files.make_way(place)
    place.write_text(json.dumps({**sealed, "digest": _digest_of(sealed)}, indent=1))


def keep_explanation(stem: Path, wire: Explanation) -> None:
    """Keep how the frames of an exchange compared; they themselves go."""
    place = _explanation(stem)
    guest_files.make_way(place)
    place.write_text(json.dumps(asdict(wire)))


def explanation(stem: Path) -> Explanation:
    """Return what :func:`keep_explanation` kept."""
    place = _explanation(stem)
    with guest_files.understood(place.name):
        kept = guest_files.read_json(place)
        return Explanation(
            super_packets=int(kept["super_packets"]),
            segments=int(kept["segments"]),
            matching=int(kept["matching"]),
            reconstructed=bool(kept["reconstructed"]),
            differences=tuple(map(str, kept["differences"])),
        )


def _explanation(stem: Path) -> Path:
    return stem.with_name(f"{stem.name}.wire.json")


def _key(job: Job, equipment: str) -> str:
    """Return a digest of all that the outcome of a job depends on."""
    return key(edition(), _library(), _content(job.kernel), job.plan, job.how, equipment)


@functools.cache
def _library() -> str:
    """Return a digest of the library, which compares the frames."""
    top = Path(gso.__file__).parent
    files = [path for kind in ("py", "so") for path in top.rglob(f"*.{kind}")]
    own = sorted(path for path in files if not path.is_relative_to(top / "kernel"))
    return key([(str(path.relative_to(top)), _digest_of_file(path)) for path in own])


def _content(kernel: Bootable) -> str:
    """Return a digest of what is booted: image, modules in their order, folder of modules."""
    tree = kernel.modules_folder
    every = (
        sorted(Path(at, name) for at, _, names in os.walk(tree) for name in names) if tree else []
    )
    inside = [
        (str(path.relative_to(tree)), _digest_of_file(path))
        for path in every
        if tree and path.is_file() and not path.is_symlink()
    ]
    modules = [(module.name, _digest_of_file(module)) for module in kernel.modules]
    return key(_digest_of_file(kernel.image), modules, inside)


def _digest_of_file(path: Path) -> str:
    status = path.stat()
    return _digest_of_state(path, status.st_size, status.st_mtime_ns)


@functools.cache
def _digest_of_state(path: Path, *_: int) -> str:
    """Return the digest of a file, which is read once for each state of it."""
    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest_of(sealed: dict[str, Any]) -> str:
    return _digest(json.dumps(sealed, sort_keys=True).encode())


def _evidence(folder: Path) -> Iterable[tuple[str, bytes]]:
    """Return the name and the bytes of each file, but for the seal."""
    for path in parts.files(folder):
        name = str(path.relative_to(folder))
        if name != SEAL:
            yield name, guest_files.read(path)


def _unsealed(folder: Path) -> _Sealed:
    """Read a seal, which may be damaged or of another program."""
    with guest_files.understood(SEAL):
        sealed = guest_files.read_json(folder / SEAL)
        if sealed["schema"] != _SCHEMA:
            raise ValueError(f"its schema is {sealed['schema']!r}, not {_SCHEMA}")
        if sealed.pop("digest") != _digest_of(sealed):
            raise ValueError("it was changed after it was written")
        del sealed["schema"]
        if wrong := [name for name, kind in _TYPES.items() if not isinstance(sealed[name], kind)]:
            raise ValueError(f"it has no proper {wrong[0]}")
        names = tuple(map(str, sealed.pop("scenarios")))
        messages.read(json.dumps({"stage": "end", **sealed["guest"]}).encode())
        return _Sealed(folder, scenarios=names, **sealed)


def _copy(sealed: _Sealed, job: Job) -> None:
    """Copy the evidence, and make sure that it is what was sealed, and of this job's exchanges."""
    left = dict(sealed.files)
    for name, data in _evidence(sealed.folder):
        if left.pop(name, None) != _digest(data):
            raise GuestFileError(f"{name} is not as it was sealed")
        place = job.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    if left:
        raise GuestFileError(f"{min(left)} is not there any more")
    with guest_files.understood(channel.PROGRESS):
        events = [messages.read(line.encode()) for line in channel.lines(job.folder)]
        cells = [event["result"] for event in events if event["stage"] == "cell"]
        if [(cell["scenario"], cell["traffic"]) for cell in cells] != channel.exchanges(job.plan):
            raise ValueError("it does not tell of each exchange in its order")
