"""The bytes of a log: from a path or a binary file, decompressed, in UTF-8."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import re
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from gso.compressed import LONGEST_MAGIC, DamagedError, Expander, compression
from gso.constants import Reason
from gso.errors import GsoError
from gso.traces.container_log import is_container_log, joined
from gso.traces.mail import is_mail, is_quoted, unfolded
from gso.traces.pretty import compacted, is_pretty, without_around
from gso.traces.terminal import fed, is_fed_by_returns

__all__ = ["LogFile", "Source", "check_text", "intact", "refuse_unknown"]

Source: TypeAlias = "str | os.PathLike[str] | BinaryIO | bytes | bytearray | memoryview"

_BUFFER = 1 << 18
_SAMPLE = 1 << 16
_MOST_LAYERS = 3
"""Compressions of one file, as of a log that was compressed when it was rotated, and again."""
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


class LogFile:
    """A log as UTF-8 text without a byte order mark, whatever it is compressed with.

    Args:
        source: a path, a binary file (a pipe will do), which `close` leaves open, or the bytes of
            a log.

    Attributes:
        name: what messages call it.
        start: its first bytes, 64 KiB or the whole of a smaller log.
        rest: a file with the bytes after them.
        more: whether there are any, as far as is known.
        size: its bytes on disk, 0 if the size of the text cannot be told from them: it is
            compressed, a pipe, or a file that the caller opened.

    Raises:
        GsoError: the compressed data is damaged.
        TypeError: the file was opened in text mode.
    """

    def __init__(self, source: Source) -> None:
        if isinstance(source, (bytes, bytearray, memoryview)):
            source = io.BytesIO(source)
        unnamed = source if isinstance(source, (str, os.PathLike)) else "the log"
        self.name = str(getattr(source, "name", unnamed))
        self.size = 0
        self._opened: BinaryIO | None = None
        if isinstance(source, (str, os.PathLike)):
            self._opened = source = Path(source).open("rb")  # noqa: SIM115  (close() closes it)
        try:
            with intact(self.name):
                self._read_start(source)
        except BaseException:
            self.close()
            raise

    def _read_start(self, file: BinaryIO) -> None:
        magic = _fill(file, LONGEST_MAGIC)
        kind = compression(magic)
        if kind is None and self._opened:
            status = os.fstat(self._opened.fileno())
            self.size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        self.rest = _expanded(magic, file)
        self.start = _fill(self.rest, _SAMPLE)
        if self.start.startswith(_UTF16_MARKS) and not self.start.startswith(_UTF32_MARKS):
            self._convert(_from_utf16)
        self.start = self.start.removeprefix(codecs.BOM_UTF8)
        if is_fed_by_returns(self.start):
            self._convert(fed)
        if is_mail(self.start):
            self._convert(partial(unfolded, quoted=is_quoted(self.start)))
        if is_container_log(self.start):
            self._convert(joined)
        if is_pretty(self.start):
            self.start = without_around(self.start)
            self._convert(compacted)
        self.more = len(self.start) >= _SAMPLE - len(codecs.BOM_UTF8)

    def _convert(self, convert: Callable[[BinaryIO], Iterator[bytes]]) -> None:
        """Go on with what another text is made of this one."""
        self.rest = _buffered(_Text(convert(_buffered(_Rest(self.start, self.rest)))))
        self.start = _fill(self.rest, _SAMPLE)
        self.size = 0

    def close(self) -> None:
        """Close the file if it was opened here."""
        if self._opened:
            self._opened.close()


class _Rest(io.RawIOBase):
    """The bytes that were read already, then the rest of the file."""

    def __init__(self, start: bytes, file: BinaryIO) -> None:
        self._start = start
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._start and isinstance(self._file, (io.BufferedIOBase, io.FileIO)):
            return self._file.readinto(buffer) or 0
        data = self._start or self._file.read(len(buffer)) or b""
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._start = data[size:] if self._start else b""
        return size


def _from_utf16(file: BinaryIO) -> Iterator[bytes]:
    """Convert UTF-16 with a byte order mark to UTF-8; U+FFFD replaces what is no UTF-16."""
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    while data := file.read(_BUFFER):
        yield decoder.decode(data).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


class _Text(io.RawIOBase):
    """Pieces of text, one after the other."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._ready = piece
        size = min(len(self._ready), len(buffer))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _expanded(magic: bytes, file: BinaryIO) -> io.BufferedReader:
    """Return a file's content; what was compressed twice is expanded twice."""
    for _ in range(_MOST_LAYERS):
        kind = compression(magic)
        if not kind:
            break
        file = _buffered(Expander(kind, magic, file))
        magic = _fill(file, LONGEST_MAGIC)
    return _buffered(_Rest(magic, file))


def _buffered(raw: io.RawIOBase) -> io.BufferedReader:
    return io.BufferedReader(raw, _BUFFER)


def _fill(file: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end; a pipe may need several reads for them."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        if not isinstance(more, bytes):
            raise TypeError("a trace is read from a file opened in binary mode, this one is text")
        data += more
    return data


@contextlib.contextmanager
def intact(name: str) -> Iterator[None]:
    """Turn a decompressor's error about damaged data into a GsoError."""
    try:
        yield
    except EOFError:
        raise _refused(name, "the compressed data is damaged: it is cut off", 0, 0) from None
    except DamagedError as error:
        raise _refused(name, f"the compressed data is damaged: {error}", 0, 0) from None


_CAPTURE = "it is a capture of packets, without any sk_buff: `gso validate` judges it"
_BINARY = {
    **dict.fromkeys(
        [
            bytes.fromhex(magic)
            for magic in (
                *("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d"),
                *("34cdb2a1", "a1b2cd34", "0a0d0d0a"),
            )
        ],
        _CAPTURE,
    ),
    b"PERFILE2": "it is perf.data, which is binary: perf script prints its events",
    b"\x17\x08Dtracing": "it is trace.dat, which is binary: trace-cmd report prints its events",
    b"LPKSHHRH": "it is a file of the journal, which is binary: journalctl --file prints it",
    b"PK\x03\x04": "it is a ZIP archive: unpack it",
    b"7z\xbc\xaf": "it is a 7z archive: unpack it",
    b"\x7fELF": "it is a program or a dump of memory, not a log",
    b"KDUMP   ": "it is a crash dump: `crash` prints structs of it, and dmesg.txt is its log",
}
"""Files that are no text, by how they begin, and what to do with them."""


def check_text(start: bytes, name: str) -> None:
    """Refuse a log that is empty, binary, or in another encoding than UTF-8.

    Raises:
        GsoError: it is.
    """
    for magic, hint in _BINARY.items():
        if start.startswith(magic):
            raise _refused(name, hint, 0, len(magic))
    if not start.strip():
        raise _refused(name, f"it is empty ({len(start)} bytes of white space)", 0, 0)
    if start.startswith(_UTF32_MARKS) or _is_wide(start[:4]):
        hint = (
            "it is UTF-32, UTF-16 without a byte order mark, or binary: "
            "iconv -f UTF-16LE -t UTF-8 makes UTF-8 of text that Windows wrote"
        )
        raise _refused(name, hint, 0, 0)


def refuse_unknown(start: bytes, lines: list[bytes], name: str, *, more: bool) -> None:
    """Refuse a log of which no line at its start has a known format.

    A long log may have such lines later, unless its start is binary.

    Raises:
        GsoError: it is not longer, or it is binary.
    """
    if b"\0" in start and (_CONTROL.search(start) or not more):
        at = start.index(b"\0")
        hint = "for perf.data use perf script, for trace.dat trace-cmd report"
        raise _refused(name, f"it is binary: byte {at} is zero ({hint})", at, len(start))
    if more and len(lines) > 1:
        return
    shown = max(lines, key=len)[:60].decode("utf-8", "replace")
    which = (
        f"none of its first {len(lines)} lines has a format that `gso diagnose --formats` lists, "
        "such as"
        if len(lines) > 1
        else "its only line has no format that `gso diagnose --formats` lists:"
    )
    message = f"{which} {shown!r}"
    raise _refused(name, message, 0, len(lines))


_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1a]")


def _is_wide(start: bytes) -> bool:
    """Whether every other byte is zero, as in UTF-16."""
    return start.strip(b"\0") != b"" and b"\0\0" in (start[0:4:2], start[1:4:2])


def _refused(name: str, message: str, offset: int, limit: int) -> GsoError:
    """Make the error that says why the log of this name cannot be read."""
    return GsoError(
        f"{name}: {message}", reason=Reason.UNSUPPORTED, field="trace", offset=offset, limit=limit
    )
