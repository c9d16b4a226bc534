"""Unusual and malformed packets for the segmenting device, most of which no sender makes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gso.kernel.conformance.tunnels.packets import (
    Packet,
    edge16,
    extension,
    in_ethernet,
    ip_packet,
    ipv4,
    ipv6,
    pack16,
    set_lengths,
    shifted,
)
from gso.kernel.guest.records import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP,
    GSO_UDP_L4,
    NEEDS_CSUM,
)

_SHORTEST = 18  # what ends before the first VLAN tag does the receiver drops
_MPLS, _NSH = 0x8847, 0x894F
_NSH_SHARE = 0.2
_LONGEST = 0xFFFF
_MOST_SEGMENTS = 160  # more than the kernel allows for USO, fewer than the guest's rings hold


def make(r: Random) -> Packet:
    """Return a packet that may be anything."""
    levels = r.choice((0, 0, 0, 1, 1, 2, 3))
    on_nsh = r.random() < _NSH_SHARE
    packet = ip_packet(r, r.choice((4, 6)), big=levels == 0 and not on_nsh)
    for _ in range(levels):
        packet = r.choice(_WRAPPERS)(r, packet)
        packet.sound = False
    if on_nsh:
        packet = _in_nsh(r, packet)
    packet = in_ethernet(r, packet, tags=r.choice((0, 0, 0, 0, 1, 2, 3, 6, 7)))
    for _ in range(r.choice((0, 1, 1, 1, 2, 3))):
        mutation = r.choice(_MUTATIONS)
        mutation(r, packet)
        packet.sound &= mutation in _SOUND
    packet.gso_size &= 0xFFFF
    if len(packet.frame) > _LONGEST:
        # The kernel would write segments whose lengths do not fit their fields; we refuse.
        packet.gso_size = min(packet.gso_size, _LONGEST - 1000)
    if packet.gso_size:
        packet.gso_size = max(packet.gso_size, -(-len(packet.frame) // _MOST_SEGMENTS))
    return packet


# --- tunnels, of which the virtio_net_hdr says nothing ------------------------------------------


def _in_ip(r: Random, packet: Packet, protocol: int, head: bytes = b"") -> Packet:
    version = r.choice((4, 6))
    network = ipv4(r, protocol) if version == 4 else ipv6(r, protocol)
    set_lengths(network, version, len(head + packet.frame))
    wrapped = shifted(packet, bytes(network) + head)
    wrapped.protocol = 0x0800 if version == 4 else 0x86DD
    return wrapped


def _ip_in_ip(r: Random, packet: Packet) -> Packet:
    return _in_ip(r, packet, 4 if packet.protocol == 0x0800 else 41)


def _in_gre(r: Random, packet: Packet) -> Packet:
    flags = r.choice((0, 0x2000, 0x8000, 0xA000, 0x1000, 0x4000, 0x0001))
    words = bin(flags >> 12 & 0b1011).count("1")
    return _in_ip(r, packet, 47, pack16(flags, packet.protocol) + r.randbytes(4 * words))


def _in_udp(r: Random, packet: Packet) -> Packet:
    port = r.choice((4789, 4790, 6081, 6080, 5555, 9))
    if port == 4789:
        packet = in_ethernet(r, packet, tags=0)
        head = b"\x08\0\0\0\0\0\x01\0"
    elif port == 6081:
        head = b"\0\0" + pack16(packet.protocol) + b"\0\0\x05\0"
    elif port == 6080:
        head = b"\0\x04\0\0" if packet.protocol == 0x0800 else b"\0\x29\0\0"
    else:
        head = b""
    length = 8 + len(head + packet.frame)
    udp = pack16(r.getrandbits(16), port, length, r.choice((0, edge16(r))))
    return _in_ip(r, packet, 17, udp + head)


def _in_mpls(r: Random, packet: Packet) -> Packet:
    labels = r.randrange(1, 4)
    head = b"".join(
        (r.getrandbits(20) << 12 | (i + 1 == labels) << 8 | 64).to_bytes(4, "big")
        for i in range(labels)
    )
    wrapped = shifted(packet, head)
    wrapped.protocol = _MPLS
    return wrapped


def _in_nsh(r: Random, packet: Packet) -> Packet:
    protocols = {0x0800: 1, 0x86DD: 2, _NSH: 4, _MPLS: 5}
    if r.random() < 0.3:
        packet = in_ethernet(r, packet, tags=r.choice((0, 0, 1)))
        following = 3
    else:
        following = protocols.get(packet.protocol, 9)
    words = r.choice((2, 6, 6, 3, 10, 1, 0))
    head = bytes([r.choice((0, 0x0F)), words | r.choice((0, 0xC0)), r.choice((1, 2)), following])
    head += r.randbytes(4 + 4 * max(0, words - 2))
    wrapped = shifted(packet, head)
    wrapped.protocol, wrapped.tunnel = _NSH, "nsh"
    wrapped.sound &= words > 1
    return wrapped


_WRAPPERS: tuple[Callable[[Random, Packet], Packet], ...] = (
    *(_ip_in_ip, _in_gre, _in_udp, _in_mpls),
)


# --- mutations ---------------------------------------------------------------------------------


def _some_byte(r: Random, packet: Packet) -> None:
    """Change a byte of the headers."""
    last = min(len(packet.frame), packet.csum_start + 24 if packet.flags else 80)
    at = r.randrange(last)
    data = bytearray(packet.frame)
    data[at] = r.choice((r.getrandbits(8), data[at] ^ 1 << r.randrange(8), 0, 255))
    packet.frame = bytes(data)


def _network_byte(r: Random, packet: Packet) -> None:
    """Change a byte of the innermost IP header or after it, where most is decided."""
    start = packet.csum_start or 54
    at = max(14, start - r.choice((1, 20, 19, 14, 13, 12, 11, 40, 34, -12, -13, -5, 8)))
    if at < len(packet.frame):
        data = bytearray(packet.frame)
        data[at] = r.choice((r.getrandbits(8), data[at] ^ 1 << r.randrange(8), 0, 255, 44, 59))
        packet.frame = bytes(data)


def _first_byte(r: Random, packet: Packet) -> None:
    """Change version or IHL of the header after Ethernet."""
    data = bytearray(packet.frame)
    data[14] = r.choice((0x44, 0x40, 0x4F, 0x46, 0x65, 0x05, 0x60, 0x55, r.getrandbits(8)))
    packet.frame = bytes(data)


def _cut(r: Random, packet: Packet) -> None:
    """Let the frame end early: in the headers, perhaps."""
    if not packet.flags & NEEDS_CSUM:
        return  # what is too small for GSO then passes, whatever its headers are
    keep = r.choice((len(packet.frame) - 1, packet.csum_start + r.randrange(30), 14, 60))
    packet.frame = packet.frame[: max(keep, _SHORTEST)]


def _gso_size(r: Random, packet: Packet) -> None:
    length = len(packet.frame)
    packet.gso_size = r.choice(
        (0, 1, 7, 8, 9, length, max(length - 1, 0), 65535, 65534, 65000, edge16(r))
    )


def _exact(r: Random, packet: Packet) -> None:
    """Make gso_size about as large as the payload."""
    packet.gso_size = max(
        0, len(packet.frame) - packet.csum_start - r.choice((0, 7, 8, 9, 19, 20, 21))
    )


def _gso_type(r: Random, packet: Packet) -> None:
    packet.gso_type = r.choice(
        (0, GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, 2, 6, 0x80, r.getrandbits(8))
    )


def _no_checksum(_r: Random, packet: Packet) -> None:
    if len(packet.frame) >= packet.csum_start + 60:  # a whole TCP header, whatever doff says
        packet.flags &= ~NEEDS_CSUM


def _flags(r: Random, packet: Packet) -> None:
    packet.flags ^= r.getrandbits(8) & ~NEEDS_CSUM


def _csum_start(r: Random, packet: Packet) -> None:
    packet.csum_start = r.choice(
        (packet.csum_start + r.randrange(-20, 21), 0, 14, 34, 54, r.randrange(60000))
    )
    packet.csum_start = max(0, packet.csum_start)


def _csum_offset(r: Random, packet: Packet) -> None:
    packet.csum_offset = r.choice((0, 6, 16, 4, edge16(r)))


def _csum_field(r: Random, packet: Packet) -> None:
    at = packet.csum_start + packet.csum_offset
    if at + 2 <= len(packet.frame):
        packet.frame = packet.frame[:at] + pack16(edge16(r)) + packet.frame[at + 2 :]


def _hdr_len(r: Random, packet: Packet) -> None:
    packet.hdr_len = r.choice((0, 14, packet.hdr_len + 4, len(packet.frame), edge16(r)))


def _fragment(r: Random, packet: Packet) -> None:
    """Turn an IPv4 packet into a fragment, or insert an IPv6 extension header."""
    data = bytearray(packet.frame)
    if data[12:14] == b"\x08\0" and len(data) > 34:
        data[20:22] = pack16(r.choice((0x2000, 0x6000, 1, 0x2001, 0x1FFF, 0x3FFF)))
    elif data[12:14] == b"\x86\xdd" and len(data) > 54:
        kind = r.choice((0, 43, 44, 60, 51, 135, 59))
        data[54:54] = extension(r, kind, data[20])
        data[20] = kind
        if packet.flags & NEEDS_CSUM:
            packet.csum_start += len(data) - len(packet.frame)
    packet.frame = bytes(data)


_MUTATIONS: tuple[Callable[[Random, Packet], None], ...] = (
    *(
        _some_byte,
        _network_byte,
        _network_byte,
        _network_byte,
        _first_byte,
        _cut,
        _gso_size,
        _exact,
    ),
    *(_gso_type, _no_checksum, _flags, _csum_start, _csum_offset, _csum_field, _hdr_len, _fragment),
)
# After these the frame still says all that the virtio_net_hdr says.
_SOUND = (_gso_size, _exact, _hdr_len)
