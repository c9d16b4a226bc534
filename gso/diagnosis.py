"""From a log of packets to the call that is missing.

    diagnosis = gso.diagnose(gso.read_trace("pwru.log"))
    for case in diagnosis.cases:
        print(case.message, case.function, case.missing_call)

Each sk_buff is followed by its pointer from event to event; pointers are reused, so that a free
ends its life. Only those that violate a rule or are dropped are followed at all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gso._validate import judge_batch
from gso.rules import OFFSETS, RULES, Severity, SkbState, explain, finding
from gso.trace import Trace

__all__ = ["Case", "Diagnosis", "Event", "diagnose"]

DROPS = frozenset(
    {"kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop", "kfree_skb_list_reason"}
    | {"kfree_skb_list", "__kfree_skb_reason"}
)
CONSUMES = frozenset({"consume_skb", "napi_consume_skb", "__kfree_skb", "__consume_stateless_skb"})
_AFTER_FREE = (
    "skb_release",
    "kfree_skbmem",
    "skb_free",
    "__kfree_skb",
    "kfree_skb",
    "sk_skb_reason",
)
_ENTRIES = frozenset(
    {"__alloc_skb", "build_skb", "napi_build_skb", "napi_gro_receive", "gro_receive_skb"}
    | {"netif_receive_skb", "__netif_receive_skb", "__netif_receive_skb_core", "eth_type_trans"}
    | {"netif_receive_skb_list_internal", "ip_rcv", "ipv6_rcv", "ip_rcv_core", "ip6_rcv_core"}
    | {"__tcp_transmit_skb", "__ip_queue_xmit", "ip_send_skb", "udp_send_skb", "tun_get_user"}
)
ENCAPSULATORS = (
    *("ip_vs_tunnel_xmit", "ip_vs_tunnel_xmit_v6", "vxlan_xmit_one", "vxlan_xmit", "geneve_xmit"),
    *("ip6_tnl_xmit", "ip6gre_tunnel_xmit", "ipgre_xmit", "gre_tap_xmit", "erspan_xmit"),
    *("ip_tunnel_xmit", "ip_md_tunnel_xmit", "ipip_tunnel_xmit", "sit_tunnel_xmit", "gtp_dev_xmit"),
    *("bareudp_xmit", "udp_tunnel_xmit_skb", "udp_tunnel6_xmit_skb", "ip6_tnl_start_xmit"),
    *("iptunnel_xmit", "mpls_xmit", "nsh_push", "wg_socket_send_skb_to_peer"),
)
_SEGMENT_REASONS = ("", "NOT_SPECIFIED", "SKB_GSO_SEG", "1", "2")
"""What a packet that could not be segmented is freed with: plain kfree_skb gives no reason."""
SEGMENTERS = ("validate_xmit_skb", "ip_finish_output_gso", "skb_udp_tunnel_segment")
_SEGMENT_WORDS = ("_gso_segment", "_ufo_fragment", "udp_tunnel_segment", "skb_segment")
SET_INNER_MAC = "skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))"
_MAC_RULES = ("tunnel-header-negative", "tunnel-header-short", "tunnel-header-wrong")
_HASHED = 1 << 32
_SOON = 1_000_000
"""Nanoseconds within which a drop with a hashed pointer belongs to the last packet of its CPU."""
_MOST_EVENTS = 24
_MOST_LIVES = 20_000
_MOST_NAMES = 1000
_NO_TIME = np.iinfo(np.int64).min
_NO_CALL: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Event:
    """One event of one packet.

    Attributes:
        line: of the log, counted from 1.
        time: nanoseconds, None where the log has none.
        cpu: -1 where the log has none.
        function: where it was seen.
        flow, device: as the log prints them, or empty.
        row: the sk_buff's fields there, of `gso.SKB_DTYPE`.
    """

    line: int
    time: int | None
    cpu: int
    function: str
    flow: str
    device: str
    row: np.void

    @cached_property
    def state(self) -> SkbState:
        """The sk_buff's fields there."""
        return SkbState.from_row(self.row)


@dataclass
class _Life:
    """A packet from its first event to its free."""

    skb: int
    events: list[Event] = field(default_factory=list)
    before: Event | None = None
    bad: Event | None = None
    mask: int = 0
    functions: dict[str, None] = field(default_factory=dict)
    drop: Event | None = None
    reason: str = ""
    location: str = ""
    stack: tuple[str, ...] = ()
    results: dict[str, int] = field(default_factory=dict)
    freed: bool = False

    def add(self, event: Event, mask: int) -> None:
        if len(self.events) < _MOST_EVENTS:
            self.events.append(event)
        if self.drop is None and len(self.functions) < _MOST_EVENTS * 4:
            self.functions.setdefault(event.function)
        if mask and self.bad is None:
            self.bad = event
        if self.bad is None:
            self.before = event
        self.mask |= mask

    @property
    def in_segmentation(self) -> bool:
        """Whether it was dropped because it could not be segmented."""
        if self.drop is None:
            return False
        if self.location in SEGMENTERS or any(name in SEGMENTERS for name in self.stack[:6]):
            return True
        last = [name for name in self.functions if name not in DROPS][-2:]
        return any(word in name for name in last for word in _SEGMENT_WORDS)


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


@dataclass
class Diagnosis:
    """What a log says.

    Attributes:
        cases: what is wrong, most packets first; empty for a clean log.
        format: of the log.
        events, lines, damaged, lost: how much was read, could not be, and was never written.
        damaged_lines: the first few damaged lines, with their numbers.
        judged: for each rule, how many events it could be judged for.
        offsets: how many events show header offsets.
        drops: other drops, counted by (reason, place).
        record: commands that would record the offsets that the log lacks.
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

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.cases


def diagnose(trace: Trace | Iterable[Trace]) -> Diagnosis:
    """Find the packets whose header offsets are wrong, and who left them so.

    Args:
        trace: a whole trace, or its batches in order (`gso.TraceReader`): memory stays bounded.
    """
    tracker = _Tracker()
    for batch in [trace] if isinstance(trace, Trace) else trace:
        tracker.add(batch)
    return tracker.finish()


class _Tracker:
    """Follows packets through the batches of a log."""

    def __init__(self) -> None:
        self.lives: dict[int, _Life] = {}
        self.last_of_cpu: dict[int, _Life] = {}
        self.cases: dict[tuple[Any, ...], Case] = {}
        self.drops: Counter[tuple[str, str]] = Counter()
        self.judged = np.zeros(len(RULES), np.int64)
        self.events = self.offsets = 0
        self.batch: Trace | None = None

    def add(self, batch: Trace) -> None:
        self.batch = batch
        self.events += len(batch)
        violated, judged = judge_batch(batch.state)
        for rule in RULES.values():
            self.judged[rule.bit] += np.count_nonzero(judged >> np.uint64(rule.bit) & np.uint64(1))
        known = batch.state["inner_mac_header"] != np.iinfo(np.int32).min
        self.offsets += int(np.count_nonzero(known))
        for index in self._interesting(batch, violated).tolist():
            self._event(batch, index, int(violated[index]))

    def _interesting(self, batch: Trace, violated: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Rows of packets that violate a rule, may have failed in segmentation, or are followed.

        And what functions returned. Drops of all other packets are only counted.
        """
        is_drop = np.isin(batch.columns["function"], _numbers(batch, DROPS))
        reasons = {name: name.removeprefix("SKB_DROP_REASON_") for name in batch.names}
        plain = _numbers(batch, {name for name in reasons if reasons[name] in _SEGMENT_REASONS})
        suspect = (violated != 0) | (is_drop & np.isin(batch.columns["reason"], [-1, *plain]))
        pointers = batch.columns["skb"]
        followed = np.fromiter(self.lives, np.uint64, len(self.lives))
        wanted = np.union1d(pointers[suspect], followed)
        chosen = np.isin(pointers, wanted[wanted != 0]) | suspect
        self._count_drops(batch, is_drop & ~chosen)
        return np.flatnonzero(chosen | (batch.columns["returns"] != 0))

    def _count_drops(self, batch: Trace, rows: npt.NDArray[np.bool_]) -> None:
        names = ("reason", "location", "stack")
        keys = np.column_stack([batch.columns[name][rows] for name in names])
        for key, count in zip(*np.unique(keys, axis=0, return_counts=True), strict=True):
            reason, place, stack = ("" if n < 0 else batch.names[n] for n in key.tolist())
            self._other_drop(reason, place, tuple(stack.split("\n")), int(count))

    def _other_drop(self, reason: str, place: str, stack: tuple[str, ...], count: int) -> None:
        key = reason.removeprefix("SKB_DROP_REASON_"), place or _caller(stack)
        if key in self.drops or len(self.drops) < _MOST_NAMES:
            self.drops[key] += count

    def _event(self, batch: Trace, index: int, mask: int) -> None:
        function = batch.text("function", index)
        cpu = int(batch.columns["cpu"][index])
        if batch.columns["returns"][index]:
            self._returned(cpu, function, int(batch.columns["result"][index]))
            return
        time = int(batch.columns["time"][index])
        event = Event(
            int(batch.columns["line"][index]),
            None if time == _NO_TIME else time,
            cpu,
            function,
            batch.text("flow", index),
            batch.text("device", index),
            batch.state[index].copy(),
        )
        life = self._life(int(batch.columns["skb"][index]), event)
        life.add(event, mask)
        if stack := batch.text("stack", index):
            life.stack = tuple(stack.split("\n"))
        if function in DROPS and life.drop is None:
            life.drop = event
            life.reason = batch.text("reason", index)
            life.location = batch.text("location", index)
        if function in DROPS or function in CONSUMES:
            life.freed = True
            if function in DROPS and not _is_real(life.skb):
                self._end(life)
        elif _is_real(life.skb):
            self.last_of_cpu[cpu] = life

    def _life(self, skb: int, event: Event) -> _Life:
        """The packet that this event is of: a new one if the pointer is in use again."""
        if not _is_real(skb):
            return self._of_hashed(skb, event)
        life = self.lives.get(skb)
        if life is not None and life.freed and self._is_reused(life, event):
            self._end(life)
            life = None
        if life is None:
            if len(self.lives) >= _MOST_LIVES:
                self._end(next(iter(self.lives.values())))
            life = self.lives[skb] = _Life(skb)
        return life

    @staticmethod
    def _is_reused(life: _Life, event: Event) -> bool:
        if event.function.startswith(_AFTER_FREE):
            return False
        # consume_skb may have given up one of several references: the packet lives on.
        return life.drop is not None or event.function in _ENTRIES

    def _of_hashed(self, skb: int, event: Event) -> _Life:
        """ftrace hashes the pointers of tracepoints: the last packet of the CPU may be meant."""
        life = self.last_of_cpu.get(event.cpu)
        if life is None or life.freed or not life.events or event.function not in DROPS:
            return _Life(skb)
        before = life.events[-1]
        if event.time is None or before.time is None or event.time - before.time > _SOON:
            return _Life(skb)
        batch = self.batch
        assert batch is not None
        index = int(np.searchsorted(batch.columns["line"], event.line))
        place = batch.text("location", index)
        stack = batch.text("stack", index).split("\n")
        return life if place in SEGMENTERS or before.function in stack[:8] else _Life(skb)

    def _returned(self, cpu: int, function: str, result: int) -> None:
        life = self.last_of_cpu.get(cpu)
        if life is not None and function in life.functions and -4095 <= result < 0:
            life.results[function] = result

    def _end(self, life: _Life) -> None:
        self.lives.pop(life.skb, None)
        for cpu, last in list(self.last_of_cpu.items()):
            if last is life:
                del self.last_of_cpu[cpu]
        if life.mask:
            self._count(life, tuple(rule.rule for rule in explain(life.mask)))
        elif life.in_segmentation:
            self._count(life, ("dropped-in-segmentation",))
        elif life.drop is not None:
            self._other_drop(life.reason, life.location, life.stack, 1)

    def _count(self, life: _Life, rules: tuple[str, ...]) -> None:
        function, evidence = _encapsulator(life)
        case = self.cases.get((rules, function))
        if case is None or (case.drop is None and life.drop is not None):
            fresh = _case(life, rules, function, evidence)
            if case is not None:
                for name in ("packets", "dropped", "first_time", "last_time", "flows", "devices"):
                    setattr(fresh, name, getattr(case, name))
            case = self.cases[rules, function] = fresh
        case.packets += 1
        case.dropped += life.drop is not None
        times = [event.time for event in life.events if event.time is not None]
        if times:
            first, last = case.first_time, case.last_time
            case.first_time = min(times) if first is None else min(first, *times)
            case.last_time = max(times) if last is None else max(last, *times)
        for counter, name in ((case.flows, "flow"), (case.devices, "device")):
            values = dict.fromkeys(getattr(event, name) for event in life.events)
            for value in values:
                if value and (len(counter) < _MOST_NAMES or value in counter):
                    counter[value] += 1

    def finish(self) -> Diagnosis:
        for life in list(self.lives.values()):
            self._end(life)
        batch = self.batch
        judged = {
            rule.rule: int(self.judged[rule.bit])
            for rule in RULES.values()
            if self.judged[rule.bit]
        }
        return Diagnosis(
            sorted(self.cases.values(), key=lambda case: -case.packets),
            batch.format if batch else "",
            self.events,
            batch.lines if batch else 0,
            batch.damaged if batch else 0,
            batch.lost if batch else 0,
            batch.damaged_lines if batch else [],
            judged,
            self.offsets,
            self.drops,
            {} if self.offsets else dict(RECORD),
        )


def _numbers(batch: Trace, names: Iterable[str]) -> list[int]:
    """The numbers that a batch has for these names."""
    wanted = set(names)
    return [number for number, name in enumerate(batch.names) if name in wanted]


def _is_real(skb: int) -> bool:
    return skb >= _HASHED


def _caller(stack: tuple[str, ...]) -> str:
    """Who dropped the packet: the first function of the stack that does not itself free."""
    frees = ("trace_event", "kfree_skb", "sk_skb_reason", "__kfree_skb", "bpf_", "kprobe")
    return next((name for name in stack if not name.startswith(frees)), "")


# --- who, and what is missing ------------------------------------------------------------------


def _encapsulator(life: _Life) -> tuple[str, str]:
    """(function, how it is known)."""
    for name in life.stack:
        if name in ENCAPSULATORS:
            return name, "it is in the stack"
    seen = [name for name in life.functions if name in ENCAPSULATORS]
    if seen:
        return seen[-1], "the packet passed it"
    if any(name.startswith("ip_vs_") for name in (*life.functions, *life.stack)):
        v6 = life.bad is not None and _outer_length(life.bad.state) == 40
        name = "ip_vs_tunnel_xmit_v6" if v6 else "ip_vs_tunnel_xmit"
        return name, "the packet became a tunnel packet in IPVS, where only this function does that"
    return _NO_CALL


def _outer_length(state: SkbState) -> int | None:
    if state.transport_header is None or state.network_header is None:
        return None
    return state.transport_header - state.network_header


def _case(life: _Life, rules: tuple[str, ...], function: str, evidence: str) -> Case:
    bad = life.bad or life.events[-1]
    growth = _growth(life)
    drop = (life.drop.function, life.reason, life.location) if life.drop else None
    common: dict[str, Any] = {
        "rules": rules,
        "function": function,
        "evidence": evidence,
        "events": list(life.events),
        "example": bad,
        "growth": growth,
        "results": dict(life.results),
        "drop": drop,
        "stack": life.stack,
    }
    if life.bad is None:
        return Case(**common, **_dropped_only(life, growth))
    rule = RULES[rules[0]]
    first = finding(rule, bad.state.known)
    expected = _expected(rules, bad.state)
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


def _dropped_only(life: _Life, growth: int | None) -> dict[str, Any]:
    segmenter = next(
        (name for name in reversed(life.functions) if any(w in name for w in _SEGMENT_WORDS)), ""
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


def _growth(life: _Life) -> int | None:
    """Bytes that the packet grew by where its flow, or its outer header, changed."""
    if life.bad is not None and life.before is not None:
        before, after = life.before.state.len, life.bad.state.len
        return None if before is None or after is None else after - before
    events = [event for event in life.events if event.state.len is not None]
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


_PERF_FIELDS = (
    "skb skb->inner_mac_header skb->inner_network_header skb->inner_transport_header "
    "skb->mac_header skb->network_header skb->transport_header skb->len:u skb->data_len:u"
)
_BPFTRACE_FIELDS = (
    *("inner_mac_header", "inner_network_header", "inner_transport_header", "mac_header"),
    *("network_header", "transport_header", "len", "data_len"),
)
_BPFTRACE_FORMAT = " ".join(f"{name}=%d" for name in _BPFTRACE_FIELDS)
_BPFTRACE_VALUES = ", ".join(f"$s->{name}" for name in _BPFTRACE_FIELDS)
RECORD = {
    "pwru": "pwru --all-kmods --output-tuple --output-stack "
    "--output-skb-metadata 'skb->inner_mac_header' "
    "--output-skb-metadata 'skb->inner_network_header' "
    "--output-skb-metadata 'skb->network_header' "
    "--output-skb-metadata 'skb->transport_header' --output-file pwru.log",
    "perf": f"perf probe --add '__dev_queue_xmit {_PERF_FIELDS}' && "
    f"perf probe --add 'skb_udp_tunnel_segment {_PERF_FIELDS}' && "
    "perf record -a -g -e 'probe:*' -e skb:kfree_skb -- sleep 10 && perf script > perf.log",
    "bpftrace": "bpftrace -e 'kprobe:skb_udp_tunnel_segment { $s = (struct sk_buff *)arg0; "
    'printf("%s-%d [%03d] %llu.%09llu: %s: skb=0x%llx '
    f'{_BPFTRACE_FORMAT}\\n", comm, pid, cpu, nsecs / 1000000000, nsecs % 1000000000, func, arg0, '
    f"{_BPFTRACE_VALUES}); }}' > bpftrace.log",
}
"""How to record header offsets so that `gso.read_trace` understands them."""


def drawing(case: Case, width: int = 96) -> Iterator[str]:
    """The headers of the worked example, to scale, over where each offset points."""
    state = case.example.state
    known = state.known
    offsets = {name: known[name] for name in OFFSETS if known.get(name, 0xFFFF) != 0xFFFF}
    if len(offsets) < 2:
        return
    start, last = min(offsets.values()), max(offsets.values())
    scale = max(1, -(-(last - start + 24) // (width - 4)))
    unit = "1 byte" if scale == 1 else f"{scale} bytes"
    yield f"offsets from skb->head, one character is {unit}"
    edges = sorted({value for name, value in offsets.items() if "mac" not in name})
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
