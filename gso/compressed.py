"""Compressed files. First bytes tell how a file is compressed, its name how to compress it."""

from __future__ import annotations

import contextlib
import importlib
import io
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

LONGEST_MAGIC = 6
_MAGICS = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
}
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".lz4": "lz4"}
_READ = 1 << 16
_STEP = 1 << 12
_OUTPUT = 1 << 16
_XZ_MEMORY = 256 << 20  # xz -9 needs 65 MiB, and a file can ask for 4 GiB
_PADDED = ("gzip", "xz")
_MODULES = {
    "gzip": ("gzip",),
    "bzip2": ("bz2",),
    "xz": ("lzma",),
    # The module of Python 3.14, and the same for those before it.
    "zstd": ("compression.zstd", "backports.zstd"),
    "lz4": ("lz4.frame",),
}
"""Modules, of which the first that is there is taken. They are loaded where they are needed."""
_PACKAGES = {"zstd": "backports.zstd", "lz4": "lz4"}
"""What to install for those that are not in every Python."""


class DamagedError(ValueError):
    """The compressed data is not what its first bytes promise, or cannot be read here."""


def compression(head: bytes) -> str | None:
    """The compression of a file that begins so: gzip, bzip2, xz, zstd, lz4, or None."""
    return next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), None)


class Expander(io.RawIOBase):
    """The content of a compressed file whose first bytes, `head`, have been read already.

    Unlike the standard library's file objects it gives out everything before the place where a
    file is cut off, and raises EOFError only there. Members that follow one another are one
    content. Raises DamagedError for damaged data, or where a module for zstd or lz4 is missing.

    A decompressor that meets damage keeps back what this step of it has made. So steps are of one
    size, whatever pieces the file comes in or the content is asked for in: then the content before
    the damage, and the place where damage is reported, are always the same.
    """

    def __init__(self, kind: str, head: bytes, file: Any) -> None:
        self._kind = kind
        self._ahead = memoryview(head)
        self._file = file
        self._start: Callable[[], Any] = _decompressors(kind)
        self._member = self._start()
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        """True: a raw stream says whether it can be read."""
        return True

    def readinto(self, into: Any) -> int:
        """Fill `into` with the next bytes; returns how many, 0 at the end."""
        while not self._output:
            try:
                if not self._advance():
                    return 0
            except (EOFError, MemoryError):
                raise
            except Exception as error:
                # Each module has its own error; zlib's and zstd's derive from Exception only.
                raise DamagedError(f"{self._kind}: {error}") from error
        size = min(len(self._output), len(into))
        into[:size] = self._output[:size]
        self._output = self._output[size:]
        return size

    def _advance(self) -> bool:
        """Take one step; returns False at the end of the content."""
        member = self._member
        if member.eof:
            self._input = self._input or self._next_input()
            if self._kind in _PADDED:
                # gzip and xz let zeros follow, as on tapes, and take them for nothing.
                self._input = self._input.lstrip(b"\0")
                while not self._input and (more := self._next_input()):
                    self._input = more.lstrip(b"\0")
            if not self._input:
                return False
            self._member = member = self._start()
        chunk = b""
        if member.needs_input:
            chunk, self._input = self._input or self._next_input(), b""
            if not chunk:
                raise EOFError
        self._output = memoryview(member.decompress(chunk, _OUTPUT))
        if member.eof:
            # That of lz4 is None where nothing follows.
            self._input = (member.unused_data or b"") + self._input
        return True

    def _next_input(self) -> bytes:
        """The next bytes of the file: equally many each time, except for the last."""
        while len(self._ahead) < _STEP:
            more = self._file.read(_READ)
            if not more:
                break
            self._ahead = memoryview(bytes(self._ahead) + more)
        taken, self._ahead = self._ahead[:_STEP], self._ahead[_STEP:]
        return bytes(taken)


class _Gzip:
    """zlib with the attributes that the decompressors of bz2 and lzma have."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    def decompress(self, data: bytes, limit: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, limit)

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data


def _decompressors(kind: str) -> Callable[[], Any]:
    if kind == "gzip":
        return _Gzip
    module = _module(kind)
    if kind == "xz":
        return partial(module.LZMADecompressor, module.FORMAT_XZ, memlimit=_XZ_MEMORY)
    names = {
        "bzip2": "BZ2Decompressor",
        "zstd": "ZstdDecompressor",
        "lz4": "LZ4FrameDecompressor",
    }
    start: Callable[[], Any] = getattr(module, names[kind])
    return start


def _module(kind: str) -> Any:
    for name in _MODULES[kind]:
        with contextlib.suppress(ImportError):
            return importlib.import_module(name)
    package = _PACKAGES.get(kind)
    way = f"pip install {package}" if package else "take a Python that was built with it"
    raise DamagedError(f"{kind}: {way}, or use {kind} -d and a pipe")


@contextlib.contextmanager
def compressing(name: str, file: Any) -> Iterator[Any]:
    """A file that writes to `file`, compressed if `name` has such a suffix (``.gz``)."""
    kind = _SUFFIXES.get(Path(name).suffix)
    if kind is None:
        yield file
        return
    with _compressor(kind, file) as target:
        yield target


def _compressor(kind: str, file: Any) -> Any:
    module = _module(kind)
    if kind == "gzip":
        return module.GzipFile("", "wb", fileobj=file, mtime=0)
    if kind == "lz4":
        # With a checksum, as the program lz4 writes.
        return module.LZ4FrameFile(file, "wb", content_checksum=True)
    return module.open(file, "wb")
