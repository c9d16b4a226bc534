"""The contents of a capture, read once in memory that does not grow with it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.buffers.rows import take_rows
from gso.capture.format import Int64s, Interface, Source
from gso.capture.packets import Packets
from gso.capture.reader import Reader
from gso.constants import Tunnel
from gso.errors import GsoError
from gso.headers._layout import parse_batch
from gso.headers.protocols import IP_PROTOCOLS
from gso.headers.tunnels import TunnelPorts
from gso.rewriting._packet_info import packet_info
from gso.rewriting.found_tunnels import FoundTunnels
from gso.rewriting.handshakes import (
    FLOW,
    TCP,
    UDP,
    USUAL_MTU,
    Flow,
    Handshakes,
    flow_name,
    kinds_of,
)
from gso.rewriting.links import Link, header_names, link_frames, runs, unlooked
from gso.rewriting.snaplen import add_missing, missing_bytes

_MOST_FLOWS = 1 << 16
_NOT_A_TIME = -(1 << 63)
_NOT_SEGMENTED = (1, 2, 58, 89)  # ICMP, IGMP, ICMPv6 and OSPF: IP protocols


@dataclass
class Traffic:
    """One direction of a TCP or UDP flow, of the innermost packets.

    Attributes:
        name: ``"10.0.0.1:40000 > 10.0.0.2:443"``.
        protocol: ``"tcp"`` or ``"udp"``.
        packets, payload: how many, and the bytes that they carry.
        super_packets: those that are larger than the MTU.
        longest: bytes of the longest IP packet.
        handshake: what the SYNs say, if they were captured.
    """

    name: str
    protocol: str
    packets: int = 0
    payload: int = 0
    super_packets: int = 0
    longest: int = 0
    handshake: Flow | None = None


@dataclass
class Survey:
    """The contents of a capture.

    Attributes:
        format: ``"pcap"`` or ``"pcapng"``.
        interfaces: those that the file describes, with the number of packets of each.
        packets, captured: how many, and the bytes of them in the file.
        cut: packets of which the capture has not all bytes.
        first, last: the earliest and the latest time, nanoseconds since 1970; None without any.
        protocols: packets by what the innermost IP packet carries.
        known_tunnels: packets by the outermost tunnel.
        tunnels: UDP ports whose packets look like a tunnel that was not told.
        super_packets: packets larger than the MTU, by protocol.
        flows: the first 65536.
        more_flows: packets of flows beyond those.
        not_followed: packets that cannot be looked into, by what they are.
        outside: packets that are not among the protocols and flows, though they can be looked
            into, by their headers or by what is not known inside.
        truncated, damage: what the file's end lacks, and where it is damaged, or None.
    """

    format: str = ""
    interfaces: list[tuple[Interface, int]] = field(default_factory=list)
    packets: int = 0
    captured: int = 0
    cut: int = 0
    first: int | None = None
    last: int | None = None
    protocols: Counter[str] = field(default_factory=Counter)
    known_tunnels: Counter[str] = field(default_factory=Counter)
    tunnels: FoundTunnels = field(default_factory=lambda: FoundTunnels(None))
    super_packets: Counter[str] = field(default_factory=Counter)
    flows: dict[bytes, Traffic] = field(default_factory=dict)
    more_flows: int = 0
    not_followed: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    truncated: str | None = None
    damage: str | None = None

    @property
    def followed(self) -> int:
        """Packets that can be looked into."""
        return self.packets - self.not_followed.total()


class _Surveyor:
    def __init__(self, mtu: int | None, tunnel_ports: TunnelPorts | None) -> None:
        self.survey = Survey(tunnels=FoundTunnels(tunnel_ports))
        self._mtu = mtu or USUAL_MTU
        self._tunnel_ports = tunnel_ports
        self._handshakes = Handshakes(mtu)
        self._by_interface: Counter[int] = Counter()

    def look(self, packets: Packets) -> None:
        """Take account of packets."""
        survey, records = self.survey, packets.records
        survey.packets += len(records)
        survey.captured += int(records["captured"].sum(dtype=np.int64))
        survey.cut += int((records["captured"] < records["original"]).sum())
        used, counts = np.unique(records["interface"], return_counts=True)
        base = packets.section.base
        for number, count in zip(used.tolist(), counts.tolist(), strict=True):
            self._by_interface[base + number] += count
        self._times(packets.timestamps())
        for part, link in runs(packets):
            self._run(part, link)

    def finish(self, reader: Reader) -> Survey:
        """The survey, when everything has been read."""
        survey = self.survey
        survey.format, survey.truncated = reader.format, reader.truncated
        survey.interfaces = [
            (interface, self._by_interface[i]) for i, interface in enumerate(reader.interfaces)
        ]
        return survey

    def _times(self, times: Int64s) -> None:
        times = times[times != _NOT_A_TIME]
        if len(times):
            survey = self.survey
            first, last = int(times.min()), int(times.max())
            survey.first = first if survey.first is None else min(survey.first, first)
            survey.last = last if survey.last is None else max(survey.last, last)

    def _run(self, packets: Packets, link: Link) -> None:
        kind = link.kind
        if kind is None:
            self._not_followed(packets, np.arange(len(packets.records)), link)
            return
        frames = link_frames(packets, link)
        layouts = parse_batch(
            frames, link_type=kind, tunnel_ports=self._tunnel_ports, errors="mark"
        )
        info = packet_info(frames, layouts)
        missing = missing_bytes(packets.records)
        whole = np.flatnonzero(missing == 0)
        self.survey.tunnels.look(frames[whole], info[whole], kind)
        add_missing(frames, info, missing)
        self._protocols(info, layouts)
        self._not_followed(packets, np.flatnonzero(info["length"] == 0), link)
        self._flows(info, self._super_packets(info))

    def _not_followed(self, packets: Packets, which: Int64s, link: Link) -> None:
        """Count the packets in which no IP packet was found, by what they are."""
        for some, what, whole in unlooked(packets, link, which, self._tunnel_ports):
            if what is not None and whole:
                self.survey.not_followed[what] += len(some)
            else:
                name = header_names(packets.packet(int(some[0])), link, self._tunnel_ports)
                self.survey.outside[what or name] += len(some)

    def _protocols(self, info: npt.NDArray[np.void], layouts: npt.NDArray[np.void]) -> None:
        survey = self.survey
        ip = info["length"] > 0
        fragments = ip & (info["fragment"] != 0)
        survey.protocols.update({"fragments": int(fragments.sum())})
        for number, count in _counted(info["carried"][ip & ~fragments]):
            survey.protocols[IP_PROTOCOLS.get(number, f"IP protocol {number}")] += count
        for number, count in _counted(layouts["tunnel"]):
            if number:
                survey.known_tunnels[Tunnel(number).name] += count

    def _super_packets(self, info: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Which packets are larger than the MTU; for TCP, of what the handshake says."""
        found = self._handshakes.sizes(info)
        over = (info["length"] > self._mtu) & (info["fragment"] == 0)
        tcp, udp = info["protocol"] == TCP, info["protocol"] == UDP
        udp &= over
        self._handshakes.fit_path(info, udp)
        other = over & (info["protocol"] == 0) & ~np.isin(info["carried"], _NOT_SEGMENTED)
        tcp &= (found.sizes > 0) | found.unknown
        for name, which in (("TCP", tcp), ("UDP", udp), ("others", other)):
            self.survey.super_packets[name] += int(which.sum())
        return np.asarray(tcp | udp)

    def _flows(self, info: npt.NDArray[np.void], larger: npt.NDArray[np.bool_]) -> None:
        which = info["protocol"] != 0
        if not which.any():
            return
        rows, larger = take_rows(info, which), larger[which]
        first, into = kinds_of(rows)
        packets = np.bincount(into)
        payload = np.bincount(into, weights=rows["payload"]).astype(np.int64)
        supers = np.bincount(into, weights=larger).astype(np.int64)
        longest = np.zeros(len(first), np.int64)
        np.maximum.at(longest, into, rows["length"])
        for i, row in enumerate(take_rows(rows, np.array(first))):
            flow = self._flow(row.tobytes()[FLOW], row)
            if flow is None:
                self.survey.more_flows += int(packets[i])
                continue
            flow.packets += int(packets[i])
            flow.payload += int(payload[i])
            flow.super_packets += int(supers[i])
            flow.longest = max(flow.longest, int(longest[i]))

    def _flow(self, key: bytes, row: Any) -> Traffic | None:
        flows = self.survey.flows
        flow = flows.get(key)
        if flow is None:
            if len(flows) >= _MOST_FLOWS:
                return None
            protocol = "tcp" if row["protocol"] == TCP else "udp"
            flow = flows[key] = Traffic(flow_name(row), protocol)
        if flow.protocol == "tcp":
            flow.handshake = self._handshakes.of(row) or flow.handshake
        return flow


def _counted(values: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    numbers, counts = np.unique(values, return_counts=True)
    return list(zip(numbers.tolist(), counts.tolist(), strict=True))


def survey_capture(
    source: Source, *, mtu: int | None = None, tunnel_ports: TunnelPorts | None = None
) -> Survey:
    """Read a capture, and say what it holds.

    Args:
        source: path, binary file, or the bytes of one.
        mtu: the largest IP packet in bytes that is no super-packet; 1500 by default, or what the
            handshake of a TCP connection says if it is more.
        tunnel_ports: UDP destination ports of tunnels, as for `gso.parse`.

    Raises GsoError where nothing can be read; damage that follows packets is in the result.
    """
    surveyor = _Surveyor(mtu, tunnel_ports)
    with Reader(source) as reader:
        try:
            for part in reader.packets():
                surveyor.look(part)
        except GsoError as error:
            if not surveyor.survey.packets:
                raise
            surveyor.survey.damage = str(error)
        return surveyor.finish(reader)
