"""Headers of tunnels around a packet, and what their senders note in the sk_buff."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from gso.kernel.conformance.tunnels.packets import (
    Packet,
    in_ethernet,
    ipv4,
    ipv6,
    pack16,
    partial,
    set_lengths,
    shifted,
)

from gso import L4, GsoType, checksum

_ETH_P_IP, _ETH_P_IPV6, _ETH_P_TEB, _ETH_P_MPLS, _ETH_P_NSH = (
    *(0x0800, 0x86DD, 0x6558, 0x8847, 0x894F),
)
_IPIP, _IPV6, _GRE = 4, 41, 47
_ROUTING = 43
IP_DF = 0x40
_AS_ETHERTYPE = 16  # where a VLAN tag has its Ethernet type, after Ethernet addresses


def change(packet: Packet, at: int, data: bytes) -> None:
    """Put other bytes into the packet, from there on."""
    packet.frame = packet.frame[:at] + data + packet.frame[at + len(data) :]


def addresses(network: bytes | bytearray, version: int) -> tuple[bytes, bytes]:
    """Return source and destination of an IP header."""
    if version == 4:
        return bytes(network[12:16]), bytes(network[16:20])
    return bytes(network[8:24]), bytes(network[24:40])


def final_destination(network: bytes | bytearray) -> bytes | None:
    """Return the last destination of a routing header with segments left, or None."""
    kind, at, found = network[6], 40, None
    while at < len(network):
        segments = network[at + 1] // 2
        if kind == _ROUTING and network[at + 3]:
            last = {0: segments - 1, 2: segments - 1, 4: 0}.get(network[at + 2], -1)
            found = network[at + 8 + 16 * last :][:16] if segments and last >= 0 else None
        kind, at = network[at], at + 8 * (network[at + 1] + 1)
    return bytes(found) if found else None


@dataclass
class Stack:
    """A packet that grows outwards, and what its senders noted in the sk_buff."""

    packet: Packet
    words: list[str]
    gso_type: GsoType
    inner_protocol: int = 0
    inner_ipproto: bool = False
    encapsulation: bool = False
    dont_fragment: bool = False
    summed: bool = False  # CHECKSUM_PARTIAL

    def encapsulated(self, bits: GsoType, inner_protocol: int, *, by_ipproto: bool = False) -> None:
        """Note a tunnel; the innermost one's words on what is inside stay."""
        self.gso_type |= bits
        if not self.encapsulation:
            self.inner_protocol, self.inner_ipproto = inner_protocol, by_ipproto
        self.encapsulation = True


_Wrapper = Callable[[Random, Stack], None]


def _network(r: Random, s: Stack, version: int, protocol: int, length: int) -> bytearray:
    header = ipv4(r, protocol) if version == 4 else ipv6(r, protocol, whole=True)
    if version == 4 and s.dont_fragment:
        header[6] |= IP_DF
    set_lengths(header, version, length)
    return header


def _put(s: Stack, head: bytes, protocol: int) -> None:
    s.packet = shifted(s.packet, head)
    s.packet.protocol = protocol


def _in_ip(r: Random, s: Stack, protocol: int, head: bytes = b"") -> int:
    version = r.choice((4, 6))
    network = _network(r, s, version, protocol, len(head + s.packet.frame))
    _put(s, bytes(network) + head, _ETH_P_IP if version == 4 else _ETH_P_IPV6)
    return version


def _ip_in_ip(r: Random, s: Stack) -> None:
    """IP in IP. The kernel's own devices make one level, its segmenter follows more.

    Only UFO goes wrong with more: IP headers in the middle become those of fragments.
    """
    levels = 1 if s.gso_type & GsoType.UDP else r.choice((1, 1, 1, 2, 3))
    for _ in range(levels):
        protocol = _ipproto(s.packet)
        version = _in_ip(r, s, protocol)
        s.encapsulated(_ipxip(r, version), protocol, by_ipproto=True)


def _ipproto(packet: Packet) -> int:
    return _IPIP if packet.protocol == _ETH_P_IP else _IPV6


def _ipxip(r: Random, version: int) -> GsoType:
    """Return the bit for an outer IP version, now and then the other one, which is refused."""
    right, wrong = GsoType.IPXIP4, GsoType.IPXIP6
    if version == 6:
        right, wrong = wrong, right
    return wrong if r.random() < 0.03 else right


def _ethernet_inside(r: Random, s: Stack) -> None:
    s.packet = in_ethernet(r, s.packet, tags=r.choice((0, 0, 0, 1, 2)))
    s.packet.protocol = _ETH_P_TEB


def _gre_head(r: Random, s: Stack, *, may_sum: bool) -> tuple[bytes, GsoType]:
    flags = r.choice((0, 0x2000, 0x8000, 0xA000, 0x1000, 0xB000)) & (0xFFFF if may_sum else 0x7FFF)
    rest = r.randbytes(4 * bin(flags).count("1"))
    bits = GsoType.GRE_CSUM if flags & 0x8000 else GsoType.GRE
    s.words += ["seq"] * bool(flags & 0x1000)
    return pack16(flags, s.packet.protocol) + rest, bits


def _gre(r: Random, s: Stack) -> None:
    head, bits = _gre_head(r, s, may_sum=True)
    s.words += ["csum"] * (bits is GsoType.GRE_CSUM)
    s.encapsulated(bits, s.packet.protocol)
    _in_ip(r, s, _GRE, head)


def _gretap(r: Random, s: Stack) -> None:
    _ethernet_inside(r, s)
    _gre(r, s)


def in_udp(r: Random, s: Stack, port: int, head: bytes) -> int:
    """UDP, its checksum that of the pseudo header as udp_set_csum leaves it (or none)."""
    version, summed = r.choice((4, 6)), r.random() < 0.5
    length = 8 + len(head + s.packet.frame)
    network = _network(r, s, version, int(L4.UDP), length)
    check = 0
    if summed:
        source, destination = addresses(network, version)
        final = final_destination(network) if version == 6 else None
        if final and r.random() < 0.7:
            # Inline segment routing changes the destination after the checksum was made
            destination = final
            s.words.append("routed")
        check = partial(source, destination, int(L4.UDP), length)
        s.words.append("csum")
    s.gso_type |= GsoType.UDP_TUNNEL_CSUM if summed else GsoType.UDP_TUNNEL
    udp = pack16(r.getrandbits(16), port, length, check)
    _put(s, bytes(network) + udp + head, _ETH_P_IP if version == 4 else _ETH_P_IPV6)
    return version


def _remcsum(r: Random, s: Stack) -> bool:
    """Leave the checksum to the receiver: only where one is still to be made, and where it may."""
    if not s.summed or s.gso_type & GsoType.UDP or r.random() < 0.7:
        return False
    s.gso_type |= GsoType.TUNNEL_REMCSUM
    s.words.append("remcsum")
    return True


def _vxlan(r: Random, s: Stack) -> None:
    _ethernet_inside(r, s)
    flags, vni = 0x08000000, r.getrandbits(24) << 8
    if _remcsum(r, s):
        flags |= 0x00200000
        vni |= s.packet.csum_start // 2 & 0x7F | (0x80 if s.packet.l4 is L4.UDP else 0)
    s.encapsulated(GsoType(0), _ETH_P_TEB)
    in_udp(r, s, 4789, struct.pack(">II", flags, vni))


def _vxlan_gpe(r: Random, s: Stack) -> None:
    following = 1 if s.packet.protocol == _ETH_P_IP else 2
    s.encapsulated(GsoType(0), s.packet.protocol)
    in_udp(r, s, 4790, struct.pack(">II", 0x0C000000 | following, r.getrandbits(24) << 8))


def _geneve(r: Random, s: Stack) -> None:
    if r.random() < 0.7:
        _ethernet_inside(r, s)
    options = r.choice((b"", b"\x01\x02\x80\x01\x11\x22\x33\x44", b"\x01\x02\0\x1f" + bytes(124)))
    s.encapsulated(GsoType(0), s.packet.protocol)
    head = bytes([len(options) // 4, 0]) + pack16(s.packet.protocol)
    in_udp(r, s, 6081, head + r.randbytes(3) + b"\0" + options)


def _gue_head(r: Random, s: Stack, protocol: int) -> bytes:
    if protocol == _GRE or not _remcsum(r, s):
        return bytes([0, protocol, 0, 0])
    start = s.packet.csum_start
    options = struct.pack(">IHH", 1 << 31, start, start + s.packet.csum_offset)
    return bytes([2, protocol, 0, 1]) + options


def _foo(r: Random, s: Stack, port: int, head: bytes) -> None:
    """FOU or GUE around an IP packet."""
    protocol = _ipproto(s.packet)
    s.encapsulated(GsoType(0), protocol, by_ipproto=True)
    if r.random() < 0.2:
        _mislead(s)
    version = in_udp(r, s, port, head)
    s.gso_type |= _ipxip(r, version)


def _mislead(s: Stack) -> None:
    """Put 0 where the kernel looks for an Ethernet type if there is a VLAN tag outside.

    It is a part of the source in IPv6, of the destination in IPv4.
    """
    packet, at = s.packet, _AS_ETHERTYPE
    s.words.append("misled")
    check = packet.csum_start + packet.csum_offset
    if packet.flags and packet.version == _version(packet):
        total = checksum(pack16(*_words(packet.frame, at, check))) ^ 0xFFFF
        change(packet, check, pack16(total))
    change(packet, at, bytes(2))


def _words(frame: bytes, old: int, check: int) -> tuple[int, int]:
    """Return the words whose sum is a checksum field without an old word (RFC 1624)."""
    word, total = (int.from_bytes(frame[at : at + 2], "big") for at in (old, check))
    return word ^ 0xFFFF, total


def _version(packet: Packet) -> int:
    return packet.frame[0] >> 4


def _fou(r: Random, s: Stack) -> None:
    _foo(r, s, 5555, b"")


def _gue(r: Random, s: Stack) -> None:
    _foo(r, s, 6080, _gue_head(r, s, _ipproto(s.packet)))


def bare_in_udp(r: Random, s: Stack, protocol: int, port: int) -> None:
    """Put what has no IP header of its own into UDP on a port that tells it, or into GUE."""
    s.encapsulated(GsoType(0), protocol, by_ipproto=True)
    if r.random() < 0.5:
        in_udp(r, s, port, b"")
    else:
        in_udp(r, s, 6080, _gue_head(r, s, protocol))


def _gre_in_foo(r: Random, s: Stack) -> None:
    """GRE in FOU or GUE: the segmenter copies its header, so it can have no checksum."""
    if r.random() < 0.5:
        _ethernet_inside(r, s)
        s.words.append("tap")
    head, bits = _gre_head(r, s, may_sum=False)
    s.encapsulated(bits, s.packet.protocol)
    if r.random() < 0.5:
        in_udp(r, s, 5557, head)
    else:
        in_udp(r, s, 6080, _gue_head(r, s, _GRE) + head)


def _mpls(r: Random, s: Stack) -> None:
    """MPLS, with no tunnel in it: both are told by where the same inner header starts."""
    labels = r.randrange(1, 4)
    head = b"".join(
        struct.pack(">I", r.getrandbits(20) << 12 | (n + 1 == labels) << 8 | 64)
        for n in range(labels)
    )
    s.inner_protocol = s.packet.protocol
    _put(s, head, _ETH_P_MPLS)


def _nsh(r: Random, s: Stack) -> None:
    """A service header: IPv4, IPv6 or an Ethernet frame follows."""
    if r.random() < 0.5:
        _ethernet_inside(r, s)
    following = {_ETH_P_IP: 1, _ETH_P_IPV6: 2, _ETH_P_TEB: 3}[s.packet.protocol]
    words = r.choice((2, 6))
    head = bytes([0x0F, 0xC0 | words, r.choice((1, 2)), following]) + r.randbytes(4 * words - 4)
    _put(s, head, _ETH_P_NSH)


def _nothing(_r: Random, _s: Stack) -> None:
    """No tunnel."""


WRAPPERS: dict[str, _Wrapper] = {
    "none": _nothing,
    "mpls": _mpls,
    "nsh": _nsh,
    "ipip": _ip_in_ip,
    "gre": _gre,
    "gretap": _gretap,
    "vxlan": _vxlan,
    "vxlan-gpe": _vxlan_gpe,
    "geneve": _geneve,
    "fou": _fou,
    "gue": _gue,
    "gre in foo": _gre_in_foo,
}


def wrap(r: Random, stack: Stack, kind: str) -> None:
    """Put an IP packet into one of :data:`WRAPPERS` and into Ethernet."""
    WRAPPERS[kind](r, stack)
    stack.packet = in_ethernet(r, stack.packet, tags=r.choice((0, 0, 0, 1, 1, 2, 3)))
