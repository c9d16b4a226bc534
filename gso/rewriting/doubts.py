"""Why packets of a capture stay as they are: what one is, or what it would become, is not sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture.format import Int64s
from gso.capture.reader import Packets
from gso.constants import L4
from gso.headers.links import BareLinkType
from gso.headers.protocols import IP_PROTOCOLS
from gso.headers.tunnels import TunnelPorts
from gso.rewriting._sums import can_be_cut
from gso.rewriting.ambiguous import looks_like, tunnels_on_unknown_ports
from gso.rewriting.jumbo import HOP_BY_HOP, NEXT_HEADER_AT, keeps_jumbo_option
from gso.rewriting.links import Link, header_names, innermost_ip, ip_length, unlooked, wrong_lengths

Info: TypeAlias = npt.NDArray[Any]
"""Of PACKET_INFO_DTYPE, a row for each packet."""
Bools: TypeAlias = npt.NDArray[np.bool_]
Reasons: TypeAlias = dict[int, str]
"""Why each of some packets stays as it is, by its index."""

LONGEST_HEADERS = 128
"""Bytes of tags, labels and tunnels around the packets of a wire, at most."""
_NEVER_OFFLOADED = (1, 2, 58, 89)  # ICMP, IGMP, ICMPv6 and OSPF: IP protocols
_SNAPLEN = "the capture has not got all of its bytes (snaplen)"


@dataclass(frozen=True)
class Doubts:
    """Tells of packets, all of one link, which are not segmented although they are too long.

    Attributes:
        mtu: bytes of the largest IP packet that is no super-packet.
        gso_size: payload bytes per segment of TCP, if they are given.
        tunnel_ports: as for `gso.parse`.
    """

    mtu: int
    gso_size: int | None
    tunnel_ports: TunnelPorts | None

    def not_segmented(self, packets: Packets, link: Link, info: Info) -> Reasons:
        """Packets larger than the MTU whose protocol is not segmented here."""
        others = (info["length"] > self.mtu) & (info["protocol"] == 0) & (info["fragment"] == 0)
        reasons = {}
        for i in others.nonzero()[0].tolist():
            carried = int(info["carried"][i])
            if carried in _NEVER_OFFLOADED:
                continue
            name = IP_PROTOCOLS.get(carried, f"IP protocol {carried}")
            if not info["sure"][i]:  # it may be no IP packet at all
                name = header_names(packets.packet(i), link, self.tunnel_ports)
            reasons[i] = f"{name} is not segmented here"
        return reasons

    def is_opaque(self, frames: Frames, info: Info) -> Bools:
        """The packets in which no IP packet was found, or one that has little of a long frame."""
        little = (frames.lengths > self.mtu + LONGEST_HEADERS) & (info["length"] <= self.mtu)
        return np.asarray((info["length"] == 0) | little & (info["protocol"] == 0))

    def opaque(self, packets: Packets, link: Link, which: Int64s, counts: Counter[str]) -> Reasons:
        """Packets too long for a wire of those in which no IP packet was found.

        `counts` gets the packets that cannot be looked into, by what they are.
        """
        reasons: Reasons = {}
        for some, what, whole in unlooked(packets, link, which, self.tunnel_ports):
            if what is not None and whole:
                counts[what] += len(some)
            # Of a link that is not known, headers cannot be told from a payload.
            most = self.mtu + LONGEST_HEADERS if link.kind else self.gso_size or self.mtu
            original = packets.records["original"][some]
            for i in some[original > most].tolist():
                reasons[i] = self._opaque(packets, i, link, what)
            if what is None and link.kind:  # its headers are known
                for i in self._long_ip(packets, link, some[original <= most]):
                    reasons[i] = self._opaque(packets, i, link, what)
        return dict(sorted(reasons.items()))

    def _long_ip(self, packets: Packets, link: Link, which: Int64s) -> Iterator[int]:
        """Yield packets, all of the same headers, whose IP packet is larger than the MTU."""
        which = which[packets.records["original"][which] > self.mtu]
        if not len(which):
            return
        at = innermost_ip(packets.packet(int(which[0])), link, self.tunnel_ports)
        for i in which.tolist():
            if at is not None and ip_length(packets.packet(i), at) > self.mtu:
                yield i

    def _opaque(self, packets: Packets, index: int, link: Link, what: str | None) -> str:
        """Why a long packet stays; `what` of it cannot be looked into, if anything."""
        record = packets.records[index]
        if what is not None:
            return f"{what} cannot be looked into"
        if record["captured"] < record["original"]:
            return _SNAPLEN
        names = header_names(packets.packet(index), link, self.tunnel_ports)
        return f"{names} is not segmented here"

    def in_tunnels(self, frames: Frames, udp: Bools, kind: BareLinkType) -> Reasons:
        """Those of the packets of UDP that may be in a tunnel."""
        (which,) = udp.nonzero()
        if not len(which):
            return {}
        found = tunnels_on_unknown_ports(frames[which], self.tunnel_ports, kind)
        return {int(which[i]): looks_like(port, name) for i, (port, name) in found.items()}


def misdescribed(frames: Frames, link: Link, sizes: Int64s) -> Reasons:
    """The super-packets whose link-layer header has a length that is not theirs."""
    if not link.snap:
        return {}
    reason = "the length in its IEEE 802.3 header contradicts the frame's"
    (wrong,) = (wrong_lengths(frames, link) & (sizes > 0)).nonzero()
    return dict.fromkeys(wrong.tolist(), reason)


def doubtful(frames: Frames, info: Info, sizes: Int64s, cut: Bools) -> Reasons:
    """The super-packets that no stack or device can have made so, or of which bytes are missing.

    `sizes` are the payload bytes of their segments, 0 for packets that stay whole; `cut` are those
    that the capture has in part.
    """
    big = sizes > 0
    summed = can_be_cut(frames, info, sizes * ~cut)
    vague = info["sure"] == 0
    mangled = info["plausible"] == 0
    trailed = info["hlen"] + info["payload"] < frames.lengths
    jumbo = _keep_jumbo_option(frames, info, big)
    if not (big & (cut | vague | mangled | trailed | jumbo | ~summed)).any():
        return {}
    protocols = (L4(number) for number in np.unique(info["protocol"][~summed]).tolist())
    faults = (
        (cut, _SNAPLEN),
        (vague, "the length in its IP header contradicts the frame's"),
        (jumbo, "its jumbo payload option would stay in the segments"),
        (mangled, "the checksum of its IP header is wrong"),
        (trailed, "bytes that follow its IP packet would become payload"),
        *(
            (
                ~summed & (info["protocol"] == protocol),
                f"its {protocol.name} checksum is neither right nor left to a device",
            )
            for protocol in protocols
        ),
    )
    reasons: Reasons = {}
    for wrong, reason in faults:
        for i in (wrong & big).nonzero()[0].tolist():
            reasons.setdefault(i, reason)
    return reasons


def _keep_jumbo_option(frames: Frames, info: Info, which: Bools) -> Bools:
    found = np.zeros(len(info), np.bool_)
    (six,) = (which & (info["version"] == 6)).nonzero()
    if not len(six):
        return found
    headers = frames.offsets[six] + info["network"][six]
    for i in six[frames.data[headers + NEXT_HEADER_AT] == HOP_BY_HOP].tolist():
        found[i] = keeps_jumbo_option(frames[i][int(info["network"][i]) :])
    return found
