"""Every protocol that may surround a segmented packet, one row of a table each.

A row has the fields in wire order with their widths, how long the header says it is, what its
optional part holds, and what follows it. `gso.headers.fields` walks any chain of them.

Sources: IEEE 802.3 and 802.1Q, RFC 791, 1042 (SNAP), 1661 (PPP), 8200, 9293, 768, 2516 (PPPoE),
2784 and 2890 (GRE), 3032 (MPLS), 4302 (AH), 4385 (control words of pseudowires), 7348 (VXLAN),
8300 (NSH), 8926 (Geneve), 9260 (SCTP), draft-ietf-intarea-gue, draft-herbert-remotecsumoffload,
draft-ietf-nvo3-vxlan-gpe, and the kernel's include/net/gue.h and include/net/vxlan.h.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address
from typing import Any, TypeAlias

from gso.buffers._checksum import checksum
from gso.headers.links import AF_INET, AF_INET6
from gso.headers.tunnels import BY_NAME, Carries

# --- how values are shown ----------------------------------------------------------------------

Text: TypeAlias = "Callable[[Any], str]"
Values: TypeAlias = "dict[str, int]"
BYTES = 0
"""In place of a number of bits: the rest of the header's optional part."""


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def _ipv4(value: int) -> str:
    return str(IPv4Address(value))


def _ipv6(value: int) -> str:
    return str(IPv6Address(value))


def _hex(digits: int) -> Text:
    return lambda value: f"0x{value:0{digits}x}"


def _times(unit: int) -> Text:
    return lambda value: f"{value} ({value * unit} bytes)"


def _named(names: Mapping[int, str], digits: int = 0) -> Text:
    def text(value: int) -> str:
        number = f"0x{value:0{digits}x}" if digits else str(value)
        return f"{number} ({names[value]})" if value in names else number

    return text


def _flags(digits: int, names: Mapping[int, str]) -> Text:
    def text(value: int) -> str:
        set_names = [name for bit, name in names.items() if value & bit]
        return f"0x{value:0{digits}x}" + (f" ({' '.join(set_names)})" if set_names else "")

    return text


def show_data(value: bytes) -> str:
    """Opaque data: how much, and its beginning."""
    shown = value[:16].hex(" ")
    return f"{len(value)} bytes" + (f": {shown}{' ...' * (len(value) > 16)}" if value else "")


_ETHERTYPES = {
    0x0800: "IPv4",
    0x0806: "ARP",
    0x6558: "Ethernet",
    0x8100: "VLAN",
    0x86DD: "IPv6",
    0x8847: "MPLS",
    0x8848: "MPLS multicast",
    0x8864: "PPPoE session",
    0x88A8: "QinQ",
    0x894F: "NSH",
}
IP_PROTOCOLS = {
    0: "hop-by-hop options",
    1: "ICMP",
    2: "IGMP",
    4: "IPv4",
    6: "TCP",
    17: "UDP",
    41: "IPv6",
    43: "routing",
    44: "fragment",
    47: "GRE",
    50: "ESP",
    51: "AH",
    58: "ICMPv6",
    59: "no next header",
    60: "destination options",
    132: "SCTP",
    137: "MPLS",
    143: "Ethernet",
}
_GPE_PROTOCOLS = {1: "IPv4", 2: "IPv6", 3: "Ethernet", 4: "NSH", 5: "MPLS"}
_TCP_FLAGS = {
    0x100: "AE",
    0x80: "CWR",
    0x40: "ECE",
    0x20: "URG",
    0x10: "ACK",
    0x08: "PSH",
    0x04: "RST",
    0x02: "SYN",
    0x01: "FIN",
}
_PPP_PROTOCOLS = {0x0021: "IPv4", 0x0057: "IPv6", 0xC021: "LCP", 0x8021: "IPCP", 0x8057: "IPV6CP"}
_ECN = {0: "not ECT", 1: "ECT(1)", 2: "ECT(0)", 3: "CE"}


# --- one row a protocol ------------------------------------------------------------------------


@dataclass(frozen=True)
class Spec:
    """A field of a header: its name, its width in bits, and how to show it."""

    name: str
    bits: int
    text: Text = str


@dataclass
class Context:
    """The facts known about the headers that follow, from the caller and the headers so far."""

    ports: Mapping[int, str | None]
    tunnel: str | None = None
    """The protocol in the first UDP header, if `known`, whatever its ports."""
    known: bool = False
    room: int = 0
    """Bytes of the frame that follow the header read last."""


def no_size(_: Values) -> int:
    """The header has no length of its own."""
    return 0


def _no_options(_: Values, __: bytes) -> Iterable[Spec]:
    return ()


def _nothing(_: Values, __: bytes, ___: Context) -> str | None:
    return None


@dataclass(frozen=True)
class Protocol:
    """A header: fixed fields, then optional ones up to the size that it says it has.

    `size` is in bytes; less than the fixed fields need means just those. `options` describes the
    bytes between. `follows` names the next protocol, given the bytes that come after, or None.
    """

    name: str
    fields: tuple[Spec, ...]
    follows: Callable[[Values, bytes, Context], str | None] = _nothing
    size: Callable[[Values], int] = no_size
    options: Callable[[Values, bytes], Iterable[Spec]] = _no_options
    encapsulates: bool = False
    """The header after this one is one level further inside."""
    remcsum: tuple[str, int] | None = None
    """The field, and its bit, that say remote checksum offload."""

    @property
    def fixed(self) -> int:
        """Bytes of the fixed fields."""
        return sum(spec.bits for spec in self.fields) // 8


def ip_version(rest: bytes) -> str | None:
    """The protocol that the first four bits of an IP header show."""
    return {4: "ipv4", 6: "ipv6"}.get(rest[0] >> 4) if rest else None


_LEAST_ETHERTYPE = 0x600
_SNAP = b"\xaa\xaa\x03"
_SNAP_ETHERNET = _SNAP + bytes(3)


BY_ETHERTYPE = {
    0x0800: "ipv4",
    0x0806: "arp",
    0x6558: "ethernet",
    0x8100: "vlan",
    0x86DD: "ipv6",
    0x8847: "mpls",
    0x8848: "mpls",
    0x8864: "pppoe",
    0x88A8: "vlan",
    0x894F: "nsh",
}


def _by_ethertype(key: str) -> Callable[[Values, bytes, Context], str | None]:
    def follows(values: Values, rest: bytes, _: Context) -> str | None:
        found = BY_ETHERTYPE.get(values[key])
        # IEEE 802.3: a length, which a super-packet's may be though it is as large as a type
        least = _SNAP if values[key] < _LEAST_ETHERTYPE else _SNAP_ETHERNET
        return "snap" if found is None and rest.startswith(least) else found

    return follows


BY_IP_PROTOCOL = {
    0: "hop-by-hop options",
    1: "icmp",
    4: "ipv4",
    6: "tcp",
    17: "udp",
    41: "ipv6",
    43: "routing",
    44: "fragment",
    47: "gre",
    51: "ah",
    58: "icmpv6",
    60: "destination options",
    132: "sctp",
    137: "mpls",
    143: "ethernet",
}


def _by_ip_protocol(key: str) -> Callable[[Values, bytes, Context], str | None]:
    def follows(values: Values, _: bytes, __: Context) -> str | None:
        if values.get("fragment offset"):
            return None  # the header that the protocol announces is in the first fragment
        return BY_IP_PROTOCOL.get(values[key])

    return follows


def _after_udp(values: Values, rest: bytes, context: Context) -> str | None:
    port = values["destination port"]
    known, context.known = context.known, False
    tunnel = context.tunnel if known else context.ports.get(port)
    if tunnel == "gue" and rest:
        # The version is in the first two bits; version 1 is an IP header without any GUE header.
        return {0: "gue", 1: ip_version(rest)}.get(rest[0] >> 6)
    if tunnel == "fou":
        # Nothing in the packet says GRE: it is told only where a tunnel is known to be here.
        return ip_version(rest) or ("gre" if known else None)
    return tunnel


def _by_gpe_protocol(values: Values, _: bytes, __: Context) -> str | None:
    protocols = {1: "ipv4", 2: "ipv6", 3: "ethernet", 4: "nsh", 5: "mpls"}
    return protocols.get(values["next protocol"])


def _after_pppoe(values: Values, _: bytes, __: Context) -> str | None:
    return {0x0021: "ipv4", 0x0057: "ipv6"}.get(values["ppp protocol"])


_PPP_FIELDS = (Spec("address", 8, _hex(2)), Spec("control", 8, _hex(2)))


def _ppp_protocol(bits: int) -> Spec:
    return Spec("ppp protocol", bits, _named(_PPP_PROTOCOLS, 4))


def ppp_header(rest: bytes) -> str:
    """The header of PPP or Cisco HDLC in front of these bytes.

    Address and control field may be left out, and the protocol's first byte if that is 0: the last
    byte of a protocol is odd, any before it even (RFC 1661, sections 2 and 6).
    """
    if rest[:2] in (b"\x0f\0", b"\x8f\0"):
        return "cisco hdlc"
    whole = rest[:2] == b"\xff\x03"
    short = rest[2 * whole :][:1] and rest[2 * whole] & 1
    if short:
        return "ppp with short protocol" if whole else "shortest ppp"
    return "ppp" if whole else "compressed ppp"


def _after_snap(values: Values, rest: bytes, context: Context) -> str | None:
    # RFC 1042; other organizations have types of their own.
    return None if values["organization"] else _by_ethertype("type")(values, rest, context)


def _after_mpls(values: Values, rest: bytes, context: Context) -> str | None:
    if not values["bottom of stack"]:
        return "mpls"
    # IP or a pseudowire. Nothing but the packet says which, and whether a control word comes first.
    wires = [name for name, at in _PSEUDOWIRES if _is_typed(rest[at + 12 : at + 14])]
    version = ip_version(rest)
    sure = version == "ipv4" and _is_ipv4(rest)
    if sure or (version and "ethernet" not in wires and _may_be_ip(version, rest, context.room)):
        return version
    if version or not rest or rest[0] >> 4:
        maybe_ip = version == "ipv6" and rest[6] in IP_PROTOCOLS.keys() - {1, 2}
        return "ethernet" if "ethernet" in wires and not maybe_ip else None
    return wires[0] if len(wires) == 1 else None


_PSEUDOWIRES = (("ethernet", 0), ("control word", 4))
_TRAILER = 64
"""Longest padding or trailer behind a packet that nothing announces, in bytes."""


def _is_ipv4(rest: bytes) -> bool:
    """Whether a header is one of IPv4 by its checksum."""
    hlen = (rest[0] & 15) * 4
    return 20 <= hlen <= len(rest) and checksum(rest[:hlen]) == 0


def _may_be_ip(version: str, rest: bytes, room: int) -> bool:
    """Whether an IP packet that nothing announces is one by its length, or IPv6 by its protocol.

    The address of a pseudowire's Ethernet frame can begin as an IP header does.
    """
    if version == "ipv6" and len(rest) > 6 and rest[6] in IP_PROTOCOLS.keys() - {1, 2}:
        return True
    at, uncounted = (2, 0) if version == "ipv4" else (4, 40)
    return 0 <= room - int.from_bytes(rest[at : at + 2], "big") - uncounted <= _TRAILER


def _is_typed(field: bytes) -> bool:
    """Whether the field may be the type of an Ethernet frame, of those known here."""
    return int.from_bytes(field, "big") in _ETHERTYPES


def address_family(number: int) -> int:
    """The address family of a loopback header, in the byte order of the system that captured."""
    return number if number <= 0xFFFF else int.from_bytes(number.to_bytes(4, "big"), "little")


def _after_loopback(values: Values, _: bytes, __: Context) -> str | None:
    family = address_family(values["address family"])
    return "ipv4" if family == AF_INET else "ipv6" if family in AF_INET6 else None


def _tlv(
    names: Mapping[int, tuple[str, tuple[Spec, ...]]], single: Mapping[int, str]
) -> Callable[[Values, bytes], Iterator[Spec]]:
    """Options of IPv4 and TCP: kind, length (both counted), data; some kinds are one byte."""

    def options(_: Values, body: bytes) -> Iterator[Spec]:
        at = 0
        while at < len(body):
            kind = body[at]
            if kind in single:
                yield Spec(single[kind], 8, _named({kind: single[kind]}))
                at += 1
                if kind == 0:
                    break
                continue
            length = body[at + 1] if at + 1 < len(body) else 0
            if not 2 <= length <= len(body) - at:
                break
            name, inside = names.get(kind, (f"option {kind}", ()))
            yield Spec(f"{name} kind", 8)
            yield Spec(f"{name} length", 8)
            width = sum(spec.bits for spec in inside)
            if inside and (length - 2) * 8 % width == 0:
                for number in range((length - 2) * 8 // width):
                    suffix = f" {number + 1}" if number else ""
                    yield from (replace(spec, name=spec.name + suffix) for spec in inside)
            elif length > 2:
                yield Spec(f"{name} data", (length - 2) * 8, show_data)
            at += length

    return options


def _geneve_options(_: Values, body: bytes) -> Iterator[Spec]:
    at = 0
    while len(body) - at >= 4:
        length = (body[at + 3] & 0x1F) * 4
        yield Spec("option class", 16, _hex(4))
        yield Spec("option type", 8, _hex(2))
        yield Spec("option reserved", 3)
        yield Spec("option length", 5, _times(4))
        if length > len(body) - at - 4:
            break
        if length:
            yield Spec("option data", length * 8, show_data)
        at += 4 + length


def _gue_options(values: Values, body: bytes) -> Iterator[Spec]:
    # Only the private flags are defined in the kernel (include/net/gue.h).
    if values["flags"] & 1 and len(body) >= 4:
        yield Spec("private flags", 32, _flags(8, {1 << 31: "REMCSUM"}))
        if body[0] & 0x80 and len(body) >= 8:
            yield Spec("remcsum start", 16)
            yield Spec("remcsum offset", 16)


def _gre_size(values: Values) -> int:
    return (
        4
        + 4 * sum(values[flag] for flag in ("checksum present", "key present"))
        + (4 * values["sequence present"])
    )


def _gre_options(values: Values, _: bytes) -> Iterator[Spec]:
    if values["checksum present"]:
        yield Spec("checksum", 16, _hex(4))
        yield Spec("reserved1", 16, _hex(4))
    if values["key present"]:
        yield Spec("key", 32, _hex(8))
    if values["sequence present"]:
        yield Spec("sequence number", 32)


def _after_gre(values: Values, rest: bytes, context: Context) -> str | None:
    # Routing (RFC 1701) and version 1 (RFC 2637) put fields here that nothing below knows.
    if values["version"] or values["routing present"]:
        return None
    return _by_ethertype("protocol")(values, rest, context)


_TCP_OPTIONS = {
    2: ("mss", (Spec("mss", 16),)),
    3: ("window scale", (Spec("window scale", 8),)),
    4: ("sack permitted", ()),
    5: ("sack", (Spec("sack left edge", 32), Spec("sack right edge", 32))),
    8: ("timestamps", (Spec("timestamp value", 32), Spec("timestamp echo reply", 32))),
    19: ("md5", ()),
    29: ("authentication", ()),
    30: ("multipath", ()),
    34: ("fast open", ()),
    172: ("accecn order 0", ()),
    174: ("accecn order 1", ()),
}
_IPV4_OPTIONS: dict[int, tuple[str, tuple[Spec, ...]]] = {
    7: ("record route", ()),
    68: ("timestamp", ()),
    130: ("security", ()),
    131: ("loose source route", ()),
    134: ("cipso", ()),
    137: ("strict source route", ()),
    148: ("router alert", (Spec("router alert value", 16),)),
}


def _ipv6_options(_: Values, body: bytes) -> Iterator[Spec]:
    names = {1: "padding", 4: "encapsulation limit", 5: "router alert", 194: "jumbo payload"}
    at = 0
    while at < len(body):
        if body[at] == 0:
            yield Spec("pad1", 8)
            at += 1
            continue
        length = body[at + 1] if at + 1 < len(body) else len(body)
        if length > len(body) - at - 2:
            break
        name = names.get(body[at], f"option {body[at]}")
        yield Spec(f"{name} type", 8)
        yield Spec(f"{name} length", 8)
        if length:
            yield Spec(f"{name} data", length * 8, show_data if length > 4 else str)
        at += 2 + length


def _routing(_: Values, __: bytes) -> Iterator[Spec]:
    yield Spec("routing type", 8)
    yield Spec("segments left", 8)
    yield Spec("data", BYTES, show_data)


def _extension(name: str, options: Callable[[Values, bytes], Iterable[Spec]]) -> Protocol:
    return Protocol(
        name,
        (Spec("next header", 8, _named(IP_PROTOCOLS)), Spec("length", 8)),
        _by_ip_protocol("next header"),
        size=lambda values: values["length"] * 8 + 8,
        options=options,
    )


_CARRIED: dict[Carries, Callable[[Values, bytes, Context], str | None]] = {
    Carries.ETHERNET: lambda _, __, ___: "ethernet",
    Carries.ETHERTYPE: _by_ethertype("protocol"),
    Carries.NEXT_PROTOCOL: _by_gpe_protocol,
    Carries.IP_PROTOCOL: _by_ip_protocol("protocol"),
}
_OPTION_LENGTHS = ("header length", "option length")


def _in_udp(
    name: str,
    fields: tuple[Spec, ...],
    *,
    options: Callable[[Values, bytes], Iterable[Spec]] = _no_options,
    remcsum: tuple[str, int] | None = None,
) -> Protocol:
    """The header of a tunnel in UDP: its length and what follows are in gso.headers.tunnels."""
    row = BY_NAME[name]
    carried = _CARRIED[row.carries]

    def size(values: Values) -> int:
        return row.length + 4 * sum(values.get(field, 0) for field in _OPTION_LENGTHS)

    def follows(values: Values, rest: bytes, context: Context) -> str | None:
        # A control packet, as GUE has them, carries no packet
        return None if name == "gue" and values["control"] else carried(values, rest, context)

    return Protocol(
        name, fields, follows, size=size, options=options, encapsulates=True, remcsum=remcsum
    )


_VXLAN_FLAGS = {0x80000000: "GBP", 0x08000000: "VNI", 0x00200000: "REMCSUM"}
_GPE_FLAGS = {0x08: "VNI", 0x04: "NEXT PROTOCOL", 0x02: "BUM", 0x01: "OAM"}

PROTOCOLS: dict[str, Protocol] = {
    row.name: row
    for row in (
        Protocol(
            "ethernet",
            (
                Spec("destination", 48, _mac),
                Spec("source", 48, _mac),
                Spec("type", 16, _named(_ETHERTYPES, 4)),
            ),
            _by_ethertype("type"),
        ),
        Protocol(
            "vlan",
            (
                Spec("priority", 3),
                Spec("drop eligible", 1),
                Spec("vlan id", 12),
                Spec("type", 16, _named(_ETHERTYPES, 4)),
            ),
            _by_ethertype("type"),
        ),
        Protocol(
            "linux_sll",
            (
                Spec("packet type", 16),
                Spec("hardware type", 16),
                Spec("address length", 16),
                Spec("address", 64, _hex(16)),
                Spec("protocol", 16, _named(_ETHERTYPES, 4)),
            ),
            _by_ethertype("protocol"),
        ),
        Protocol(
            "linux_sll2",
            (
                Spec("protocol", 16, _named(_ETHERTYPES, 4)),
                Spec("reserved", 16),
                Spec("interface index", 32),
                Spec("hardware type", 16),
                Spec("packet type", 8),
                Spec("address length", 8),
                Spec("address", 64, _hex(16)),
            ),
            _by_ethertype("protocol"),
        ),
        Protocol("loopback", (Spec("address family", 32, _hex(8)),), _after_loopback),
        Protocol(
            "arp",
            (
                Spec("hardware type", 16),
                Spec("protocol type", 16, _named(_ETHERTYPES, 4)),
                Spec("hardware length", 8),
                Spec("protocol length", 8),
                Spec("operation", 16, _named({1: "request", 2: "reply"})),
                Spec("sender hardware address", 48, _mac),
                Spec("sender protocol address", 32, _ipv4),
                Spec("target hardware address", 48, _mac),
                Spec("target protocol address", 32, _ipv4),
            ),
        ),
        Protocol(
            "pppoe",
            (
                Spec("version", 4),
                Spec("type", 4),
                Spec("code", 8, _hex(2)),
                Spec("session", 16, _hex(4)),
                Spec("length", 16),
                Spec("ppp protocol", 16, _named(_PPP_PROTOCOLS, 4)),
            ),
            _after_pppoe,
        ),
        Protocol("ppp direction", (Spec("direction", 8),), lambda _, rest, __: ppp_header(rest)),
        Protocol("ppp", (*_PPP_FIELDS, _ppp_protocol(16)), _after_pppoe),
        Protocol("compressed ppp", (_ppp_protocol(16),), _after_pppoe),
        Protocol("ppp with short protocol", (*_PPP_FIELDS, _ppp_protocol(8)), _after_pppoe),
        Protocol("shortest ppp", (_ppp_protocol(8),), _after_pppoe),
        Protocol(
            "cisco hdlc",
            (*_PPP_FIELDS, Spec("protocol", 16, _named(_ETHERTYPES, 4))),
            _by_ethertype("protocol"),
        ),
        Protocol(
            "snap",
            (
                Spec("dsap", 8, _hex(2)),
                Spec("ssap", 8, _hex(2)),
                Spec("control", 8, _hex(2)),
                Spec("organization", 24, _hex(6)),
                Spec("type", 16, _named(_ETHERTYPES, 4)),
            ),
            _after_snap,
        ),
        Protocol(
            "mpls",
            (
                Spec("label", 20),
                Spec("traffic class", 3),
                Spec("bottom of stack", 1),
                Spec("ttl", 8),
            ),
            _after_mpls,
        ),
        Protocol(
            "control word",
            (Spec("zero", 4), Spec("flags", 12, _hex(3)), Spec("sequence number", 16)),
            lambda _, __, ___: "ethernet",
        ),
        Protocol(
            "nsh",
            (
                Spec("version", 2),
                Spec("oam", 1),
                Spec("unassigned", 1),
                Spec("ttl", 6),
                Spec("length", 6, _times(4)),
                Spec("unassigned 2", 4),
                Spec("metadata type", 4),
                Spec("next protocol", 8, _named(_GPE_PROTOCOLS)),
                Spec("service path", 24),
                Spec("service index", 8),
            ),
            _by_gpe_protocol,
            size=lambda values: values["length"] * 4,
            options=lambda _, __: (Spec("context", BYTES, show_data),),
            encapsulates=True,
        ),
        Protocol(
            "ipv4",
            (
                Spec("version", 4),
                Spec("header length", 4, _times(4)),
                Spec("dscp", 6),
                Spec("ecn", 2, _named(_ECN)),
                Spec("total length", 16),
                Spec("identification", 16, _hex(4)),
                Spec("flags", 3, _flags(1, {4: "RESERVED", 2: "DF", 1: "MF"})),
                Spec("fragment offset", 13, _times(8)),
                Spec("ttl", 8),
                Spec("protocol", 8, _named(IP_PROTOCOLS)),
                Spec("checksum", 16, _hex(4)),
                Spec("source", 32, _ipv4),
                Spec("destination", 32, _ipv4),
            ),
            _by_ip_protocol("protocol"),
            size=lambda values: values["header length"] * 4,
            options=_tlv(_IPV4_OPTIONS, {0: "end of options", 1: "no-operation"}),
        ),
        Protocol(
            "ipv6",
            (
                Spec("version", 4),
                Spec("dscp", 6),
                Spec("ecn", 2, _named(_ECN)),
                Spec("flow label", 20, _hex(5)),
                Spec("payload length", 16),
                Spec("next header", 8, _named(IP_PROTOCOLS)),
                Spec("hop limit", 8),
                Spec("source", 128, _ipv6),
                Spec("destination", 128, _ipv6),
            ),
            _by_ip_protocol("next header"),
        ),
        _extension("hop-by-hop options", _ipv6_options),
        _extension("destination options", _ipv6_options),
        _extension("routing", _routing),
        Protocol(
            "fragment",
            (
                Spec("next header", 8, _named(IP_PROTOCOLS)),
                Spec("reserved", 8),
                Spec("fragment offset", 13, _times(8)),
                Spec("reserved 2", 2),
                Spec("more fragments", 1),
                Spec("identification", 32, _hex(8)),
            ),
            _by_ip_protocol("next header"),
        ),
        Protocol(
            "ah",
            (
                Spec("next header", 8, _named(IP_PROTOCOLS)),
                Spec("length", 8),
                Spec("reserved", 16),
                Spec("spi", 32, _hex(8)),
                Spec("sequence number", 32),
            ),
            _by_ip_protocol("next header"),
            size=lambda values: values["length"] * 4 + 8,
            options=lambda _, __: (Spec("integrity check value", BYTES, show_data),),
        ),
        Protocol(
            "tcp",
            (
                Spec("source port", 16),
                Spec("destination port", 16),
                Spec("sequence number", 32),
                Spec("acknowledgment number", 32),
                Spec("data offset", 4, _times(4)),
                Spec("reserved", 3),
                Spec("flags", 9, _flags(3, _TCP_FLAGS)),
                Spec("window", 16),
                Spec("checksum", 16, _hex(4)),
                Spec("urgent pointer", 16),
            ),
            size=lambda values: values["data offset"] * 4,
            options=_tlv(_TCP_OPTIONS, {0: "end of options", 1: "no-operation"}),
        ),
        Protocol(
            "udp",
            (
                Spec("source port", 16),
                Spec("destination port", 16),
                Spec("length", 16),
                Spec("checksum", 16, _hex(4)),
            ),
            _after_udp,
        ),
        Protocol(
            "sctp",
            (
                Spec("source port", 16),
                Spec("destination port", 16),
                Spec("verification tag", 32, _hex(8)),
                Spec("checksum", 32, _hex(8)),
            ),
        ),
        Protocol("icmp", (Spec("type", 8), Spec("code", 8), Spec("checksum", 16, _hex(4)))),
        Protocol("icmpv6", (Spec("type", 8), Spec("code", 8), Spec("checksum", 16, _hex(4)))),
        Protocol(
            "gre",
            (
                Spec("checksum present", 1),
                Spec("routing present", 1),
                Spec("key present", 1),
                Spec("sequence present", 1),
                Spec("reserved0", 9),
                Spec("version", 3),
                Spec("protocol", 16, _named(_ETHERTYPES, 4)),
            ),
            _after_gre,
            size=_gre_size,
            options=_gre_options,
            encapsulates=True,
        ),
        _in_udp(
            "gue",
            (
                Spec("version", 2),
                Spec("control", 1),
                Spec("header length", 5, _times(4)),
                Spec("protocol", 8, _named(IP_PROTOCOLS)),
                Spec("flags", 16, _flags(4, {1: "PRIVATE"})),
            ),
            options=_gue_options,
            remcsum=("private flags", 1 << 31),
        ),
        _in_udp(
            "vxlan",
            (
                Spec("flags", 32, _flags(8, _VXLAN_FLAGS)),
                Spec("vni", 24),
                Spec("reserved", 8, _hex(2)),
            ),
            remcsum=("flags", 0x00200000),
        ),
        _in_udp(
            "vxlan-gpe",
            (
                Spec("flags", 8, _flags(2, _GPE_FLAGS)),
                Spec("reserved", 16, _hex(4)),
                Spec("next protocol", 8, _named(_GPE_PROTOCOLS)),
                Spec("vni", 24),
                Spec("reserved 2", 8, _hex(2)),
            ),
        ),
        _in_udp(
            "geneve",
            (
                Spec("version", 2),
                Spec("option length", 6, _times(4)),
                Spec("control", 1),
                Spec("critical", 1),
                Spec("reserved", 6),
                Spec("protocol", 16, _named(_ETHERTYPES, 4)),
                Spec("vni", 24),
                Spec("reserved 2", 8),
            ),
            options=_geneve_options,
        ),
    )
}
