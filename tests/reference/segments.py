"""Segments, one at a time: write the headers, then sum every byte that a checksum covers."""

from gso import GsoError, GsoType, Reason, Tunnel
from reference.checksums import checksum, not_zero, ones_sum, pseudo_header
from reference.walk import Walk

FIN, PSH, CWR = 0x01, 0x08, 0x80
TRANSPORT = (
    GsoType.TCPV4
    | GsoType.TCPV6
    | GsoType.UDP
    | GsoType.UDP_L4
    | GsoType.FCOE
    | GsoType.SCTP
    | GsoType.ESP
)


def refuse(reason, field, offset, limit):
    raise GsoError(
        f"{field} {offset} {limit}", reason=reason, field=field, offset=offset, limit=limit
    )


def segment(
    frame,
    gso_size,
    *,
    gso_type=None,
    link_type="ethernet",
    tunnel_ports=None,
    checksum="complete",
    announced=None,
    believe=False,
    kernel="6.12",
):
    if not 0 <= gso_size <= 65534:
        refuse(Reason.GSO_SIZE, "gso_size", gso_size, 65534)
    walk = Walk(frame, link_type=link_type, tunnel_ports=tunnel_ports, announced=announced)
    if gso_size and walk.refusal:
        refuse(Reason.UNSUPPORTED, *walk.refusal)
    if gso_size and walk.opaque and not int(gso_type or 0) & (GsoType.UDP | GsoType.UDP_L4):
        at = walk.l4_header + 2
        refuse(Reason.UNSUPPORTED, "dest", at, walk.word(at))
    options = {"believe": believe, "newer": kernel == "7.3"}
    job = Job(walk, gso_size, int(gso_type or 0), checksum == "partial", **options)
    if gso_size == 0:
        return [job.complete()]
    return job.segments(gso_size)


class Job:
    def __init__(self, walk, gso_size, gso_type, partial_checksum, *, believe, newer):
        self.believe = believe
        self.newer = newer
        self.gso_size = gso_size
        self.walk = walk
        self.frame = walk.frame
        self.type = gso_type
        self.v4 = walk.inner_version == 4
        self.check_type()
        self.sealed, remcsum = self.tunnel_checksums()
        self.partial = bool(gso_size and gso_type & GsoType.PARTIAL)
        if self.partial and remcsum:
            refuse(Reason.GSO_TYPE, "gso_type", gso_type, GsoType.TUNNEL_REMCSUM)
        self.inner = "partial" if partial_checksum or self.partial else "complete"
        if walk.l4 == 0 or self.ufo:
            self.inner = "absent"
        elif gso_size and Tunnel.NSH in walk.kinds:
            # nsh_gso_segment leaves no feature but SG
            self.inner, self.partial = "complete", False
        elif remcsum:
            self.inner = "remote"

    def check_type(self):
        walk, given = self.walk, self.type & TRANSPORT
        known = (1 << 20) - 1
        if self.newer:
            known += (3 << 30) - GsoType.TCP_FIXEDID
        if self.type & ~known:
            refuse(Reason.GSO_TYPE, "gso_type", self.type, known)
        wanted = given
        if walk.l4 == 6:
            wanted = GsoType.TCPV4 if self.v4 else GsoType.TCPV6
        elif walk.l4 == 17:
            wanted = GsoType.UDP | GsoType.UDP_L4
        if given and not given & wanted:
            refuse(Reason.GSO_TYPE, "gso_type", self.type, wanted)
        self.ufo = bool(self.gso_size and given & wanted & GsoType.UDP)
        if self.ufo and self.type & (GsoType.UDP_L4 | GsoType.PARTIAL):
            refuse(Reason.GSO_TYPE, "gso_type", self.type, GsoType.UDP)
        told = self.type & (GsoType.IPXIP4 | GsoType.IPXIP6)
        if self.gso_size and told and walk.ip_in_ip & ~told:
            refuse(Reason.GSO_TYPE, "gso_type", self.type, walk.ip_in_ip)

    def tunnel_checksums(self):
        udp = self.type & (GsoType.UDP_TUNNEL | GsoType.UDP_TUNNEL_CSUM)
        gre = self.type & (GsoType.GRE | GsoType.GRE_CSUM)
        remcsum = bool(self.type & GsoType.TUNNEL_REMCSUM)
        sealed = set()
        for header in self.walk.headers:
            if header.kind == "U":
                if not udp:
                    remcsum = self.walk.remcsum
                in_use = self.walk.word(header.offset + 6) if not udp else udp & 0x800
            elif header.kind == "G":
                in_use = not gre or gre & GsoType.GRE_CSUM
            else:
                in_use = False
            if in_use:
                sealed.add(header.offset)
        if gre & GsoType.GRE_CSUM and not any(h.kind == "G" for h in self.walk.headers):
            refuse(Reason.GSO_TYPE, "gso_type", self.type, GsoType.GRE_CSUM)
        return sealed, remcsum

    def check_fixed_ids(self):
        if self.type & GsoType.TCP_FIXEDID:
            for header in self.walk.headers:
                if header.kind == "4" and header.inner:
                    frag_off = self.walk.word(header.offset + 6)
                    if not frag_off & 0x4000:
                        refuse(Reason.GSO_TYPE, "frag_off", header.offset + 6, 0x4000)

    def segments(self, gso_size):
        walk = self.walk
        self.check_fixed_ids()
        start = walk.l4_header if self.ufo else walk.payload
        payload = self.frame[start:]
        if len(payload) <= gso_size:
            refuse(Reason.NOT_GSO, "gso_size", len(payload), gso_size)
        template = self.template(start, payload)
        self.l4 = walk.l4_header + len(template) - start
        self.pseudo = self.transport_pseudo(len(payload) + len(template) - self.l4)
        for header in walk.headers:
            fixed = 40 if header.kind == "6" else 0
            length = len(template) + gso_size - header.offset - fixed
            if length > 0xFFFF and header.kind not in "GP":
                field = "payload_len" if header.kind == "6" else "tot_len"
                refuse(Reason.TOO_LONG, field, length, 0xFFFF)
        step = gso_size
        pieces_each = 1
        most = min(len(payload), 65534) // gso_size
        if self.newer:
            most = min(len(payload) // gso_size, 65535)
        if self.partial and most > 1:
            pieces_each = most
            step = gso_size * pieces_each
        if self.ufo:
            payload = self.complete_datagram(payload)
        chunks = [payload[i : i + step] for i in range(0, len(payload), step)]
        result = []
        for i, chunk in enumerate(chunks):
            self.i, self.last = i, i + 1 == len(chunks)
            self.step, self.ids = step, i * pieces_each
            header = self.headers_of(template, chunk, gso_size if pieces_each > 1 else len(chunk))
            result.append(bytes(header) + bytes(chunk))
        return result

    def template(self, start, payload):
        walk = self.walk
        template = bytearray(self.frame[:start])
        if walk.jumbo is not None and not self.newer:
            del template[walk.jumbo : walk.jumbo + 8]
            template[walk.ip_header + 6] = 6
        if self.ufo and not self.v4:
            fragment = bytes([template[walk.fragment_next], 0, 0, 0])
            fragment += bytes(payload[6:8]) + bytes(payload[4:6])
            template[walk.fragment_next] = 44
            template[walk.fragment_at : walk.fragment_at] = fragment
        return template

    def addresses(self, ip_header, v4):
        frame = self.frame
        if v4:
            return frame[ip_header + 12 : ip_header + 16], frame[ip_header + 16 : ip_header + 20]
        return frame[ip_header + 8 : ip_header + 24], frame[ip_header + 24 : ip_header + 40]

    def transport_pseudo(self, length):
        """A function of the length, as the sender of this frame would have it."""
        walk = self.walk
        source, destination = self.addresses(walk.ip_header, self.v4)
        field = walk.word(walk.l4_header + (16 if walk.l4 == 6 else 6))
        final = self.final_destination(walk.routing)
        if final and pseudo_header(source, final, walk.l4, length) == field:
            destination = final
        stale = 0
        if walk.l4 == 17 and pseudo_header(source, destination, 17, length) == field:
            stale = (length - walk.word(walk.l4_header + 4)) % 65535
        if self.believe:
            stale = (length - walk.word(walk.l4_header + 4)) % 65535 if walk.l4 == 17 else 0
            stale += field - pseudo_header(source, destination, walk.l4, length) + 2 * 65535
        return lambda n: ones_sum(b"", pseudo_header(source, destination, walk.l4, n) + stale)

    def final_destination(self, routing):
        if routing is None or self.frame[routing + 1] < 2:
            return None
        kind, n = self.frame[routing + 2], self.frame[routing + 1] // 2
        if kind == 4:
            n = 1
        elif kind not in (0, 2):
            return None
        return self.frame[routing + 8 + 16 * (n - 1) : routing + 8 + 16 * n]

    def complete_datagram(self, payload):
        source, destination = self.addresses(self.walk.ip_header, self.v4)
        total = pseudo_header(source, destination, 17, len(payload))
        check = not_zero(checksum(payload[:6] + b"\0\0" + payload[8:], total))
        return payload[:6] + check.to_bytes(2, "big") + payload[8:]

    def headers_of(self, template, chunk, gso_size):
        """The headers in front of this chunk of payload.

        With GSO_PARTIAL the chunk is longer than gso_size. The lengths, and so all checksums but
        the innermost, are those of the segments that a device will make.
        """
        each = chunk[:gso_size]
        self.more = len(chunk) - len(each)
        # 7.3: the first checksum around a piece of datagrams counts its whole length. One around
        # that takes it for right (gso_make_checksum), so what it is wrong by counts there, too.
        self.counted = self.more if self.newer and self.walk.l4 == 17 else 0
        out = bytearray(template) + each
        self.transport(out, each)
        inner_check = self.l4 + (16 if self.walk.l4 == 6 else 6)
        if self.inner == "remote":
            self.put(out, inner_check, self.pseudo(len(out) - self.l4))
        for header in reversed(self.walk.headers):
            self.outer_header(out, header)
        out = out[: len(template)]
        if self.inner in ("partial", "remote"):
            length = len(template) - self.l4 + len(chunk)
            if self.newer and self.walk.l4 == 17:
                length -= self.more
            if self.walk.l4 == 17:
                self.put(out, self.l4 + 4, length)
            self.put(out, inner_check, self.pseudo(length))
        return out

    @staticmethod
    def put(out, offset, value):
        out[offset : offset + 2] = (value % 65536).to_bytes(2, "big")

    def transport(self, out, each):
        walk, l4 = self.walk, self.l4
        if self.ufo:
            if not self.v4:
                # ipv6_gso_segment counts extension headers in: see the compiled code
                offset = self.i * (len(out) - len(each) + self.step - walk.ip_header - 48)
                self.put(out, walk.fragment_at + 2, offset | (0 if self.last else 1))
            return
        length = len(out) - l4
        if walk.l4 == 6:
            seq = int.from_bytes(out[l4 + 4 : l4 + 8], "big") + self.i * self.step
            out[l4 + 4 : l4 + 8] = (seq % 2**32).to_bytes(4, "big")
            if not self.last:
                out[l4 + 13] &= ~(FIN | PSH)
            if self.i and not self.type & GsoType.TCP_ACCECN:
                out[l4 + 13] &= ~CWR
            self.put(out, l4 + 16, 0)
            self.put(out, l4 + 16, checksum(out[l4:], self.pseudo(length)))
        else:
            self.put(out, l4 + 4, length)
            self.put(out, l4 + 6, 0)
            self.put(out, l4 + 6, not_zero(checksum(out[l4:], self.pseudo(length))))

    def outer_header(self, out, header):
        at, length = header.offset, len(out) - header.offset
        if header.kind == "4":
            self.ipv4(out, header)
        elif header.kind == "6":
            self.put(out, at + 4, length - 40)
        elif header.kind == "P":
            self.put(out, at + 4, length + self.more - 6)
        elif header.kind == "U":
            self.put(out, at + 4, length)
            if at in self.sealed:
                total = self.outer_pseudo(header, length)
                self.put(out, at + 6, 0)
                total = ones_sum(b"", total + self.counted)
                self.put(out, at + 6, not_zero(checksum(out[at:], total)))
        elif at in self.sealed:
            out[at + 4 : at + 8] = bytes(4)
            self.put(out, at + 4, checksum(out[at:], self.counted))

    def outer_pseudo(self, header, length):
        if self.believe:
            # The sender left this there, for another length
            told = self.walk.word(header.offset + 6)
            whole = len(self.frame) - header.offset
            return ones_sum(b"", told + length + (-whole) % 65535)
        ip = self.walk.headers[self.walk.headers.index(header) - 1]
        source, destination = self.addresses(ip.offset, ip.kind == "4")
        final = self.final_destination(self.outer_routing(ip, header))
        told = self.walk.word(header.offset + 6)
        # What is completed is as long as its headers say, and may have a trailer.
        whole = length if self.gso_size == 0 else len(self.frame) - header.offset
        if final and pseudo_header(source, final, 17, whole) == told:
            destination = final
        elif final and self.gso_size == 0:
            data = bytearray(self.frame[header.offset :][:length])
            data[6:8] = bytes(2)
            if self.is_right(source, final, 17, data, told):
                destination = final
        return pseudo_header(source, destination, 17, length)

    @staticmethod
    def is_right(source, final, protocol, data, told):
        """Whether the checksum was right with the final destination."""
        check = checksum(data, pseudo_header(source, final, protocol, len(data)))
        return told in (check, not_zero(check))

    def outer_routing(self, ip, header):
        """Where the routing header between an IP header and the UDP header after it is."""
        found, at = None, ip.offset + 40
        if ip.kind == "4":
            return None
        kind = self.frame[ip.offset + 6]
        while at + 8 <= header.offset:
            if kind == 43 and self.frame[at + 3]:
                found = at
            kind, at = self.frame[at], at + 8 * (self.frame[at + 1] + 1)
        return found

    def ipv4(self, out, header):
        at = header.offset
        self.put(out, at + 2, len(out) - at)
        if self.ufo and header.inner:
            offset = (self.i * self.step) >> 3
            self.put(out, at + 6, offset | (0 if self.last else 0x2000))
        elif not self.keeps_id(header):
            self.put(out, at + 4, int.from_bytes(out[at + 4 : at + 6], "big") + self.ids)
        self.put(out, at + 10, 0)
        self.put(out, at + 10, checksum(out[at : at + header.hlen]))

    def keeps_id(self, header):
        if self.newer:
            return self.type & (GsoType.TCP_FIXEDID_OUTER << header.stacked)
        return header.inner and self.type & GsoType.TCP_FIXEDID

    def complete(self):
        """gso_size 0."""
        walk = self.walk
        out = bytearray(self.frame)
        ends, fragment = self.packet_ends()
        if walk.l4 and not fragment:
            self.complete_transport(out, ends[-1] if ends else len(out))
        whole = walk.headers[: len(ends) - 1] if fragment else walk.headers
        for header, end in reversed(list(zip(whole, ends, strict=False))):
            at = header.offset
            if header.kind == "U" and at in self.sealed:
                self.put(out, at + 6, 0)
                total = self.outer_pseudo(header, end - at)
                self.put(out, at + 6, not_zero(checksum(out[at:end], total)))
            elif header.kind == "G" and at in self.sealed and self.inner != "remote":
                self.put(out, at + 4, 0)
                self.put(out, at + 4, checksum(out[at:end]))
        if walk.l4 and self.inner == "partial" and not fragment:
            self.complete_transport(out, ends[-1], partial=True)
        return bytes(out)

    def complete_transport(self, out, end, partial=False):
        walk = self.walk
        l4, field = walk.l4_header, walk.l4_header + (16 if walk.l4 == 6 else 6)
        if walk.l4 == 17:
            if walk.word(field) == 0:
                return
            told = l4 + walk.word(l4 + 4)
            if walk.payload <= told < end:
                end = told
        source, destination = self.addresses(walk.ip_header, self.v4)
        final, told = self.final_destination(walk.routing), walk.word(field)
        if final and pseudo_header(source, final, walk.l4, end - l4) == told:
            destination = final
        elif final and not partial and self.inner != "remote":
            data = bytearray(self.frame[l4:end])
            data[field - l4 : field - l4 + 2] = bytes(2)
            if self.is_right(source, final, walk.l4, data, told):
                destination = final
        pseudo = pseudo_header(source, destination, walk.l4, end - l4)
        if self.inner == "remote" or partial:
            self.put(out, field, pseudo)
            return
        self.put(out, field, 0)
        check = checksum(out[l4:end], pseudo)
        # skb_checksum_help sends 0 as 0xffff, for TCP too; a field that is right stays as it is
        self.put(out, field, check if walk.l4 == 6 and walk.word(field) == 0 else not_zero(check))

    def packet_ends(self):
        """Where each header's packet ends, up to the first fragment; and whether there is one."""
        walk = self.walk
        end, ends = len(self.frame), []
        for header in walk.headers:
            at = header.offset
            told = end
            if header.kind == "4":
                told = at + walk.word(at + 2)
            elif header.kind == "6":
                told = at + 40 + walk.word(at + 4)
            elif header.kind == "U":
                told = at + walk.word(at + 4)
            if walk.payload <= told < end:
                end = told
            ends.append(end)
            if header.kind == "4" and walk.word(at + 6) & 0x3FFF:
                return ends, True
        return ends, False
