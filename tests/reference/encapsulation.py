"""Packets put into tunnels, by joining byte strings."""

from ipaddress import ip_address

from reference.checksums import checksum, not_zero, pseudo_header

ETHERTYPES = {4: 0x0800, 6: 0x86DD}
IP_PROTOCOLS = {4: 4, 6: 41}
DF_BY_DEFAULT = {"ipip", "sit", "gre", "fou", "gue"}
PORTS = {"gue": 6080, "vxlan": 4789, "vxlan-gpe": 4790, "geneve": 6081, "gtp-u": 2152}


def be(value, size):
    return value.to_bytes(size, "big")


class Inner:
    """The packet that is put in: what of it counts for the outer headers."""

    def __init__(self, frame, link_type, whole):
        at, version = 0, frame[0] >> 4 if frame else 0
        if link_type == "ethernet":
            at, kind = 14, frame[12:14]
            while kind in (b"\x81\0", b"\x88\xa8") and at + 4 <= len(frame) and at < 14 + 32:
                kind = frame[at + 2 : at + 4]
                at += 4
            version = {b"\x08\0": 4, b"\x86\xdd": 6}.get(kind, 0)
        ip = frame[at:]
        self.version = version if has_header(ip, version) else 0
        self.at = at
        self.tos = self.ttl = 0
        self.df = False
        length = 0
        if self.version == 4:
            self.tos, self.ttl, self.df = ip[1], ip[8], bool(ip[6] & 0x40)
            length, least = int.from_bytes(ip[2:4], "big"), (ip[0] & 15) * 4
        elif self.version == 6:
            self.tos, self.ttl, self.df = (ip[0] << 4 | ip[1] >> 4) & 0xFF, ip[7], True
            length, least = 40 + int.from_bytes(ip[4:6], "big"), 40
        if self.version and least < length <= len(ip):
            ip = ip[:length]
        self.ip = ip
        self.data = frame if whole else ip


def has_header(ip, version):
    if version == 4:
        return len(ip) >= 20 and ip[0] >> 4 == 4 and 20 <= (ip[0] & 15) * 4 <= len(ip)
    return version == 6 and len(ip) >= 40 and ip[0] >> 4 == 6


def tunnel_header(kind, inner, data, given):  # noqa: PLR0911
    """The header between UDP or the outer IP header and the packet."""
    key, version = given.get("key"), inner.version
    if kind == "gre":
        proto = 0x6558 if given.get("inner") == "ethernet" else ETHERTYPES[version]
        sealed = given.get("checksum") if not given.get("encap") else False
        has = [bool(sealed), False, key is not None, "sequence" in given]
        flags = sum(bit << 15 - i for i, bit in enumerate(has))
        fields = bytes(4) if has[0] else b""
        fields += be(key, 4) if has[2] else b""
        fields += be(given["sequence"], 4) if has[3] else b""
        header = be(flags, 2) + be(proto, 2) + fields
        if sealed is True:
            header = header[:4] + be(checksum(header + data), 2) + header[6:]
        return (b"\0\x2f\0\0" if given.get("encap") == "gue" else b"") + header
    if kind == "gue":
        return be(IP_PROTOCOLS[version], 2) + be(0, 2)
    if kind == "vxlan":
        policy = given.get("policy")
        first = 0x08000000 if policy is None else 0x88000000 | policy
        return be(first, 4) + be(key or 0, 3) + b"\0"
    if kind == "vxlan-gpe":
        return b"\x0c\0\0" + be({4: 1, 6: 2}[version], 1) + be(key or 0, 3) + b"\0"
    if kind == "geneve":
        options = given.get("options", b"")
        proto = ETHERTYPES[version] if given.get("inner") == "ip" else 0x6558
        critical = 0x40 if critical_options(options) else 0
        return (
            be(len(options) // 4, 1)
            + be(critical, 1)
            + be(proto, 2)
            + be(key or 0, 3)
            + b"\0"
            + options
        )
    if kind == "gtp-u":
        return b"\x30\xff" + be(len(data), 2) + be(key or 0, 4)
    return b""


def critical_options(options):
    while options:
        if options[2] & 0x80:
            return True
        options = options[4 + (options[3] & 31) * 4 :]
    return False


def is_in_udp(kind, given):
    return kind not in ("ipip", "sit", "ip6tnl", "gre") or bool(given.get("encap"))


def outer(kind, inner, payload, given):
    """The outer IP header, and the UDP checksum's place filled in."""
    ends = [ip_address(given[name]) for name in ("source", "destination")]
    in_udp = is_in_udp(kind, given)
    protocol = 17 if in_udp else 47 if kind == "gre" else IP_PROTOCOLS[inner.version]
    if in_udp and given.get("checksum"):
        total = pseudo_header(ends[0].packed, ends[1].packed, 17, len(payload))
        check = total if given["checksum"] == "partial" else not_zero(checksum(payload, total))
        payload = payload[:6] + be(check, 2) + payload[8:]
    tos, ttl, df = (
        given.get(name, other) for name, other in (("tos", 0), ("ttl", 64), ("df", None))
    )
    tos = inner.tos if tos == "inherit" else tos
    bits = tos if kind == "gre" and ends[0].version == 6 else inner.tos
    ecn = 2 if bits & 3 == 3 else bits & 3
    tos = tos & 0xFC | ecn
    ttl = (inner.ttl if inner.version else 64) if ttl == "inherit" else ttl
    df = kind in DF_BY_DEFAULT if df is None else inner.df if df == "inherit" else df
    addresses = ends[0].packed + ends[1].packed
    if ends[0].version == 4:
        header = be(0x45, 1) + be(tos, 1) + be(20 + len(payload), 2) + be(given.get("ip_id", 0), 2)
        header += be(0x4000 if df else 0, 2) + be(ttl, 1) + be(protocol, 1)
        return header + be(checksum(header + addresses), 2) + addresses + payload
    if given.get("encap_limit") is not None:
        payload = bytes([protocol, 0, 4, 1, given["encap_limit"], 1, 1, 0]) + payload
        protocol = 60
    word = 6 << 28 | tos << 20 | given.get("flow_label", 0)
    return be(word, 4) + be(len(payload), 2) + be(protocol, 1) + be(ttl, 1) + addresses + payload


def encapsulate(frame, kind, given):
    """A frame in its tunnel, for a source port that is given and without remote checksums."""
    link_type = given.get("link_type", "ethernet")
    default = "ethernet" if kind in ("vxlan", "geneve") else "ip"
    inner = Inner(frame, link_type, given.get("inner", default) == "ethernet")
    payload = tunnel_header(kind, inner, inner.data, given) + inner.data
    if is_in_udp(kind, given):
        port = given.get("port", PORTS.get(given.get("encap", kind)))
        payload = (
            be(given["source_port"], 2) + be(port, 2) + be(8 + len(payload), 2) + bytes(2) + payload
        )
    packet = outer(kind, inner, payload, given)
    link = given.get("link")
    if link is None:
        link = frame[:14] if link_type == "ethernet" else b""
    return link[:-2] + be(ETHERTYPES[packet[0] >> 4], 2) + packet if link else packet
