"""Files that a guest wrote. It may have put anything in their place, and any amount of it."""

from __future__ import annotations

import codecs
import json
import math
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

_LARGEST, LARGEST_JSON = 256 << 20, 32 << 20
_LONGEST_LINE, MOST_PACKETS = 64 << 10, 200_000


class GuestFileError(OSError):
    """A guest left something else where a file is expected."""


def read(path: Path, most: int = _LARGEST) -> bytes:
    """Return the bytes of a regular file; raise :class:`GuestFileError` for anything else.

    Neither the file nor its folder may be a link. Nothing is waited for, as a FIFO would need.
    """
    with _opened(path, most) as source:
        data = source.read(most + 1)
        _check_size(path, len(data), most)
        return data


@contextmanager
def _opened(path: Path, most: int) -> Iterator[BinaryIO]:
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
            _check_size(path, status.st_size, most)
            yield source
    except GuestFileError:
        raise
    except OSError as error:
        raise GuestFileError(f"{path.name} of the guest cannot be read: {error.strerror}") from None


def _check_size(path: Path, size: int, most: int) -> None:
    if size > most:
        raise GuestFileError(f"{path.name} of the guest has more than {most} bytes")


def lines(path: Path) -> Iterator[str]:
    """Yield the lines of a regular file without their ends, read as :func:`read` does.

    One at a time: all of them take many times as much memory as the file. A very long line comes
    in pieces.
    """
    return (piece.rstrip("\r\n") for piece in pieces(path))


def pieces(path: Path) -> Iterator[str]:
    """Yield the text of a regular file, in lines with their ends, or less of one that is long."""
    size = 0
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with _opened(path, _LARGEST) as source:
        while piece := source.readline(_LONGEST_LINE):
            size += len(piece)
            _check_size(path, size, _LARGEST)  # it may grow
            yield decoder.decode(piece)
    if rest := decoder.decode(b"", final=True):
        yield rest


def read_json(path: Path) -> Any:
    """Return what a JSON file holds, which needs many times its size of memory."""
    with understood(path.name):
        return json.loads(read(path, LARGEST_JSON), parse_float=finite, parse_constant=finite)


def finite(digits: str) -> float:
    """Return the number; raise :class:`ValueError` for one that JSON does not have."""
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"{digits[:20]} is no number")
    return number


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


def counted(count: int) -> range:
    """Count so many packets of one answer; raise :class:`ValueError` for more than can be right.

    A packet has at most 65,535 bytes that can be cut, and empty ones in a file would be millions.
    """
    if count > MOST_PACKETS:
        raise ValueError(f"{count} packets are more than {MOST_PACKETS}")
    return range(count)


def make_way(path: Path) -> None:
    """Make sure that a file of ours can be written there, and through no link.

    Only for a guest that has ended.
    """
    if path.parent.is_symlink():
        raise GuestFileError(f"{path.parent.name} of the guest is a link")
    if os.path.lexists(path):
        path.unlink()
