"""Events of a log, as columns."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from gso.buffers._memory import new_array
from gso.printable import plural
from gso.skb._skb import FIELDS
from gso.skb.state import SkbState
from gso.traces._scanner import DAMAGED_KEPT

__all__ = ["COUNTING", "NAME_COLUMNS", "Trace", "continue_lines", "join_batches"]

NAME_COLUMNS = ("function", "process", "device", "reason", "flow", "stack", "location")
"""Columns of numbers of names."""
COUNTING = ("dropwatch", "bpftrace")
"""Formats of tools that count events: a line stands for many."""
_NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, repr=False)
class Trace:
    """Events in the order of the log; every column has shape (n,).

    Attributes:
        format: its name, see `gso.traces.formats`.
        columns: ``line`` (counted from 1), ``time`` (nanoseconds; the lowest int64 where there is
            none), ``skb`` (the pointer, 0 for none), ``cpu``, ``netns``, ``ifindex``, ``mtu``
            (-1 for none), ``returns`` (1 where a function returned), ``result`` (what it returned;
            of a tool that counts events, how many it counted: `counts`),
            and numbers of `names`, -1 for none: ``function``, ``process``, ``device``, ``reason``,
            ``flow``, ``location``, ``stack`` (function names with newlines between them).
        state: the sk_buff's fields at each event, of `gso.SKB_DTYPE`.
        names: the names, by their numbers.
        lines: how many lines were read.
        damaged: how many of them could not be understood.
        damaged_lines: the first few damaged lines: (line number, start of its text).
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

    def __repr__(self) -> str:
        return f"<gso.Trace: {plural(len(self), 'event')} of {self.format or 'no format'}>"

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        # Python calls this only for names that are no attributes: the columns.
        columns = self.__dict__.get("columns", {})
        if name not in columns:
            raise AttributeError(name)
        column: npt.NDArray[Any] = columns[name]
        return self.texts(name) if name in NAME_COLUMNS else column

    def texts(self, name: str) -> npt.NDArray[Any]:
        """Return a column of names as an array of str, shape (n,), "" where there is none."""
        table = np.array([*self.names, ""], dtype=object)
        return cast("npt.NDArray[Any]", table[self.columns[name]])

    def text(self, name: str, index: int) -> str:
        """Return one name of a column, "" if there is none."""
        number = int(self.columns[name][index])
        return self.names[number] if number >= 0 else ""

    def counts(self) -> npt.NDArray[np.int64]:
        """Return for each event how often it happened: 1 but for tools that count, shape (n,)."""
        result = self.columns["result"]
        if self.format not in COUNTING:
            return np.ones(len(result), np.int64)
        return np.where((result > 0) & (self.columns["returns"] == 0), result, 1)

    def skb_state(self, index: int) -> SkbState:
        """Return the sk_buff's fields at one event."""
        return SkbState.from_row(self.state[index])

    def to_arrow(self) -> Any:
        """Return a ``pyarrow.Table``; only the columns of the sk_buff's fields are copied.

        Names become dictionary columns; the sk_buff's fields are called ``skb_...``.

        Raises:
            ImportError: pyarrow is not installed.
        """
        pa: Any = importlib.import_module("pyarrow")  # an optional dependency
        table: dict[str, Any] = {}
        words = pa.array(list(self.names), pa.string())
        for name, column in self.columns.items():
            unknown = column == _NO_TIME if name in ("time", "result") else column == -1
            mask = unknown if name not in ("line", "skb", "returns") and unknown.any() else None
            values = pa.array(column, mask=mask)
            if name in NAME_COLUMNS:
                values = pa.DictionaryArray.from_arrays(values, words)
            table[name] = values
        for name in FIELDS:
            values = np.ascontiguousarray(self.state[name])
            table[f"skb_{name}"] = pa.array(values, mask=values == np.iinfo(values.dtype).min)
        return pa.table(table)


def join_batches(batches: Iterator[Trace], expected: int) -> Trace:
    """Join batches into one trace.

    Each is copied as it comes, so that its memory is free for the next.

    Args:
        batches: one or more, in order.
        expected: how many events they have together, 0 if unknown.
    """
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
                whole[name] = new_array(max(end + end // 2, expected), column.dtype)
                whole[name][:size] = kept[:size]
            if name in NAME_COLUMNS:
                table.take(column, out=whole[name][size:end], mode="wrap")
            else:
                whole[name][size:end] = column
        size = end
    columns = {name: array[:size] for name, array in whole.items()}
    return replace(last, columns=columns, state=columns.pop(""), names=list(numbers))


def continue_lines(batches: list[Trace], last: Trace | None, *, begun: bool) -> list[Trace]:
    """Count the lines of a part's batches on from `last`, the batch before them.

    `begun` says whether there was an event before them: the log's first event shows whether times
    are relative.
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
