"""How much room the headers of a tunnel take."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from gso.constants import Tunnel
from gso.encapsulation.outer import Given, in_range, kind_of, outer_header

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Header(TypedDict, total=False):
    """Parameters of :func:`overhead`."""

    key: int | None
    checksum: bool
    remcsum: bool
    sequence: bool
    options: int
    inner: str | None
    encap_limit: bool
    encap: str | None


_ENDS = {4: "0.0.0.0", 6: "::"}
_IP_HEADER = {4: 20, 6: 40}
_ETHERNET_HEADER, _TCP_HEADER = 14, 20


def overhead(
    tunnel: Tunnel | str,
    version: int = 4,
    *,
    key: int | None = None,
    checksum: bool = False,
    remcsum: bool = False,
    sequence: bool = False,
    options: int = 0,
    inner: str | None = None,
    encap_limit: bool = False,
    encap: str | None = None,
) -> int:
    """By how many bytes an IP packet grows in a tunnel: 50 for VXLAN over IPv4.

    The outer IP header, the tunnel's headers and, where Ethernet is carried, the Ethernet header
    inside count; the link-layer header outside does not. So ``mtu - overhead(...)`` is the MTU that
    the device of the tunnel may have.

    Args:
        tunnel, key, checksum, remcsum, inner, encap: as for :func:`encapsulate`; a checksum costs
            room in GRE only, and there not with `encap`.
        version: of the outer IP header.
        sequence: whether GRE counts its packets.
        options: bytes of Geneve's options.
        encap_limit: whether IPv6 has a tunnel encapsulation limit (RFC 2473, section 4.1.1).

    Raises ValueError as :func:`encapsulate` does.
    """
    ends = _ENDS.get(version)
    if ends is None:
        raise ValueError(f"an IP version is 4 or 6, not {version!r}")
    given = Given(
        port=1 if encap is not None or _is_in_udp(tunnel) else None,
        key=key,
        checksum=checksum,
        remcsum=remcsum,
        sequence=0 if sequence else None,
        options=_blank_options(options),
        inner=inner,
        encap_limit=0 if encap_limit else None,
        encap=encap,
    )
    made = outer_header(tunnel, ends, ends, given)
    return len(made.data) + (_ETHERNET_HEADER if made.ethernet else 0)


def _is_in_udp(tunnel: Tunnel | str) -> bool:
    return kind_of(tunnel)[1].protocol == 17


def _blank_options(size: int) -> bytes:
    """Options of Geneve, of that size."""
    if in_range("options", size, 0, 252) % 4:
        raise ValueError(f"options is {size} bytes, no multiple of 4")
    blank = b""
    while len(blank) < size:
        words = min((size - len(blank)) // 4 - 1, 31)
        blank += bytes((0, 0, 0, words)) + bytes(words * 4)
    return blank


def mss(
    mtu: int,
    tunnel: Tunnel | str | None = None,
    version: int = 4,
    *,
    inner_version: int = 4,
    tcp_options: int = 0,
    **header: Unpack[Header],
) -> int:
    """How many bytes of TCP payload a packet may have so that it fits an MTU in a tunnel.

    Without `tcp_options` this is the MSS that a SYN announces. Segments hold less where they have
    options: with timestamps (12 bytes) ``mss(1500, tcp_options=12)`` is 1448, a `gso_size`.

    Args:
        mtu: largest outer IP packet, in bytes.
        tunnel: None without one.
        version: of the outer IP header.
        inner_version: of the IP header of the TCP packet.
        tcp_options: bytes of TCP options in each segment.
        header: as for :func:`overhead`.

    Raises ValueError if nothing is left.
    """
    if inner_version not in _IP_HEADER:
        raise ValueError(f"an IP version is 4 or 6, not {inner_version!r}")
    used = _IP_HEADER[inner_version] + _TCP_HEADER + in_range("tcp_options", tcp_options, 0, 40)
    if tunnel is not None:
        used += overhead(tunnel, version, **header)
    elif header:
        raise ValueError(f"{', '.join(header)}: not without a tunnel")
    if mtu <= used:
        raise ValueError(f"mtu is {mtu}, and headers take {used} bytes: nothing is left")
    return mtu - used
