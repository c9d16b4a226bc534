"""Link types whose frames can be parsed: how long each header is, and what in it tells the rest.

The names are those of `gso.capture`, the lengths those of tcpdump.org's registry of link types.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias, cast

from gso.link_types import link_name

LinkName = Literal[
    "ethernet",
    "raw",
    "ipv4",
    "ipv6",
    "linux_sll",
    "linux_sll2",
    "null",
    "loop",
    "ppp",
    "ppp_hdlc",
    "c_hdlc",
    "ppp_with_dir",
    "ppp_ether",
]
LinkType: TypeAlias = "LinkName | int"
"""A link type by its name, or by its ``LINKTYPE_`` number."""
DeviceLinkType = Literal["ethernet", "raw"]
"""The link types of TUN and TAP devices, packet sockets and virtual machines."""
BareLinkType = Literal["ethernet", "raw", "ppp_ether"]
"""Those to which all others come once the bytes in front of an IP packet are skipped."""

ETH_HLEN = 14
ETH_TYPE = 12

AF_INET = 2
AF_INET6 = (10, 24, 28, 30)
"""Of Linux, of NetBSD and OpenBSD, of FreeBSD, and of macOS: a loopback header has any of them."""

UNTYPED = -1
"""In place of a type's offset: an IP packet follows, of the version in its first four bits."""
FAMILY = -2
"""An IP packet follows, and the header is its address family, in the capturing system's order."""
PPP = -3
"""PPP (RFC 1661) or Cisco's HDLC follows: two to four bytes of it, or one, tell what comes next."""
PPPOE = -4
"""A PPPoE session header follows (RFC 2516)."""


class Link(NamedTuple):
    """A link-layer header.

    Attributes:
        length: bytes of it; those in front of PPP's.
        type_at: where in it the Ethernet type of what follows is; or UNTYPED, FAMILY,
            PPP, or PPPOE.
        header: its struct's name, for messages.
    """

    length: int
    type_at: int
    header: str

    @property
    def skip(self) -> int:
        """Bytes in front of what can be read as an Ethernet header or an IP packet."""
        return self.length if self.type_at < 0 else self.length - ETH_HLEN

    @property
    def rest(self) -> BareLinkType:
        """The link type of the frame without `skip` bytes, its type put where Ethernet has it."""
        if self.type_at == PPPOE:
            return "ppp_ether"
        return "raw" if self.type_at < 0 else "ethernet"


LINKS: dict[str, Link] = {
    "ethernet": Link(ETH_HLEN, ETH_TYPE, "ethhdr"),
    "raw": Link(0, UNTYPED, "iphdr"),
    "ipv4": Link(0, UNTYPED, "iphdr"),
    "ipv6": Link(0, UNTYPED, "ipv6hdr"),
    "linux_sll": Link(16, 14, "sll_header"),
    "linux_sll2": Link(20, 0, "sll2_header"),
    "null": Link(4, FAMILY, "family"),
    "loop": Link(4, FAMILY, "family"),
    "ppp": Link(0, PPP, "ppphdr"),
    "ppp_hdlc": Link(0, PPP, "ppphdr"),
    "c_hdlc": Link(0, PPP, "ppphdr"),
    "ppp_with_dir": Link(1, PPP, "ppphdr"),
    "ppp_ether": Link(0, PPPOE, "pppoe_hdr"),
}
NAMES = ", ".join(f'"{name}"' for name in LINKS)


def checked_link(link_type: str | int) -> LinkName:
    """The name of a link type. Raises ValueError for one whose frames cannot be parsed."""
    name = link_name(link_type) if isinstance(link_type, int) else link_type
    if not isinstance(name, str) or name not in LINKS:
        raise ValueError(
            f"link_type is one of {NAMES}, or the LINKTYPE_ number of one, not {link_type!r}"
        )
    return cast("LinkName", name)


def check_device_link(link_type: str) -> None:
    """Raise ValueError for a link type that packets with virtio headers do not have."""
    if link_type not in ("ethernet", "raw"):
        raise ValueError(f'link_type is "ethernet" or "raw", not {link_type!r}')
