"""The chain of headers of a frame, one method a header."""

from gso import GsoError, GsoType, Reason, Tunnel

KNOWN = {
    4789: Tunnel.VXLAN,
    8472: Tunnel.VXLAN,
    4790: Tunnel.VXLAN_GPE,
    6081: Tunnel.GENEVE,
    6080: Tunnel.GUE,
}
OPAQUE = {
    2152: "gtp-u",
    5247: "capwap",
    5246: "capwap",
    51820: "wireguard",
    4500: "esp-in-udp",
    1701: "l2tp",
    4341: "lisp",
    4791: "roce",
    6635: "mpls-in-udp",
    6636: "mpls-in-udp",
    2268: "amt",
    37008: "tzsp",
}
NAMES = {
    "none": Tunnel.NONE,
    "fou": Tunnel.FOU,
    "gue": Tunnel.GUE,
    "vxlan": Tunnel.VXLAN,
    "vxlan-gpe": Tunnel.VXLAN_GPE,
    "geneve": Tunnel.GENEVE,
}


class Stop(Exception):  # noqa: N818
    """The rest of the frame is not understood, which only segmentation minds."""


class Header:
    """A header with fields that change from segment to segment."""

    def __init__(self, kind, offset, hlen=0):
        self.kind = kind
        self.offset = offset
        self.hlen = hlen
        self.inner = self.stacked = False


class Walk:
    def __init__(self, frame, *, link_type="ethernet", tunnel_ports=None, announced=None):
        """`announced`: of a virtio header, (start, version) of the packet in a UDP tunnel."""
        self.frame = frame
        self.link_type = link_type
        self.announced = announced
        self.ports = {**KNOWN, **OPAQUE, **(tunnel_ports or {})}
        self.at = 0
        self.headers = []
        self.refusal = None
        self.tunnel = Tunnel.NONE
        self.tunnels = 0
        self.kinds = []
        self.levels = 0
        self.network_header = self.transport_header = None
        self.inner_mac_header = self.inner_network_header = self.inner_transport_header = None
        self.new_packet = self.fragment = self.later_fragment = self.in_udp = False
        self.remcsum = self.opaque = False
        self.ip_in_ip, self.numbered = 0, False
        self.in_ip = set()
        self.l4 = 0
        self.l4_header = self.ip_header = self.jumbo = self.routing = None
        self.outer_version = self.inner_version = 0
        try:
            raw = link_type == "raw"
            step = self.by_nibble("iphdr", raw=True) if raw else self.ethernet
            while step:
                step = step()
        except Stop:
            pass
        self.payload = self.at
        for one in self.headers:
            one.stacked = one.offset in self.in_ip
        tunnelled = any(h.kind == "U" for h in self.headers)
        inner = sum(h.kind in "46" for h in self.headers) == 1 and not tunnelled
        for header in self.headers:
            header.inner = inner
            inner = inner or header.kind in "46"

    # State that all steps need

    def word(self, offset):
        return int.from_bytes(self.frame[offset : offset + 2], "big")

    def need(self, n, field):
        end = self.at + n
        if end > len(self.frame):
            self.fail(Reason.TRUNCATED, field, self.at, len(self.frame))
        if end > 65535:
            self.fail(Reason.TOO_LONG, field, self.at, 65535)

    def fail(self, reason, field, offset, limit):
        raise GsoError(
            f"{field} {offset} {limit}", reason=reason, field=field, offset=offset, limit=limit
        )

    def refuse(self, field, offset, limit):
        if self.refusal is None:
            self.refusal = (field, offset, limit)

    def stop(self, field, offset, limit):
        self.refuse(field, offset, limit)
        raise Stop

    def enter(self, tunnel):
        if not self.tunnels:
            self.tunnel = tunnel
        self.kinds.append(tunnel)
        self.tunnels += 1
        self.new_packet = True

    def network(self):
        if not self.tunnels:
            self.network_header = self.at
            return
        if self.new_packet:
            self.inner_mac_header = self.at
            self.new_packet = False
        self.inner_network_header = self.at

    # The step that comes next

    def by_ethertype(self, proto, where):
        known = {
            0x0800: self.ipv4,
            0x86DD: self.ipv6,
            0x6558: self.ethernet,
            0x8847: self.mpls,
            0x8848: self.mpls,
            0x894F: self.nsh,
            0x8864: self.pppoe,
        }
        if proto not in known:
            self.network()
            self.stop("h_proto", where, proto)
        return known[proto]

    def by_protocol(self, proto, where):
        known = {4: self.ipv4, 41: self.ipv6, 47: self.gre}
        if proto not in known:
            self.stop("protocol", where, proto)
        return known[proto]

    def by_next_protocol(self, proto, where):
        known = {1: self.ipv4, 2: self.ipv6, 3: self.ethernet, 4: self.nsh, 5: self.mpls}
        if proto not in known:
            self.stop("next_protocol", where, proto)
        return known[proto]

    def by_nibble(self, field, raw=False):
        self.need(1, field)
        version = self.frame[self.at] >> 4
        known = {4: self.ipv4, 6: self.ipv6}
        if version not in known:
            if raw:
                self.network()
            self.stop("version", self.at, version)
        return known[version]

    # The headers

    def ethernet(self):
        self.need(14, "ethhdr")
        if self.tunnels:
            self.inner_mac_header = self.at
            self.new_packet = False
        self.at += 14
        tags = 0
        while self.word(self.at - 2) in (0x8100, 0x88A8):
            tags += 1
            if tags == 8:
                self.network()
                self.stop("vlan_hdr", self.at, 8)
            self.need(4, "vlan_hdr")
            self.at += 4
        return self.by_ethertype(self.word(self.at - 2), self.at - 2)

    def pppoe(self):
        self.need(8, "pppoe_hdr")
        start = self.at
        if self.tunnels and self.new_packet:
            self.inner_mac_header = start
            self.new_packet = False
        self.at += 8
        known = {0x0021: self.ipv4, 0x0057: self.ipv6}
        proto = self.word(start + 6)
        if proto not in known:
            self.network()
            self.stop("ppp_proto", start + 6, proto)
        self.headers.append(Header("P", start))
        return known[proto]

    def start_ip(self):
        self.network()
        self.levels += 1
        if self.levels > 5:
            self.stop("encapsulation", self.at, 5)
        self.fragment = self.later_fragment = False
        self.jumbo = self.routing = None
        self.ip_header = self.at

    def ipv4(self):
        self.need(20, "iphdr")
        self.start_ip()
        start = self.at
        hlen = self.frame[start] % 16 * 4
        if hlen < 20:
            self.fail(Reason.BAD_HEADER, "ihl", start, 5)
        self.need(hlen, "ihl")
        self.headers.append(Header("4", start, hlen))
        self.fragment = self.word(start + 6) & 0x3FFF != 0
        self.later_fragment = self.word(start + 6) & 0x1FFF != 0
        self.at += hlen
        return self.after_ip(self.frame[start + 9], start + 9, 4)

    def ipv6(self):
        self.need(40, "ipv6hdr")
        self.start_ip()
        start = self.at
        self.headers.append(Header("6", start))
        self.at += 40
        field = start + 6
        unfragmentable = True
        seen_routing = False
        self.fragment_at, self.fragment_next = self.at, field
        while self.frame[field] in (0, 43, 60):
            proto = self.frame[field]
            self.need(8, "ipv6_opt_hdr")
            length = (self.frame[self.at + 1] + 1) * 8
            self.need(length, "hdrlen")
            option = self.frame[self.at : self.at + 8]
            told = start == self.inner_mac_header if self.tunnels else start in (0, 14)
            big = told and len(self.frame) - start > 65536
            if proto == 0 and field == start + 6 and big and list(option[:3]) == [6, 0, 194]:
                self.jumbo = self.at
            if proto == 43:
                seen_routing = True
                if option[3]:
                    self.routing = self.at
            if proto == 60 and seen_routing:
                unfragmentable = False
            field = self.at
            self.at += length
            if unfragmentable:
                self.fragment_at, self.fragment_next = self.at, field
        return self.after_ip(self.frame[field], field, 6)

    def after_ip(self, proto, where, version):
        if not self.tunnels:
            self.transport_header = self.at
        else:
            self.inner_transport_header = self.at
        self.outer_version = self.outer_version or version
        self.inner_version = version
        self.in_udp = False
        if proto == 6:
            return self.tcp
        if proto == 17:
            return self.udp
        if proto == 47:
            self.enter(Tunnel.GRE)
            return self.gre
        if proto in (4, 41):
            self.in_ip.add(self.at)
            self.ip_in_ip |= GsoType.IPXIP4 if version == 4 else GsoType.IPXIP6
        if proto == 4:
            self.enter(Tunnel.IPIP if version == 4 else Tunnel.IP6TNL)
            return self.ipv4
        if proto == 41:
            self.enter(Tunnel.SIT if version == 4 else Tunnel.IP6TNL)
            return self.ipv6
        return self.stop("protocol" if version == 4 else "nexthdr", where, proto)

    def transport(self, protocol, header_length):
        try:
            hlen = header_length()
        except GsoError:
            if self.fragment:
                self.stop("frag_off", self.ip_header + 6, self.word(self.ip_header + 6))
            raise
        self.l4 = protocol
        self.l4_header = self.at
        self.at += hlen

    def tcp(self):
        def header_length():
            self.need(20, "tcphdr")
            doff = self.frame[self.at + 12] >> 4
            if doff < 5:
                self.fail(Reason.BAD_HEADER, "doff", self.at + 12, 5)
            self.need(doff * 4, "doff")
            return doff * 4

        self.transport(6, header_length)

    def udp(self):
        try:
            self.need(8, "udphdr")
        except GsoError:
            if self.fragment:
                self.stop("frag_off", self.ip_header + 6, self.word(self.ip_header + 6))
            raise
        start = self.at
        if self.announced and not self.tunnels:
            inner, version = self.announced
            if inner < start + 8:
                self.fail(Reason.BAD_HEADER, "inner_nh_offset", inner, start + 8)
            self.enter(Tunnel.FOU)
            self.headers.append(Header("U", start))
            self.at = inner
            self.in_udp = True
            return self.ipv6 if version == 6 else self.ipv4
        kind = self.ports.get(self.word(start + 2), Tunnel.NONE)
        protocol = 0
        if isinstance(kind, tuple):
            kind, protocol = kind
        kind = NAMES.get(kind, kind)
        self.opaque = kind in OPAQUE.values() and not self.later_fragment
        if self.opaque or kind in (None, Tunnel.NONE) or self.later_fragment:
            return self.transport(17, lambda: 8)
        self.enter(kind)
        self.headers.append(Header("U", start))
        self.at += 8
        self.in_udp = True
        if kind == Tunnel.FOU and protocol:
            return self.ip_in_udp(self.by_protocol(protocol, start + 2))
        if kind == Tunnel.FOU:
            return self.ip_in_udp(self.by_nibble("fou"))
        return {
            Tunnel.GUE: self.gue,
            Tunnel.VXLAN: self.vxlan,
            Tunnel.VXLAN_GPE: self.vxlan_gpe,
            Tunnel.GENEVE: self.geneve,
        }[kind]

    def gre(self):
        self.need(4, "gre_base_hdr")
        start = self.at
        flags = self.word(start)
        if flags & 0x4007:
            self.stop("flags", start, flags & 0x4007)
        length = 4 + 4 * sum(flags & bit != 0 for bit in (0x8000, 0x2000, 0x1000))
        self.need(length, "gre_base_hdr")
        self.numbered = self.numbered or flags & 0x1000 != 0
        if flags & 0x8000:
            if self.in_udp:
                self.refuse("flags", start, 0x8000)
            self.headers.append(Header("G", start))
        self.at += length
        self.new_packet = True
        return self.by_ethertype(self.word(start + 2), start + 2)

    def gue(self):
        self.need(4, "guehdr")
        start = self.at
        first = self.frame[start]
        if first >> 6 == 1:
            return self.ip_in_udp(self.by_nibble("guehdr"))
        if first >> 6:
            self.stop("version", start, first >> 6)
        length = 4 + first % 32 * 4
        self.need(length, "hlen")
        private = length >= 12 and self.word(start + 2) == 1
        if private and self.frame[start + 4] & 0x80:
            self.remcsum = True
        self.at += length
        if first & 0x20:
            self.stop("control", start + 1, self.frame[start + 1])
        return self.ip_in_udp(self.by_protocol(self.frame[start + 1], start + 1))

    def ip_in_udp(self, step):
        """skb_network_protocol, misled by a VLAN tag outside: see the compiled code."""
        if step not in (self.ipv4, self.ipv6):
            return step
        self.ip_in_ip |= GsoType.IPXIP4 if self.inner_version == 4 else GsoType.IPXIP6
        tags = (0x8100, 0x88A8)
        if self.tunnels > 1 or self.link_type == "raw" or self.word(12) not in tags:
            return step
        at, types = self.at + 14, []
        while len(types) < 7 and at + 4 <= len(self.frame) and (not types or types[-1] in tags):
            types.append(self.word(at + 2))
            at += 4
        if not types or types[-1] in (0, *tags):
            self.refuse("vlan_hdr", at - 2 if types and types[-1] == 0 else at + 2, 0)
        return step

    def vxlan(self):
        self.need(8, "vxlanhdr")
        if self.frame[self.at + 1] & 0x20:
            self.remcsum = True
        self.at += 8
        return self.ethernet

    def vxlan_gpe(self):
        self.need(8, "vxlanhdr")
        start = self.at
        self.at += 8
        if self.frame[start] & 4:
            return self.by_next_protocol(self.frame[start + 3], start + 3)
        return self.ethernet

    def geneve(self):
        self.need(8, "genevehdr")
        start = self.at
        length = 8 + self.frame[start] % 64 * 4
        self.need(length, "opt_len")
        self.at += length
        return self.by_ethertype(self.word(start + 2), start + 2)

    def mpls(self):
        self.network()
        if not self.tunnels:
            self.transport_header = self.at
        self.enter(Tunnel.MPLS)
        bottom = False
        while not bottom:
            self.need(4, "mpls_shim_hdr")
            bottom = self.frame[self.at + 2] & 1
            self.at += 4
        return self.by_nibble("mpls_shim_hdr")

    def nsh(self):
        self.need(8, "nshhdr")
        start = self.at
        length = self.frame[start + 1] % 64 * 4
        if length < 8:
            self.fail(Reason.BAD_HEADER, "length", start + 1, 8)
        self.need(length, "length")
        self.network()
        if not self.tunnels:
            self.transport_header = self.at
        self.enter(Tunnel.NSH)
        self.at += length
        return self.by_next_protocol(self.frame[start + 3], start + 3)
