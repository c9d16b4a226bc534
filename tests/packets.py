"""Frames of every kind, for property tests: each header by hand, nothing computed."""

from hypothesis import strategies as st

from gso import Frames, GsoType, Tunnel
from gso.headers._ambiguous import guess_tunnels

PORTS = {
    5501: Tunnel.GUE,
    5555: Tunnel.FOU,
    5557: (Tunnel.FOU, 47),
    5560: Tunnel.VXLAN,
}


def pack16(*numbers):
    return b"".join((n % 65536).to_bytes(2, "big") for n in numbers)


any16 = st.integers(0, 0xFFFF)
# Zero matters in checksum fields.
check16 = st.one_of(st.just(0), any16)


@st.composite
def ipv4(draw, proto):
    options = draw(st.sampled_from([b"", b"", b"\x01" * 4, b"\x94\x04\0\0" + b"\x01" * 36]))
    frag_off = draw(st.sampled_from([0x4000, 0x4000, 0, 0x2000, 8]))
    return (
        bytes([0x40 + 5 + len(options) // 4, draw(st.integers(0, 255))])
        + pack16(draw(any16), draw(any16), frag_off)
        + bytes([draw(st.integers(0, 255)), proto])
        + pack16(draw(check16))
        + draw(st.binary(min_size=8, max_size=8))
        + options
    )


@st.composite
def extension(draw, kind, following):
    if kind == 43:
        n = draw(st.integers(0, 2))
        first = bytes([following, 2 * n, draw(st.sampled_from([0, 2, 4])), draw(st.integers(0, 1))])
        return first + bytes(4) + draw(st.binary(min_size=16 * n, max_size=16 * n))
    return bytes([following, 0, 1, 4, 0, 0, 0, 0])


@st.composite
def ipv6(draw, proto):
    kinds = draw(st.lists(st.sampled_from([0, 43, 60]), max_size=3))
    kinds = kinds if draw(st.booleans()) else []
    following, rest = proto, b""
    for kind in reversed(kinds):
        rest = draw(extension(kind, following)) + rest
        following = kind
    return (
        b"\x60"
        + draw(st.binary(min_size=3, max_size=3))
        + pack16(draw(any16))
        + bytes([following, draw(st.integers(0, 255))])
        + draw(st.binary(min_size=32, max_size=32))
        + rest
    )


def ip(version, proto):
    return ipv4(proto) if version == 4 else ipv6(proto)


@st.composite
def ethernet(draw, ethertype):
    tags = draw(st.lists(st.sampled_from([0x8100, 0x88A8]), max_size=2))
    out = draw(st.binary(min_size=12, max_size=12))
    for tag in tags:
        out += pack16(tag, draw(any16))
    return out + pack16(ethertype)


ETHERTYPE = {4: 0x0800, 6: 0x86DD}
IPPROTO = {4: 4, 6: 41}
PPP = {4: 0x0021, 6: 0x0057}


@st.composite
def before_ip(draw, version):
    """An Ethernet header, and now and then that of a PPPoE session, before an IP packet."""
    if draw(st.sampled_from([False, False, False, True])):
        first = draw(st.sampled_from([0x1100, 0x1100, 0x2109]))
        session = pack16(first, draw(any16), draw(any16), PPP[version])
        return draw(ethernet(0x8864)) + session
    return draw(ethernet(ETHERTYPE[version]))


@st.composite
def udp(draw, port):
    return pack16(draw(any16), port, draw(any16), draw(check16))


@st.composite
def gre(draw, ethertype):
    flags = draw(st.sampled_from([0, 0x2000, 0x8000, 0xA000, 0xA000, 0x1000, 0x4000]))
    size = 4 * bin(flags & 0xB000).count("1")
    return pack16(flags, ethertype) + draw(st.binary(min_size=size, max_size=size))


@st.composite
def gue(draw, proto):
    private = draw(st.sampled_from([b"", b"", b"\x80\0\0\0" + b"\0\x14\0\x24", b"\0\0\0\0"]))
    control = draw(st.sampled_from([0, 0, 0, 0x20]))
    return bytes([control + len(private) // 4, proto]) + pack16(1 if private else 0) + private


@st.composite
def vxlan(draw, gpe=None):
    flags = draw(st.sampled_from([0x08000000, 0x08200000]))
    if gpe is not None:
        flags = 0x0C000000 | gpe
    return flags.to_bytes(4, "big") + draw(st.binary(min_size=4, max_size=4))


@st.composite
def geneve(draw, ethertype):
    words = draw(st.integers(0, 5))
    return (
        bytes([words, 0])
        + pack16(ethertype)
        + draw(st.binary(min_size=4 + 4 * words, max_size=4 + 4 * words))
    )


@st.composite
def nsh(draw, following):
    words = draw(st.sampled_from([2, 2, 6]))
    return bytes([0, words, 1, following]) + draw(
        st.binary(min_size=4 * words - 4, max_size=4 * words - 4)
    )


@st.composite
def mpls(draw):
    labels = draw(st.integers(1, 3))
    return b"".join(bytes([0, 16, i == labels - 1, 64]) for i in range(labels))


@st.composite
def tcp(draw):
    options = draw(st.sampled_from([b"", b"\x01\x01\x08\x0a" + bytes(8), b"\x01" * 40]))
    flags = draw(st.integers(0, 0x1FF))
    return (
        draw(st.binary(min_size=4, max_size=4))
        + draw(st.sampled_from([b"\xff\xff\xff\xf0", b"\0\0\0\1"]))
        + bytes(4)
        + pack16((5 + len(options) // 4) << 12 | flags, draw(any16), draw(check16), draw(any16))
        + options
    )


@st.composite
def inner_packet(draw, version, l4):
    proto = 6 if l4 == "tcp" else 17
    header = draw(tcp()) if l4 == "tcp" else draw(udp(draw(st.sampled_from([53, 9, 443, 2152]))))
    return draw(ip(version, proto)) + header


@st.composite
def tunnelled(draw, kind, outer, inner_version, inner):
    """The IP packet `inner` in one tunnel over an outer IP header."""
    inner_frame = draw(before_ip(inner_version)) + inner
    bridged = draw(st.booleans())
    packet, ethertype = (inner_frame, 0x6558) if bridged else (inner, ETHERTYPE[inner_version])
    if kind == "ip":
        return draw(ip(outer, IPPROTO[inner_version])) + inner
    if kind == "gre":
        return draw(ip(outer, 47)) + draw(gre(ethertype)) + packet
    port = draw(st.sampled_from([4789, 8472, 5560]))
    body = {
        "fou": lambda: draw(udp(5555)) + inner,
        "fou-gre": lambda: draw(udp(5557)) + draw(gre(ethertype)) + packet,
        "gue": lambda: draw(udp(5501)) + draw(gue(IPPROTO[inner_version])) + inner,
        "gue1": lambda: draw(udp(6080)) + inner,
        "gue-gre": lambda: draw(udp(5501)) + draw(gue(47)) + draw(gre(ethertype)) + packet,
        "vxlan": lambda: draw(udp(port)) + draw(vxlan()) + inner_frame,
        "gpe": lambda: draw(udp(4790)) + draw(vxlan(1 if inner_version == 4 else 2)) + inner,
        "gpe-eth": lambda: draw(udp(4790)) + draw(vxlan(3)) + inner_frame,
        "gpe-nsh": lambda: draw(udp(4790)) + draw(vxlan(4)) + draw(nsh(3)) + inner_frame,
        "geneve": lambda: draw(udp(6081)) + draw(geneve(ethertype)) + packet,
        "geneve-mpls": lambda: draw(udp(6081)) + draw(geneve(0x8847)) + draw(mpls()) + inner,
    }[kind]()
    return draw(ip(outer, 17)) + body


KINDS = [
    "ip", "gre", "fou", "fou-gre", "gue", "gue1", "gue-gre", "vxlan", "gpe", "gpe-eth", "gpe-nsh",
    "geneve", "geneve-mpls",
]  # fmt: skip

versions = st.sampled_from([4, 6])


@st.composite
def headers(draw):
    """All headers of a frame with up to six tunnels, and its link type."""
    version = draw(versions)
    packet = draw(inner_packet(version, draw(st.sampled_from(["tcp", "udp"]))))
    depth = draw(st.sampled_from([0, 1, 1, 1, 1, 2, 2, 6]))
    for _ in range(depth):
        outer, kind = draw(versions), draw(st.sampled_from(KINDS))
        packet = draw(tunnelled(kind, outer, version, packet))
        version = outer
    link = draw(st.sampled_from(["ethernet", "ethernet", "ethernet", "raw", "mpls", "nsh"]))
    if link == "raw":
        return packet, "raw"
    if link == "mpls":
        return draw(ethernet(0x8847)) + draw(mpls()) + packet, "ethernet"
    if link == "nsh":
        return draw(ethernet(0x894F)) + draw(nsh(1 if version == 4 else 2)) + packet, "ethernet"
    return draw(before_ip(version)) + packet, "ethernet"


@st.composite
def frames(draw):
    """(frame, link type): mostly whole, sometimes cut short or with some bytes changed."""
    head, link = draw(headers())
    payload = draw(st.binary(max_size=12))
    size = draw(st.sampled_from([0, 1, 8, 9, 30, 61, 200, 1501]))
    frame = head + (payload * (size // max(len(payload), 1) + 1))[:size]
    harm = draw(st.sampled_from(["none"] * 6 + ["cut", "change"]))
    if harm == "cut":
        frame = frame[: draw(st.integers(0, len(frame)))]
    elif harm == "change" and head:
        frame = bytearray(frame)
        for _ in range(draw(st.integers(1, 3))):
            frame[draw(st.integers(0, len(head) - 1))] = draw(st.integers(0, 255))
    return bytes(frame), link


BITS = [bit for bit in GsoType if bit not in {GsoType.FRAGLIST, GsoType.DODGY}]
gso_types = st.one_of(
    st.none(),
    st.none(),
    st.none(),
    st.sampled_from(
        [
            *(GsoType.TCP_FIXEDID, GsoType.UDP, GsoType.PARTIAL, GsoType.TCP_ACCECN),
            *(GsoType.TCP_FIXEDID_OUTER, GsoType.TCP_FIXEDID_INNER, 3 << 30),
            GsoType.UDP_L4 | GsoType.PARTIAL,
        ]
    ),
    st.sampled_from(
        [
            GsoType.TCPV4 | GsoType.TCPV6 | GsoType.UDP_L4 | tunnel | extra
            for tunnel in (
                GsoType.UDP_TUNNEL,
                GsoType.UDP_TUNNEL_CSUM,
                GsoType.UDP_TUNNEL_CSUM | GsoType.TUNNEL_REMCSUM,
                GsoType.UDP_TUNNEL | GsoType.TUNNEL_REMCSUM,
                GsoType.GRE,
                GsoType.GRE_CSUM,
            )
            for extra in (GsoType(0), GsoType.PARTIAL, GsoType.TCP_FIXEDID)
        ]
    ),
    st.lists(st.sampled_from(BITS), max_size=4).map(lambda bits: GsoType(sum(set(bits)))),
    st.integers(0, 1 << 22),
)
kernels = st.sampled_from(["6.12", "6.12", "7.3", "6.1"])
gso_sizes = st.sampled_from([0, 0, 1, 7, 8, 8, 16, 16, 29, 29, 100, 536, 65534, 65535, -1])


def ports_for(frame, link):
    """PORTS, with the frame's UDP port as plain where its payload may be a tunnel's.

    The reference does not ask whether a payload on a port that it does not know is a tunnel.
    """
    guesses = guess_tunnels(Frames.from_list([frame]), link_type=link, tunnel_ports=PORTS)
    return PORTS | {port: None for _, port, _ in guesses}
