"""Virtio network headers as rows of an array, and what their fields mean.

With a virtio header, TUN devices, packet sockets and virtual machines say which work on a packet is
left to be done. `gso.headers._vnet` makes them of layouts; `gso.segmentation` reads them, and does
that work.
"""

from __future__ import annotations

from enum import IntFlag

import numpy as np

from gso.constants import L4, GsoType

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
