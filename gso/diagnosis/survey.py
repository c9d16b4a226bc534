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
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.diagnosis._history import Tally, tally_packets
from gso.diagnosis.follower import (
    DROP_FUNCTIONS,
    ENCAPSULATORS,
    SEGMENT_WORDS,
    Event,
    Follower,
    Packet,
    caller,
    is_plain,
    place_name,
)
from gso.diagnosis.recorders import COMMANDS
from gso.rules import RULES, Severity, explain, finding
from gso.rules._judge import count_bits, judge_batch
from gso.skb.state import OFFSETS, SkbState
from gso.traces.reader import Trace

__all__ = ["Case", "Diagnosis", "Event", "Survey", "diagnose"]

SET_INNER_MAC = "skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))"
_MAC_RULES = ("tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong")
_MOST_NAMES = 1000
_NO_CALL: tuple[str, str] = ("", "")


@dataclass
class Case:
    """Packets in which the same is wrong.

    Attributes:
        rules: identifiers of the violated rules; ``("dropped-in-segmentation",)`` where the kernel
            dropped packets and the log does not show their offsets.
        severity, message, kernel_outcome, likely_cause: of the first of them.
        fields: the values that were compared, of the worked example.
        commits: upstream commits where it happened or was fixed.
        packets, dropped: how many packets, and how many of them the log shows dropped.
        first_time, last_time: nanoseconds, None where the log has no times.
        flows, devices: how many packets of each.
        function: which function encapsulated the packets, empty if that cannot be told.
        evidence: how that is known.
        missing_call: the call that would set the offset right, empty if that cannot be told.
        expected: what offsets should be, of the worked example.
        events: the worked example: the events of one packet.
        example: the event whose offsets are wrong.
        growth: bytes by which the packet grew, None if that is not known.
        results: what functions returned, of the example: ``{"skb_udp_tunnel_segment": -22}``.
        drop: (function, reason, place) of the example's drop.
        stack: of the example's drop, innermost first.
        worth: of the example; of all the packets it has the smallest.
    """

    rules: tuple[str, ...]
    severity: Severity
    message: str
    kernel_outcome: str
    likely_cause: str
    fields: dict[str, int]
    commits: tuple[str, ...]
    function: str
    evidence: str
    missing_call: str
    expected: dict[str, int]
    events: list[Event]
    example: Event
    growth: int | None
    results: dict[str, int] = field(default_factory=dict)
    drop: tuple[str, str, str] | None = None
    stack: tuple[str, ...] = ()
    packets: int = 0
    dropped: int = 0
    first_time: int | None = None
    last_time: int | None = None
    flows: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    worth: tuple[int, int] = field(default=(0, 0), repr=False)


@dataclass
class Diagnosis:
    """What a log says.

    Attributes:
        cases: what is wrong, what was seen dropped for it first, then most packets first; empty
            for a clean log.
        format: of the log.
        events, lines, damaged, lost: how much was read, could not be, and was never written.
        damaged_lines: the first few damaged lines, with their numbers.
        judged: for each rule, how many events it could be judged for.
        offsets: how many events show header offsets.
        drops: other drops, counted by (reason, place).
        record: commands that would record the offsets that the log lacks.
        forgotten: packets of which events may be missing here, as too many were under way.
    """

    cases: list[Case]
    format: str
    events: int
    lines: int
    damaged: int
    lost: int
    damaged_lines: list[tuple[int, str]]
    judged: dict[str, int]
    offsets: int
    drops: Counter[tuple[str, str]]
    record: dict[str, str]
    forgotten: int = 0

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.cases


def diagnose(trace: Trace | Iterable[Trace]) -> Diagnosis:
    """Find the packets whose header offsets are wrong, and who left them so.

    Args:
        trace: a whole trace, or its batches in order (`gso.TraceReader`): memory stays bounded.
    """
    survey = Survey()
    for batch in [trace] if isinstance(trace, Trace) else trace:
        survey.add(batch)
    return survey.finish()


class Survey:
    """Makes cases of the packets of a log, batch by batch; `diagnose` for logs that grow."""

    def __init__(self) -> None:
        self.follower = Follower()
        self.tallies: dict[tuple[tuple[str, ...], str], Tally] = {}
        self.ways: dict[Any, tuple[Tally, int] | None] = {}
        self.drops: Counter[tuple[str, str]] = Counter()
        self.judged = np.zeros(len(RULES), np.int64)
        self.events = self.offsets = 0
        self.batch: Trace | None = None

    def add(self, batch: Trace) -> None:
        """Take the next events."""
        self.batch = batch
        self.events += len(batch)
        violated, judged = judge_batch(batch.state)
        self.judged += count_bits(judged)
        known = batch.state["inner_mac_header"] != np.iinfo(np.int32).min
        self.offsets += int(np.count_nonzero(known))
        is_drop = np.isin(batch.columns["function"], _numbers(batch, DROP_FUNCTIONS))
        reasons = np.unique(batch.columns["reason"][is_drop]).tolist()
        plain = [n for n in reasons if is_plain(batch.names[n] if n >= 0 else "")]
        suspect = (violated != 0) | (is_drop & np.isin(batch.columns["reason"], plain))
        ended, collected = self.follower.add(batch, violated, suspect)
        self._count_drops(batch, is_drop & ~collected)
        self._count(ended)

    def _count_drops(self, batch: Trace, rows: npt.NDArray[np.bool_]) -> None:
        names = ("reason", "location", "stack")
        keys = np.column_stack([batch.columns[name][rows] for name in names])
        for key, count in zip(*np.unique(keys, axis=0, return_counts=True), strict=True):
            reason, place, stack = ("" if n < 0 else batch.names[n] for n in key.tolist())
            self._other_drop(reason, place, tuple(stack.split("\n")), int(count))

    def _other_drop(self, reason: str, place: str, stack: tuple[str, ...], count: int) -> None:
        key = reason.removeprefix("SKB_DROP_REASON_"), place_name(place) or caller(stack)
        if key in self.drops or len(self.drops) < _MOST_NAMES:
            self.drops[key] += count

    def _count(self, packets: list[Packet]) -> None:
        timed = self.batch is not None and not self.batch.relative
        for packet in tally_packets(packets, self.ways, self._judge, timed, _MOST_NAMES):
            if packet.dropped:
                self._other_drop(packet.reason, packet.location, packet.stack, 1)

    def _judge(self, packet: Packet) -> tuple[Tally, int] | None:
        """What is wrong with this packet and all that went its way, and their worth."""
        if packet.mask:
            rules = _rule_names(packet.mask)
        elif packet.in_segmentation:
            rules = ("dropped-in-segmentation",)
        else:
            return None
        function, _ = _encapsulator(packet)
        tally = self.tallies.get((rules, function))
        if tally is None:
            tally = self.tallies[rules, function] = Tally(rules, function)
        return tally, _worth(packet)

    def wrong(self) -> Iterator[tuple[tuple[str, ...], str]]:
        """(rules, message) of the cases so far, and of packets that are still under way."""
        for tally in self.tallies.values():
            case = _case(tally)
            yield case.rules, case.message
        for packet in self.follower.under_way():
            if packet.bad is not None:
                rules = explain(packet.mask)
                found = finding(rules[0], packet.bad.state.known)
                yield tuple(rule.rule for rule in rules), found.message

    def finish(self) -> Diagnosis:
        """The diagnosis of what was taken."""
        self._count(self.follower.finish())
        batch = self.batch
        judged = {
            rule.rule: int(self.judged[rule.bit])
            for rule in RULES.values()
            if self.judged[rule.bit]
        }
        cases = sorted(
            map(_case, self.tallies.values()),
            key=lambda case: (case.worth[0] > 0, -case.packets, case.events[0].line),
        )
        return Diagnosis(
            cases,
            batch.format if batch else "",
            self.events,
            batch.lines if batch else 0,
            batch.damaged if batch else 0,
            batch.lost if batch else 0,
            batch.damaged_lines if batch else [],
            judged,
            self.offsets,
            self.drops,
            {} if self.offsets else dict(COMMANDS),
            self.follower.forgotten,
        )


@cache
def _rule_names(mask: int) -> tuple[str, ...]:
    return tuple(rule.rule for rule in explain(mask))


def _worth(packet: Packet) -> int:
    """Of two packets, the one with the smaller value is the better example."""
    return 0 if packet.in_segmentation else 1 if packet.dropped else 2


def _numbers(batch: Trace, names: Iterable[str]) -> list[int]:
    """The numbers that a batch has for these names."""
    wanted = set(names)
    return [number for number, name in enumerate(batch.names) if name in wanted]


# --- who, and what is missing ------------------------------------------------------------------


def _encapsulator(packet: Packet) -> tuple[str, str]:
    """(function, how it is known)."""
    if packet.encapsulators:
        return next(iter(packet.encapsulators)), "it is in the stack"
    return _passed_encapsulator(
        tuple(packet.functions), packet.stack_text, v6=packet.outer_length == 40
    )


@lru_cache(maxsize=1 << 12)
def _passed_encapsulator(functions: tuple[str, ...], stack: str, *, v6: bool) -> tuple[str, str]:
    seen = [name for name in functions if name in ENCAPSULATORS]
    if seen:
        return seen[-1], "the packet passed it"
    if any(name.startswith("ip_vs_") for name in (*functions, *stack.split("\n"))):
        name = "ip_vs_tunnel_xmit_v6" if v6 else "ip_vs_tunnel_xmit"
        return name, "the packet became a tunnel packet in IPVS, where only this function does that"
    return _NO_CALL


def _case(tally: Tally) -> Case:
    packet: Packet = tally.example
    bad = packet.bad or packet.events[-1]
    growth = _growth(packet)
    times = tally.times or (None, None)
    common: dict[str, Any] = {
        "rules": tally.rules,
        "function": tally.function,
        "evidence": _encapsulator(packet)[1],
        "events": packet.events,
        "example": bad,
        "growth": growth,
        "results": packet.results,
        "drop": (packet.drop.function, packet.reason, packet.place) if packet.drop else None,
        "stack": packet.stack,
        "packets": tally.packets,
        "dropped": tally.dropped,
        "first_time": times[0],
        "last_time": times[1],
        "flows": tally.flows,
        "devices": tally.devices,
        "worth": (_worth(packet), packet.first_line),
    }
    if packet.bad is None:
        return Case(**common, **_dropped_only(packet, growth))
    rule = RULES[tally.rules[0]]
    first = finding(rule, bad.state.known)
    expected = _expected(tally.rules, bad.state)
    return Case(
        **common,
        severity=rule.severity,
        message=first.message,
        kernel_outcome=rule.kernel_outcome,
        likely_cause=rule.likely_cause,
        fields=dict(first.fields),
        commits=rule.commits,
        missing_call=SET_INNER_MAC if expected else "",
        expected=expected,
    )


def _dropped_only(packet: Packet, growth: int | None) -> dict[str, Any]:
    segmenter = next(
        (name for name in reversed(packet.functions) if any(w in name for w in SEGMENT_WORDS)), ""
    )
    message = "the packet was dropped where it was to be segmented"
    if segmenter:
        message += f", after {segmenter}"
    message += "; the log does not show its header offsets"
    if growth:
        message += f"; it had grown by {growth} bytes ({_name_growth(growth)})"
    return {
        "severity": Severity.ERROR,
        "message": message,
        "kernel_outcome": "skb_gso_segment returned an error; validate_xmit_skb freed the packet "
        "(kfree_skb, reason NOT_SPECIFIED) and the device counts it in tx_dropped.",
        "likely_cause": "Wrong header offsets or a wrong gso_type. Record the offsets to know "
        "which.",
        "fields": {},
        "commits": (),
        "missing_call": "",
        "expected": {},
    }


def _growth(packet: Packet) -> int | None:
    """Bytes that the packet grew by where its flow, or its outer header, changed."""
    if packet.bad is not None and packet.before is not None:
        before, after = packet.before.state.len, packet.bad.state.len
        return None if before is None or after is None else after - before
    events = [event for event in packet.events if event.state.len is not None]
    for earlier, later in pairwise(events):
        change = (later.state.len or 0) - (earlier.state.len or 0)
        if earlier.flow != later.flow and change > 0:
            return change
    return None


_TUNNEL_SIZES = {8: "FOU, or GRE with a checksum", 12: "GUE", 4: "GRE", 20: "GUE with remcsum"}
_TUNNEL_SIZES[16] = "VXLAN or Geneve"


def _name_growth(growth: int) -> str:
    for outer, name in ((20, "IPv4"), (40, "IPv6")):
        if growth - outer in _TUNNEL_SIZES:
            return f"{name} {outer} and {growth - outer}: {_TUNNEL_SIZES[growth - outer]}"
    return "more than an outer header"


def _expected(rules: tuple[str, ...], state: SkbState) -> dict[str, int]:
    """Where inner_mac_header should be, if it is what is wrong."""
    network = state.inner_network_header
    if network is None or not set(rules) & {*_MAC_RULES, "inner-mac-length", "inner-header-unset"}:
        return {}
    if state.inner_protocol_type == 0 and state.inner_protocol == 0x6558:
        return {}
    if network in (0, 0xFFFF) or state.inner_mac_header in (None, network):
        return {}
    expected = {"inner_mac_header": network}
    if state.transport_header is not None:
        expected["tnl_hlen"] = network - state.transport_header
    return expected


def drawing(case: Case, width: int = 96) -> Iterator[str]:
    """The headers of the worked example, to scale, over where each offset points."""
    state = case.example.state
    known = state.known
    offsets = {name: known[name] for name in OFFSETS if known.get(name, 0xFFFF) != 0xFFFF}
    edges = sorted({value for name, value in offsets.items() if "mac" not in name})
    if len(offsets) < 2 or not edges:
        return
    start, last = min(offsets.values()), max(offsets.values())
    scale = max(1, -(-(last - start + 24) // (width - 4)))
    unit = "1 byte" if scale == 1 else f"{scale} bytes"
    yield f"offsets from skb->head, one character is {unit}"
    row = ""
    for edge, end in zip(edges, [*edges[1:], last + 24 * scale], strict=True):
        row = row.ljust((edge - start) // scale)
        room = max((end - edge) // scale - 1, 0)
        row += "|" + _header_name(state, edge, end, final=end == last + 24 * scale)[:room]
    yield row + " ..."
    for name, value in sorted(offsets.items(), key=lambda item: (item[1], item[0])):
        mark = f"^ {name} {value}"
        if name in case.expected:
            mark += f"  <-- wrong, should be {case.expected[name]}"
        yield " " * ((value - start) // scale) + mark


def _header_name(state: SkbState, start: int, end: int, *, final: bool) -> str:
    if start == state.transport_header and start != state.inner_transport_header:
        return f"tunnel {end - start}"
    if start == state.network_header:
        return f"outer IP {end - start}"
    if start == state.inner_network_header and not final:
        return f"inner IP {end - start}"
    return "inner TCP, UDP ..."
