"""Packets on their way through a log: which events each had, and how it ended.

Only packets of which something is suspicious are collected, event by event; the others pass at the
speed of `gso._lives`. What a packet went through before it became suspicious is looked up among the
last events of the log, which are remembered for that. Memory is bounded by both; what was forgotten
for it is counted.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from gso._lives import AFTER_FREE, CONSUMES, DROPS, ENTERS, SEGMENTS, Lives
from gso._validate import SKB_DTYPE
from gso.rules import SkbState
from gso.trace import Trace

__all__ = [
    "DROP_FUNCTIONS",
    "ENCAPSULATORS",
    "SEGMENT_WORDS",
    "Event",
    "Follower",
    "Packet",
    "caller",
    "is_plain",
    "place_name",
]

DROP_FUNCTIONS = frozenset(
    {"kfree_skb", "kfree_skb_reason", "sk_skb_reason_drop", "kfree_skb_list_reason"}
    | {"kfree_skb_list", "__kfree_skb_reason"}
)
_CONSUMERS = frozenset(
    {"consume_skb", "napi_consume_skb", "__kfree_skb", "__consume_stateless_skb"}
)
_AFTER_FREE = (
    *("skb_release", "kfree_skbmem", "skb_free"),
    *("__kfree_skb", "kfree_skb", "sk_skb_reason"),
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
_IS_ENCAPSULATOR = frozenset(ENCAPSULATORS).__contains__
SEGMENTERS = ("validate_xmit_skb", "ip_finish_output_gso", "skb_udp_tunnel_segment")
SEGMENT_WORDS = ("_gso_segment", "_ufo_fragment", "udp_tunnel_segment", "skb_segment")

_UNDER_WAY = 1 << 17
_REMEMBERED = 1 << 17
_COLLECTED = 1 << 13
_PART = 1 << 12
_MOST_EVENTS = 24
_MOST_FUNCTIONS = 1 << 16
_NEAR_TOP = 8
_MOST_IN_TABLE = 1 << 20
_NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one packet.

    Attributes:
        line: of the log, counted from 1.
        time: nanoseconds, None where the log has none; since the packet's first event where the
            log's times are relative.
        cpu: -1 where the log has none.
        function: where it was seen.
        flow, device: as the log prints them, or empty.
        data: the sk_buff's fields there, the bytes of a row of `gso.SKB_DTYPE`.
    """

    line: int
    time: int | None
    cpu: int
    function: str
    flow: str
    device: str
    data: bytes

    @property
    def row(self) -> np.void:
        """The sk_buff's fields there, of `gso.SKB_DTYPE`."""
        return cast("np.void", np.frombuffer(self.data, SKB_DTYPE)[0])

    @property
    def state(self) -> SkbState:
        """The sk_buff's fields there."""
        return SkbState.from_row(self.row)


@dataclass
class Packet:
    """A packet from its first event to its free.

    Attributes:
        events: the first of them.
        before, bad: the last event before the first that violates a rule, and that one.
        mask: of the violated rules.
        functions: that it passed before it was dropped, in order.
        drop, reason, location, stack: where, why and on whose behalf it was dropped.
        results: what functions returned that it had entered, if that was an error.
    """

    events: list[Event] = field(default_factory=list)
    before: Event | None = None
    bad: Event | None = None
    mask: int = 0
    functions: dict[str, None] = field(default_factory=dict)
    drop: Event | None = None
    reason: str = ""
    location: str = ""
    stack: tuple[str, ...] = ()
    encapsulators: dict[str, None] = field(default_factory=dict)
    results: dict[str, int] = field(default_factory=dict)
    elapsed: int = 0

    def add(self, event: Event, mask: int) -> None:
        """Take the packet's next event, and the rules that it violates."""
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
    def place(self) -> str:
        """The function that dropped it, empty if the log does not tell."""
        return self.location or caller(self.stack)

    @property
    def in_segmentation(self) -> bool:
        """Whether it was dropped because it could not be segmented."""
        if self.drop is None or not is_plain(self.reason):
            return False
        place = self.place
        if place:
            # Compilers add suffixes to functions that they specialise, such as ".isra.0".
            return place.split(".")[0] in SEGMENTERS
        last = [name for name in self.functions if name not in DROP_FUNCTIONS][-2:]
        return any(word in name for name in last for word in SEGMENT_WORDS)


class _Part(NamedTuple):
    """Some rows of a batch, the first of which is event `base` of the log."""

    batch: Trace
    start: int
    base: int
    lives: npt.NDArray[np.int64]
    violated: npt.NDArray[np.uint64]


class _Seen(NamedTuple):
    """An event as it stands in the columns, and the rules that it violates."""

    line: int
    time: int
    cpu: int
    function: int
    flow: int
    device: int
    stack: int
    returns: int
    result: int
    violated: int


class _Wanted:
    """Some packets, to be found among the events of several parts."""

    def __init__(self, lives: Iterable[int]) -> None:
        self._lives = np.fromiter(lives, np.int64)
        self._low = int(self._lives.min()) - 1 if len(self._lives) else -1
        span = int(self._lives.max(initial=self._low)) - self._low + 2
        # A table of all numbers between is far faster, but may be far larger.
        self._table = np.zeros(span if span <= _MOST_IN_TABLE else 0, np.bool_)
        if len(self._table):
            self._table[self._lives - self._low] = True

    def rows(self, lives: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The numbers of the events that belong to one of them."""
        if not len(self._table):
            return np.flatnonzero(np.isin(lives, self._lives))
        return np.flatnonzero(self._table[np.clip(lives - self._low, 0, len(self._table) - 1)])


class Follower:
    """Collects the suspicious packets of a log, batch by batch.

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
        self._lives = Lives(under_way)
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
        """Packets of which events may be missing, for one of these bounds."""
        return self._cut + self._lives.evicted

    def add(
        self,
        batch: Trace,
        violated: npt.NDArray[np.uint64],
        suspect: npt.NDArray[np.bool_],
    ) -> tuple[list[Packet], npt.NDArray[np.bool_]]:
        """Follow a batch.

        Args:
            batch: the log's next events.
            violated: for each, the mask of violated rules.
            suspect: for each, whether its packet is to be collected.

        Returns:
            The packets that ended; and for each event whether it is of a packet that was suspicious
            by then.
        """
        kinds, codes = self._classify(batch)
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
            rows = slice(start, start + _PART)
            columns = {name: column[rows] for name, column in batch.columns.items()}
            inner = batch.state["inner_network_header"][rows]
            lives, over = self._lives.assign(columns, inner, kinds, codes, in_stack)
            part = _Part(batch, start, self._events, lives, violated[rows])
            self._events += len(lives)
            ended += self._make_room(len(lives))
            collected[rows] = self._collect(part, suspect[rows])
            ended += self._end(over)
            self._remember(part)
        return ended, collected

    def under_way(self) -> list[Packet]:
        """The suspicious packets that have not ended yet."""
        return list(self._packets.values())

    def finish(self) -> list[Packet]:
        """The packets that are still under way at the end of the log."""
        return self._end(list(self._packets))

    # --- names ---

    def _classify(self, batch: Trace) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """For each name: what a function called so does, and its number in every batch."""
        used = np.zeros(len(batch.names) + 1, np.bool_)
        used[batch.columns["function"]] = used[batch.columns["location"]] = True
        kinds = np.zeros(len(batch.names), np.uint8)
        codes = np.full(len(batch.names), -1, np.int32)
        for number in np.flatnonzero(used[:-1]).tolist():
            name = batch.names[number]
            kinds[number] = _kind(name)
            code = self._codes.get(name)
            if code is None and len(self._functions) < _MOST_FUNCTIONS:
                code = self._codes[name] = len(self._functions)
                self._functions.append(name)
            codes[number] = -1 if code is None else code
        return kinds, codes

    # --- packets ---

    def _make_room(self, rows: int) -> list[Packet]:
        """Each row may make another packet suspicious: give up those collected longest."""
        most = max(self._collected - rows, 0)
        oldest = list(self._packets)[: max(len(self._packets) - most, 0)]
        self._cut += len(oldest)
        ended = self._end(oldest)
        self._given_up.update(oldest)
        return ended

    def _end(self, lives: Iterable[int]) -> list[Packet]:
        self._given_up.difference_update(lives)
        return [self._packets.pop(life) for life in lives if life in self._packets]

    def _collect(self, part: _Part, suspect: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        rows = np.flatnonzero(suspect & (part.lives >= 0))
        found, first = np.unique(part.lives[rows], return_index=True)
        begins = {
            life: part.base + int(rows[at])
            for life, at in zip(found.tolist(), first.tolist(), strict=True)
            if life not in self._packets and life not in self._given_up
        }
        for life, row in begins.items():
            self._packets[life] = Packet()
            self._cut += life < row - self._remembered
        if begins:
            wanted = _Wanted(begins)
            for older in self._window:
                self._feed(older, wanted, begins)
        chosen = self._feed(part, _Wanted(self._packets), begins)
        late = np.fromiter((begins.get(n, -1) for n in part.lives[chosen].tolist()), np.int64)
        collected = np.zeros(len(suspect), np.bool_)
        collected[chosen] = part.base + chosen >= late
        return collected

    def _feed(self, part: _Part, wanted: _Wanted, begins: dict[int, int]) -> npt.NDArray[np.int64]:
        chosen = wanted.rows(part.lives)
        if not len(chosen):
            return chosen
        rows = part.start + chosen
        columns = [part.batch.columns[name][rows].tolist() for name in _Seen._fields[:-1]]
        masks = part.violated[chosen].tolist()
        seen = map(_Seen, *columns, masks)
        places = zip(chosen.tolist(), part.lives[chosen].tolist(), seen, strict=True)
        for row, life, event in places:
            if part.base + row >= begins.get(life, 0) - self._remembered:
                self._take(self._packets[life], part.batch, part.start + row, event)
        return chosen

    def _take(self, packet: Packet, batch: Trace, index: int, seen: _Seen) -> None:
        names = batch.names
        function = names[seen.function] if seen.function >= 0 else ""
        if seen.returns:
            if function in packet.functions and -4095 <= seen.result < 0:
                packet.results[function] = seen.result
            return
        time: int | None = seen.time
        if time == _NO_TIME:
            time = None
        elif batch.relative:
            time = packet.elapsed = packet.elapsed + seen.time
        event = Event(
            seen.line,
            time,
            seen.cpu,
            function,
            names[seen.flow] if seen.flow >= 0 else "",
            names[seen.device] if seen.device >= 0 else "",
            batch.state[index].tobytes(),
        )
        packet.add(event, seen.violated)
        if seen.stack >= 0:
            packet.stack = tuple(names[seen.stack].split("\n"))
            packet.encapsulators |= dict.fromkeys(filter(_IS_ENCAPSULATOR, packet.stack))
        if function in DROP_FUNCTIONS and packet.drop is None:
            packet.drop = event
            packet.reason = batch.text("reason", index)
            packet.location = place_name(batch.text("location", index))

    def _remember(self, part: _Part) -> None:
        self._window.append(part)
        while self._window[0].base + len(self._window[0].lives) + self._remembered < self._events:
            self._window.popleft()


def is_plain(reason: str) -> bool:
    """Whether a packet that could not be segmented may be freed so: kfree_skb gives no reason."""
    return reason.removeprefix("SKB_DROP_REASON_") in ("", "NOT_SPECIFIED", "SKB_GSO_SEG", "1", "2")


def caller(stack: tuple[str, ...]) -> str:
    """Who dropped the packet: the first function of the stack that does not itself free."""
    frees = (
        "trace_event",
        "__traceiter",
        "kfree_skb",
        "sk_skb_reason",
        "__kfree_skb",
        "bpf_",
        "kprobe",
    )
    return next((name for name in stack if not name.startswith(frees)), "")


def place_name(location: str) -> str:
    """The name of a place in the kernel; empty for its bare address, which says nothing."""
    return "" if re.fullmatch(r"(0x)?[0-9a-f]{8,}", location) else location


def _kind(name: str) -> int:
    kind = DROPS * (name in DROP_FUNCTIONS) | CONSUMES * (name in _CONSUMERS)
    kind |= ENTERS * (name in _ENTRIES) | SEGMENTS * (name in SEGMENTERS)
    return kind | AFTER_FREE * name.startswith(_AFTER_FREE)
