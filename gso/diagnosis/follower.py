"""Packets on their way through a log: which events each had, and how it ended.

Only packets of which something is suspicious are collected, event by event; the others pass at the
speed of `gso.diagnosis._packet_table`. What a packet went through before it became suspicious is
looked up among the last events of the log, which are remembered for that. Memory is bounded by
both; what was forgotten for it is counted.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gso.diagnosis._history import Collected, Rows, begin, feed
from gso.diagnosis._packet_table import AFTER_FREE, CONSUMES, DROPS, ENTERS, SEGMENTS, Lives
from gso.diagnosis.event import Event
from gso.traces.reader import Trace

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
_ENCAPSULATORS = frozenset(ENCAPSULATORS)
SEGMENTERS = ("validate_xmit_skb", "ip_finish_output_gso", "skb_udp_tunnel_segment")
SEGMENT_WORDS = ("_gso_segment", "_ufo_fragment", "udp_tunnel_segment", "skb_segment")

_UNDER_WAY = 1 << 17
_REMEMBERED = 1 << 17
_COLLECTED = 1 << 13
_PART = 1 << 12
_MOST_FUNCTIONS = 1 << 16
_NEAR_TOP = 8
_MOST_IN_TABLE = 1 << 20
_CACHED = 1 << 12


class Packet(Collected):
    """A packet from its first event to its free; see `Collected` for what is known of it."""

    __slots__ = ()

    @property
    def stack(self) -> tuple[str, ...]:
        """On whose behalf it was dropped, innermost first."""
        return tuple(self.stack_text.split("\n")) if self.stack_text else ()

    @property
    def location(self) -> str:
        """Where the log says that it was dropped, empty if it does not."""
        return place_name(self.drop_location)

    @property
    def place(self) -> str:
        """The function that dropped it, empty if the log does not tell."""
        return self.location or _caller(self.stack_text)

    @property
    def in_segmentation(self) -> bool:
        """Whether it was dropped because it could not be segmented."""
        if not self.dropped or not is_plain(self.reason):
            return False
        place = self.place
        if place:
            # Compilers add suffixes to functions that they specialise, such as ".isra.0".
            return place.split(".")[0] in SEGMENTERS
        last = [name for name in self.functions if name not in DROP_FUNCTIONS][-2:]
        return any(word in name for name in last for word in SEGMENT_WORDS)


class _Part(NamedTuple):
    """Some rows of a batch, the first of which is event `base` of the log."""

    rows: Rows
    start: int
    base: int
    lives: npt.NDArray[np.int64]
    violated: npt.NDArray[np.uint64]


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
        rows = Rows(batch, kinds, _ENCAPSULATORS)
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
            lives, over = self._lives.assign(columns, inner, kinds, codes, in_stack)
            part = _Part(rows, start, self._events, lives, violated[piece])
            self._events += len(lives)
            ended += self._make_room(len(lives))
            self._collect(part, suspect[piece], collected[piece])
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
        excess = len(self._packets) - max(self._collected - rows, 0)
        if excess <= 0:
            return []
        oldest = list(islice(self._packets, excess))
        self._cut += len(oldest)
        ended = self._end(oldest)
        self._given_up.update(oldest)
        return ended

    def _end(self, lives: Iterable[int]) -> list[Packet]:
        self._given_up.difference_update(lives)
        return [self._packets.pop(life) for life in lives if life in self._packets]

    def _collect(
        self,
        part: _Part,
        suspect: npt.NDArray[np.bool_],
        collected: npt.NDArray[np.bool_],
    ) -> None:
        begins = begin(
            self._packets,
            self._given_up,
            Packet,
            part.lives,
            np.flatnonzero(suspect),
            part.base,
            self._remembered,
        )
        self._cut += sum(life < self._packets[life].since for life in begins)
        if begins:
            wanted, oldest = _Wanted(begins), begins[0]
            for older in self._window:
                # A life's number is that of its first event.
                if older.base + len(older.lives) > oldest:
                    self._feed(older, wanted, None)
        self._feed(part, _Wanted(self._packets), collected)

    def _feed(self, part: _Part, wanted: _Wanted, collected: npt.NDArray[np.bool_] | None) -> None:
        chosen = wanted.rows(part.lives)
        feed(
            self._packets,
            *(part.rows, part.start, part.base, part.lives, part.violated, chosen),
            collected,
        )

    def _remember(self, part: _Part) -> None:
        self._window.append(part)
        while self._window[0].base + len(self._window[0].lives) + self._remembered < self._events:
            self._window.popleft()


@lru_cache(maxsize=_CACHED)
def is_plain(reason: str) -> bool:
    """Whether a packet that could not be segmented may be freed so: kfree_skb gives no reason."""
    return reason.removeprefix("SKB_DROP_REASON_") in ("", "NOT_SPECIFIED", "SKB_GSO_SEG", "1", "2")


@lru_cache(maxsize=_CACHED)
def _caller(stack_text: str) -> str:
    return caller(tuple(stack_text.split("\n")))


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


@lru_cache(maxsize=_CACHED)
def place_name(location: str) -> str:
    """The name of a place in the kernel; empty for its bare address, which says nothing."""
    return "" if re.fullmatch(r"(0x)?[0-9a-f]{8,}", location) else location


def _kind(name: str) -> int:
    kind = DROPS * (name in DROP_FUNCTIONS) | CONSUMES * (name in _CONSUMERS)
    kind |= ENTERS * (name in _ENTRIES) | SEGMENTS * (name in SEGMENTERS)
    return kind | AFTER_FREE * name.startswith(_AFTER_FREE)
