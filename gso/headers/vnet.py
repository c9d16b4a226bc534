"""Virtio network headers as rows of an array: made of layouts, one a packet.

With a virtio header, TUN devices, packet sockets and virtual machines say which work on a packet is
left to be done. `gso.segmentation.virtio` reads them, and does that work.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING

import numpy as np

from gso.constants import L4, GsoType

if TYPE_CHECKING:
    import numpy.typing as npt

VNET_DTYPE = np.dtype(
    [
        ("flags", np.uint8),
        ("gso_type", np.uint8),
        ("hdr_len", np.uint16),
        ("gso_size", np.uint16),
        ("csum_start", np.uint16),
        ("csum_offset", np.uint16),
        ("num_buffers", np.uint16),
        ("hash_value", "<u4"),
        ("hash_report", "<u2"),
        ("padding", "<u2"),
        ("outer_th_offset", "<u2"),
        ("inner_nh_offset", "<u2"),
    ]
)
"""``struct virtio_net_hdr_v1_hash_tunnel`` in this machine's byte order, as TUN and packet sockets
have it; shorter headers are its beginning. Fields: :class:`gso.VirtioNetHeader`."""


class VirtioNetFlags(IntFlag):
    """``flags`` of a virtio header (VIRTIO_NET_HDR_F_*)."""

    NEEDS_CSUM = 1
    """csum_start and csum_offset say which checksum is to be completed."""
    DATA_VALID = 2
    """The checksum was found right."""
    RSC_INFO = 4
    """csum_start and csum_offset count coalesced segments and duplicate ACKs instead."""
    UDP_TUNNEL_CSUM = 8
    """The outer UDP header has a checksum."""


class VirtioNetGso(IntFlag):
    """``gso_type`` of a virtio header (VIRTIO_NET_HDR_GSO_*): a kind, and bits added to it."""

    NONE = 0
    TCPV4 = 1
    UDP = 3
    """UFO."""
    TCPV6 = 4
    UDP_L4 = 5
    """USO."""
    UDP_TUNNEL_IPV4 = 0x20
    UDP_TUNNEL_IPV6 = 0x40
    ECN = 0x80


KINDS = {
    int(VirtioNetGso.TCPV4): (GsoType.TCPV4, L4.TCP, 20, 16),
    int(VirtioNetGso.TCPV6): (GsoType.TCPV6, L4.TCP, 20, 16),
    int(VirtioNetGso.UDP): (GsoType.UDP, L4.UDP, 8, 6),
    int(VirtioNetGso.UDP_L4): (GsoType.UDP_L4, L4.UDP, 8, 6),
}
"""Of each kind: the kernel's type, the transport protocol, the length of its header without
options, and where its checksum is."""
UDP_MAX_SEGMENTS = 128
TCP_MIN_GSO_SIZE = 8
"""The kernel takes this for less, in a TCP packet."""
GSO_BY_FRAGS = 0xFFFF

# As integers: an operation of an enumeration takes longer than one on a small array.
_WORDS = (
    (int(GsoType.TCPV4), int(VirtioNetGso.TCPV4)),
    (int(GsoType.TCPV6), int(VirtioNetGso.TCPV6)),
    (int(GsoType.UDP_L4), int(VirtioNetGso.UDP_L4)),
    (int(GsoType.TCP_ECN), int(VirtioNetGso.ECN)),
)
_PLAIN = sum(bit for bit, _ in _WORDS)
_UDP_TUNNEL_CSUM = int(GsoType.UDP_TUNNEL_CSUM)
_UDP_TUNNELS = int(GsoType.UDP_TUNNEL) | _UDP_TUNNEL_CSUM
_CHECK = {l4: check for _, l4, _, check in KINDS.values()}
_TCP, _TCP_CHECK, _UDP_CHECK = int(L4.TCP), _CHECK[L4.TCP], _CHECK[L4.UDP]
_NEEDS_CSUM = int(VirtioNetFlags.NEEDS_CSUM)
_OUTER_CSUM = int(VirtioNetFlags.UDP_TUNNEL_CSUM)
_OVER_IPV4, _OVER_IPV6 = int(VirtioNetGso.UDP_TUNNEL_IPV4), int(VirtioNetGso.UDP_TUNNEL_IPV6)


def describable(gso_type: npt.NDArray[np.uint32], *, tunnels: bool) -> npt.NDArray[np.bool_]:
    """Tell which packets a virtio header can describe: bool array of shape (n,).

    It has no word for GRE, IPIP, FOU, GUE, remote checksums, or a fixed IPv4 ID.

    Args:
        gso_type: :class:`gso.GsoType` of each packet, shape (n,).
        tunnels: the reader knows the 24-byte header, with its words for tunnels in UDP.
    """
    known = _PLAIN | _UDP_TUNNELS if tunnels else _PLAIN
    return np.asarray((gso_type & ~np.uint32(known)) == 0)


def vnet_headers(
    layouts: npt.NDArray[np.void],
    gso_size: npt.NDArray[np.int64],
    gso_type: npt.NDArray[np.uint32],
) -> npt.NDArray[np.void]:
    """Make the virtio headers of super-packets whose checksum is partial.

    Args:
        layouts: array of LAYOUT_DTYPE, shape (n,).
        gso_size, gso_type: of each packet, shape (n,); 0 for one that needs no work.

    Returns an array of VNET_DTYPE and shape (n,): zeros where `gso_size` is 0.
    """
    rows = np.zeros(len(layouts), VNET_DTYPE)
    tunnel = layouts["inner_network_header"] >= 0
    rows["flags"] = _NEEDS_CSUM
    for bit, word in _WORDS:
        rows["gso_type"] |= np.where(gso_type & bit, word, 0).astype(np.uint8)
    rows["gso_size"] = gso_size
    rows["hdr_len"] = layouts["payload"]
    inner, outer = layouts["inner_transport_header"], layouts["transport_header"]
    rows["csum_start"] = np.where(tunnel, inner, outer)
    rows["csum_offset"] = np.where(layouts["l4"] == _TCP, _TCP_CHECK, _UDP_CHECK)
    in_udp = (gso_type & np.uint32(_UDP_TUNNELS)) != 0
    if in_udp.any():
        _add_tunnels(rows, layouts, gso_type, in_udp)
    rows[gso_size == 0] = 0
    return rows


def _add_tunnels(
    rows: npt.NDArray[np.void],
    layouts: npt.NDArray[np.void],
    gso_type: npt.NDArray[np.uint32],
    tunnel: npt.NDArray[np.bool_],
) -> None:
    version = np.where(layouts["outer_version"] == 4, _OVER_IPV4, _OVER_IPV6)
    rows["gso_type"] |= np.where(tunnel, version, 0).astype(np.uint8)
    summed = (gso_type & np.uint32(_UDP_TUNNEL_CSUM)) != 0
    rows["flags"] |= np.where(summed, _OUTER_CSUM, 0).astype(np.uint8)
    rows["outer_th_offset"] = np.where(tunnel, layouts["transport_header"], 0)
    rows["inner_nh_offset"] = np.where(tunnel, layouts["inner_network_header"], 0)
