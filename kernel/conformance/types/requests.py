"""Random super-packets with the metadata that an sk_buff has, for the module in guest/segmenter/.

The metadata is what a sender of such headers gives: other than through a virtio header any gso_type
can be had, and a device that takes segments in pieces or completes checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import IntFlag
from random import Random

from gso.kernel.conformance.tunnels.devices import PORTS
from gso.kernel.conformance.tunnels.packets import (
    SKB_GSO_TYPES,
    Packet,
    edge16,
    in_ethernet,
    ip_packet,
    ipv4,
    ipv6,
    pack16,
    partial,
    set_lengths,
    shifted,
)
from gso.kernel.guest.records import (
    GSO_ECN,
    LISTED,
    NEEDS_CSUM,
    REQUEST,
)

from gso import GSO_BY_FRAGS, L4, GsoType, checksum, parse

_ETH_P_IP, _ETH_P_IPV6, _ETH_P_TEB, _ETH_P_MPLS, _ETH_P_NSH = (
    *(0x0800, 0x86DD, 0x6558, 0x8847, 0x894F),
)
_ICMP, _IPIP, _IPV6, _GRE = 1, 4, 41, 47
_ROUTING = 43
_IP_DF = 0x40
_ETH_HLEN, _MAC_LEN, _TAGS_TOO_MANY = 14, 6, 8
_AS_ETHERTYPE = 16  # where a VLAN tag has its Ethernet type, after Ethernet addresses
_MOST_SEGMENTS = 150  # more than the kernel allows for USO from virtio; larger ones tell no more
_LONGEST = 0xFFFF

_ALL_TRANSPORTS = GsoType.TCPV4 | GsoType.TCPV6 | GsoType.UDP | GsoType.UDP_L4
# Say nothing that changes a segment.
_HARMLESS = (GsoType.DODGY, GsoType.TCP_ECN)


class Device(IntFlag):
    """The features of the device, as the module names them."""

    SG = 1
    HW_CSUM = 2
    GSO_PARTIAL = 4
    SCTP_CRC = 8
    GSO = 16
    FRAGLIST = 32


class Kept(IntFlag):
    """How the packet is kept: who else holds it, and where its data is."""

    HELD = 1
    SHARED_PAGES = 2
    LISTED_HELD = 4
    LISTED_PAGES = 8
    HEAD_FRAG = 16


_NOTHING_SPECIAL, _AS_USUAL = Device(0), Kept(0)
_IN_PIECES = Device.SG | Device.HW_CSUM | Device.GSO_PARTIAL
_DEVICES = (
    *(
        _NOTHING_SPECIAL,
        Device.SG,
        Device.SG | Device.HW_CSUM,
        Device.SG | Device.HW_CSUM,
        Device.HW_CSUM,
    ),
    *(_IN_PIECES, _IN_PIECES, _IN_PIECES, Device.SG | Device.GSO_PARTIAL),
)


@dataclass
class Request:
    """An sk_buff. ``kind``: its headers in words; other names are the kernel's, as in a record.

    ``listed``: the frames of its frag_list, of which the kernel has the headers too; or of SCTP the
    chunks of each segment, and then ``frame`` is the headers alone. ``linear``: the bytes of the
    frame before those that are in pages; 0 if none is. ``member``: after those come sk_buffs in a
    frag_list, with so many bytes each, of which the first ``start`` are not in a page.
    ``time_key``: the byte of TCP whose time of sending is asked for, or 0.
    """

    kind: str
    frame: bytes
    gso_size: int
    gso_type: int
    csum_partial: bool
    csum_start: int
    csum_offset: int
    network_header: int
    transport_header: int
    inner_mac_header: int = 0
    inner_network_header: int = 0
    inner_transport_header: int = 0
    inner_protocol: int = 0
    inner_ipproto: bool = False
    encapsulation: bool = False
    device: Device = _NOTHING_SPECIAL
    version: int = 0
    l4: L4 = L4.NONE
    listed: tuple[bytes, ...] = ()
    linear: int = 0
    member: int = 0
    start: int = 0
    time_key: int = 0
    kept: Kept = _AS_USUAL

    @property
    def nsh(self) -> bool:
        """Say whether there is a service header, after which a device has nothing to complete."""
        return "nsh" in self.kind.split("-")

    @property
    def by_frags(self) -> bool:
        """Say whether it is SCTP, whose frag_list says where it is cut."""
        return self.gso_size == GSO_BY_FRAGS

    @property
    def cut_anew(self) -> bool:
        """Say whether it is a list that the kernel cuts as if it were one packet.

        That is so where the size is not that of its first frame, or its sender is not trusted.
        """
        if not self.listed or self.by_frags:
            return False
        size = len(self.frame) - parse(self.frame, tunnel_ports={}).payload
        return bool(self.gso_type & GsoType.DODGY) or size != self.gso_size

    @property
    def family(self) -> str:
        """The tunnel without its options, for tables."""
        return self.kind.split("-")[0]

    def pack(self) -> bytes:
        """Return it as the module takes it: a struct request, then the frames."""
        head = REQUEST.pack(
            self.gso_type,
            self.gso_size,
            self.network_header,
            self.transport_header,
            self.inner_mac_header,
            self.inner_network_header,
            self.inner_transport_header,
            self.csum_start,
            self.csum_offset,
            self.inner_protocol,
            self.inner_ipproto,
            self.encapsulation,
            self.csum_partial,
            self.device,
            len(self.listed),
            len(self.frame),
            self.linear,
            self.member,
            self.start,
            self.time_key,
            self.kept,
        )
        pack = _chunks if self.by_frags else _listed
        return head + self.frame + b"".join(map(pack, self.listed))


def _chunks(data: bytes) -> bytes:
    """Return chunks of a frag_list, which have no headers in front, as the module takes them."""
    return LISTED.pack(len(data), 0, 0, 0) + data


def _listed(frame: bytes) -> bytes:
    """Return a frame of a frag_list as the module takes it."""
    found = parse(frame, tunnel_ports=PORTS)
    offsets = found.network_header or 0, found.transport_header or 0, found.payload
    return LISTED.pack(len(frame), *offsets) + frame


# --- headers around a packet ---------------------------------------------------------------------


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
        header[6] |= _IP_DF
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


def _in_udp(r: Random, s: Stack, port: int, head: bytes) -> int:
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
    _in_udp(r, s, 4789, struct.pack(">II", flags, vni))


def _vxlan_gpe(r: Random, s: Stack) -> None:
    following = 1 if s.packet.protocol == _ETH_P_IP else 2
    s.encapsulated(GsoType(0), s.packet.protocol)
    _in_udp(r, s, 4790, struct.pack(">II", 0x0C000000 | following, r.getrandbits(24) << 8))


def _geneve(r: Random, s: Stack) -> None:
    if r.random() < 0.7:
        _ethernet_inside(r, s)
    options = r.choice((b"", b"\x01\x02\x80\x01\x11\x22\x33\x44", b"\x01\x02\0\x1f" + bytes(124)))
    s.encapsulated(GsoType(0), s.packet.protocol)
    head = bytes([len(options) // 4, 0]) + pack16(s.packet.protocol)
    _in_udp(r, s, 6081, head + r.randbytes(3) + b"\0" + options)


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
    version = _in_udp(r, s, port, head)
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
        _change(packet, check, pack16(total))
    _change(packet, at, bytes(2))


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
        _in_udp(r, s, port, b"")
    else:
        _in_udp(r, s, 6080, _gue_head(r, s, protocol))


def _gre_in_foo(r: Random, s: Stack) -> None:
    """GRE in FOU or GUE: the segmenter copies its header, so it can have no checksum."""
    if r.random() < 0.5:
        _ethernet_inside(r, s)
        s.words.append("tap")
    head, bits = _gre_head(r, s, may_sum=False)
    s.encapsulated(bits, s.packet.protocol)
    if r.random() < 0.5:
        _in_udp(r, s, 5557, head)
    else:
        _in_udp(r, s, 6080, _gue_head(r, s, _GRE) + head)


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


# Right after a tunnel header the kernel takes the jumbo header of BIG TCP out of the wrong place:
# 8 bytes too many are left between the tunnel and IPv6, or "next header" is nonsense.
_ETHERNET_INSIDE = ("none", "gretap", "vxlan")

# --- whole requests ------------------------------------------------------------------------------


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


def make(
    r: Random,
    kind: str,
    *,
    uso_without_partial: bool = True,
    fixed_ids: Sequence[GsoType] = (GsoType.TCP_FIXEDID,),
) -> Request:
    """Return a random packet in one of :data:`WRAPPERS`, with random bits in its gso_type.

    ``uso_without_partial``: also UDP segments without CHECKSUM_PARTIAL, which kernels before
    6.12 may take but not finish. ``fixed_ids``: bits for IPv4 IDs that stay the same, of which a
    packet may have one.
    """
    if kind == "gue" and r.random() < 0.03:
        return _unknown(r)
    packet = _super_packet(r, jumbo=kind in _ETHERNET_INSIDE)
    fixed = r.random() < 0.35
    stack = Stack(packet, [kind], SKB_GSO_TYPES[packet.gso_type & ~GSO_ECN])
    stack.dont_fragment = fixed and r.random() < 0.8
    if stack.dont_fragment and packet.version == 4:
        _change(packet, 6, bytes([packet.frame[6] | _IP_DF]))
    stack.summed = bool(packet.flags)
    if stack.gso_type & GsoType.UDP_L4 and uso_without_partial and r.random() < 0.05:
        stack.summed = False
    elif stack.gso_type & GsoType.UDP and r.random() < 0.2:
        stack.summed = False
        _change(packet, packet.csum_start + packet.csum_offset, pack16(edge16(r)))
    wrap(r, stack, kind)
    if fixed:
        stack.gso_type |= r.choice(fixed_ids)
    for bit in _HARMLESS:
        if r.random() < 0.15:
            stack.gso_type |= bit
    if stack.summed and r.random() < 0.06:
        stack.gso_type = _contradictory(r, stack.gso_type)
    request = described(stack, _gso_size(stack.packet), r.choice(_DEVICES))
    if kind == "none" and r.random() < 0.02:
        return _behind_tags(r, request)
    request.linear = _linear(r, request)
    _keep(r, request)
    return request


_LARGEST_IN_MEMBERS = 16000  # gso_size: a segment has room for 17 parts of pages
_LARGEST_HEAD = 2048


def _keep(r: Random, request: Request) -> None:
    """Say how the packet is kept: nothing of it changes what it becomes."""
    if r.random() < 0.1:
        request.kept |= Kept.HELD
    if request.linear and r.random() < 0.2:
        request.kept |= Kept.SHARED_PAGES
    if request.l4 is L4.TCP and request.csum_partial and r.random() < 0.1:
        at = request.csum_start + 4
        first = int.from_bytes(request.frame[at : at + 4], "big")
        request.time_key = (first + r.randrange(len(request.frame))) & 0xFFFFFFFF
    of_segments = request.l4 is L4.TCP or request.gso_type & GsoType.UDP_L4
    payload = parse(request.frame, tunnel_ports=PORTS).payload
    fits = payload + request.gso_size < len(request.frame)
    if of_segments and fits and request.gso_size <= _LARGEST_IN_MEMBERS and r.random() < 0.2:
        _in_members(r, request, payload)


def _in_members(r: Random, request: Request, payload: int) -> None:
    """Spread the data over a frag_list, as GRO does where an sk_buff has no room for more pages."""
    size, request.start = request.gso_size, 0
    way = r.choice(("pages", "pages", "frames", "shifted"))
    request.kept &= ~Kept.SHARED_PAGES
    if way == "shifted" and request.device & Device.SG and 1 < size <= _LARGEST_HEAD:
        # Segments begin in one sk_buff and end in the next, in what is not in its pages.
        request.member, request.start = size, r.randrange(1, size)
        request.linear = payload + size - request.start
        request.kept |= Kept.HEAD_FRAG
    elif way == "frames":
        # One for each segment; where a device cannot gather, none of its data is in a page.
        request.member = request.start = size
        if request.device & Device.SG and r.random() < 0.6:
            request.start = r.randrange(1, size + 1)
        request.linear = payload + size
        if request.start <= _LARGEST_HEAD and r.random() < 0.7:
            request.kept |= Kept.HEAD_FRAG
    else:
        any_size = r.randrange(-(-size // 4), 9000)
        request.member = r.choice((size, size * r.randrange(1, 6), any_size))
        request.linear = payload + r.choice((0, 1, size // 2, size, request.member))
        request.linear = min(request.linear, len(request.frame) - 1)
        request.member = max(request.member, 1)
        if "none" in request.kind.split("-") and r.random() < 0.5:
            _to_whole(r, request, payload)


def _to_whole(r: Random, request: Request, payload: int) -> None:
    """Choose a device that takes super-packets whole, but none with a frag_list."""
    request.device = Device.SG | Device.HW_CSUM | Device.GSO
    if r.random() < 0.7:
        request.member = min(
            request.gso_size * r.randrange(2, 6), (len(request.frame) - payload) // 2
        )
        request.linear = payload + request.member


def _unknown(r: Random) -> Request:
    """Return a packet of GUE with a protocol of which the kernel has no segmenter."""
    packet = Packet(r.randbytes(3000), version=4, flags=NEEDS_CSUM, csum_offset=16)
    stack = Stack(packet, ["gue", "unknown"], GsoType.TCPV4, summed=True)
    stack.encapsulated(GsoType(0), _ICMP, by_ipproto=True)
    _in_udp(r, stack, 6080, bytes([0, _ICMP, 0, 0]))
    stack.packet = in_ethernet(r, stack.packet, tags=0)
    return described(stack, 1000, r.choice(_DEVICES))


def _behind_tags(r: Random, request: Request) -> Request:
    """Put more VLAN tags in front than the kernel follows, which is to look behind them."""
    tags = b"".join(pack16(0x8100, r.getrandbits(16)) for _ in range(_TAGS_TOO_MANY))
    at = 2 * _MAC_LEN
    return replace(
        request,
        frame=request.frame[:at] + tags + request.frame[at:],
        network_header=_ETH_HLEN,
        transport_header=request.transport_header + len(tags),
        csum_start=request.csum_start + len(tags) if request.csum_start else 0,
    )


def _linear(r: Random, request: Request) -> int:
    """Return how much is not in pages: all, or headers, with some of the data or without."""
    if r.random() < 0.4:
        return 0
    headers = parse(request.frame, tunnel_ports=PORTS).payload
    found = headers + r.choice((0, 0, 1, 77, 3000))
    if r.random() < 0.15:
        found = r.randrange(_ETH_HLEN, headers)  # the kernel pulls those that it needs
    return found if found < len(request.frame) else 0


def wrap(r: Random, stack: Stack, kind: str) -> None:
    """Put an IP packet into one of :data:`WRAPPERS` and into Ethernet."""
    WRAPPERS[kind](r, stack)
    stack.packet = in_ethernet(r, stack.packet, tags=r.choice((0, 0, 0, 1, 1, 2, 3)))


def _super_packet(r: Random, *, jumbo: bool) -> Packet:
    """Return a TCP or UDP packet to be segmented."""
    while True:
        packet = ip_packet(r, r.choice((4, 6)), big=jumbo)
        if packet.gso_type and packet.l4 is not L4.NONE:
            break
    if packet.l4 is L4.TCP and packet.flags and len(packet.frame) < _LONGEST and r.random() < 0.03:
        _enlarge(r, packet)
    return packet


def _enlarge(r: Random, packet: Packet) -> None:
    """Make the packet longer than GSO_BY_FRAGS, at which pieces end, whatever its lengths say."""
    packet.frame += r.randbytes(r.randrange(66000, 120000) - len(packet.frame))
    packet.gso_size = r.choice((1448, 8948, 16000, 32767, 32768, 40000))
    source, destination = addresses(packet.frame, packet.version)
    length = len(packet.frame) - packet.csum_start
    check = partial(source, destination, int(packet.l4), length)
    _change(packet, packet.csum_start + packet.csum_offset, pack16(check))


def _change(packet: Packet, at: int, data: bytes) -> None:
    packet.frame = packet.frame[:at] + data + packet.frame[at + len(data) :]


def _contradictory(r: Random, gso_type: GsoType) -> GsoType:
    """Return it with other bits for the transport.

    UDP (UFO) comes alone: beside another the kernel would write fragment offsets into segments,
    and no sender can ask for that.
    """
    others = r.choice(
        (GsoType.TCPV4, GsoType.TCPV6, GsoType.UDP_L4, GsoType.SCTP, GsoType.TCPV4 | GsoType.TCPV6)
    )
    if not gso_type & GsoType.UDP and r.random() < 0.5:
        return gso_type | others
    return gso_type & ~_ALL_TRANSPORTS | others


def _gso_size(packet: Packet) -> int:
    size = packet.gso_size
    if len(packet.frame) > _LONGEST:
        # The kernel would write segments whose lengths do not fit their fields; we refuse.
        size = min(size, _LONGEST - 1000)
    return min(max(size, -(-len(packet.frame) // _MOST_SEGMENTS)), _LONGEST - 1)


def described(s: Stack, gso_size: int, device: Device) -> Request:
    """Return the sk_buff of a packet in Ethernet."""
    packet, layout = s.packet, parse(s.packet.frame, tunnel_ports=PORTS)
    sums = bool(packet.flags & NEEDS_CSUM)
    assert layout.network_header is not None
    assert layout.transport_header is not None
    return Request(
        kind="-".join(s.words).replace(" ", "-"),
        frame=packet.frame,
        gso_size=gso_size,
        gso_type=int(s.gso_type),
        csum_partial=s.summed,
        csum_start=packet.csum_start if sums else 0,
        csum_offset=packet.csum_offset if sums else 0,
        network_header=layout.network_header,
        transport_header=layout.transport_header,
        inner_mac_header=layout.inner_mac_header or 0,
        inner_network_header=layout.inner_network_header or 0,
        inner_transport_header=layout.inner_transport_header or 0,
        inner_protocol=s.inner_protocol,
        inner_ipproto=s.inner_ipproto,
        encapsulation=s.encapsulation,
        device=device,
        version=packet.version,
        l4=packet.l4,
    )
