"""Logs of packets on their way through the kernel, as columns.

    trace = gso.read_trace("pwru.log.gz")
    trace.function[0], trace.state["inner_mac_header"]

It reads pwru text of every version and pwru JSON, perf script, ftrace (``trace``, ``trace_pipe``,
trace-cmd report) and the ``skb_dump`` blocks of the kernel's log; the content shows which one it
is. gzip, bzip2, xz and, where Python has modules for them, zstd and lz4 are read directly. Text is
UTF-8, with or without a byte order mark, or UTF-16 with one, as a redirection in PowerShell makes
it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

from gso.traces._scanner import DAMAGED_KEPT, LONGEST_LINE, Scanner
from gso.traces.cleaning import clean
from gso.traces.foreign import is_foreign
from gso.traces.formats import SCANNERS, Format, first_format
from gso.traces.kernel_release import Releases
from gso.traces.line_blocks import LineBlocks
from gso.traces.log_scanner import LogScanner
from gso.traces.source import LogFile, Source, check_text, intact, refuse_unknown
from gso.traces.trace import Trace, continue_lines, join_batches

__all__ = ["Format", "Trace", "TraceReader", "read_trace"]

_BLOCK = 1 << 18
"""Bytes that are scanned at a time where there is one thread."""
_PIECE = 1 << 22
"""Bytes that each of several threads scans at a time."""
_OPEN = (b"{\n", b"{\r", b"[\n", b"[\r", b"[{")
"""How JSON begins that is not a line for each event."""
_IN_ORDER = ("", "dmesg", "nettrace", "sk_buff")
"""Formats in which what a line belongs to may stand far before it: one thread reads them."""
_MOST_ROWS = 1 << 22
"""Rows of the largest batch, with some 200 bytes each."""


class TraceReader:
    """Reads a log batch by batch in bounded memory: iterate over it, each batch is a `Trace`.

    Each batch has names of its own. Use it as a context manager.

    Args:
        source: a path, or a binary file (a pipe will do).
        format: the log's format; "auto" finds out.
        rows: most events in a batch.
        threads: how many scan at the same time.

    Raises:
        GsoError: the log has none of these formats: it is binary, empty, in another encoding.
    """

    def __init__(
        self, source: Source, format: Format = "auto", *, rows: int = 65536, threads: int = 1
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}, not at least 1")
        if format != "auto" and format not in SCANNERS:
            raise ValueError(f"format is {format!r}, not auto or one of {', '.join(SCANNERS)}")
        self._rows = rows
        self._threads = threads
        self._file = LogFile(source)
        self.name = self._file.name
        self._alone = format != "auto"
        self._releases = Releases()
        self._releases.look(self._file.start)
        try:
            self.format = self._recognised() if format == "auto" else format
        except BaseException:
            self.close()
            raise

    def _recognised(self) -> str:
        """Return the format of the first line that has one, "" if that one is still to come."""
        start = self._file.start
        check_text(start, self.name)
        lines = bytes(clean(start)).split(b"\n")
        if len(lines) > 1 and (self._file.more or not lines[-1].strip()):
            lines.pop()
        found = first_format(lines)
        if not found and not is_foreign(text for _, text in self.first_lines):
            refuse_unknown(start, lines, self.name, more=self._file.more)
        return found

    @property
    def kernel(self) -> str:
        """The release of the kernel that wrote the log, "" if what was read does not tell."""
        return self._releases.release

    @property
    def first_lines(self) -> list[tuple[int, str]]:
        """The first few lines that are not empty: (line number, start of its text)."""
        lines = enumerate(self._file.start.split(b"\n"), 1)
        shown = ((n, line[:80].decode("utf-8", "replace")) for n, line in lines if line.strip())
        return list(islice(shown, DAMAGED_KEPT))

    def close(self) -> None:
        """Close the file if it was opened here."""
        self._file.close()

    def __enter__(self) -> TraceReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Trace]:
        # An object of JSON may go over several lines.
        one = (
            self._threads == 1 or self.format in _IN_ORDER or self._file.start.lstrip()[:2] in _OPEN
        )
        return self._text() if one else self._parallel()

    def expect_whole(self) -> int:
        """Return how many events the log has if all of it is like its start; 0 if unknown.

        One thread then makes batches so large that they need not be joined: the system gives
        memory only for the part of them that is written to.
        """
        sample = self._file.start[: self._file.start.rfind(b"\n") + 1]
        if not self._file.size or not sample or not self.format:
            return 0
        scanner = SCANNERS[self.format](len(sample))
        scanner.feed(sample, 0)
        events = scanner.totals[1]
        expected = min(self._file.size * (events + 1) // len(sample) * 9 // 8, _MOST_ROWS)
        if self._threads == 1:
            self._rows = max(self._rows, expected)
        return expected

    def _blocks(self, size: int, scanner: Scanner | None = None) -> LineBlocks:
        """Blocks of whole lines; with a scanner those that begin with an event if the log does."""
        cut = scanner.last_event if scanner else None
        return LineBlocks(self._file.rest, self._file.start, size, LONGEST_LINE, cut)

    def _next(self, blocks: LineBlocks, buffer: bytearray) -> memoryview:
        with intact(self.name):
            block = blocks.read_into(buffer)
        self._releases.look(block)
        return block

    def _text(self) -> Iterator[Trace]:
        scanner = LogScanner(self.format, self._rows, alone=self._alone)
        yield from self._rest(self._blocks(_BLOCK), scanner)

    def _rest(self, blocks: LineBlocks, scanner: LogScanner) -> Iterator[Trace]:
        """The batches of all blocks that are still to come, scanned one after the other."""
        buffer = bytearray()
        while block := self._next(blocks, buffer):
            yield from scanner.scan(clean(block))
            block.release()
        yield scanner.finish()

    def _parallel(self) -> Iterator[Trace]:
        """The batches of longer blocks, each of which one of the threads scans.

        Each is scanned as if the log had one format; from the first on in which that is not so, the
        log is scanned by one thread.
        """
        spare = SCANNERS[self.format](1)
        blocks = self._blocks(_PIECE, spare)
        buffers = [bytearray() for _ in range(self._threads + 2)]
        running: deque[_Piece] = deque()
        header = b""
        last: Trace | None = None
        begun = False
        with ThreadPoolExecutor(self._threads) as pool:
            more = True
            while more or running:
                if more and buffers:
                    block = self._next(blocks, buffers[-1])
                    if more := bool(block):
                        found = spare.last_header(clean(block))
                        # The scanner is made here, where its memory is freed too: memory that one
                        # thread allocates and another frees goes back to the system each time.
                        scanner = self._with_header(header)
                        task = pool.submit(self._piece, scanner, block)
                        running.append(_Piece(task, block, buffers.pop(), header))
                        header = found or header
                    continue
                piece = running.popleft()
                scanned = piece.task.result()
                if scanned is None:
                    break
                piece.block.release()
                batches = continue_lines(scanned, last, begun=begun)
                buffers.append(piece.buffer)
                yield from batches
                last = batches[-1]
                begun = begun or any(map(len, batches))
            else:
                piece = None
        if piece is not None:
            log = self._with_header(piece.header)
            log.go_on(last, begun=begun)
            for other in (piece, *running):
                other.task.result()
                yield from log.scan(clean(other.block))
                other.block.release()
            yield from self._rest(blocks, log)
        elif last is None:
            yield self._with_header(b"").take()

    def _with_header(self, header: bytes) -> LogScanner:
        log = LogScanner(self.format, self._rows, alone=self._alone)
        if header:
            log.scanner.remember_header(header)
        return log

    @staticmethod
    def _piece(log: LogScanner, block: memoryview) -> list[Trace] | None:
        """Return the batches of a block, None if a line of it is read as lines before it tell."""
        batches = []
        for batch in log.scan(clean(block)):
            batches.append(batch)
            if log.changed:
                return None
        return None if log.changed or log.scanner.learned else [*batches, log.finish()]


class _Piece(NamedTuple):
    """A block that a thread scans, its memory, and the header line before it."""

    task: Future[list[Trace] | None]
    block: memoryview
    buffer: bytearray
    header: bytes


def read_trace(source: Source, format: Format = "auto", *, threads: int = 1) -> Trace:
    """Read a whole log of one of the formats in `gso.traces.formats`, or of several of them.

    Args:
        source: a path, a binary file, or the bytes of a log. It may be compressed.
        format: the name of a format; "auto" looks at the content.
        threads: how many scan at the same time. The columns of a whole log are about as large as
            the log, so memory is the limit here: threads gain more with `TraceReader`.

    A damaged line costs that line only: see `Trace.damaged`. `TraceReader` reads logs that are
    larger than memory.

    Raises:
        GsoError: the log has none of these formats: it is binary, empty, in another encoding.
    """
    with TraceReader(source, format, threads=threads) as reader:
        expected = reader.expect_whole()
        return join_batches(iter(reader), expected)
