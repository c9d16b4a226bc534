"""The suspicious packets of a log: which events each had, and how it ended.

The history of a packet is kept from the first event that makes it suspicious; the events before
that one are looked up among the last of the log, which are remembered for it. All other packets
only pass `gso.diagnosis._packet_table`. Both memories are bounded, and packets that were forgotten
for that are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gso.diagnosis._history import BatchColumns, PacketHistory, add_events, start_histories
from gso.diagnosis._packet_table import PacketTable
from gso.diagnosis.complaints import ALWAYS, Complaint, complaint_of
from gso.diagnosis.kernel_functions import (
    DROP_FUNCTIONS,
    ENCAPSULATORS,
    SEGMENT_WORDS,
    SEGMENTERS,
    caller,
    function_kind,
    is_plain,
    location_name,
)
from gso.traces.trace import Trace

__all__ = ["Follower", "Packet"]

_ENCAPSULATORS = frozenset(ENCAPSULATORS)
_UNDER_WAY = 1 << 17
_REMEMBERED = 1 << 17
_COLLECTED = 1 << 13
_PART = 1 << 12
_MOST_FUNCTIONS = 1 << 16
_NEAR_TOP = 8
"""Functions at the top of a stack among which one counts as just running."""
_MOST_IN_TABLE = 1 << 20
_CACHED = 1 << 12


class Packet(PacketHistory):
    """A packet from its first event to its free, and what its history shows."""

    __slots__ = ()

    @property
    def stack(self) -> tuple[str, ...]:
        """The functions of its last stack, innermost first."""
        return tuple(self.stack_text.split("\n")) if self.stack_text else ()

    @property
    def location(self) -> str:
        """The function that the log says dropped it, empty if the log does not tell."""
        return location_name(self.drop_location)

    @property
    def drop_function(self) -> str:
        """The function that dropped it, from the log or the stack, empty if neither tells."""
        return self.location or _caller(self.stack_text)

    def last_known(self, field: str) -> int | None:
        """Return the last value of a field that its events show, None without one."""
        values = (getattr(event.state, field) for event in reversed(self.events))
        return next((value for value in values if value is not None), None)

    @property
    def said(self) -> str:
        """The words of the kernel's log on it, empty in other logs, where a reason is one word."""
        return self.words if " " in self.words else ""

    @property
    def accused(self) -> bool:
        """Whether the kernel says itself what is wrong with it, as no rule could."""
        return self.said != "" and not self.said.startswith("WARNING")

    @property
    def complaint(self) -> Complaint | None:
        """The complaint of the kernel's log, None where it is no such log, or has none."""
        functions = [event.function for event in self.events]
        said = self.said
        if not said and "skb_dump" not in functions and not ALWAYS.intersection(functions):
            return None
        kernel_log = said or "skb_dump" in functions
        return complaint_of(functions, self.stack if kernel_log else (), said)

    @property
    def in_validation(self) -> bool:
        """Whether validate_xmit_skb dropped it though there was nothing to segment."""
        if not self.dropped or not is_plain(self.reason) or self.last_known("gso_size") != 0:
            return False
        return self.drop_function.split(".")[0] == "validate_xmit_skb"

    @property
    def in_segmentation(self) -> bool:
        """Whether it was dropped because it could not be segmented."""
        if not self.dropped or not is_plain(self.reason):
            return False
        if self.last_known("gso_size") == 0:
            return False  # there was nothing to segment
        function = self.drop_function
        if function:
            # Compilers add suffixes to functions that they specialise, such as ".isra.0".
            return function.split(".")[0] in SEGMENTERS
        last = [name for name in self.functions if name not in DROP_FUNCTIONS][-2:]
        return any(word in name for name in last for word in SEGMENT_WORDS)


class _Part(NamedTuple):
    """Some rows of a batch, from row `start` on, the first of which is event `base` of the log."""

    columns: BatchColumns
    start: int
    base: int
    numbers: npt.NDArray[np.int64]
    violated: npt.NDArray[np.uint64]


class _Wanted:
    """Some packets, to be found among the events of several parts by their numbers."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = np.fromiter(numbers, np.int64)
        self._low = int(self._numbers.min()) - 1 if len(self._numbers) else -1
        span = int(self._numbers.max(initial=self._low)) - self._low + 2
        # A table of all numbers between is far faster, but may be far larger.
        self._table = np.zeros(span if span <= _MOST_IN_TABLE else 0, np.bool_)
        if len(self._table):
            self._table[self._numbers - self._low] = True

    def rows(self, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the rows of the events that belong to one of them."""
        if not len(self._table):
            return np.flatnonzero(np.isin(numbers, self._numbers))
        at = np.clip(numbers - self._low, 0, len(self._table) - 1)
        return np.flatnonzero(self._table[at])


class Follower:
    """Finds the suspicious packets of a log, batch by batch.

    However the log is cut into batches, the packets are the same.

    Args:
        under_way: most packets whose pointers are known at one time.
        remembered: how many of the last events can still be looked up.
        collected: most suspicious packets that are under way at one time.
    """

    def __init__(
        self,
        *,
        under_way: int = _UNDER_WAY,
        remembered: int = _REMEMBERED,
        collected: int = _COLLECTED,
    ) -> None:
        self._table = PacketTable(under_way)
        self._remembered = remembered
        self._collected = collected
        self._events = self._cut = 0
        self._window: deque[_Part] = deque()
        self._packets: dict[int, Packet] = {}
        self._given_up: set[int] = set()
        self._codes: dict[str, int] = {}
        self._functions: list[str] = []

    @property
    def forgotten(self) -> int:
        """Packets whose events may be missing, as one of the bounds was reached."""
        return self._cut + self._table.evicted

    def add(
        self,
        batch: Trace,
        violated: npt.NDArray[np.uint64],
        suspect: npt.NDArray[np.bool_],
    ) -> tuple[list[Packet], npt.NDArray[np.bool_]]:
        """Follow a batch.

        Args:
            batch: the log's next events.
            violated: for each of them, the mask of violated rules.
            suspect: for each, whether it makes its packet suspicious.

        Returns:
            The packets that ended; and for each event whether its packet was suspicious by then,
            shape (n,).
        """
        kinds, codes = self._classify(batch)
        whole = BatchColumns(batch, kinds, _ENCAPSULATORS)
        ended: list[Packet] = []
        collected = np.zeros(len(batch), np.bool_)
        known: dict[tuple[int, int], bool] = {}

        def in_stack(code: int, stack: int) -> bool:
            key = code, stack
            if key not in known:
                top = batch.names[stack].split("\n", _NEAR_TOP)[:_NEAR_TOP]
                known[key] = self._functions[code] in top if code >= 0 else False
            return known[key]

        for start in range(0, len(batch), _PART):
            piece = slice(start, start + _PART)
            columns = {name: column[piece] for name, column in batch.columns.items()}
            inner = batch.state["inner_network_header"][piece]
            numbers, over = self._table.assign(columns, inner, kinds, codes, in_stack)
            part = _Part(whole, start, self._events, numbers, violated[piece])
            self._events += len(numbers)
            ended += self._make_room(len(numbers))
            self._collect(part, suspect[piece], collected[piece])
            ended += self._end(over)
            self._remember(part)
        return ended, collected

    def under_way(self) -> list[Packet]:
        """Return the suspicious packets that have not ended yet."""
        return list(self._packets.values())

    def finish(self) -> list[Packet]:
        """Return the suspicious packets that are under way at the end of the log."""
        return self._end(list(self._packets))

    # --- names ---

    def _classify(self, batch: Trace) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Return for each name the function's kind, and its code, the same in every batch."""
        used = np.zeros(len(batch.names) + 1, np.bool_)
        used[batch.columns["function"]] = used[batch.columns["location"]] = True
        kinds = np.zeros(len(batch.names), np.uint8)
        codes = np.full(len(batch.names), -1, np.int32)
        for number in np.flatnonzero(used[:-1]).tolist():
            name = batch.names[number]
            kinds[number] = function_kind(name)
            code = self._codes.get(name)
            if code is None and len(self._functions) < _MOST_FUNCTIONS:
                code = self._codes[name] = len(self._functions)
                self._functions.append(name)
            codes[number] = -1 if code is None else code
        return kinds, codes

    # --- packets ---

    def _make_room(self, rows: int) -> list[Packet]:
        """Give up the packets collected longest: each row may make another one suspicious."""
        excess = len(self._packets) - max(self._collected - rows, 0)
        if excess <= 0:
            return []
        oldest = list(islice(self._packets, excess))
        self._cut += len(oldest)
        ended = self._end(oldest)
        self._given_up.update(oldest)
        return ended

    def _end(self, numbers: Iterable[int]) -> list[Packet]:
        self._given_up.difference_update(numbers)
        return [self._packets.pop(number) for number in numbers if number in self._packets]

    def _collect(
        self,
        part: _Part,
        suspect: npt.NDArray[np.bool_],
        collected: npt.NDArray[np.bool_],
    ) -> None:
        started = start_histories(
            self._packets,
            self._given_up,
            Packet,
            part.numbers,
            np.flatnonzero(suspect),
            part.base,
            self._remembered,
        )
        self._cut += sum(number < self._packets[number].since for number in started)
        if started:
            wanted, oldest = _Wanted(started), started[0]
            for older in self._window:
                # A packet's number is that of its first event.
                if older.base + len(older.numbers) > oldest:
                    self._add_events(older, wanted, None)
        self._add_events(part, _Wanted(self._packets), collected)

    def _add_events(
        self, part: _Part, wanted: _Wanted, collected: npt.NDArray[np.bool_] | None
    ) -> None:
        add_events(
            self._packets,
            *(part.columns, part.start, part.base, part.numbers, part.violated),
            *(wanted.rows(part.numbers), collected),
        )

    def _remember(self, part: _Part) -> None:
        self._window.append(part)
        while self._window[0].base + len(self._window[0].numbers) + self._remembered < self._events:
            self._window.popleft()


@lru_cache(maxsize=_CACHED)
def _caller(stack_text: str) -> str:
    return caller(tuple(stack_text.split("\n")))
