"""SCTP, a segment for each piece: headers, common header, chunks, and a CRC32c bit by bit."""

from gso import GsoType, Reason, Tunnel
from reference.segments import TRANSPORT, Job, refuse
from reference.walk import Walk


def crc32c(data):
    """RFC 9260, appendix A, from the lowest bit of each byte to the highest."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def segment_sctp(
    frame,
    pieces,
    *,
    gso_type=None,
    link_type="ethernet",
    tunnel_ports=None,
    checksum="complete",
    kernel="6.12",
):
    frame, gso_type = bytes(frame), int(gso_type or 0)
    walk = Walk(frame, link_type=link_type, tunnel_ports=tunnel_ports)
    check_frame(walk)
    job = Job(
        walk, 0xFFFF, gso_type & ~GsoType.PARTIAL, False, believe=False, newer=kernel == "7.3"
    )
    given = gso_type & (TRANSPORT | GsoType.FRAGLIST)
    if given and (not given & GsoType.SCTP or given & GsoType.UDP):
        refuse(Reason.GSO_TYPE, "gso_type", gso_type, GsoType.SCTP)
    job.check_fixed_ids()
    start = walk.payload + 12
    check_pieces(walk, frame[start:], pieces)
    left = checksum == "partial" and not job.sealed and Tunnel.NSH not in walk.kinds
    segments = []
    for i, n in enumerate(pieces):
        out = bytearray(frame[: walk.payload + 12] + frame[start : start + n])
        if not left:
            out[walk.payload + 8 : walk.payload + 12] = bytes(4)
            crc = crc32c(out[walk.payload :])
            out[walk.payload + 8 : walk.payload + 12] = crc.to_bytes(4, "little")
        job.i = job.ids = i
        job.more = job.counted = 0
        for header in reversed(walk.headers):
            job.outer_header(out, header)
        segments.append(bytes(out))
        start += n
    return segments


def check_frame(walk):
    """SCTP is all that is not understood: it follows the innermost IP header, or FOU or GUE."""
    innermost = walk.headers[-1] if walk.headers else None
    if walk.refusal and walk.refusal[2] != 132:
        refuse(Reason.UNSUPPORTED, *walk.refusal)
    inside = innermost and walk.refusal
    if inside and innermost.kind == "U":
        told = {Tunnel.FOU: innermost.offset + 2, Tunnel.GUE: innermost.offset + 9}
        inside = walk.refusal[1] == told.get(walk.kinds[-1])
    elif inside:
        inside = innermost.kind in "46" and innermost.offset < walk.refusal[1] < walk.payload
    if not inside:
        refuse(Reason.UNSUPPORTED, "protocol", walk.ip_header, 132)
    if walk.payload + 12 > len(walk.frame):
        refuse(Reason.TRUNCATED, "sctphdr", walk.payload, len(walk.frame))


def check_pieces(walk, chunks, pieces):
    if not pieces:
        refuse(Reason.NOT_GSO, "pieces", 0, 1)
    if any(n <= 0 or n % 4 for n in pieces):
        refuse(Reason.LAYOUT, "pieces", min(pieces), 4)
    if sum(pieces) != len(chunks):
        refuse(Reason.LAYOUT, "pieces", sum(pieces), len(chunks))
    for header in walk.headers:
        length = walk.payload + 12 + max(pieces) - header.offset - 40 * (header.kind == "6")
        if length > 0xFFFF and header.kind not in "GP":
            refuse(Reason.TOO_LONG, "tot_len", length, 0xFFFF)
    ends = {sum(pieces[: i + 1]) for i in range(len(pieces))}
    at = 0
    while at < len(chunks):
        length = int.from_bytes(chunks[at + 2 : at + 4], "big")
        if length < 4:
            refuse(Reason.BAD_HEADER, "length", length, 4)
        ends.discard(at)
        at += length + -length % 4
        ends.discard(at)
    if ends or at != len(chunks):
        refuse(Reason.LAYOUT, "pieces", at, len(chunks))
