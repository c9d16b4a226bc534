"""Random super-packets of SCTP, which are cut where their frag_list says (GSO_BY_FRAGS)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from gso.kernel.conformance.tunnels.packets import Packet, in_ethernet, ipv4, ipv6, set_lengths
from gso.kernel.conformance.types.requests import Device, Request, described
from gso.kernel.conformance.types.wrappers import WRAPPERS, Stack, bare_in_udp, wrap
from gso.kernel.guest.records import NEEDS_CSUM

from gso import GSO_BY_FRAGS, GsoType

PREFIX = "sctp-"
_BARE = "udp"
KINDS = tuple(f"{PREFIX}{name}" for name in (*WRAPPERS, _BARE))
"""The kinds of packets: in each tunnel one, and right in UDP (RFC 6951) or GUE."""

_SCTP, _IP_DF, _PORT = 132, 0x40, 9899
_HEADER, _CHECKSUM = 12, 8  # bytes of the common header, and where its CRC32c is
_MOST_PIECES, _MOST_CHUNKS = 12, 4
_DATA = (1, 2, 3, 4, 16, 100, 101, 536, 1400)  # bytes of a chunk
# Bits of other transports, at which the kernel does not look
_OTHERS = (
    *(GsoType.TCPV4, GsoType.TCPV6, GsoType.UDP_L4, GsoType.FRAGLIST, GsoType.FCOE, GsoType.ESP),
)
_FULL = Device.SG | Device.HW_CSUM | Device.SCTP_CRC
_DEVICES = (
    *(Device(0), Device.SG, Device.SG | Device.HW_CSUM, Device.SCTP_CRC),
    *(_FULL, _FULL | Device.GSO_PARTIAL),
)


def make(r: Random, kind: str, fixed_ids: Sequence[GsoType] = (GsoType.TCP_FIXEDID,)) -> Request:
    """Return a random super-packet that the kernel's SCTP, and then a tunnel, could send.

    ``fixed_ids``: bits for IPv4 IDs that stay the same, of which a packet may have one.
    """
    pieces, fixed = _pieces(r), r.random() < 0.2
    dont_fragment = fixed and r.random() < 0.8
    header = r.randbytes(_CHECKSUM) + r.choice((bytes(4), r.randbytes(4)))
    data, within = header + b"".join(pieces), kind.removeprefix(PREFIX)
    bare = within == _BARE
    packet = Packet(data, version=r.choice((4, 6)), flags=NEEDS_CSUM, csum_offset=_CHECKSUM)
    if not bare:
        packet = _ip(r, data, dont_fragment=dont_fragment)
    stack = Stack(packet, ["sctp", within], GsoType.SCTP, summed=True)
    stack.dont_fragment = dont_fragment
    if bare:
        bare_in_udp(r, stack, _SCTP, _PORT)
        # No VLAN tag in the frame: the kernel dies of it (docs/conformance.md)
        stack.packet = in_ethernet(r, stack.packet, tags=0)
    else:
        wrap(r, stack, within)
    if fixed:
        stack.gso_type |= r.choice(fixed_ids)
    if r.random() < 0.2:
        stack.gso_type |= r.choice((GsoType.DODGY, GsoType.TCP_ECN, *_OTHERS))
    request = described(stack, GSO_BY_FRAGS, r.choice(_DEVICES))
    if bare:
        at = request.csum_start
        request = replace(
            request, inner_mac_header=at, inner_network_header=at, inner_transport_header=at
        )
    headers = len(request.frame) - sum(map(len, pieces))
    request = replace(request, frame=request.frame[:headers], listed=tuple(pieces))
    if within == "none" and r.random() < 0.2:
        return replace(request, device=_FULL | Device.GSO | Device.FRAGLIST)
    if r.random() < 0.03:
        return _of_no_sctp(r, request)
    return request


def _of_no_sctp(r: Random, request: Request) -> Request:
    """Return it with the gso_type of another transport, which the kernel does not take for it."""
    frame = request.frame + b"".join(request.listed)
    gso_type = request.gso_type & ~(GsoType.SCTP | GsoType.FRAGLIST)
    gso_type |= r.choice((GsoType.TCPV4, GsoType.UDP_L4))
    return replace(request, frame=frame, listed=(), gso_size=100, gso_type=int(gso_type))


def _ip(r: Random, data: bytes, *, dont_fragment: bool) -> Packet:
    version = r.choice((4, 6))
    network = ipv4(r, _SCTP) if version == 4 else ipv6(r, _SCTP, whole=True)
    if version == 4 and dont_fragment:
        network[6] |= _IP_DF
    elif version == 4 and r.random() < 0.05:
        network[6:8] = r.choice((b"\x20\0", b"\0\x10"))  # a fragment, which it cannot be
    set_lengths(network, version, len(data))
    packet = Packet(bytes(network) + data, version=version, flags=NEEDS_CSUM)
    packet.protocol = 0x0800 if version == 4 else 0x86DD
    packet.csum_start, packet.csum_offset = len(network), _CHECKSUM
    return packet


def _pieces(r: Random) -> list[bytes]:
    """Return the chunks of each segment; often all are of one length, as of one message."""
    if r.random() < 0.02:
        return [_chunk(r, 1400) for _ in range(r.randrange(50, 100))]  # beyond 64 KB
    count, most = r.randrange(1, _MOST_PIECES), r.choice((1, 1, _MOST_CHUNKS))
    length = r.choice(_DATA)
    alike = r.random() < 0.4
    return [
        b"".join(
            _chunk(r, length if alike else r.choice(_DATA)) for _ in range(r.randrange(1, most + 1))
        )
        for _ in range(count)
    ]


def _chunk(r: Random, length: int) -> bytes:
    """Return a chunk, padded: DATA as a sender makes it, but for its numbers."""
    body = r.randbytes(12 + length)
    return struct.pack(">BBH", 0, 3, 4 + len(body)) + body + bytes(-len(body) % 4)
