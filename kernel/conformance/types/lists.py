"""Random lists of frames as GRO leaves them (SKB_GSO_FRAGLIST), and as NAT changes their first."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from random import Random

from gso.kernel.conformance.tunnels.packets import pack16
from gso.kernel.conformance.types.requests import Device, Kept, Request

from gso import L4, GsoType, checksum, parse, pseudo_header

_MOST_FRAMES = 12
_SIZES = (1, 8, 33, 100, 101, 536, 1400)
_DEVICES = (Device(0), Device.SG, Device.SG | Device.HW_CSUM)
_CHECK = {L4.TCP: 16, L4.UDP: 6}
_TCP4, _TCP6, _UDP = LISTS = ("list-tcp-4", "list-tcp-6", "list-udp")
"""The kinds of lists."""


def _types(kind: str) -> GsoType:
    own = {_TCP4: GsoType.TCPV4, _TCP6: GsoType.TCPV6}.get(kind, GsoType.UDP_L4)
    return own | GsoType.FRAGLIST


class _Flow:
    """The fields of a flow's headers."""

    def __init__(self, r: Random, version: int, l4: L4) -> None:
        self.r, self.version, self.l4 = r, version, l4
        self.size = 4 if version == 4 else 16
        self.ends = [r.randbytes(self.size), r.randbytes(self.size)]
        self.ports = [r.randbytes(2), _no_tunnel(r)]
        self.ident, self.seq = r.choice((r.getrandbits(16), 0xFFFE)), r.getrandbits(32)
        self.ttl = r.choice((64, 255))
        self.options = r.choice((b"", b"\1\1\x08\x0a" + r.randbytes(8)))
        self.summed = l4 is L4.TCP or version == 6 or r.random() < 0.9
        self.link = r.choice((0, 0, 1, 2))

    def copy(self) -> _Flow:
        """Return another that goes on from here."""
        found = copy(self)
        found.ends, found.ports = [*self.ends], [*self.ports]
        return found

    def to_zero(self, data: bytes) -> bytes:
        """Change data so that a datagram with it has the checksum 0, for which 0xffff is sent."""
        head = b"".join(self.ports) + pack16(8 + len(data), 0)
        total = pseudo_header(self.ends[0], self.ends[1], int(self.l4), len(head + data))
        word = int.from_bytes(data[:2], "big") + checksum(head + data, total)
        return pack16((word & 0xFFFF) + (word >> 16)) + data[2:]

    def frame(self, data: bytes) -> bytes:
        """Return the next frame of the flow."""
        head = b"".join(self.ports)
        if self.l4 is L4.TCP:
            words = (0x5010 + (len(self.options) << 10), self.r.getrandbits(16), 0, 0)
            head += self.seq.to_bytes(4, "big") + bytes(4) + pack16(*words) + self.options
        else:
            head += pack16(8 + len(data), 0)
        whole = bytearray(head + data)
        if self.summed:
            total = pseudo_header(self.ends[0], self.ends[1], int(self.l4), len(whole))
            check = checksum(whole, total) or (0xFFFF if self.l4 is L4.UDP else 0)
            at = _CHECK[self.l4]
            whole[at : at + 2] = pack16(check)
        self.ident, self.seq = self.ident + 1 & 0xFFFF, self.seq + len(data) & 0xFFFFFFFF
        return self._ip(len(whole)) + bytes(whole)

    def _ip(self, length: int) -> bytes:
        if self.version == 6:
            head = b"\x60\0\0\0" + pack16(length) + bytes([int(self.l4), self.ttl])
            return head + b"".join(self.ends)
        start = b"\x45\0" + pack16(20 + length, self.ident, 0x4000)
        start += bytes([self.ttl, int(self.l4)])
        check = checksum(start + b"\0\0" + b"".join(self.ends))
        return start + pack16(check) + b"".join(self.ends)


def _no_tunnel(r: Random) -> bytes:
    """Return a port that is no tunnel's, of those known and those that the comparison declares."""
    return b"\x9c" + r.randbytes(1)


def _translated(r: Random, flow: _Flow) -> None:
    """Change addresses or ports, as NAT does."""
    side = r.randrange(2)
    for kind in r.choice(("a", "p", "ap", "aa", "aapp")):
        if kind == "a":
            flow.ends[side] = r.randbytes(flow.size)
        else:
            flow.ports[side] = _no_tunnel(r)
        side = 1 - side


def make(r: Random, kind: str) -> Request:
    """Return a random list, of which the first frame went through a router, with NAT or without."""
    version = {_TCP4: 4, _TCP6: 6}.get(kind) or r.choice((4, 6))
    flow = _Flow(r, version, L4.UDP if kind == _UDP else L4.TCP)
    size, count = r.choice(_SIZES), r.randrange(2, _MOST_FRAMES)
    changed = flow.copy()
    if r.random() < 0.7:
        _translated(r, changed)
    changed.ttl -= r.choice((0, 1))
    data = [r.randbytes(size) for _ in range(count)]
    data.append(r.randbytes(r.randrange(1, size + 1)))
    if kind == _UDP and size > 1 and r.random() < 0.15:
        data[1] = changed.to_zero(data[1])
    tags, anew = flow.link, r.random() < 0.2
    frames = [flow.frame(one) for one in data][1:]
    if not anew and r.random() < 0.05:
        _translated(r, flow)
        frames.append(flow.frame(r.randbytes(size)))  # none that GRO would put there
    linked = [_linked(r, frame, version, tags) for frame in frames]
    head = _linked(r, changed.frame(data[0]), version, r.choice((tags, tags, 0, 1)))
    request = _kept(r, _request(r, kind, head, linked, size))
    return _cut_anew(r, request, sum(map(len, data))) if anew else request


def _kept(r: Random, request: Request) -> Request:
    """Say who else holds the frames, and whether their data are in pages."""
    for bit in (Kept.HELD, Kept.LISTED_HELD):
        if r.random() < 0.1:
            request.kept |= bit
    if r.random() < 0.3:
        request.kept |= Kept.LISTED_PAGES
        start = parse(request.frame, tunnel_ports={}).payload
        if r.random() < 0.7:
            request.linear = r.randrange(start, len(request.frame))
    return request


def _cut_anew(r: Random, request: Request, total: int) -> Request:
    """Have the kernel cut it as if it were one packet: by another size, or as none can be trusted.

    Of TCP, frames that are in no page have to fit their size, where a device gathers and the sender
    is trusted. Where they are copied the last segment must not be as long as a frame (by reading
    6.12.117: the kernel would take the first frame's data for it).
    """
    size = request.gso_size
    sizes = [n for n in (size - 1, size + 1, 2 * size, size // 2, size) if 0 < n < total]
    sizes = [n for n in sizes if n == size or total % n != size]
    chosen = r.choice(sizes or [size])
    trusted = chosen != size and r.random() < 0.5
    if trusted and request.l4 is L4.TCP and not request.kept & Kept.LISTED_PAGES:
        request.device &= ~Device.SG
    gso_type = request.gso_type if trusted else request.gso_type | GsoType.DODGY
    frame = request.frame
    if request.l4 is L4.UDP:
        # GRO leaves the length of all data there, on which the kernel's sum counts
        at = request.transport_header + 4
        frame = frame[:at] + pack16(8 + total) + frame[at + 2 :]
    return replace(request, frame=frame, gso_size=chosen, gso_type=int(gso_type))


def _linked(r: Random, frame: bytes, version: int, tags: int) -> bytes:
    """Return an IP packet after an Ethernet header with VLAN tags."""
    types = b"".join(pack16(0x8100, r.randrange(1, 4095)) for _ in range(tags))
    return r.randbytes(12) + types + pack16(0x0800 if version == 4 else 0x86DD) + frame


def _request(r: Random, kind: str, head: bytes, listed: list[bytes], size: int) -> Request:
    layout = parse(head, tunnel_ports={})
    assert layout.network_header is not None
    assert layout.transport_header is not None
    return Request(
        kind=kind,
        frame=head,
        gso_size=size,
        gso_type=int(_types(kind)),
        csum_partial=False,
        csum_start=0,
        csum_offset=0,
        network_header=layout.network_header,
        transport_header=layout.transport_header,
        device=r.choice(_DEVICES),
        version=layout.inner_version,
        l4=layout.l4,
        listed=tuple(listed),
    )
