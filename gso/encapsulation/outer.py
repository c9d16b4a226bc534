"""The headers of a tunnel, from the outer IP header to the packet inside, as a template.

Everything that is the same in all packets of a tunnel is written here once. What differs from
packet to packet (lengths, checksums, ports) has the place where `gso.encapsulation._encapsulate`
stamps it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from operator import index
from typing import TypeAlias

from gso.constants import Tunnel
from gso.headers.tunnels import BY_NAME, Carries

Address: TypeAlias = "str | IPv4Address | IPv6Address"

_IPPROTO_IPIP, _IPPROTO_UDP, _IPPROTO_IPV6, _IPPROTO_GRE, _IPPROTO_DSTOPTS = 4, 17, 41, 47, 60
_ETH_P_TEB = 0x6558
_IP_DF = 0x4000
_GUE_REMCSUM_WORDS = 2
_TUNNEL_ENCAP_LIMIT, _PADN = 4, 1  # options of a destination options header (RFC 2473, 8200)


@dataclass(frozen=True)
class Given:
    """The caller's values for a tunnel, checked for range but not yet for the kind of tunnel."""

    port: int | None = None
    key: int | None = None
    checksum: bool = False
    remcsum: bool = False
    sequence: int | None = None
    options: bytes = b""
    policy: int | None = None
    inner: str | None = None
    ttl: int = 64
    tos: int = 0
    df: bool | None = None
    flow_label: int = 0
    encap_limit: int | None = None
    encap: str | None = None


@dataclass(frozen=True)
class Outer:
    """A template, and the offsets in it of what is stamped; -1 is "nowhere".

    Attributes:
        data: the bytes.
        version: of the outer IP header.
        ethernet: whether the packet inside is an Ethernet frame, not an IP packet.
        versions: the IP versions that the packet inside may have, where it is none.
        udp: the UDP header.
        gre_check: the checksum of GRE.
        protocol: the field that says what is inside, and
        carries: how it says that.
        length: a length of what follows GTP-U's first eight bytes.
        sequence: the sequence number of GRE.
        own_ecn: whether the two bits of ECN are those of `tos`, not those of the packet inside.
        remcsum: the start and offset of GUE's remote checksum offload, 16 bits each; of VXLAN's,
            the byte that holds both.
    """

    data: bytes
    version: int
    ethernet: bool = False
    versions: tuple[int, ...] = (4, 6)
    udp: int = -1
    gre_check: int = -1
    protocol: int = -1
    carries: Carries = Carries.OPAQUE
    length: int = -1
    sequence: int = -1
    remcsum: int = -1
    own_ecn: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of tunnel.

    Attributes:
        header: makes the header of the tunnel from what is given, offsets counting from its start.
        protocol: the outer IP header's protocol; None where it says what is inside.
        outer, versions: the IP versions that the outer packet, and the one inside, may have.
        inner: what it may carry, its default first.
        takes: parameters that not all tunnels have.
        encaps: the kinds of UDP tunnels that its header may follow.
        df: whether the kernel's device of this kind sets DF unless told otherwise.
    """

    header: Callable[[Given], Outer]
    protocol: int | None = _IPPROTO_UDP
    outer: tuple[int, ...] = (4, 6)
    versions: tuple[int, ...] = (4, 6)
    inner: tuple[str, ...] = ("ip",)
    takes: frozenset[str] = field(default=frozenset())
    encaps: tuple[str, ...] = ()
    df: bool = False


# --- headers of tunnels --------------------------------------------------------------------------


def _nothing(_given: Given) -> Outer:
    """The packet itself comes next: IP in IP, Foo over UDP, bareudp."""
    return Outer(b"", 0)


def _gre(given: Given) -> Outer:
    """RFC 2784, 2890; gre_build_header."""
    ethernet = given.inner == "ethernet"
    flags, fields, check, sequence = 0, b"", -1, -1
    if given.checksum and given.encap is None:
        flags, check = flags | 0x8000, 4
        fields += bytes(4)
    if given.key is not None:
        flags |= 0x2000
        fields += _number("key", given.key, 32)
    if given.sequence is not None:
        flags, sequence = flags | 0x1000, 4 + len(fields)
        fields += bytes(4)
    made = Outer(struct.pack(">HH", flags, _ETH_P_TEB) + fields, 0, ethernet)
    made = replace(made, gre_check=check, sequence=sequence)
    return made if ethernet else replace(made, protocol=2, carries=Carries.ETHERTYPE)


def _gue(given: Given) -> Outer:
    """draft-ietf-intarea-gue; __gue_build_header."""
    made = Outer(bytes(4), 0, protocol=1, carries=Carries.IP_PROTOCOL)
    if not given.remcsum:
        return made
    private = struct.pack(">BBHI4x", _GUE_REMCSUM_WORDS, 0, 1, 1 << 31)
    return replace(made, data=private, remcsum=8)


def _vxlan(given: Given) -> Outer:
    """RFC 7348, draft-smith-vxlan-group-policy; vxlan_build_skb."""
    flags = 0x0800_0000 | (0x0020_0000 if given.remcsum else 0)
    if given.policy is not None:
        flags |= 0x8000_0000 | struct.unpack(">H", _number("policy", given.policy, 16))[0]
    data = struct.pack(">I", flags) + _number("key", given.key or 0, 24) + b"\0"
    return Outer(data, 0, ethernet=True, remcsum=7 if given.remcsum else -1)


def _vxlan_gpe(given: Given) -> Outer:
    """draft-ietf-nvo3-vxlan-gpe; vxlan_build_gpe_hdr."""
    data = b"\x0c\0\0\0" + _number("key", given.key or 0, 24) + b"\0"
    return Outer(data, 0, protocol=3, carries=Carries.NEXT_PROTOCOL)


def _geneve(given: Given) -> Outer:
    """RFC 8926; geneve_build_header."""
    ethernet = given.inner != "ip"
    flags = 0x40 if _is_critical(given.options) else 0
    data = struct.pack(">BBH", len(given.options) // 4, flags, _ETH_P_TEB)
    data += _number("key", given.key or 0, 24) + b"\0" + given.options
    made = Outer(data, 0, ethernet)
    return made if ethernet else replace(made, protocol=2, carries=Carries.ETHERTYPE)


def _is_critical(options: bytes) -> bool:
    """Whether a receiver must know one of Geneve's options (RFC 8926, section 3.5)."""
    critical, at = False, 0
    while at < len(options):
        end = at + 4 + (options[at + 3] & 0x1F) * 4 if at + 4 <= len(options) else at + 4
        if end > len(options) or end > 252:
            raise ValueError(
                f"the Geneve option at byte {at} of options ends at byte {end}, "
                f"but options has {len(options)} bytes and may have 252"
            )
        critical, at = critical or options[at + 2] >= 0x80, end
    return critical


def _gtp_u(given: Given) -> Outer:
    """3GPP TS 29.281, section 5.1: a G-PDU without optional fields; gtp1_push_header."""
    return Outer(b"\x30\xff\0\0" + _number("key", given.key or 0, 32), 0, length=2)


_VNI = frozenset({"key"})
KINDS: dict[str, Kind] = {
    "ipip": Kind(_nothing, None, (4,), (4,), df=True),
    "sit": Kind(_nothing, None, (4,), (6,), df=True),
    "ip6tnl": Kind(_nothing, None, (6,), takes=frozenset({"encap_limit"})),
    "gre": Kind(
        _gre,
        _IPPROTO_GRE,
        inner=("ip", "ethernet"),
        takes=frozenset({"key", "checksum", "sequence", "encap_limit"}),
        encaps=("fou", "gue"),
        df=True,
    ),
    "fou": Kind(_nothing, takes=frozenset({"checksum"}), df=True),
    "gue": Kind(_gue, takes=frozenset({"checksum", "remcsum"}), df=True),
    "vxlan": Kind(_vxlan, inner=("ethernet",), takes=_VNI | {"checksum", "remcsum", "policy"}),
    "vxlan-gpe": Kind(_vxlan_gpe, takes=_VNI | {"checksum"}),
    "geneve": Kind(_geneve, inner=("ethernet", "ip"), takes=_VNI | {"checksum", "options"}),
    "bareudp": Kind(_nothing, takes=frozenset({"checksum"})),
    "gtp-u": Kind(_gtp_u, takes=_VNI | {"checksum"}),
}
_NAMES = {
    Tunnel.IPIP: "ipip",
    Tunnel.SIT: "sit",
    Tunnel.IP6TNL: "ip6tnl",
    Tunnel.GRE: "gre",
    Tunnel.FOU: "fou",
    Tunnel.GUE: "gue",
    Tunnel.VXLAN: "vxlan",
    Tunnel.VXLAN_GPE: "vxlan-gpe",
    Tunnel.GENEVE: "geneve",
}
_ABSENT: dict[str, object] = {
    "key": None,
    "checksum": False,
    "remcsum": False,
    "sequence": None,
    "options": b"",
    "policy": None,
    "encap_limit": None,
}


# --- the template --------------------------------------------------------------------------------


def kind_of(tunnel: Tunnel | str) -> tuple[str, Kind]:
    """Return the name and the row of a tunnel. Raises ValueError for one that cannot be made."""
    name = tunnel if isinstance(tunnel, str) else _NAMES.get(Tunnel(tunnel), "")
    if name not in KINDS:
        raise ValueError(f"{tunnel!r} cannot be made, only {', '.join(KINDS)} can")
    return name, KINDS[name]


@lru_cache(maxsize=256)  # callers use few tunnels, and often
def outer_header(
    tunnel: Tunnel | str, source: Address, destination: Address, given: Given
) -> Outer:
    """Return the template of a tunnel's headers.

    Raises ValueError for parameters that contradict each other or do not belong to this tunnel.
    """
    name, kind = kind_of(tunnel)
    ends = ip_address(source), ip_address(destination)
    version = ends[0].version
    if version != ends[1].version:
        raise ValueError(f"{ends[0]} and {ends[1]} are addresses of two IP versions")
    _check(name, kind, version, given)
    made = kind.header(given)
    if given.encap is not None:
        name, made = given.encap, _in_encap(made, KINDS[given.encap].header(given))
        kind = replace(kind, protocol=_IPPROTO_UDP)
    if kind.protocol == _IPPROTO_UDP:
        made = _in_udp(name, made, given)
    return _in_ip(kind, made, ends, given)


def _check(name: str, kind: Kind, version: int, given: Given) -> None:
    """Refuse what a kind of tunnel does not have."""
    if given.encap is not None and given.encap not in kind.encaps:
        able = ", ".join(one for one, row in KINDS.items() if row.encaps)
        raise ValueError(
            f"encap is {given.encap!r} for {name}: it is 'fou' or 'gue', and for {able} only"
        )
    takes = kind.takes | (KINDS[given.encap].takes if given.encap else frozenset())
    for parameter, absent in _ABSENT.items():
        if getattr(given, parameter) != absent and parameter not in takes:
            raise ValueError(f"{parameter}= is not for a tunnel of the kind {name}")
    if version not in kind.outer:
        raise ValueError(f"{name} has an outer header of IPv{kind.outer[0]}, not IPv{version}")
    if given.inner is not None and given.inner not in kind.inner:
        raise ValueError(f"{name} carries {' or '.join(kind.inner)}, not {given.inner!r}")
    if given.encap_limit is not None and version == 4:
        raise ValueError("encap_limit= is for an outer header of IPv6")
    if given.port is not None and kind.protocol != _IPPROTO_UDP and given.encap is None:
        raise ValueError(f"port= is for tunnels in UDP, and {name} is none")


def _in_encap(made: Outer, front: Outer) -> Outer:
    """Put GRE after the header of FOU or GUE (fou_build_header, __gue_build_header)."""
    header = bytearray(front.data)
    if front.protocol >= 0:
        header[front.protocol] = _IPPROTO_GRE
    return replace(_behind(made, bytes(header)), remcsum=front.remcsum)


def _in_udp(name: str, made: Outer, given: Given) -> Outer:
    port = given.port
    if port is None:
        if not (known := BY_NAME[name].ports if name in BY_NAME else ()):
            raise ValueError(f"{name} has no port of its own: give port=")
        port = known[0]
    udp = b"\0\0" + _number("port", port, 16) + bytes(4)
    return replace(_behind(made, udp), udp=0)


def _in_ip(
    kind: Kind, made: Outer, ends: tuple[IPv4Address | IPv6Address, ...], given: Given
) -> Outer:
    addresses = ends[0].packed + ends[1].packed
    protocol = kind.protocol or 0
    if ends[0].version == 4:
        df = kind.df if given.df is None else given.df
        fixed = struct.pack(
            ">BBHHHBBH", 0x45, given.tos, 0, 0, _IP_DF if df else 0, given.ttl, protocol, 0
        )
        made, field_at = _behind(made, fixed + addresses), 9
    else:
        limit = b""
        if given.encap_limit is not None:
            limit = struct.pack(
                ">8B", protocol, 0, _TUNNEL_ENCAP_LIMIT, 1, given.encap_limit, _PADN, 1, 0
            )
        word = 6 << 28 | given.tos << 20 | given.flow_label
        fixed = struct.pack(">IHBB", word, 0, _IPPROTO_DSTOPTS if limit else protocol, given.ttl)
        made, field_at = _behind(made, fixed + addresses + limit), 40 if limit else 6
    if kind.protocol is None:
        made = replace(made, protocol=field_at, carries=Carries.IP_PROTOCOL)
    own_ecn = ends[0].version == 6 and kind.header is _gre  # ip6_tnl_xmit is not told the packet's
    return replace(made, version=ends[0].version, versions=kind.versions, own_ecn=own_ecn)


def _behind(made: Outer, front: bytes) -> Outer:
    """Put bytes in front, and move all offsets."""
    moved = {
        name: getattr(made, name) + len(front)
        for name in ("udp", "gre_check", "protocol", "length", "sequence", "remcsum")
        if getattr(made, name) >= 0
    }
    return replace(made, data=front + made.data, **moved)


def in_range(name: str, value: object, low: int, high: int) -> int:
    """Return an integer. Raises ValueError, or TypeError for what is none."""
    number = index(value)  # type: ignore[arg-type]
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}, not from {low} to {high}")
    return number


def _number(name: str, value: int, bits: int) -> bytes:
    """Return a field in network order."""
    return in_range(name, value, 0, (1 << bits) - 1).to_bytes(bits // 8, "big")
