"""From a log of packets to the call that is missing.

    diagnosis = gso.diagnose(gso.read_trace("pwru.log"))
    for case in diagnosis.cases:
        print(case.message, case.function, case.missing_call)

Packets that violate a rule, or may have been dropped for one, are followed through the log
(`gso.diagnosis.follower`); those in which the same is wrong make one case.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gso.diagnosis._history import Tally, tally_packets
from gso.diagnosis.cases import Diagnosis
from gso.diagnosis.causes import example_worth, find_encapsulator, make_case
from gso.diagnosis.follower import Follower, Packet
from gso.diagnosis.kernel_functions import DROP_FUNCTIONS, caller, is_plain, location_name
from gso.diagnosis.places import fill_context
from gso.diagnosis.reasons import reason_name
from gso.diagnosis.recorders import COMMANDS
from gso.diagnosis.refusals import Refusals
from gso.diagnosis.told import TOLD
from gso.rules import RULES, explain, finding
from gso.rules._judge import count_bits, judge_batch
from gso.rules.doubts import TUNNEL_TYPES
from gso.traces.formats import READERS
from gso.traces.trace import Trace
from gso.versions import may_be

__all__ = ["Diagnoser", "diagnose"]

_MOST_NAMES = 1000
_UNKNOWN = np.iinfo(np.int32).min
_DMESG = [reader.name for reader in READERS].index("dmesg")


Batches: TypeAlias = "Trace | Iterable[Trace]"


def diagnose(trace: Batches, kernel: str = "") -> Diagnosis:
    """Find the packets whose header offsets are wrong, and the functions that left them so.

    Args:
        trace: a whole trace, or its batches in order (`gso.TraceReader`): memory stays bounded.
        kernel: the version of the kernel that was traced, such as "6.12.117": numbers of drop
            reasons get their names by it, and rules judge as it does. "" for the one that the log
            names; where it names none, what kernels do not agree on is not judged.
    """
    diagnoser = Diagnoser(kernel)
    for batch in [trace] if isinstance(trace, Trace) else trace:
        diagnoser.kernel = kernel or getattr(trace, "kernel", "")
        diagnoser.add(batch)
    return diagnoser.finish()


class Diagnoser:
    """Makes cases of the packets of a log, batch by batch: `diagnose` for logs that grow."""

    def __init__(self, kernel: str = "") -> None:
        self.kernel = kernel
        self.follower = Follower()
        self.tallies: dict[tuple[tuple[str, ...], str], Tally] = {}
        self.judgements: dict[Any, tuple[Tally, int] | None] = {}
        self.drops: Counter[tuple[str, str]] = Counter()
        self.judged = np.zeros(len(RULES), np.int64)
        self.events = self.offsets = self.tunnels = self.unplaced = 0
        self.batch: Trace | None = None
        self.refusals = Refusals()
        self.formats: dict[str, None] = {}

    def add(self, batch: Trace) -> None:
        """Add the next events.

        Raises TypeError for what is not a `Trace`.
        """
        if not isinstance(batch, Trace):
            raise TypeError(
                f"gso.diagnose takes what gso.read_trace gives, not {type(batch).__name__}"
            )
        self.batch = batch
        self.events += len(batch)
        fill_context(batch)
        self.refusals.add(batch)
        self.formats |= dict.fromkeys([batch.format] if len(batch) else [])
        violated, judged = judge_batch(batch.state, kernels=may_be(self.kernel))
        self.judged += count_bits(judged)
        known = batch.state["inner_mac_header"] != _UNKNOWN
        self.offsets += int(np.count_nonzero(known))
        self.tunnels += int(np.count_nonzero(_may_be_in_tunnel(batch.state)))
        is_drop = np.isin(batch.columns["function"], _numbers(batch, DROP_FUNCTIONS))
        reasons = np.unique(batch.columns["reason"][is_drop]).tolist()
        plain = [n for n in reasons if self._may_be_fault(batch.names[n] if n >= 0 else "")]
        suspect = (violated != 0) | (is_drop & np.isin(batch.columns["reason"], plain))
        suspect |= batch.columns["reader"] == _DMESG
        ended, collected = self.follower.add(batch, violated, suspect)
        self._count_drops(batch, is_drop & ~collected)
        self._count(ended)

    def _may_be_fault(self, reason: str) -> bool:
        return is_plain(reason) or reason_name(reason, self.kernel) in TOLD

    def _count_drops(self, batch: Trace, rows: npt.NDArray[np.bool_]) -> None:
        names = ("reason", "location", "stack")
        keys = np.column_stack([batch.columns[name][rows] for name in names])
        unique, places = np.unique(keys, axis=0, return_inverse=True)
        counts = np.zeros(len(unique), np.int64)
        np.add.at(counts, places.reshape(-1), batch.counts()[rows])
        for key, count in zip(unique, counts, strict=True):
            reason, location, stack = ("" if n < 0 else batch.names[n] for n in key.tolist())
            self._other_drop(reason, location, tuple(stack.split("\n")), int(count))

    def _other_drop(self, reason: str, location: str, stack: tuple[str, ...], count: int) -> None:
        place = location_name(location) or caller(stack)
        if location and not place and is_plain(reason):
            self.unplaced += count
        key = reason_name(reason, self.kernel), place
        if key in self.drops or len(self.drops) < _MOST_NAMES:
            self.drops[key] += count

    def _count(self, packets: list[Packet]) -> None:
        timed = self.batch is not None and not self.batch.relative
        for packet in tally_packets(packets, self.judgements, self._judge, timed, _MOST_NAMES):
            if packet.dropped:
                place = packet.drop_location
                self._other_drop(packet.reason, place, packet.stack, packet.occurrences)

    def _judge(self, packet: Packet) -> tuple[Tally, int] | None:
        """Return the tally and the worth of this packet, and of all that went the same way.

        None if nothing is wrong with it.
        """
        violated = _rule_names(packet.mask) if packet.mask else ()
        if packet.accused and packet.complaint:
            rules = tuple(dict.fromkeys((packet.complaint.rule, *violated)))
        elif violated:
            rules = violated
        elif packet.in_segmentation:
            rules = ("dropped-in-segmentation",)
        elif packet.in_validation:
            rules = ("dropped-in-validation",)
        elif packet.complaint:
            rules = (packet.complaint.rule,)
        elif told := TOLD.get(reason_name(packet.reason, self.kernel)):
            rules = (told.rule,)
        else:
            return None
        function, _ = find_encapsulator(packet)
        tally = self.tallies.get((rules, function))
        if tally is None:
            tally = self.tallies[rules, function] = Tally(rules, function)
        return tally, example_worth(packet)

    def wrong(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """Yield (rules, message) of the cases so far, and of packets that are still under way."""
        for tally in self.tallies.values():
            case = make_case(tally, self.kernel)
            yield case.rules, case.message
        for packet in self.follower.under_way():
            if packet.bad is not None:
                rules = explain(packet.mask)
                found = finding(rules[0], packet.bad.state.known)
                yield tuple(rule.rule for rule in rules), found.message

    def finish(self) -> Diagnosis:
        """Return the diagnosis of all events that were added."""
        self._count(self.follower.finish())
        batch = self.batch
        judged = {
            rule.rule: int(self.judged[rule.bit])
            for rule in RULES.values()
            if self.judged[rule.bit]
        }
        cases = sorted(
            (make_case(tally, self.kernel) for tally in self.tallies.values()),
            key=lambda case: (case.worth[0] > 0, -case.packets, case.events[0].line),
        )
        return Diagnosis(
            cases or self.refusals.cases(),
            ", ".join(self.formats) or (batch.format if batch is not None else ""),
            self.events,
            batch.lines if batch is not None else 0,
            batch.damaged if batch is not None else 0,
            batch.lost if batch is not None else 0,
            batch.damaged_lines if batch is not None else [],
            judged,
            self.offsets,
            self.drops,
            {} if self.offsets else dict(COMMANDS),
            self.follower.forgotten,
            kernel=self.kernel,
            unplaced=self.unplaced,
            unseen_tunnels=0 if self.offsets else self.tunnels,
        )


def _may_be_in_tunnel(state: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
    """Say of each row whether it is a super-packet that may have a tunnel's header."""
    types, marked = state["gso_type"], state["encapsulation"]
    typed = (types != _UNKNOWN) & (types & int(TUNNEL_TYPES) != 0)
    open_ = (types == _UNKNOWN) & (marked != 0)
    may_be: npt.NDArray[np.bool_] = (state["gso_size"] > 0) & (typed | (marked == 1) | open_)
    return may_be


@cache
def _rule_names(mask: int) -> tuple[str, ...]:
    return tuple(rule.rule for rule in explain(mask))


def _numbers(batch: Trace, names: Iterable[str]) -> list[int]:
    """Return the numbers that a batch has for these names."""
    wanted = set(names)
    return [number for number, name in enumerate(batch.names) if name in wanted]
