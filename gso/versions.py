"""The facts in which other Linux kernels differ from 6.12, the reference: a row for each version.

Everything that depends on ``kernel=`` asks these rows, compiled code by `gso.headers._kernel`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntFlag
from itertools import islice
from typing import Final, Literal, TypeAlias, cast

KernelVersion: TypeAlias = Literal["6.1", "6.12", "7.3"]
"""The kernels that are known: see :data:`KERNELS`."""


class Fact(IntFlag):
    """One thing that a kernel does otherwise than 6.12."""

    TWO_FIXED_IDS = 1 << 0
    """gso_type has a bit for IPv4 IDs that stay the same outside and one inside, without DF too:
    TCP_FIXEDID_OUTER and TCP_FIXEDID_INNER instead of TCP_FIXEDID. (inet_gso_segment,
    inet_gro_flush)"""
    NO_JUMBO = 1 << 1
    """BIG TCP has no jumbo header, and may be in tunnels; lengths that do not fit are 0.
    (ipv6_gro_complete, skb_gro_receive, udp_set_len)"""
    PIECES_BY_COUNT = 1 << 2
    """GSO_PARTIAL makes pieces of up to 65535 segments (GSO_MAX_SEGS), not of up to 65534 bytes;
    those of USO have the UDP length of one segment. (skb_segment, __udp_gso_segment)"""
    ACCECN_GRO = 1 << 3
    """GRO merges TCP segments that all have CWR, as accurate ECN. (tcp_gro_receive)"""
    VNET_DISSECTS = 1 << 4
    """A virtio header without NEEDS_CSUM has TAP devices look for the transport header too, after
    VLAN tags too, and the IP version must be that of its type. (virtio_net_hdr_to_skb)"""
    VNET_BEFORE_USO = 1 << 5
    """A virtio header cannot ask for USO, csum_start may be in the IP header, none is counted
    where a TAP device does not look for the transport header, and a gso_size below 8 is taken as it
    is for TCP too."""
    SHORT_IPV4 = 1 << 6
    """IPv4 has no BIG TCP: a total length of 0 is refused. (ip_rcv_core)"""
    LISTS_OF_UDP = 1 << 7
    """GRO makes lists of UDP frames only; TCP it merges. (tcp_gro_receive)"""
    LISTS_KEEP_TCP6_SUM = 1 << 8
    """Where NAT changed the addresses of a list's first frame, the others with TCP over IPv6 keep
    their checksums, which are wrong then. (__tcpv6_gso_segment_list_csum)"""


_NEWER = (
    Fact.TWO_FIXED_IDS | Fact.NO_JUMBO | Fact.PIECES_BY_COUNT | Fact.ACCECN_GRO | Fact.VNET_DISSECTS
)

REFERENCE: Final = "6.12"
KERNELS: Mapping[KernelVersion, Fact] = {
    "6.1": (Fact.VNET_BEFORE_USO | Fact.SHORT_IPV4 | Fact.LISTS_OF_UDP | Fact.LISTS_KEEP_TCP6_SUM),
    REFERENCE: Fact(0),
    "7.3": _NEWER,
}


def facts_of(kernel: str) -> Fact:
    """Return the facts in which the kernel differs from 6.12.

    Raises ValueError for one that is not known.
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel is one of {', '.join(KERNELS)}, not {kernel!r}")
    return KERNELS[cast("KernelVersion", kernel)]


def nearest(release: str) -> KernelVersion:
    """Return the newest known kernel that is not newer than a release.

    A release is such as ``6.12.117+deb12-amd64``. The oldest known kernel stands for those before
    it.
    """
    number = _number(release)
    older = [kernel for kernel in KERNELS if _number(kernel) <= number]
    return older[-1] if older else next(iter(KERNELS))


def may_be(release: str) -> tuple[KernelVersion, ...]:
    """Return the known kernels that a release may be like: one, or the two that it lies between.

    All of them where the release is not known, "".
    """
    number = _number(release)
    if not number:
        return tuple(KERNELS)
    newer = (kernel for kernel in KERNELS if _number(kernel) > number)
    older = nearest(release)
    if _number(older) >= number:
        return (older,)
    return (older, *islice(newer, 1))


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", release)[:2])
