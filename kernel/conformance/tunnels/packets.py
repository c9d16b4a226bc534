"""Random super-packets with every header, option and flag that a sender might use.

A packet is what a packet socket with PACKET_VNET_HDR takes: a virtio_net_hdr, then a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from gso.kernel.conformance.tunnels.devices import Device
from gso.kernel.guest.records import (
    GSO_ECN,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP,
    GSO_UDP_L4,
    NEEDS_CSUM,
    VIRTIO_NET_HDR,
)

from gso import L4, GsoError, GsoType, Tunnel, checksum, segment

SKB_GSO_TYPES = {
    GSO_TCPV4: GsoType.TCPV4,
    GSO_TCPV6: GsoType.TCPV6,
    GSO_UDP: GsoType.UDP,
    GSO_UDP_L4: GsoType.UDP_L4,
}
"""The gso_type of an sk_buff for that of a virtio_net_hdr (virtio_net_hdr_to_skb)."""

_ETH_P_IP, _ETH_P_IPV6 = 0x0800, 0x86DD
_HOPOPTS, _ROUTING, _FRAGMENT, _DSTOPTS = 0, 43, 44, 60
_MOST_SEGMENTS = 100
_LONGEST = 64000
FIN, PSH, CWR = 0x01, 0x08, 0x80


@dataclass
class Packet:
    """A virtio_net_hdr and a frame.

    ``protocol``: Ethernet type for the socket, 0 where the frame says it itself. ``sound``: the
    header contradicts nothing in the frame, and says of it what a frame says of itself.
    ``version``, ``l4``, ``tunnel``: what it was made from, before anything was changed.
    """

    frame: bytes
    protocol: int = 0
    flags: int = 0
    gso_type: int = 0
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0
    sound: bool = True
    version: int = 0
    l4: L4 = L4.NONE
    tunnel: str = "none"

    @classmethod
    def replayed(cls, vnet: bytes, frame: bytes, protocol: int) -> Packet:
        """Return the packet that was sent before; what it was made from is forgotten."""
        flags, gso_type, hdr_len, gso_size, csum_start, csum_offset = VIRTIO_NET_HDR.unpack(vnet)
        return cls(
            frame,
            protocol,
            flags,
            gso_type,
            hdr_len,
            gso_size,
            csum_start,
            csum_offset,
            sound=False,
        )

    @property
    def vnet(self) -> bytes:
        """The virtio_net_hdr."""
        return VIRTIO_NET_HDR.pack(
            self.flags & 0xFF,
            self.gso_type & 0xFF,
            self.hdr_len & 0xFFFF,
            self.gso_size & 0xFFFF,
            self.csum_start & 0xFFFF,
            self.csum_offset & 0xFFFF,
        )


def pack16(*numbers: int) -> bytes:
    """Return numbers as big-endian 16 bit each."""
    return b"".join((n & 0xFFFF).to_bytes(2, "big") for n in numbers)


def edge16(r: Random) -> int:
    """Return a number of 16 bits, often one from which counting wraps."""
    return r.choice((r.getrandbits(16), 0xFFFF, 0xFFFE, 0xFFF0, 0, r.getrandbits(16)))


def partial(source: bytes, destination: bytes, protocol: int, length: int) -> int:
    """Return the folded sum of a pseudo header, as CHECKSUM_PARTIAL wants it."""
    pseudo = source + destination + length.to_bytes(4, "big") + protocol.to_bytes(4, "big")
    return checksum(pseudo) ^ 0xFFFF


# --- transport ---------------------------------------------------------------------------------

_TCP_OPTIONS = (
    b"\x01",
    b"\x02\x04\x05\xb4",
    b"\x03\x03\x07",
    b"\x04\x02",
    b"\x05\x0a" + bytes(range(8)),
    b"\x05\x1a" + bytes(range(24)),
    b"\x08\x0a" + bytes(range(100, 108)),
    b"\x13\x12" + bytes(16),
    b"\x1c\x04\x80\x05",
    b"\x1d\x10" + bytes(14),
    b"\x1e\x0c" + bytes(range(10)),
    b"\x22\x0a" + bytes(range(8)),
    b"\xac\x0b" + bytes(range(9)),
    b"\xae\x05" + bytes(3),
    b"\xfd\x04\xf9\x89",
    b"\xfe\x06\xff\xff\x12\x34",
    b"\x00",
)


def tcp_options(r: Random) -> bytes:
    """Return options of any kind, padded to words."""
    if r.random() < 0.3:
        return b""
    if r.random() < 0.3:
        return b"\x01\x01\x08\x0a" + r.randbytes(8)
    found = b""
    for _ in range(r.randrange(1, 6)):
        more = r.choice(_TCP_OPTIONS)
        if len(found + more) <= 40:
            found += more
    return found + b"\x01" * (-len(found) % 4)


def tcp(r: Random) -> bytearray:
    """Return a TCP header without its checksum."""
    options = tcp_options(r)
    flags = r.choice((0x10, 0x18, 0x19, 0x98, 0x1C2, 0xF8, r.getrandbits(9), r.getrandbits(9)))
    if r.random() < 0.05:
        flags |= r.getrandbits(3) << 9  # reserved bits
    sequence = r.choice((r.getrandbits(32), 0xFFFFFFF0, 0xFFFFFFFF, 0xFFFF, 0))
    head = pack16(r.getrandbits(16), r.getrandbits(16), sequence >> 16, sequence)
    head += r.randbytes(4) + pack16((5 + len(options) // 4) << 12 | flags, r.getrandbits(16), 0)
    return bytearray(head + pack16(r.choice((0, edge16(r)))) + options)


# --- network -----------------------------------------------------------------------------------

_IP_OPTIONS = (
    b"\x01" * 4,
    b"\x94\x04\x00\x00",
    b"\x07\x27\x04" + bytes(36) + b"\x01",
    b"\x44\x0c\x05\x00" + bytes(8),
    b"\x83\x07\x04\x0a\x00\x00\x01\x00",
    b"\x88\x04\x12\x34",
    b"\x00\x00\x00\x00",
)


def ipv4(r: Random, protocol: int) -> bytearray:
    """Return an IPv4 header; lengths and checksum stand for nothing."""
    options = r.choice(_IP_OPTIONS) if r.random() < 0.2 else b""
    frag_off = r.choice((0x4000, 0x4000, 0x4000, 0, 0x8000, 0xC000))
    head = bytes([0x45 + len(options) // 4, r.getrandbits(8)])
    head += pack16(r.choice((0, edge16(r))), edge16(r), frag_off)
    head += bytes([r.randrange(2, 256), protocol]) + pack16(edge16(r))
    return bytearray(head + b"\x0a\x02" + r.randbytes(2) + b"\x0a\x03" + r.randbytes(2) + options)


def extension(r: Random, kind: int, following: int) -> bytes:
    """Return one IPv6 extension header."""
    if kind == _ROUTING:
        n = r.randrange(3)
        head = bytes([following, 2 * n, r.choice((0, 2, 3, 4)), r.choice((0, 0, 1, n))])
        return head + r.randbytes(4) + r.randbytes(16 * n)
    if kind == _FRAGMENT:
        return bytes([following, 0]) + pack16(r.choice((0, 1, 8))) + r.randbytes(4)
    if r.random() < 0.3:
        return bytes([following, 2, 1, 20]) + bytes(20)
    return bytes([following, 0, 1, 4, 0, 0, 0, 0])


def ipv6(r: Random, protocol: int, *, plain: bool = False, whole: bool = False) -> bytearray:
    """Return an IPv6 header with extension headers. ``whole``: no fragment header."""
    kinds: list[int] = []
    if not plain and r.random() < 0.3:
        kinds = [
            r.choice((_HOPOPTS, _ROUTING, _DSTOPTS, _DSTOPTS)) for _ in range(r.randrange(1, 4))
        ]
        kinds.sort(key=bool)
        if not whole and r.random() < 0.03:
            kinds.append(_FRAGMENT)
    following, rest = protocol, b""
    for kind in reversed(kinds):
        rest = extension(r, kind, following) + rest
        following = kind
    first = 6 << 28 | r.getrandbits(28)
    head = first.to_bytes(4, "big") + pack16(r.choice((0, edge16(r))))
    head += bytes([following, r.randrange(2, 256)])
    return bytearray(head + b"\xfd\x01" + r.randbytes(14) + b"\xfd\x02" + r.randbytes(14) + rest)


# --- whole packets -----------------------------------------------------------------------------


def sizes(r: Random, *, big: bool = False) -> tuple[int, int]:
    """Return gso_size and payload length: whole and odd, many segments and few."""
    gso_size = r.choice((1448, 1440, 1400, 536, 8948, 1, 7, 8, 9, 101, r.randrange(1, 3000)))
    longest = 118000 if big else r.choice((4000, 4000, 4000, 12000, _LONGEST))
    count = max(1, min(longest // gso_size, r.randrange(1, r.choice((4, 4, 8, _MOST_SEGMENTS)))))
    if big:
        gso_size, count = r.choice(((1428, 80), (8900, 13), (32000, 3), (65000, 1)))
    rest = r.choice((0, 0, 1, r.randrange(gso_size + 1), gso_size - 1, 12))
    return gso_size, count * gso_size + rest


def ip_packet(r: Random, version: int, *, big: bool = True) -> Packet:
    """Return a random TCP or UDP super-packet that every sender could send; perhaps BIG TCP."""
    kind = r.choice(("tcp", "tcp", "tcp", "uso", "ufo" if r.random() < 0.3 else "tcp", "plain"))
    big = big and kind == "tcp" and version == 6 and r.random() < 0.03
    gso_size, length = sizes(r, big=big)
    protocol = int(L4.TCP) if kind in ("tcp", "plain") else int(L4.UDP)
    if protocol == L4.UDP:
        length = min(length, _LONGEST)  # its own length field has 16 bits
    if big:
        network = ipv6(r, _HOPOPTS, plain=True)
        network += bytes([protocol, 0, 0xC2, 4]) + (length + 200).to_bytes(4, "big")
    else:
        whole_packet = length <= max(gso_size, 8) or kind == "plain"
        network = ipv4(r, protocol) if version == 4 else ipv6(r, protocol, whole=whole_packet)
    if protocol == L4.TCP:
        header, field_at = tcp(r), 16
    else:
        header, field_at = bytearray(pack16(r.getrandbits(16), 7, 8 + length, 0)), 6
    if kind == "plain":
        gso_size, length = 0, min(length, 1400)
    whole = len(header) + length
    addresses = network[12:20] if version == 4 else network[8:40]
    half = len(addresses) // 2
    header[field_at : field_at + 2] = pack16(
        partial(bytes(addresses[:half]), bytes(addresses[half:]), protocol, whole)
    )
    set_lengths(network, version, whole)
    packet = Packet(bytes(network + header) + payload(r, length))
    packet.flags, packet.gso_size = NEEDS_CSUM, gso_size
    packet.version, packet.l4 = version, L4(protocol)
    packet.csum_start, packet.csum_offset = len(network), field_at
    packet.hdr_len = r.choice((len(network + header), len(network + header), 0, len(network)))
    packet.gso_type = {
        "tcp": GSO_TCPV4 if version == 4 else GSO_TCPV6,
        "uso": GSO_UDP_L4,
        "ufo": GSO_UDP,
        "plain": 0,
    }[kind]
    if kind == "tcp" and r.random() < 0.2:
        packet.gso_type |= GSO_ECN
    if kind == "tcp" and length > max(gso_size, 8) and r.random() < 0.05:
        unfinished(r, packet)
    packet.protocol = _ETH_P_IP if version == 4 else _ETH_P_IPV6
    return packet


def unfinished(r: Random, packet: Packet) -> None:
    """Send without CHECKSUM_PARTIAL: the checksum field stands for nothing."""
    packet.flags, packet.sound = 0, False
    at = packet.csum_start + packet.csum_offset
    packet.frame = packet.frame[:at] + pack16(edge16(r)) + packet.frame[at + 2 :]
    packet.csum_start = packet.csum_offset = 0


def payload(r: Random, length: int) -> bytes:
    """Return random bytes, or few that are not zero (so that sums are small)."""
    kind = r.random()
    if kind < 0.05:
        return bytes(length)
    if kind < 0.1:
        return b"\xff" * length
    return r.randbytes(length)


def set_lengths(network: bytearray, version: int, whole: int) -> None:
    """Put the right length in, or none where it does not fit."""
    at, length = (2, len(network) + whole) if version == 4 else (4, len(network) - 40 + whole)
    network[at : at + 2] = pack16(length if length <= 0xFFFF else 0)


def in_ethernet(r: Random, packet: Packet, *, tags: int) -> Packet:
    """Put an Ethernet header with VLAN tags in front."""
    head = b"\x02" + r.randbytes(5) + b"\x02" + r.randbytes(5)
    for number in range(tags, 0, -1):
        outer = number > 1 and r.random() < 0.6
        head += pack16(0x88A8 if outer else 0x8100, r.getrandbits(16))
    return shifted(packet, head + pack16(packet.protocol))


def shifted(packet: Packet, head: bytes) -> Packet:
    """Put bytes in front, and let what counts from the beginning follow."""
    packet.frame, packet.protocol = head + packet.frame, 0
    if packet.flags & NEEDS_CSUM:
        packet.csum_start += len(head)
    if packet.hdr_len:
        packet.hdr_len += len(head)
    return packet


def make(r: Random, device: Device) -> Packet:
    """Return a random packet for a device."""
    # Below MPLS the kernel takes the jumbo header out of the wrong place, and ruins the frame.
    big = "mpls" not in device.kind
    packet = ip_packet(r, r.choice(device.versions), big=big)
    if r.random() < 0.15:
        zero_checksum(r, packet)
    if device.link == "ethernet":
        tags = r.choice((0, 0, 0, 0, 0, 1, 1, 2, 3)) if device.tags else 0
        packet = in_ethernet(r, packet, tags=tags)
    return packet


def zero_checksum(r: Random, packet: Packet) -> None:
    """Change the payload so that the checksum of one segment comes out as zero."""
    start, size = packet.csum_start, packet.gso_size
    if not packet.flags or packet.gso_type in (0, GSO_UDP) or size < 2:
        return
    port = int.from_bytes(packet.frame[start + 2 : start + 4], "big")
    try:
        made = segment(packet.frame, size, link_type="raw", tunnel_ports={port: Tunnel.NONE})
    except GsoError:
        return
    number = r.randrange(len(made))
    hlen = 8 if packet.gso_type == GSO_UDP_L4 else (packet.frame[start + 12] >> 4) * 4
    check = len(made[0]) - size - hlen + packet.csum_offset
    at = start + hlen + number * size
    total = int.from_bytes(packet.frame[at : at + 2], "big")
    total += int.from_bytes(made[number][check : check + 2], "big")
    if at + 2 <= len(packet.frame):
        fixed = pack16((total & 0xFFFF) + (total >> 16))
        packet.frame = packet.frame[:at] + fixed + packet.frame[at + 2 :]
