"""Which part of a frame is of a kind that is not known here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gso.headers.ends import in_fragment
from gso.headers.fields import read_headers
from gso.headers.protocols import IP_PROTOCOLS

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.header import Header
    from gso.headers.tunnels import TunnelPorts

_NO_NEXT_HEADER = 59
_ANNOUNCING = ("type", "protocol", "ppp protocol", "next protocol", "address family")
_FOLLOWED = ("ipv4", "ipv6", "arp")
_TELLING = ("gre", "ethernet", "vlan", "snap", "nsh", "geneve", "vxlan-gpe", "pppoe")
"""Headers that say with a number what they carry, which may be in a tunnel."""


def not_followed(
    frame: Buffer, *, link_type: str = "ethernet", tunnel_ports: TunnelPorts | None = None
) -> tuple[str, bool] | None:
    """The part of a frame that cannot be looked into, if any, and whether that is all of it."""
    data = bytes(memoryview(frame))
    headers = read_headers(data, link_type=link_type, tunnel_ports=tunnel_ports)
    if not headers:
        return f"link type {link_type}", True
    last = headers[-1]
    if last.end - last.offset < last.protocol.fixed or not last.is_its_version:
        return None
    announced = _announced(last)
    if not any(one.protocol.name in _FOLLOWED for one in headers):
        return announced or f"what follows {last.protocol.name}", True
    if last.protocol.name in _TELLING:
        return announced or f"what follows {last.protocol.name}", False
    number = last.values.get("next header", last.values.get("protocol"))
    ip = last.protocol.name == "ipv4" or "next header" in last.values
    if not ip or number in (None, _NO_NEXT_HEADER) or in_fragment(headers):
        return None
    return IP_PROTOCOLS.get(number, f"IP protocol {number}"), False


def _announced(header: Header) -> str | None:
    for name in _ANNOUNCING:
        if name in header.values:
            return f"{header.protocol.name} {name} {header.values[name]:#06x}"
    return None
