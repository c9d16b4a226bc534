"""Segment sizes of TCP connections, from the handshakes in a capture.

A host announces in its SYN the largest segment it takes (RFC 9293, section 3.7.1), which does not
limit what it sends. A sender uses what the peer announced, bounded by the MTU of its own link, less
the TCP options of each segment: timestamps as a rule, selective acknowledgements at times
(tcp_current_mss in the kernel). A packet that fits the MTU is no super-packet, whatever was
announced. Where no MTU is given, it is 1500, or more if the SYNs that were captured announce more;
between loopback addresses, without a SYN, it is that of the loopback device.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from gso.buffers.rows import take_rows
from gso.capture.format import Int64s
from gso.constants import L4
from gso.rewriting._packet_info import PACKET_INFO_DTYPE

Info: TypeAlias = npt.NDArray[Any]
"""Of PACKET_INFO_DTYPE, a row for each packet."""

# Plain numbers: members of an enumeration take NumPy longer than the comparison.
TCP, UDP = int(L4.TCP), int(L4.UDP)
_SYN = 0x02  # of the TCP flags
_TCP_HLEN = 20  # without options
_IP_HLEN = {4: 20, 6: 40}
USUAL_MTU = 1500
_LOOPBACK_MTU = 65536  # of Linux; loopback_setup
_LOOPBACK = ip_address("::1").packed
_COLUMNS: Any = PACKET_INFO_DTYPE.fields
_TCP_HLEN_AT, _FLOW_AT, _BEHIND = (_COLUMNS[name][1] for name in ("tcp_hlen", "version", "final"))
FLOW = slice(_FLOW_AT, _BEHIND)
"""The bytes of a row of PACKET_INFO_DTYPE that one direction of a flow has in common."""
_ONE_SIZE = slice(_TCP_HLEN_AT, _BEHIND)
"""Those that packets have in common whose segments have one size."""
_DEFAULT_MSS = {4: 536, 6: 1220}  # of a SYN without the option: RFC 9293, section 3.7.1


@dataclass
class Flow:
    """One direction of a TCP connection.

    Attributes:
        name: ``"10.0.0.1:40000 > 10.0.0.2:443"``.
        announced: the MSS of this side's SYN; None if the capture lacks it.
        peer: the MSS of the other side's SYN.
        gso_sizes: the segment sizes derived, one for each length of TCP header met.
        packets: super-packets segmented.
        segments: what they became.
        skipped: super-packets left as they are for lack of a handshake.
        longest: payload of the longest of those.
    """

    name: str
    announced: int | None = None
    peer: int | None = None
    gso_sizes: set[int] = field(default_factory=set)
    packets: int = 0
    segments: int = 0
    skipped: int = 0
    longest: int = 0

    @property
    def mss(self) -> int | None:
        """The segments that this side may send: what the peer announced."""
        return self.peer

    def source(self) -> str:
        """Where the segment size comes from, in words."""
        if self.announced is None and self.peer is None:
            return "no handshake in the capture"
        sides = ((self.announced, "its SYN"), (self.peer, "the peer's SYN"))
        said = [f"{who} says {mss}" if mss else f"{who} was not captured" for mss, who in sides]
        known = "MSS unknown" if self.mss is None else f"MSS {self.mss}"
        return f"{known}: {', '.join(said)}"


class Sizes(NamedTuple):
    """Segment sizes of packets, arrays of shape (n,).

    Attributes:
        sizes: payload bytes per segment, 0 for packets that stay whole.
        unknown: whether it stays whole as its size is not known.
        flow: the number in `flows` of the packet's flow, -1 for packets that stay whole.
        flows: those of packets that do not.
    """

    sizes: Int64s
    unknown: npt.NDArray[np.bool_]
    flow: Int64s
    flows: list[Flow]

    @classmethod
    def of_none(cls, count: int) -> Sizes:
        """The sizes of so many packets, which stay whole."""
        sizes, unknown = np.zeros(count, np.int64), np.zeros(count, np.bool_)
        return cls(sizes, unknown, np.full(count, -1), [])


class _Kind(NamedTuple):
    """What holds for packets of one flow and length of TCP header."""

    flow: Flow
    longest: int
    """Bytes of an IP packet that is no super-packet."""
    size: int
    """Payload bytes of a segment; -1 where they are not known."""


class Handshakes:
    """The connections of a capture, as far as their SYNs have been seen.

    Connections are told apart by the addresses and ports of the innermost packet alone, so that a
    handshake seen outside a tunnel counts for packets inside one. Beyond `capacity` connections the
    oldest are forgotten: memory must not grow with the capture. `mtu` is in bytes; `gso_size`, if
    it is given, is the size of all segments, whatever was announced.
    """

    def __init__(
        self, mtu: int | None = None, gso_size: int | None = None, capacity: int = 1 << 16
    ) -> None:
        self._mtu = mtu
        self._gso_size = gso_size
        self._capacity = capacity
        self._flows: dict[bytes, Flow] = {}
        self._kinds: dict[bytes, _Kind] = {}
        self._paths: dict[bytes, int] = {}

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows.values())

    def sizes(self, info: Info, told: npt.NDArray[np.bool_] | None = None) -> Sizes:
        """The segment sizes of packets; those that are `told` are not asked for.

        SYNs among the packets count for those that follow them.
        """
        found = Sizes.of_none(len(info))
        tcp = info["protocol"] == TCP
        # Only SYNs are looked at singly, and one packet of those alike between two of them.
        (syns,) = (tcp & (info["flags"] & _SYN != 0)).nonzero()
        if told is not None:
            tcp &= ~told
        (long,) = (tcp & (info["length"] > (self._mtu or USUAL_MTU))).nonzero()
        edges = np.searchsorted(long, syns).tolist()
        for syn, (start, stop) in zip(
            [-1, *syns.tolist()], pairwise([0, *edges, len(long)]), strict=True
        ):
            if syn >= 0:
                self._learn(info[syn])
            if start < stop:
                some = long[start:stop]
                self._cut(take_rows(info, some), some, found)
        return found

    def _cut(self, info: Info, rows: Int64s, found: Sizes) -> None:
        """Find the sizes of packets beyond the MTU with no SYN behind the first of them."""
        first, into = kinds_of(info, _ONE_SIZE)
        kinds = [self._kind(info[i]) for i in first]
        size = np.array([kind.size for kind in kinds])[into]
        over = info["length"] > np.array([kind.longest for kind in kinds])[into]
        unknown = over & (size < 0)
        for i in unknown.nonzero()[0].tolist():
            flow = kinds[into[i]].flow
            flow.skipped += 1
            flow.longest = max(flow.longest, int(info[i]["payload"]))
        cut = over & ~unknown & (info["payload"] > size)
        found.unknown[rows] = unknown
        found.sizes[rows] = size * cut
        found.flow[rows] = np.where(cut, into + len(found.flows), -1)
        found.flows.extend(kind.flow for kind in kinds)

    def _kind(self, packet: Any) -> _Kind:
        """What holds for a packet and those like it, as long as no SYN tells otherwise."""
        key = packet.tobytes()[_ONE_SIZE]
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= self._capacity:
                self._kinds.clear()
            flow = self._flow(packet)
            longest = self._room(packet, flow) + _IP_HLEN[int(packet["version"])] + _TCP_HLEN
            kind = self._kinds[key] = _Kind(flow, longest, self._size(packet, flow))
        return kind

    def of(self, packet: Any) -> Flow | None:
        """The flow of a packet, if it is known."""
        return self._flows.get(_key(_sides(packet), int(packet["version"])))

    def _room(self, packet: Any, flow: Flow) -> int:
        """Bytes of a segment, with TCP's options, that fit the MTU: announced MSS if it is more."""
        known = [mss for mss in (flow.announced, flow.peer) if mss is not None]
        usual = USUAL_MTU if known or not _is_loopback(packet) else _LOOPBACK_MTU
        room = (self._mtu or usual) - _IP_HLEN[int(packet["version"])] - _TCP_HLEN
        return room if self._mtu is not None else max(room, min(known, default=0))

    def _size(self, packet: Any, flow: Flow) -> int:
        """The payload of each segment; -1 where it is not known."""
        if self._gso_size is not None:
            return self._gso_size
        if flow.peer is None:
            return -1
        options = int(packet["tcp_hlen"]) - _TCP_HLEN
        return max(min(flow.peer, self._room(packet, flow)) - options, 1)

    @staticmethod
    def _announced(packet: Any) -> int:
        return int(packet["mss"]) or _DEFAULT_MSS[int(packet["version"])]

    def _learn(self, packet: Any) -> None:
        self._kinds.clear()
        mss = self._announced(packet)
        flow = self._flow(packet)
        flow.announced = mss
        self._flow(packet, back=True).peer = mss
        if self._mtu is None and min(mss, flow.peer or 0) > USUAL_MTU:
            if len(self._paths) >= self._capacity:
                self._paths.clear()
            mtu = min(mss, flow.peer or 0) + _IP_HLEN[int(packet["version"])] + _TCP_HLEN
            self._paths[_hosts(packet)] = mtu

    def fit_path(self, info: Info, which: npt.NDArray[np.bool_]) -> None:
        """Take those of the packets `which` away that fit the MTU between their two hosts.

        It is known where a TCP connection of these hosts announced more than the usual, and for
        loopback addresses, where no packet of UDP is too long.
        """
        for i in which.nonzero()[0].tolist() if self._mtu is None else ():
            usual = _LOOPBACK_MTU if _is_loopback(info[i]) else 0
            if info[i]["length"] <= self._paths.get(_hosts(info[i]), usual):
                which[i] = False

    def _flow(self, packet: Any, *, back: bool = False) -> Flow:
        sides = _sides(packet)
        if back:
            sides.reverse()
        version = int(packet["version"])
        key = _key(sides, version)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= self._capacity:
                del self._flows[next(iter(self._flows))]
                self._kinds.clear()
            flow = self._flows[key] = Flow(flow_name(packet, back=back))
        return flow


def count_flows(found: Sizes, pieces: Int64s) -> None:
    """Count the segments that the packets of each flow became, `pieces` of each packet."""
    (cut,) = ((pieces > 1) & (found.flow >= 0)).nonzero()
    flow = found.flow[cut]
    packets = np.bincount(flow, minlength=len(found.flows)).tolist()
    segments = np.bincount(flow, pieces[cut], len(found.flows)).astype(np.int64).tolist()
    for one, of_packets, of_segments in zip(found.flows, packets, segments, strict=True):
        one.packets += of_packets
        one.segments += of_segments
    for number, size in set(zip(flow.tolist(), found.sizes[cut].tolist(), strict=True)):
        found.flows[number].gso_sizes.add(size)


def kinds_of(info: Info, alike: slice = FLOW) -> tuple[list[int], Int64s]:
    """The first packet of each kind, in their order, and the number of each packet's kind.

    `info` has a row or more. Packets with the same bytes `alike` of it are of one kind.
    """
    keys = info.view(np.uint8).reshape(len(info), -1)[:, alike]
    if (keys == keys[0]).all():
        return [0], np.zeros(len(info), np.int64)
    rows = np.ascontiguousarray(keys).view(f"V{keys.shape[1]}").ravel()
    _, first, into = np.unique(rows, return_index=True, return_inverse=True)
    order = np.argsort(first)
    return first[order].tolist(), np.argsort(order)[into]


def flow_name(packet: Any, *, back: bool = False) -> str:
    """``"10.0.0.1:40000 > 10.0.0.2:443"``, of a row of PACKET_INFO_DTYPE; the reverse if `back`."""
    sides = [_endpoint(int(packet["version"]), *side) for side in _sides(packet)]
    return " > ".join(reversed(sides) if back else sides)


def _sides(packet: Any) -> list[tuple[bytes, int]]:
    return [
        (packet["source"].tobytes(), int(packet["source_port"])),
        (packet["destination"].tobytes(), int(packet["destination_port"])),
    ]


def _hosts(packet: Any) -> bytes:
    """The two addresses, in one order for both directions."""
    return b"".join(sorted([packet["source"].tobytes(), packet["destination"].tobytes()]))


def _is_loopback(packet: Any) -> bool:
    """Whether a packet comes from a loopback address, which it then also goes to."""
    source: bytes = packet["source"].tobytes()
    return source == _LOOPBACK if packet["version"] == 6 else source[0] == 127


def _key(sides: list[tuple[bytes, int]], version: int) -> bytes:
    return bytes([version]) + b"".join(ip + port.to_bytes(2, "big") for ip, port in sides)


def _endpoint(version: int, address: bytes, port: int) -> str:
    if version == 4:
        return f"{ip_address(address[:4])}:{port}"
    return f"[{ip_address(address)}]:{port}"
