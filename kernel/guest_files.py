"""Files that a guest wrote. It may have put anything in their place, and any amount of it."""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_LARGEST, LARGEST_JSON = 256 << 20, 32 << 20


class GuestFileError(OSError):
    """A guest left something else where a file is expected."""


def read(path: Path, most: int = _LARGEST) -> bytes:
    """Return the bytes of a regular file; raise :class:`GuestFileError` for anything else.

    Neither the file nor its folder may be a link. Nothing is waited for, as a FIFO would need.
    """
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
            file = os.open(path.name, flags, dir_fd=folder)
        finally:
            os.close(folder)
        with os.fdopen(file, "rb") as source:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise GuestFileError(f"{path.name} of the guest is not a regular file")
            data = source.read(most + 1) if status.st_size <= most else b""
    except GuestFileError:
        raise
    except OSError as error:
        raise GuestFileError(f"{path.name} of the guest cannot be read: {error.strerror}") from None
    if max(len(data), status.st_size) > most:
        raise GuestFileError(f"{path.name} of the guest has more than {most} bytes")
    return data


def read_text(path: Path, most: int = _LARGEST) -> str:
    """Return the text of a regular file, as :func:`read` does."""
    return read(path, most).decode(errors="replace")


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, which needs many times its size of memory."""
    with understood(path.name):
        return json.loads(read(path, LARGEST_JSON))


@contextmanager
def understood(name: str) -> Iterator[None]:
    """Turn what goes wrong with the content of a file into an error that names the file."""
    try:
        yield
    except (
        *(struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError),
        RecursionError,
    ) as error:
        raise GuestFileError(f"{name} of the guest is damaged: {error}") from None


def exactly(source: BinaryIO, length: int) -> bytes:
    """Read so many bytes; raise :class:`ValueError` where there are fewer."""
    data = source.read(length)
    if len(data) < length:
        raise ValueError(f"{length} bytes should follow, and {len(data)} do")
    return data


def make_way(path: Path) -> None:
    """Make sure that a file of ours can be written there, and through no link.

    Only for a guest that has ended.
    """
    if path.parent.is_symlink():
        raise GuestFileError(f"{path.parent.name} of the guest is a link")
    if os.path.lexists(path):
        path.unlink()
