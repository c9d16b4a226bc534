"""Lists of frames, one at a time: the first one's link header, lengths, IDs, addresses, ports."""

from gso import GsoType, Reason
from reference.checksums import checksum, not_zero, ones_sum
from reference.segments import refuse
from reference.walk import Walk


def segment_list(
    frames, gso_size, *, gso_type, link_type="ethernet", tunnel_ports=None, kernel="6.12"
):
    if len(frames) < 2:
        refuse(Reason.NOT_GSO, "frame", len(frames), 2)
    walks = [Walk(bytes(frame), link_type=link_type, tunnel_ports=tunnel_ports) for frame in frames]
    for walk in walks:
        check(walk, walks[0], gso_type)
    if not 0 < gso_size == len(walks[0].frame) - walks[0].payload:
        refuse(Reason.GSO_SIZE, "gso_size", gso_size, len(walks[0].frame) - walks[0].payload)
    translated = ends(walks[0]) != ends(walks[1])
    stale = kernel == "6.1" and walks[0].l4 == 6 and walks[0].inner_version == 6
    return [
        sent(walk, walks[0], number, translated=bool(number) and translated, stale=stale)
        for number, walk in enumerate(walks)
    ]


def check(walk, first, gso_type):
    if walk.refusal:
        refuse(Reason.UNSUPPORTED, *walk.refusal)
    plain = len(walk.headers) == 1 and walk.headers[0].kind in "46" and walk.l4 in (6, 17)
    if not plain or walk.kinds or walk.fragment or walk.jumbo is not None or walk.routing:
        refuse(Reason.UNSUPPORTED, "frame", walk.payload, 0)
    own = GsoType.UDP_L4
    if first.l4 == 6:
        own = GsoType.TCPV4 if first.inner_version == 4 else GsoType.TCPV6
    if not gso_type & GsoType.FRAGLIST or gso_type & ~(own | GsoType.FRAGLIST):
        refuse(Reason.GSO_TYPE, "gso_type", gso_type, own)
    if (walk.l4, walk.inner_version) != (first.l4, first.inner_version):
        refuse(Reason.LAYOUT, "protocol", walk.l4, first.l4)


def ends(walk):
    """Source and destination: address and port."""
    at, n = (12, 4) if walk.inner_version == 4 else (8, 16)
    ip, l4, frame = walk.ip_header, walk.l4_header, walk.frame
    return [(frame[ip + at + side * n :][:n], frame[l4 + 2 * side :][:2]) for side in (0, 1)]


def sent(walk, first, number, *, translated, stale):
    frame = bytearray(walk.frame[walk.ip_header :])
    l4 = walk.l4_header - walk.ip_header
    at = l4 + (16 if walk.l4 == 6 else 6)
    told = int.from_bytes(frame[at : at + 2], "big")
    for side in (0, 1) if translated else ():
        (address, port), (new, new_port) = ends(walk)[side], ends(first)[side]
        start = 12 + 4 * side if walk.inner_version == 4 else 8 + 16 * side
        frame[start : start + len(new)] = new
        frame[l4 + 2 * side : l4 + 2 * side + 2] = new_port
        if (address, port) == (new, new_port) or (walk.l4 == 17 and told == 0):
            continue
        changes = [(port, new_port)] if stale else [(address, new), (port, new_port)]
        for old, now in changes if not stale or port != new_port else ():
            told = ones_sum(now, (told ^ 0xFFFF) + ones_sum(bytes(b ^ 0xFF for b in old))) ^ 0xFFFF
        if walk.l4 == 17:
            told = not_zero(told)
    frame[at : at + 2] = told.to_bytes(2, "big")
    if number == 0 and walk.l4 == 17:
        frame[l4 + 4 : l4 + 6] = (len(frame) - l4).to_bytes(2, "big")
    if walk.inner_version == 6:
        frame[4:6] = (len(frame) - 40).to_bytes(2, "big")
    else:
        ident = int.from_bytes(first.frame[first.ip_header + 4 :][:2], "big") + number
        frame[2:6] = len(frame).to_bytes(2, "big") + (ident % 65536).to_bytes(2, "big")
        hlen = 4 * (frame[0] & 15)
        frame[10:12] = bytes(2)
        frame[10:12] = checksum(frame[:hlen]).to_bytes(2, "big")
    return first.frame[: first.ip_header] + bytes(frame)
