"""Why packets of a capture stay as they are: what one is, or what it would become, is not sure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gso.buffers._frames import Frames
from gso.capture.format import Int64s
from gso.capture.packets import Packets
from gso.constants import L4
from gso.headers.links import BareLinkType
from gso.headers.tunnels import TunnelPorts
from gso.rewriting import _reasons as why
from gso.rewriting.ambiguous import looks_like, tunnels_on_unknown_ports
from gso.rewriting.handshakes import Info
from gso.rewriting.jumbo import keeps_jumbo_option
from gso.rewriting.links import Link, header_names, innermost_ip, ip_length, unlooked, wrong_lengths

Bools: TypeAlias = npt.NDArray[np.bool_]
Found: TypeAlias = npt.NDArray[np.uint16]
"""Reasons of `gso.rewriting._reasons`, a bit each, for each packet."""
Reasons: TypeAlias = dict[int, str]
"""Why each of some packets stays as it is, by its index."""

LONGEST_HEADERS = 128
"""Bytes of tags, labels and tunnels around the packets of a wire, at most."""
_NEVER_OFFLOADED = (1, 2, 58, 89)  # ICMP, IGMP, ICMPv6 and OSPF: IP protocols
_SNAPLEN = "the capture has not got all of its bytes (snaplen)"
_WORDS = {
    why.CUT: _SNAPLEN,
    why.UNSURE: "the length in its IP header contradicts the frame's",
    why.HOP_OPTIONS: "its jumbo payload option would stay in the segments",
    why.IMPLAUSIBLE: "the checksum of its IP header is wrong",
    why.TRAILED: "bytes that follow its IP packet would become payload",
    why.WRONG_SUM: "its {} checksum is neither right nor left to a device",
}
"""What is said of a super-packet; of several reasons the first."""
_OF_SUPER_PACKETS = sum(_WORDS)


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

    def find(self, frames: Frames, info: Info, sizes: Int64s, cut: Bools) -> Found:
        """Find what speaks against segmenting each packet.

        `sizes` are the payload bytes of the segments, 0 for packets that stay whole; `cut` are
        those that the capture has in part.
        """
        longest = self.mtu + LONGEST_HEADERS
        return why.reasons(frames, info, sizes, cut, mtu=self.mtu, longest=longest)

    def not_segmented(self, packets: Packets, link: Link, info: Info, found: Found) -> Reasons:
        """Packets larger than the MTU whose protocol is not segmented here."""
        (others,) = (found & why.OTHER).nonzero()
        if not len(others):
            return {}
        from gso.headers.protocols import IP_PROTOCOLS  # noqa: PLC0415  (slow, as it has many names)

        reasons = {}
        for i in others.tolist():
            carried = int(info["carried"][i])
            if carried in _NEVER_OFFLOADED:
                continue
            name = IP_PROTOCOLS.get(carried, f"IP protocol {carried}")
            if not info["sure"][i]:  # it may be no IP packet at all
                name = header_names(packets.packet(i), link, self.tunnel_ports)
            reasons[i] = f"{name} is not segmented here"
        return reasons

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


def doubtful(frames: Frames, info: Info, found: Found) -> Reasons:
    """The super-packets that no stack or device can have made so, or of which bytes are missing."""
    reasons: Reasons = {}
    for i in (found & _OF_SUPER_PACKETS).nonzero()[0].tolist():
        bits = int(found[i])
        if bits & why.HOP_OPTIONS and not keeps_jumbo_option(frames[i][int(info["network"][i]) :]):
            bits &= ~why.HOP_OPTIONS
        reason = next((text for bit, text in _WORDS.items() if bits & bit), None)
        if reason:
            reasons[i] = reason.format(L4(info["protocol"][i]).name)
    return reasons
