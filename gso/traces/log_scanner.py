"""A log that may change its format from line to line, scanned by the readers of all formats."""

from __future__ import annotations

from collections.abc import Iterator

from gso.traces.formats import READERS, new_scanner
from gso.traces.trace import Trace

__all__ = ["LogScanner"]

_ROWS = 1 << 16
"""Most events in a batch of a format that the log did not begin with."""


class LogScanner:
    """Scans blocks of whole lines into batches, each of one format.

    A line that the format's scanner cannot read, or might misread, is given to the reader that
    claims it, which goes on from there.

    Args:
        name: the format to begin with, "" for that of the first line that has one.
        rows: most events of one batch.
        alone: whether the format stays the same, whatever lines look like.
    """

    def __init__(self, name: str, rows: int, *, alone: bool) -> None:
        self.format = name
        self.changed = False
        self._rows = rows
        self._alone = alone
        self.scanner = new_scanner(name, rows, alone=alone)
        self._scanners = {name: self.scanner}

    def scan(self, block: bytes | memoryview) -> Iterator[Trace]:
        """Yield the batches that a block makes full, or whose format ends in it."""
        at = 0
        while at < len(block):
            at, full = self.scanner.feed(block, at)
            if not full:
                continue
            stranger = self.scanner.stranger
            batch = self.take()
            if stranger < 0 or len(batch):
                yield batch
            if stranger >= 0:
                self._change(READERS[stranger].name)

    def go_on(self, last: Trace | None, *, begun: bool) -> None:
        """Count on from `last`, the batch before this part of the log; see `continue_lines`."""
        if last is not None:
            self.scanner.go_on(last.lines, last.damaged, last.lost, list(last.damaged_lines))
            if begun:
                self.scanner.remember_times(last.relative)

    def finish(self) -> Trace:
        """Return the last batch of the log."""
        self.scanner.end()
        return self.take()

    def take(self) -> Trace:
        """Return the batch that is not full yet."""
        columns, state, names = self.scanner.take()
        lines, _, damaged, lost = self.scanner.totals
        shown = list(self.scanner.damaged_lines)
        relative = self.scanner.relative
        return Trace(self.format, columns, state, names, lines, damaged, shown, lost, relative)

    def _change(self, name: str) -> None:
        before, self.format, self.changed = self.scanner, name, True
        if name not in self._scanners:
            self._scanners[name] = new_scanner(name, min(self._rows, _ROWS), alone=self._alone)
        self.scanner = self._scanners[name]
        self.scanner.take_over(before)
