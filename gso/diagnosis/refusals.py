"""Errors that segmenters returned, in logs that do not show why, nor any drop."""

from __future__ import annotations

import errno
from collections import Counter

import numpy as np

from gso.diagnosis.cases import Case
from gso.diagnosis.event import Event
from gso.diagnosis.kernel_functions import SEGMENT_WORDS
from gso.rules import Severity
from gso.traces.trace import Trace

__all__ = ["Refusals"]

_LARGEST_ERRNO = 4095
_MOST_NAMES = 1000
_NO_TIME = np.iinfo(np.int64).min
_CAUSES = {
    -errno.EINVAL: "Header offsets, gso_type or lengths that do not fit. Record the offsets to "
    "know which.",
    -errno.EPROTONOSUPPORT: "No segmenter is known for the packet's protocol: skb->protocol or "
    "inner_protocol is wrong, or the module is not loaded.",
    -errno.ENOMEM: "The kernel had no memory for the segments.",
}


class Refusals:
    """Counts them. An error that goes up through its callers is one of the innermost function."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._examples: dict[tuple[str, int], Event] = {}
        self._going_up: dict[int, tuple[set[str], int]] = {}

    def add(self, batch: Trace) -> None:
        """Count those of the next events of a log."""
        columns, result = batch.columns, batch.columns["result"]
        names = [any(word in name for word in SEGMENT_WORDS) for name in batch.names]
        segments = np.array([*names, False], np.bool_)[columns["function"]]
        returned = segments & (columns["returns"] == 1)
        failed = returned & (result < 0) & (result >= -_LARGEST_ERRNO)
        if not failed.any():
            return
        for row in np.flatnonzero(segments).tolist():
            if failed[row]:
                self._count(batch, row)
            else:  # another call
                self._going_up.pop(int(columns["cpu"][row]), None)

    def _count(self, batch: Trace, row: int) -> None:
        columns = batch.columns
        function, cpu = batch.text("function", row), int(columns["cpu"][row])
        result = int(columns["result"][row])
        passed, before = self._going_up.get(cpu, (set(), 0))
        if before == result and function not in passed:
            passed.add(function)
            return
        self._going_up[cpu] = {function}, result
        if len(self._counts) == _MOST_NAMES and (function, result) not in self._counts:
            return
        self._counts[function, result] += 1
        if (function, result) not in self._examples:
            time = int(columns["time"][row])
            self._examples[function, result] = Event(
                int(columns["line"][row]),
                None if time == _NO_TIME else time,
                *(cpu, function, "", batch.text("device", row), batch.state[row].tobytes()),
            )

    def cases(self) -> list[Case]:
        """Return a case for each function and error."""
        return [self._case(*key, count) for key, count in self._counts.most_common()]

    def _case(self, function: str, result: int, count: int) -> Case:
        example = self._examples[function, result]
        name = errno.errorcode.get(-result, "unknown")
        return Case(
            rules=("segmenter-error",),
            severity=Severity.ERROR,
            message=f"{function} returned {result} ({name}): it refused to segment the packet",
            kernel_outcome="The error goes up to validate_xmit_skb, which frees the packet; the "
            "device counts it in tx_dropped.",
            likely_cause=_CAUSES.get(result, "The log does not show the packet."),
            fields={},
            commits=(),
            function="",
            evidence="",
            missing_call="",
            expected={},
            events=[example],
            example=example,
            growth=None,
            results={function: result},
            packets=count,
            worth=(2, example.line),
        )
