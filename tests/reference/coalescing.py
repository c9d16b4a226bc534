"""GRO, one frame at a time: merge if the kernel would and segmentation gives back what was merged.

Nothing is compared field by field. A frame may follow if the packet made by appending its payload
to the first frame, segmented, is what went in.
"""

from gso import GsoError, GsoType, Tunnel
from reference.segments import segment
from reference.walk import Walk

FIN, SYN, RST, PSH, URG, CWR = 1, 2, 4, 8, 32, 128
LIMIT = 65536


class Options:
    def __init__(
        self, *, link_type="ethernet", tunnel_ports=None, udp_gro=True, fixed_ids=False,
        gro_max_size=LIMIT, times=None, timeout=0, kernel="6.12",
        gro_ipv4_max_size=None, fraglist=False, vxlan_remcsum=True,
    ):  # fmt: skip
        self.listed = (17,) if kernel == "6.1" else (6, 17)
        self.listed = self.listed if fraglist else ()
        self.parsing = {"link_type": link_type, "tunnel_ports": tunnel_ports}
        self.link = 0 if link_type == "raw" else 14
        self.udp_gro = udp_gro
        self.fixed_ids = fixed_ids
        self.gro_max_size = gro_max_size
        self.gro_ipv4_max_size = gro_ipv4_max_size or gro_max_size
        self.times = times
        self.timeout = timeout
        self.newer = kernel == "7.3"
        self.vxlan_remcsum = vxlan_remcsum
        self.short_ipv4 = kernel == "6.1"
        self.segmenting = {**self.parsing, "kernel": kernel}


def coalesce(frames, **options):
    """Lists of the numbers of the frames merged with each other, and which IDs are fixed."""
    options = Options(**options)
    packets = []
    held = []
    for i, frame in enumerate(frames):
        one = Segment(frame, options)
        if not one.right:
            held = [p for p in held if one.addresses is None or p.addresses != one.addresses]
            packets.append(Packet(i, one))
            continue
        if options.times is not None:
            held = [p for p in held if 0 <= options.times[i] - options.times[p.numbers[0]]
                    <= options.timeout or p.addresses != one.addresses]  # fmt: skip
        found = [p for p in held if p.one.flow == one.flow]
        if found:
            state = found[0].take(i, one, options)
            if state != "open":
                held.remove(found[0])
            if state != "full":
                continue
        packets.append(Packet(i, one))
        if one.l4 == 17 or (one.payload and not one.flags & (URG | PSH | RST | SYN | FIN)):
            alike = [p for p in held if p.addresses == one.addresses]
            if len(alike) == 8:
                held.remove(alike[0])
            held.append(packets[-1])
    return [(p.numbers, p.fixed) for p in packets]


class Segment:
    """A frame, and whether it may be merged at all."""

    def __init__(self, frame, options):
        self.frame = bytes(frame)
        self.right = False
        self.addresses = None
        try:
            self.walk = Walk(self.frame, **options.parsing)
        except GsoError:
            return
        if not self.walk.l4:
            return
        walk, self.l4 = self.walk, self.walk.l4
        self.payload = self.frame[walk.payload :]
        start = walk.ip_header + (12 if walk.inner_version == 4 else 8)
        width = 8 if walk.inner_version == 4 else 32
        ports = self.frame[walk.l4_header : walk.l4_header + 4]
        self.addresses = (self.l4, self.frame[start : start + width], ports)
        self.flags = self.frame[walk.l4_header + 13] if self.l4 == 6 else 0
        self.right = self.usual() and self.lengths() and self.checksums(options)
        if self.l4 == 17:
            wanted = options.udp_gro or options.listed
            self.right = self.right and bool(wanted and self.payload)
        if self.l4 in options.listed and len(self.walk.headers) > 1:
            self.right = False
        self.flow = self.right and self.constant()

    def usual(self):
        walk = self.walk
        levels = sum(h.kind in "46" for h in walk.headers)
        return (
            levels <= 2
            and walk.refusal is None
            and not walk.opaque
            and not walk.numbered
            and walk.jumbo is None
            and walk.routing is None
            and not {Tunnel.MPLS, Tunnel.NSH} & set(walk.kinds)
            and self.usual_tunnel()
        )

    def usual_tunnel(self):
        at = self.walk.transport_header
        head = self.frame[at : at + 20]
        if self.walk.tunnel is Tunnel.GRE:
            return self.walk.word(at) & 0x5FFF == 0
        if Tunnel.VXLAN_GPE in self.walk.kinds:
            return head[8] & 0x35 == 4
        if Tunnel.GENEVE in self.walk.kinds:
            return head[8] >> 6 == 0 and head[9] >> 7 == 0
        if Tunnel.GUE in self.walk.kinds and head[8] >> 6 == 0:
            flags, private = head[10:12], int.from_bytes(head[12:16], "big")
            known = flags == b"\0\0" or (
                flags == b"\0\1" and head[8] % 32 >= 1 and private in (0, 1 << 31)
            )
            remcsum = flags == b"\0\1" and private
            return known and (not remcsum or head[8] % 32 >= 2)
        return True

    def lengths(self):
        walk = self.walk
        for h in walk.headers:
            length = len(self.frame) - h.offset
            if h.kind == "4":
                if self.frame[h.offset] != 0x45 or walk.word(h.offset + 6) & 0xBFFF:
                    return False
                told = walk.word(h.offset + 2)
            elif h.kind == "6":
                told = walk.word(h.offset + 4) + 40
            elif h.kind == "P":
                if walk.word(h.offset) != 0x1100:
                    return False
                told = walk.word(h.offset + 4) + 6
            else:
                told = walk.word(h.offset + 4) if h.kind == "U" else length
                if h.kind == "G" and walk.word(h.offset + 6):
                    return False
            if told != length:
                return False
        return self.l4 == 6 or walk.word(walk.l4_header + 4) == len(self.frame) - walk.l4_header

    def checksums(self, options):
        walk = self.walk
        check = walk.word(walk.l4_header + (16 if self.l4 == 6 else 6))
        if check == (0xFFFF if self.l4 == 6 else 0) and not walk.remcsum:
            return False
        if self.l4 == 17 and not check:
            return False
        sealed = any(h.kind == "U" and walk.word(h.offset + 6) for h in walk.headers)
        if walk.remcsum and not sealed:
            return False
        if walk.remcsum and Tunnel.VXLAN in walk.kinds and not options.vxlan_remcsum:
            return False
        return segment(self.frame, 0, **options.parsing) == [self.frame]

    def constant(self):
        """The headers without what may change, or ends a packet, within one flow."""
        out = bytearray(self.frame[: self.walk.l4_header + 4])
        for h in self.walk.headers:
            at = h.offset
            if h.kind == "4":
                for place in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11):
                    out[at + place] = 0
            elif h.kind == "6":
                out[at] &= 0xF0
                out[at + 1] &= 0x0F
                out[at + 4 : at + 6] = b"\0\0"
                out[at + 7] = 0
            elif h.kind == "P":
                out[at + 4 : at + 6] = b"\0\0"
            elif h.kind == "U":
                out[at + 4 : at + 8] = b"\0\0\0\1" if any(out[at + 6 : at + 8]) else bytes(4)
            elif not out[at] & 0x20:  # the kernel takes the checksum for the key
                out[at + 4 : at + 8] = bytes(4)
        return bytes(out), [(h.kind, h.offset) for h in self.walk.headers]


class Packet:
    def __init__(self, number, one):
        self.numbers = [number]
        self.one = one
        self.addresses = one.addresses
        self.members = [one.frame]
        self.fixed = 0

    def take(self, number, one, options):
        """ "open": merged; "last": and complete; "full": not merged, and complete."""
        first = self.one
        size = len(first.payload)
        if not 0 < len(one.payload) <= size or one.walk.payload != first.walk.payload:
            return "full"
        other = one.flags & CWR if not options.newer else (one.flags ^ first.flags) & CWR
        if other or not self.fits(one, options):
            return "full"
        if one.l4 in options.listed and one.flags != first.flags:
            return "full"
        if self.fixed and not options.newer and self.outer_ids_count(one):
            return "full"
        fixed = self.gives_back(one, options)
        if fixed is None:
            return "full"
        self.numbers.append(number)
        self.members.append(one.frame)
        self.fixed = fixed
        last = len(one.payload) < size or one.flags & (URG | PSH | RST | SYN | FIN)
        last = last or (one.l4 == 17 and len(self.numbers) == 64)  # TCP: see fits()
        return "last" if last else "open"

    def outer_ids_count(self, one):
        """With fixed inner IDs, the kernel wants outer ones without DF fixed, too."""
        outer = [h for h in one.walk.headers if h.kind == "4"][:-1]
        if one.walk.inner_version == 6:
            return False
        return any(not one.frame[h.offset + 6] & 0x40 for h in outer)

    def fits(self, one, options):
        walk = one.walk
        length = sum(map(len, self.members)) - (len(self.members) - 1) * walk.payload
        length += len(one.payload) - options.link
        if one.l4 in options.listed:
            return len(self.numbers) < 64 and length + walk.payload - options.link < LIMIT
        own = walk.outer_version == 6 and walk.network_header == options.link
        if length >= (options.gro_max_size if own else options.gro_ipv4_max_size):
            return False
        if options.newer:
            return length < LIMIT or one.l4 == 6
        big = one.l4 == 6 and not walk.kinds and walk.network_header == options.link
        if walk.inner_version == 4:
            big &= not options.short_ipv4
        elif walk.l4_header != walk.ip_header + 40:  # extension headers
            big = False
        return length < LIMIT or big

    def ways(self, options):
        """The bits for IDs that stay the same, that are to be tried."""
        if len(self.members) > 1:
            return [self.fixed]
        if not options.fixed_ids or self.one.l4 != 6 or 6 in options.listed:
            return [0]
        if options.newer:
            return [bits << 30 for bits in range(4)]
        return [0, GsoType.TCP_FIXEDID] if self.one.walk.inner_version == 4 else [0]

    def gives_back(self, one, options):
        """None, or whether IDs are fixed."""
        walk = self.one.walk
        whole = bytearray(self.one.frame)
        if one.l4 == 6:
            whole[walk.l4_header + 13] |= one.flags & (FIN | PSH)
        for member in [*self.members[1:], one.frame]:
            whole += member[walk.payload :]
        wanted = [*self.members, one.frame]
        size = len(self.one.payload)
        for fixed in self.ways(options):
            bits = fixed
            if one.flags & CWR and options.newer:
                bits = bits | GsoType.TCP_ACCECN
            try:
                made = segment(bytes(whole), size, gso_type=bits, **options.segmenting)
                if made == wanted:
                    return fixed
            except GsoError:
                pass
        return None
