"""Files to write: none of them is an input, and each is there whole or not at all."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gso.commands.usage import UsageError


def check_no_input(option: str, name: str, sources: Iterable[str]) -> None:
    """Raise :class:`UsageError` where a file to write is one of those to read."""
    if any(source != "-" and is_same(name, source) for source in sources):
        raise UsageError(f"{name} is one of the inputs: {option} would overwrite it")


def write_text(name: str, text: str) -> None:
    """Write a file, whole or not at all."""
    with replacing(name) as file:
        file.write(text.encode())


def is_same(name: str, source: str) -> bool:
    """Say whether both names are of one file that is there."""
    return Path(name).exists() and Path(source).exists() and Path(name).samefile(source)


def is_standard_output(name: str) -> bool:
    """Say whether a file to write is standard output, which then has no room for words."""
    try:
        return name == "-" or os.path.samestat(Path(name).stat(), os.fstat(1))
    except OSError:
        return False


@contextmanager
def replacing(name: str) -> Iterator[io.BufferedWriter | io.FileIO]:
    """A file that gets its name when it is complete, with mode and owner of what it replaces.

    A pipe or device is written as it is.
    """
    if not name:
        raise UsageError("the name of the file to write is empty")
    try:
        path = Path(name).resolve()  # a link stays a link
    except RuntimeError:
        raise UsageError(f"{name} is a loop of links") from None
    given = Path(name)  # the pipe behind /dev/stdout has no other name that can be opened
    if given.exists() and not given.is_file():
        with given.open("wb", buffering=0) as file:
            yield file
        return
    # The name is known before the file is there: a signal between the two leaves nothing behind.
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}")
    try:
        with _made(temporary, name) as whole:
            yield whole
        _like(path, temporary)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # the error before it counts
            temporary.unlink()
        raise


def _made(temporary: Path, name: str) -> io.BufferedWriter:
    """Make a file for this user alone; an error is one of the file that is to be there."""
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from None
    return os.fdopen(handle, "wb")


def _like(path: Path, new: Path) -> None:
    """Give a new file the mode and, as far as this user may, the owner of the old one."""
    if not path.exists():
        new.chmod(0o666 & ~_umask())
        return
    old = path.stat()
    with suppress(PermissionError):
        os.chown(new, old.st_uid, old.st_gid)
    new.chmod(stat.S_IMODE(old.st_mode) & 0o777)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
