"""Every tunnel in UDP, one row each, and other protocols that are known by their UDP port.

A row says which ports are the tunnel's, how long its header is, what the header announces, and
which flags matter. The walk along the headers (`gso.headers._walk`), the dissector
(`gso.headers.fields`) and the commands are made from these rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from gso.constants import Tunnel

TunnelPorts: TypeAlias = "Mapping[int, Tunnel | str | tuple[Tunnel | str, int] | None]"
"""The tunnels on UDP destination ports: see `gso.parse`."""


class Carries(IntEnum):
    """How a header says what follows it."""

    ETHERNET = 0
    """An Ethernet frame always follows."""
    ETHERTYPE = 1
    """The field is an Ethernet type, of 16 bits."""
    NEXT_PROTOCOL = 2
    """The field is a next protocol of NSH and VXLAN-GPE (include/net/tun_proto.h), of 8 bits."""
    IP_PROTOCOL = 3
    """The field is an IP protocol number, of 8 bits."""
    IP = 4
    """The first four bits of the packet are its IP version."""
    OPAQUE = 5
    """Nothing that is understood here follows."""


@dataclass(frozen=True)
class UdpTunnel:
    """A protocol in UDP.

    Attributes:
        name: its name in `tunnel_ports`, in commands and in `gso.headers.protocols`.
        tunnel: its :class:`Tunnel`; None if it is no tunnel whose packets the kernel segments. A
            UDP payload of such a protocol is not cut into datagrams unless the caller asks for it.
        ports: destination ports by which it is known, the one that IANA registered first.
        carries: how its header says what follows.
        header: the kernel's name of the header's struct.
        length: bytes of the header without options.
        options: bits of the first byte with the length of options, in units of 4 bytes.
        field: byte of the field that says what follows.
        field_if: bit of the first byte without which the field does not count and an Ethernet
            frame follows; 0: it always counts.
        remcsum: byte and bit that say remote checksum offload.
        gro_zero: bits of the first two bytes that keep GRO from merging, as the lack of `field_if`
            does.
        fixed: bits of the first eight bytes that no header with a packet has otherwise (versions,
            flags, what is reserved), and their values.
    """

    name: str
    tunnel: Tunnel | None
    ports: tuple[int, ...]
    carries: Carries
    header: str = "udphdr"
    length: int = 0
    options: int = 0
    field: int = 0
    field_if: int = 0
    remcsum: tuple[int, int] = (0, 0)
    gro_zero: int = 0
    fixed: tuple[int, int] = (0, 0)


UDP_TUNNELS = (
    # Foo over UDP: no header. net/ipv4/fou_core.c
    UdpTunnel("fou", Tunnel.FOU, (), Carries.IP, "fou"),
    # draft-ietf-intarea-gue; versions and private flags are read by a function of their own.
    UdpTunnel(
        "gue",
        Tunnel.GUE,
        (6080,),
        Carries.IP_PROTOCOL,
        "guehdr",
        length=4,
        options=0x1F,
        field=1,
        fixed=(0xE000_FFFE << 32, 0),  # version 0, no control packet; the flag for private ones
    ),
    # RFC 7348; 8472 is the kernel's default (drivers/net/vxlan), from before the registration.
    UdpTunnel(
        "vxlan",
        Tunnel.VXLAN,
        (4789, 8472),
        Carries.ETHERNET,
        "vxlanhdr",
        length=8,
        remcsum=(1, 0x20),
        fixed=(0x7F97 << 48, 0x0800 << 48),  # a VNI; of group policy G, D and A, remcsum
    ),
    # draft-ietf-nvo3-vxlan-gpe; GRO wants version 0, no OAM packet, and a next protocol that counts
    # (vxlan_parse_gpe_proto).
    UdpTunnel(
        "vxlan-gpe",
        Tunnel.VXLAN_GPE,
        (4790,),
        Carries.NEXT_PROTOCOL,
        "vxlanhdr",
        length=8,
        field=3,
        field_if=0x04,
        gro_zero=0x3100,
        fixed=(0xFCFF_FFF8_0000_00FF, 0x0C00 << 48),  # version 0, a VNI, a next protocol
    ),
    # RFC 8926; GRO wants version 0 and no control packet.
    UdpTunnel(
        "geneve",
        Tunnel.GENEVE,
        (6081,),
        Carries.ETHERTYPE,
        "genevehdr",
        length=8,
        options=0x3F,
        field=2,
        gro_zero=0xC080,
        fixed=(0xC0BF_0000_0000_00FF, 0),  # version 0, no control packet
    ),
    # GTP-U (3GPP TS 29.281): the kernel's device makes no GSO packets.
    UdpTunnel("gtp-u", None, (2152,), Carries.OPAQUE),
    # L2TP (RFC 2661, 3931)
    UdpTunnel("l2tp", None, (1701,), Carries.OPAQUE),
    # IPsec NAT traversal: ESP or IKE (RFC 3948)
    UdpTunnel("esp-in-udp", None, (4500,), Carries.OPAQUE),
    # MPLS in UDP (RFC 7510), LISP (RFC 9300), RoCE version 2
    UdpTunnel("mpls-in-udp", None, (6635, 6636), Carries.OPAQUE),
    UdpTunnel("lisp", None, (4341,), Carries.OPAQUE),
    UdpTunnel("roce", None, (4791,), Carries.OPAQUE),
    # WireGuard; its port is a custom, not registered with IANA
    UdpTunnel("wireguard", None, (51820,), Carries.OPAQUE),
    # CAPWAP control and data (RFC 5415)
    UdpTunnel("capwap", None, (5246, 5247), Carries.OPAQUE),
    # AMT, multicast to networks without it (RFC 7450)
    UdpTunnel("amt", None, (2268,), Carries.OPAQUE),
    # TZSP, in which MikroTik's routers and wireless sniffers pass on frames
    UdpTunnel("tzsp", None, (37008,), Carries.OPAQUE),
)

BY_NAME = {row.name: row for row in UDP_TUNNELS}
BY_TUNNEL = {row.tunnel: row for row in UDP_TUNNELS if row.tunnel is not None}
BY_PORT = {port: row for row in UDP_TUNNELS for port in row.ports}


def on_port(kind: Tunnel | str | tuple[Tunnel | str, int] | None) -> UdpTunnel | None:
    """The row that a value of `tunnel_ports` names; None for plain UDP.

    Raises ValueError for a tunnel that does not run over UDP, and for an unknown name.
    """
    if isinstance(kind, tuple):
        kind = kind[0]
    if kind in (None, Tunnel.NONE, "none"):
        return None
    if isinstance(kind, str):
        if kind not in BY_NAME:
            raise ValueError(f"{kind!r} is no UDP tunnel, only {', '.join(BY_NAME)} and none are")
        return BY_NAME[kind]
    if Tunnel(kind) not in BY_TUNNEL:
        raise ValueError(f"{Tunnel(kind)!r} does not run over a UDP port")
    return BY_TUNNEL[Tunnel(kind)]


def known_ports() -> str:
    """The ports known without being told, for people: ``"4789 vxlan, 6080 gue"``."""
    return ", ".join(f"{port} {row.name}" for port, row in sorted(BY_PORT.items()))
