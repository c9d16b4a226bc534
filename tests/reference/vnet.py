"""A virtio header as the kernel reads it, one refusal a line."""

import struct

from gso import GsoError, GsoType, Reason, Tunnel
from reference.checksums import checksum, not_zero
from reference.segments import segment
from reference.walk import KNOWN, Walk

NONE, TCPV4, UFO, TCPV6, USO = 0, 1, 3, 4, 5
V4_TUNNEL, V6_TUNNEL, ECN = 0x20, 0x40, 0x80
TYPES = {
    TCPV4: GsoType.TCPV4,
    UFO: GsoType.UDP,
    TCPV6: GsoType.TCPV6,
    USO: GsoType.UDP_L4,
}


class Refused(GsoError):  # noqa: N818
    def __init__(self, why=""):
        super().__init__(why, reason=Reason.BAD_HEADER, field="", offset=0, limit=0)


def demand(condition):
    if not condition:
        raise Refused


def segment_vnet(  # noqa: PLR0912, PLR0915
    buffer, *, header_size=10, link_type="ethernet", checksum="complete", source="tap",
    kernel="6.12",
):  # fmt: skip
    flags, gso_type, hdr_len, size, start, offset = struct.unpack_from("<BBHHHH", buffer)
    th, nh = struct.unpack_from("<HH", buffer, 20) if header_size == 24 else (0, 0)
    frame = buffer[header_size:]
    needs_csum = flags & 1
    tunnel = gso_type & (V4_TUNNEL | V6_TUNNEL)
    kind = gso_type & ~(V4_TUNNEL | V6_TUNNEL | ECN)
    demand((max(hdr_len, start + offset + 2) if needs_csum else hdr_len) <= len(frame))
    demand(kind in TYPES or gso_type == NONE)
    demand(kernel != "6.1" or kind != USO)
    demand(kind == NONE or size)
    version = 6 if kind == TCPV6 else 4
    thlen = {NONE: 0, TCPV4: 20, TCPV6: 20, UFO: 8, USO: 8}[kind]
    if tunnel:
        demand(tunnel != V4_TUNNEL | V6_TUNNEL)
        demand(kind not in (NONE, UFO))
        demand(needs_csum)
        demand(th >= 14 + (40 if tunnel == V6_TUNNEL else 20))
        demand(nh >= th + 8)
        demand(start >= nh + (40 if version == 6 else 20))
        if kind == USO:
            version = 6 if frame[nh] >> 4 == 6 else 4
            demand(start >= nh + (40 if version == 6 else 20))
    if needs_csum:
        demand(start + max(thlen, offset + 2) <= len(frame))
        demand(kernel == "6.1" or start >= (40 if kind == TCPV6 else 20))
    if kind == NONE:
        return [complete(frame, start, offset, needs_csum, checksum)]
    ports = dict.fromkeys(KNOWN, Tunnel.NONE)
    announced = (nh, version) if tunnel else None
    options = {"link_type": link_type, "tunnel_ports": ports, "announced": announced}
    if not needs_csum and source == "tap" and kernel != "7.3":
        start = 0 if kernel == "6.1" else 40 if kind == TCPV6 else 20
        demand(start + thlen <= len(frame))
    elif not needs_csum:
        try:
            walk = Walk(frame, **options)
        except GsoError as error:
            demand(error.field == "doff")
            walk = Walk(frame + bytes(40), **options)
            demand(walk.l4_header + thlen <= len(frame))
        types = {TCPV4: (b"\x08\x00",), TCPV6: (b"\x86\xdd",)}
        known = frame[12:14] in types.get(kind, (b"\x08\x00", b"\x86\xdd"))
        known = known or frame[12:16] == b"\x88\x64\x11\0"
        if kernel == "7.3":
            at = 12
            while frame[at : at + 2] in (b"\x81\0", b"\x88\xa8"):
                at += 4
            known = frame[at : at + 2] != b"\x88\x64" or frame[at + 2 : at + 4] == b"\x11\0"
        demand(link_type == "raw" or known)
        demand(walk.tunnel not in (Tunnel.MPLS, Tunnel.NSH))
        demand(walk.l4 == (6 if kind in (TCPV4, TCPV6) else 17))
        wanted = {TCPV4: 4, TCPV6: 6}.get(kind, walk.inner_version)
        demand(kernel != "7.3" or walk.inner_version == wanted)
        start = walk.l4_header
    if kind in (TCPV4, TCPV6):
        demand(not needs_csum or offset == 16)
        size = max(size, 1 if kernel == "6.1" else 8)
    elif kind == USO:
        demand(needs_csum)
        demand(offset == 6)
        demand(len(frame) - start - 8 <= 128 * size)
        demand(not gso_type & ECN)
    demand(size != 0xFFFF)
    if len(frame) - start - (0 if kind == UFO else thlen) <= size:
        return [complete(frame, start, offset, needs_csum, checksum)]
    walk = Walk(frame, **options)
    unsaid = [kind for kind in walk.kinds if kind != Tunnel.NSH]
    demand(unsaid == ([Tunnel.FOU] if tunnel else []))
    if kind != UFO and needs_csum:
        demand(walk.l4 and walk.l4_header == start)
    bits = TYPES[kind]
    if tunnel:
        bits |= GsoType.UDP_TUNNEL_CSUM if flags & 8 else GsoType.UDP_TUNNEL
    options |= {"believe": bool(needs_csum), "kernel": kernel}
    return segment(frame, size, gso_type=bits, checksum=checksum, **options)


def complete(frame, start, offset, needs_csum, wanted):
    if not needs_csum or wanted == "partial":
        return bytes(frame)
    field = start + offset
    check = not_zero(checksum(frame[start:]))
    return bytes(frame[:field]) + check.to_bytes(2, "big") + bytes(frame[field + 2 :])
