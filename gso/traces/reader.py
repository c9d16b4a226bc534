"""Logs of packets on their way through the kernel, as columns.

    trace = gso.read_trace("pwru.log.gz")
    trace.function[0], trace.state["inner_mac_header"]

It reads pwru text of every version and pwru JSON, perf script, ftrace (``trace``, ``trace_pipe``,
trace-cmd report) and the ``skb_dump`` blocks of the kernel's log. Which one it is shows in the
content. gzip, bzip2, xz and, where Python has a module for it, zstd are read directly. Text is
UTF-8, with or without a byte order mark, or UTF-16 with one, as a redirection in PowerShell makes
it.
"""

from __future__ import annotations

import codecs
import contextlib
import importlib
import io
import os
import re
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from gso.compressed import LONGEST_MAGIC, DamagedError, Expander, compression
from gso.constants import Reason
from gso.errors import GsoError
from gso.skb._skb import FIELDS
from gso.skb.state import SkbState
from gso.traces._dmesg import DmesgScanner
from gso.traces._events import EventScanner
from gso.traces._pwru import PwruScanner
from gso.traces._pwru_json import JsonScanner
from gso.traces._scanner import DAMAGED_KEPT, LONGEST_LINE, Scanner
from gso.traces.line_blocks import LineBlocks

__all__ = ["Format", "Trace", "TraceReader", "read_trace"]

Format: TypeAlias = Literal["auto", "pwru", "pwru-json", "perf", "ftrace", "dmesg"]
Source: TypeAlias = "str | os.PathLike[str] | BinaryIO"

_SCANNERS: dict[str, type[Scanner]] = {
    "pwru": PwruScanner,
    "pwru-json": JsonScanner,
    "perf": EventScanner,
    "ftrace": EventScanner,
    "dmesg": DmesgScanner,
}
_BLOCK = 1 << 18
_PIECE = 1 << 22
"""Bytes that one thread scans at a time."""
_SAMPLE = 1 << 16
_MOST_ROWS = 1 << 22  # of one batch, with some 200 bytes each
_NAMES = ("function", "process", "device", "reason", "flow", "stack", "location")
_NO_TIME = np.iinfo(np.int64).min
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True)
class Trace:
    """Events in the order of the log; every column has shape (n,).

    Attributes:
        format: "pwru", "pwru-json", "perf", "ftrace" or "dmesg".
        columns: ``line`` (counted from 1), ``time`` (nanoseconds; the lowest int64 where there is
            none), ``skb`` (the pointer, 0 for none), ``cpu``, ``netns``, ``ifindex``, ``mtu``
            (-1 for none), ``returns`` (1 where a function returned), ``result`` (what it returned),
            and numbers of `names`, -1 for none: ``function``, ``process``, ``device``, ``reason``,
            ``flow``, ``location``, ``stack`` (function names with newlines between them).
        state: the sk_buff's fields at each event, of `gso.SKB_DTYPE`.
        names: what the numbers of names stand for.
        lines: how many lines were read.
        damaged: how many of them could not be understood.
        damaged_lines: the first few of those: (line number, start of its text).
        lost: how many events the kernel says it dropped.
        relative: whether times are those of pwru's ``--timestamp relative``: nanoseconds since the
            event before of the same sk_buff.
    """

    format: str
    columns: dict[str, npt.NDArray[Any]]
    state: npt.NDArray[np.void]
    names: Sequence[str]
    lines: int = 0
    damaged: int = 0
    damaged_lines: list[tuple[int, str]] = field(default_factory=list)
    lost: int = 0
    relative: bool = False

    def __len__(self) -> int:
        return len(self.state)

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        # Only for what is not an attribute: the columns. Names are resolved to text.
        columns = self.__dict__.get("columns", {})
        if name not in columns:
            raise AttributeError(name)
        column: npt.NDArray[Any] = columns[name]
        return self.texts(name) if name in _NAMES else column

    def texts(self, name: str) -> npt.NDArray[Any]:
        """A column of names as an array of str, empty where there is none."""
        table = np.array([*self.names, ""], dtype=object)
        return cast("npt.NDArray[Any]", table[self.columns[name]])

    def text(self, name: str, index: int) -> str:
        """One name of a column, empty if there is none."""
        number = int(self.columns[name][index])
        return self.names[number] if number >= 0 else ""

    def skb_state(self, index: int) -> SkbState:
        """The sk_buff's fields at one event."""
        return SkbState.from_row(self.state[index])

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``; columns are not copied, except the sk_buff's fields.

        Names become dictionary columns; the sk_buff's fields are called ``skb_...``.
        """
        pa: Any = importlib.import_module("pyarrow")  # an optional dependency
        table: dict[str, Any] = {}
        words = pa.array(list(self.names), pa.string())
        for name, column in self.columns.items():
            unknown = column == _NO_TIME if name in ("time", "result") else column == -1
            mask = unknown if name not in ("line", "skb", "returns") and unknown.any() else None
            values = pa.array(column, mask=mask)
            if name in _NAMES:
                values = pa.DictionaryArray.from_arrays(values, words)
            table[name] = values
        for name in FIELDS:
            values = np.ascontiguousarray(self.state[name])
            table[f"skb_{name}"] = pa.array(values, mask=values == np.iinfo(values.dtype).min)
        return pa.table(table)


class TraceReader:
    """Reads a log batch by batch in bounded memory: iterate over it, each batch is a `Trace`.

    Each batch has names of its own. Use it as a context manager.

    Args:
        source: a path, or a binary file (a pipe will do).
        format: what it is; "auto" finds out.
        rows: most events in a batch.
        threads: how many scan at the same time.

    Raises:
        GsoError: it is none of these formats: binary, empty, another encoding.
    """

    def __init__(
        self, source: Source, format: Format = "auto", *, rows: int = 65536, threads: int = 1
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}, not at least 1")
        if format != "auto" and format not in _SCANNERS:
            raise ValueError(f"format is {format!r}, not auto or one of {', '.join(_SCANNERS)}")
        self._rows = rows
        self._threads = threads
        self._closing: list[BinaryIO] = []
        try:
            self._file = self._open(source)
            self.name = str(getattr(source, "name", source))
            with _intact(self.name):
                self._first = _fill(self._file, _SAMPLE)
                if self._first.startswith(_UTF16) and not self._first.startswith(_UTF32):
                    self._file = io.BufferedReader(_FromUtf16(self._first, self._file), _BLOCK)
                    self._first = _fill(self._file, _SAMPLE)
            self._first = self._first.removeprefix(codecs.BOM_UTF8)
            self.format = format if format != "auto" else _recognise(self._first, self.name)
        except BaseException:
            self.close()
            raise

    def _open(self, source: Source) -> io.BufferedReader:
        if isinstance(source, (str, os.PathLike)):
            file: BinaryIO = Path(source).open("rb")  # noqa: SIM115  (close() closes it)
            self._closing.append(file)
        else:
            file = source
        start = _fill(file, LONGEST_MAGIC)
        kind = compression(start)
        self._is_compressed = kind is not None
        with _intact(str(getattr(source, "name", source))):
            raw = Expander(kind, start, file) if kind else _Rest(start, file)
        return io.BufferedReader(raw, _BLOCK)

    def close(self) -> None:
        """Close what this opened."""
        for file in self._closing:
            file.close()
        self._closing.clear()

    def __enter__(self) -> TraceReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Trace]:
        return self._text() if self._threads == 1 else self._parallel()

    def expect_whole(self) -> int:
        """Events in the log, if all of it is like its beginning; 0 if nobody knows.

        One thread then makes batches so large that they need not be joined: their memory is only
        taken where it is written to.
        """
        size = self._size()
        sample = self._first[: self._first.rfind(b"\n") + 1]
        if not size or not sample:
            return 0
        scanner = _SCANNERS[self.format](len(sample))
        scanner.feed(sample, 0)
        events = scanner.totals[1]
        expected = min(size * (events + 1) // len(sample) * 9 // 8, _MOST_ROWS)
        if self._threads == 1:
            self._rows = max(self._rows, expected)
        return expected

    def _size(self) -> int:
        """Bytes of the log, 0 if nobody knows."""
        if not self._closing or self._is_compressed:
            return 0
        status = os.fstat(self._closing[0].fileno())
        return status.st_size if stat.S_ISREG(status.st_mode) else 0

    def _blocks(self, size: int, scanner: Scanner | None = None) -> LineBlocks:
        """Blocks of whole lines; with a scanner those that begin with an event if the log does."""
        cut = scanner.last_event if scanner else None
        return LineBlocks(self._file, self._first, size, LONGEST_LINE, cut)

    def _next(self, blocks: LineBlocks, buffer: bytearray) -> memoryview:
        with _intact(self.name):
            return blocks.read_into(buffer)

    def _text(self) -> Iterator[Trace]:
        scanner = _SCANNERS[self.format](self._rows)
        blocks, buffer = self._blocks(_BLOCK), bytearray()
        while block := self._next(blocks, buffer):
            yield from self._scanned(scanner, block)
            block.release()
        yield self._batch(scanner)

    def _scanned(self, scanner: Scanner, block: bytes | memoryview) -> Iterator[Trace]:
        """The batches that a block of whole lines makes full."""
        at = 0
        while at < len(block):
            at, full = scanner.feed(block, at)
            if full:
                yield self._batch(scanner)

    def _parallel(self) -> Iterator[Trace]:
        """Longer blocks that begin with an event, each scanned by one of the threads."""
        spare = _SCANNERS[self.format](1)
        blocks = self._blocks(_PIECE, spare)
        buffers = [bytearray() for _ in range(self._threads + 2)]
        running: deque[tuple[Future[list[Trace]], bytearray]] = deque()
        header = b""
        last: Trace | None = None
        begun = False
        with ThreadPoolExecutor(self._threads) as pool:
            more = True
            while more or running:
                if more and buffers:
                    block = self._next(blocks, buffers[-1])
                    if more := bool(block):
                        found = spare.last_header(block)
                        # Made here, where its memory is freed too: what one thread allocates and
                        # another frees goes back to the system each time.
                        scanner = _SCANNERS[self.format](self._rows)
                        task = pool.submit(self._piece, scanner, block, header)
                        running.append((task, buffers.pop()))
                        header = found or header
                    continue
                future, buffer = running.popleft()
                batches = _continued(future.result(), last, begun=begun)
                buffers.append(buffer)
                yield from batches
                last = batches[-1]
                begun = begun or any(map(len, batches))
        if last is None:
            yield self._batch(spare)

    def _piece(self, scanner: Scanner, block: memoryview, header: bytes) -> list[Trace]:
        if header:
            scanner.remember_header(header)
        batches = [*self._scanned(scanner, block), self._batch(scanner)]
        block.release()
        return batches

    def _batch(self, scanner: Scanner) -> Trace:
        columns, state, names = scanner.take()
        lines, _, damaged, lost = scanner.totals
        shown = list(scanner.damaged_lines)
        return Trace(
            self.format, columns, state, names, lines, damaged, shown, lost, scanner.relative
        )


def read_trace(source: Source, format: Format = "auto", *, threads: int = 1) -> Trace:
    """Read a whole log: pwru, pwru JSON, perf script, ftrace or dmesg's ``skb_dump``.

    Args:
        source: a path, or a binary file. It may be compressed.
        format: "pwru", "pwru-json", "perf", "ftrace" or "dmesg"; "auto" looks at the content.
        threads: how many scan at the same time. The columns of a whole log are about as large as
            the log, so memory is the limit here: threads gain more with `TraceReader`.

    A damaged line costs that line only: see `Trace.damaged`. `TraceReader` reads logs that are
    larger than memory.

    Raises:
        GsoError: it is none of these formats: binary, empty, another encoding.
    """
    with TraceReader(source, format, threads=threads) as reader:
        expected = reader.expect_whole()
        return _joined(iter(reader), expected)


def _joined(batches: Iterator[Trace], expected: int) -> Trace:
    """Batches in one, put together as they come, so that each leaves its memory to the next."""
    first = last = next(batches)
    second = next(batches, None)
    if second is None:
        return first
    numbers: dict[str, int] = {}
    whole: dict[str, npt.NDArray[Any]] = {}
    size = 0
    for last in chain((first, second), batches):
        mapping = [numbers.setdefault(name, len(numbers)) for name in last.names]
        table = np.array([*mapping, -1], np.int32)
        end = size + len(last)
        for name, column in {**last.columns, "": last.state}.items():
            kept = whole.get(name, column[:0])
            if name not in whole or end > len(kept):
                whole[name] = np.empty(max(end + end // 2, expected), column.dtype)
                whole[name][:size] = kept[:size]
            if name in _NAMES:
                table.take(column, out=whole[name][size:end], mode="wrap")
            else:
                whole[name][size:end] = column
        size = end
    columns = {name: array[:size] for name, array in whole.items()}
    return replace(last, columns=columns, state=columns.pop(""), names=list(numbers))


@contextlib.contextmanager
def _intact(name: str) -> Iterator[None]:
    """Turns what the decompressors say of damaged data into a GsoError."""
    try:
        yield
    except EOFError:
        raise _refused(name, "the compressed data is damaged: it is cut off", 0, 0) from None
    except DamagedError as error:
        raise _refused(name, f"the compressed data is damaged: {error}", 0, 0) from None


# --- bytes -------------------------------------------------------------------------------------


class _Rest(io.RawIOBase):
    """The bytes that were read already, and the rest of the file behind them."""

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


class _FromUtf16(io.RawIOBase):
    """UTF-16 with a byte order mark, as PowerShell writes it, in UTF-8; the rest is replaced."""

    def __init__(self, start: bytes, file: BinaryIO) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder("utf-16")("replace")
        self._ready = self._decoder.decode(start).encode("utf-8", "replace")
        self._at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready and not self._at_end:
            data = self._file.read(_BLOCK)
            self._at_end = not data
            text = self._decoder.decode(data, final=self._at_end)
            self._ready = text.encode("utf-8", "replace")
        size = min(len(self._ready), len(buffer))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def _fill(file: BinaryIO, size: int) -> bytes:
    """Up to `size` bytes; a pipe may need several reads for them."""
    data = b""
    while len(data) < size and (more := file.read(size - len(data))):
        if not isinstance(more, bytes):
            raise TypeError("a trace is read from a file opened in binary mode, this one is text")
        data += more
    return data


def _continued(batches: list[Trace], last: Trace | None, *, begun: bool) -> list[Trace]:
    """The batches of a piece, as they are behind the last one of the piece before.

    `begun` says whether there was an event before them: the first one shows what times are.
    """
    if last is None:
        return batches
    return [
        replace(
            batch,
            columns={**batch.columns, "line": batch.columns["line"] + last.lines},
            lines=batch.lines + last.lines,
            damaged=batch.damaged + last.damaged,
            damaged_lines=[
                *last.damaged_lines,
                *((line + last.lines, text) for line, text in batch.damaged_lines),
            ][:DAMAGED_KEPT],
            lost=batch.lost + last.lost,
            relative=last.relative if begun else batch.relative,
        )
        for batch in batches
    ]


# --- which format ------------------------------------------------------------------------------

_MARKS = {
    "pwru-json": re.compile(rb'\s*\{.*"(skb|func)"\s*:'),
    "pwru": re.compile(
        rb"(\S+ )?\s*0x[0-9a-f]+\s+(\d+\s+)?(\[.*?\]\s+\S|\S.*:\d+\s)"
        rb"|\s*(TIME\s+)?SKB\s+(CPU|PROCESS)"
    ),
    "dmesg": re.compile(rb".*(\bskb len=\d+ headroom=|\bskb (linear|headroom|tailroom|frag):)"),
    "ftrace": re.compile(
        rb"# tracer:|CPU:\d+ \[LOST"
        rb"|\s*\S.*-\d+\s+(\(\s*[\d-]+\)\s+)?\[\d{3,}\]\s+([^\s:]{4,6}\s+)?\d+\.\d+: "
    ),
    "perf": re.compile(rb"\s*\S.*?\s-?\d+(/\d+)?\s+(\[\d+\]\s+)?\d+\.\d{6,9}:\s"),
}


def _recognise(sample: bytes, name: str) -> str:
    if not sample.strip():
        raise _refused(name, f"it is empty ({len(sample)} bytes of white space)", 0, 0)
    if sample.startswith(_UTF32) or b"\0" in sample[:4]:
        hint = (
            "it is UTF-32, UTF-16 without a byte order mark, or binary: "
            "iconv -f UTF-16LE -t UTF-8 makes UTF-8 of text that Windows wrote"
        )
        raise _refused(name, hint, 0, 0)
    if b"\0" in sample:
        at = sample.index(b"\0")
        hint = "for perf.data use perf script, for trace.dat trace-cmd report"
        raise _refused(name, f"it is binary: byte {at} is zero ({hint})", at, len(sample))
    lines = sample.split(b"\n")
    if len(lines) > 1:
        lines.pop()
    counts = {
        kind: sum(bool(mark.match(line[:4096])) for line in lines) for kind, mark in _MARKS.items()
    }
    # skb_dump's blocks stand between other messages of the kernel: a few lines are enough.
    best = max(counts, key=lambda kind: counts[kind])
    if not counts[best]:
        shown = max(lines, key=len)[:60].decode("utf-8", "replace")
        message = (
            f"none of its first {len(lines)} lines is of pwru, perf script, ftrace or skb_dump, "
            f"such as {shown!r}"
        )
        raise _refused(name, message, 0, len(lines))
    return best


def _refused(name: str, message: str, offset: int, limit: int) -> GsoError:
    return GsoError(
        f"{name}: {message}", reason=Reason.UNSUPPORTED, field="trace", offset=offset, limit=limit
    )
