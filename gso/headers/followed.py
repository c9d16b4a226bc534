"""Which part of a frame is of a kind that is not known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsBytes

from gso.buffers.taken import frame_bytes
from gso.headers.ends import in_fragment
from gso.headers.fields import read_headers
from gso.headers.protocols import IP_PROTOCOLS, address_family
from gso.headers.tunnels import BY_PORT, on_port

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.header import Header
    from gso.headers.tunnels import TunnelPorts

_NO_NEXT_HEADER = 59
_ANNOUNCING = ("ppp protocol", "type", "protocol", "next protocol", "address family")
_LEAST_ETHERTYPE = 0x600
_FOLLOWED = ("ipv4", "ipv6", "arp")
_TELLING = ("gre", "ethernet", "vlan", "snap", "nsh", "geneve", "vxlan-gpe", "pppoe", "gue")
"""Headers that say with a number what they carry, which may be in a tunnel."""


def not_followed(
    frame: Buffer | SupportsBytes,
    *,
    link_type: str = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    complete: bool = True,
) -> tuple[str, bool] | None:
    """The part of a frame that cannot be looked into, if any, and whether that is all of it.

    `complete` is False for a frame that the capture cut: it may have too little to be judged.
    """
    data = frame_bytes(frame)
    headers = read_headers(data, link_type=link_type, tunnel_ports=tunnel_ports)
    if not headers:
        return f"link type {link_type}", True
    last = headers[-1]
    followed = [one for one in headers if one.protocol.name in _FOLLOWED]
    if last.end - last.offset < last.protocol.fixed:
        nothing = not complete and followed in ([], [last])
        return (f"a cut {last.protocol.name} header", True) if nothing else None
    if not last.is_its_version:
        return None
    if not followed:
        return _announced(last) or f"what follows {last.protocol.name}", True
    inside = None if in_fragment(headers) else _inside(last, len(data), tunnel_ports or {})
    return (inside, False) if inside else None


def _inside(last: Header, size: int, told: TunnelPorts) -> str | None:
    """The unknown thing that the last header carries; None where nothing is amiss."""
    if last.protocol.name == "udp":
        return _in_udp(last, told) if last.end < size else None
    if last.protocol.name == "gue" and last.values["control"]:
        return "a control message of gue"
    if last.protocol.name in _TELLING:
        return _announced(last) or f"what follows {last.protocol.name}"
    number = last.values.get("next header", last.values.get("protocol"))
    ip = last.protocol.name == "ipv4" or "next header" in last.values
    if not ip or number in (None, _NO_NEXT_HEADER):
        return None
    return IP_PROTOCOLS.get(number, f"IP protocol {number}")


def _in_udp(header: Header, told: TunnelPorts) -> str | None:
    """The protocol that is known by its port, and whose message is not understood."""
    port = header.values["destination port"]
    row = on_port(told[port]) if port in told else BY_PORT.get(port)
    return row.name if row is not None else None


def _announced(header: Header) -> str | None:
    if header.protocol.name == "ethernet" and header.values["type"] < _LEAST_ETHERTYPE:
        return "IEEE 802.3 without SNAP"
    for name in _ANNOUNCING:
        if name in header.values:
            number = header.values[name]
            number = address_family(number) if name == "address family" else number
            return f"{header.protocol.name} {name} {number:#06x}"
    return None
