"""Files and folders on their way between hosts: packed, named by their content, taken with care."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.errors import TestBedError
from gso.kernel.paths import cache_folder, only_one

_NAME = re.compile(r"\w[\w.+@-]{0,200}", re.ASCII)
_LARGEST_FILE, _MOST_BYTES, _MOST_FILES, _DEEPEST = 256 << 20, 4 << 30, 8_000, 16
_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
_FOLDER = "parcels"
# What zipfile raises for damage, zlib's own error and an early end among it
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError),
    *(ValueError, NotImplementedError, OSError, RuntimeError),
)
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression that needs little memory: bzip2's and xz's dictionaries are as large as they say."""


@dataclass(frozen=True)
class Parcel:
    """Something in the cache of a host. ``name``: what it is called where it is unpacked."""

    digest: str
    name: str

    @property
    def place(self) -> Path:
        """Where this host has it, if it has."""
        return cache_folder() / _FOLDER / self.digest / self.name

    @property
    def archive(self) -> Path:
        """The archive of it, where it was made."""
        return cache_folder() / _FOLDER / f"{self.digest}.zip"


def made(path: Path, name: str) -> Parcel:
    """Pack a file or a folder, once for each state of it; return what it became."""
    folder = cache_folder() / _FOLDER
    note = folder / f"{_state(path)}.digest"
    with only_one(folder):
        if note.exists() and (parcel := Parcel(note.read_text(), name)).archive.exists():
            return parcel
        data = pack(path, name)
        parcel = Parcel(hashlib.sha256(data).hexdigest()[:32], name)
        parcel.archive.write_bytes(data)
        note.write_text(parcel.digest)
    return parcel


def _state(path: Path) -> str:
    """Return a digest of which files there are, how large, and when they were changed."""
    every = sorted(path.rglob("*")) if path.is_dir() else [path]
    words = [
        (str(p), (status := p.lstat()).st_size, status.st_mtime_ns) for p in every if p.is_file()
    ]
    return hashlib.sha256(repr((str(path), words)).encode()).hexdigest()[:32]


def pack(path: Path, name: str = "") -> bytes:
    """Return an archive of a file, or of the regular files in a folder, as ``name``.

    The same files make the same archive. Links are left out.
    """
    sink = io.BytesIO()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in files:
            if file.is_file() and not file.is_symlink():
                inside = Path(name, file.relative_to(path) if path.is_dir() else "")
                info = zipfile.ZipInfo(str(inside), _BEGINNING_OF_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                with archive.open(info, "w", force_zip64=True) as target, file.open("rb") as source:
                    shutil.copyfileobj(source, target, 1 << 20)
    return sink.getvalue()


def unpack(data: bytes, folder: Path) -> None:
    """Write the files of an archive that another host has made into a folder, within limits.

    Plain names only, and what is there already is replaced and never written through.

    Raises:
        TestBedError: it is no such archive.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            every = archive.infolist()
            _check(every)
            for one in every:
                with archive.open(one) as source:
                    content = source.read(_LARGEST_FILE + 1)
                if len(content) != one.file_size:
                    raise zipfile.BadZipFile(f"{one.filename[:80]!r} is not as long as it says")
                _write(folder / one.filename, content)
    except _DAMAGE as error:
        raise TestBedError("cluster", f"what a worker sent is damaged: {error}") from None


def _check(every: list[zipfile.ZipInfo]) -> None:
    if len(every) > _MOST_FILES:
        raise ValueError(f"it has {len(every)} files, more than {_MOST_FILES}")
    if sum(one.file_size for one in every) > _MOST_BYTES:
        raise ValueError(f"its files have more than {_MOST_BYTES} bytes")
    for one in every:
        parts = one.filename.split("/")
        if len(parts) > _DEEPEST or not all(map(_NAME.fullmatch, parts)):
            raise ValueError(f"it has a file of the name {one.filename[:80]!r}")
        if one.compress_type not in _PACKED:
            raise ValueError(f"{one.filename[:80]!r} is packed in the way {one.compress_type}")
        if one.file_size > _LARGEST_FILE:
            raise ValueError(f"{one.filename[:80]!r} has {one.file_size} bytes")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def forget(digests: list[str]) -> None:
    """Take parcels out of this host's cache."""
    for digest in digests:
        shutil.rmtree(cache_folder() / _FOLDER / digest, ignore_errors=True)


def store(digest: str, data: bytes) -> None:
    """Put a parcel into this host's cache, whole or not at all."""
    found = hashlib.sha256(data).hexdigest()[:32]
    if found != digest:
        raise TestBedError("cluster", f"the parcel {digest} arrived as {found}")
    place = cache_folder() / _FOLDER / digest
    with only_one(place.parent):
        if not place.exists():
            partial = place.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            unpack(data, partial)
            partial.rename(place)
