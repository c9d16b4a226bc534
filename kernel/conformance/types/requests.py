"""Random super-packets with the metadata that an sk_buff has, for the module in guest/segmenter/.

The metadata is what a sender of such headers gives: other than through a virtio header any gso_type
can be had, and a device that takes segments in pieces or completes checksums.
"""

from __future__ import annotations

from collections.abc import Sequence
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
    pack16,
    partial,
)
from gso.kernel.conformance.types.wrappers import (
    IP_DF,
    Stack,
    addresses,
    change,
    in_udp,
    wrap,
)
from gso.kernel.guest.records import (
    GSO_ECN,
    LISTED,
    NEEDS_CSUM,
    REQUEST,
)

from gso import GSO_BY_FRAGS, L4, GsoType, parse

_ICMP = 1
_ETH_HLEN, _MAC_LEN, _TAGS_TOO_MANY = 14, 6, 8
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


# Right after a tunnel header the kernel takes the jumbo header of BIG TCP out of the wrong place:
# 8 bytes too many are left between the tunnel and IPv6, or "next header" is nonsense.
_ETHERNET_INSIDE = ("none", "gretap", "vxlan")

# --- whole requests ------------------------------------------------------------------------------


def make(
    r: Random,
    kind: str,
    *,
    uso_without_partial: bool = True,
    fixed_ids: Sequence[GsoType] = (GsoType.TCP_FIXEDID,),
) -> Request:
    """Return a random packet in one of :data:`wrappers.WRAPPERS`, with random bits in its gso_type.

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
        change(packet, 6, bytes([packet.frame[6] | IP_DF]))
    stack.summed = bool(packet.flags)
    if stack.gso_type & GsoType.UDP_L4 and uso_without_partial and r.random() < 0.05:
        stack.summed = False
    elif stack.gso_type & GsoType.UDP and r.random() < 0.2:
        stack.summed = False
        change(packet, packet.csum_start + packet.csum_offset, pack16(edge16(r)))
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
    in_udp(r, stack, 6080, bytes([0, _ICMP, 0, 0]))
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
    change(packet, packet.csum_start + packet.csum_offset, pack16(check))


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
