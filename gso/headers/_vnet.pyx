# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Virtio headers of super-packets, made of their layouts."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from gso.headers._numbers cimport (
    IPPROTO_TCP, SKB_GSO_TCP_ECN, SKB_GSO_TCPV4, SKB_GSO_TCPV6, SKB_GSO_UDP_L4, SKB_GSO_UDP_TUNNEL,
    SKB_GSO_UDP_TUNNEL_CSUM, TCP_CHECK, UDP_CHECK,
)
from gso.headers._walk cimport ROW_SIZE, headers

import numpy as np

from gso.headers._layout import LAYOUT_DTYPE
from gso.headers.vnet import VNET_DTYPE, VirtioNetFlags, VirtioNetGso

cdef enum:
    PLAIN_TYPES = SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP_L4 | SKB_GSO_TCP_ECN
    TUNNEL_TYPES = SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM

if LAYOUT_DTYPE.itemsize != ROW_SIZE or VNET_DTYPE.itemsize != sizeof(vnet_header):
    raise AssertionError("gso.headers._vnet has rows of other sizes than LAYOUT_DTYPE, VNET_DTYPE")
if (VirtioNetFlags.NEEDS_CSUM, VirtioNetFlags.UDP_TUNNEL_CSUM, VirtioNetGso.TCPV4,
        VirtioNetGso.TCPV6, VirtioNetGso.UDP_L4, VirtioNetGso.UDP_TUNNEL_IPV4,
        VirtioNetGso.UDP_TUNNEL_IPV6, VirtioNetGso.ECN) != (
            VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM,
            VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, VIRTIO_NET_HDR_GSO_UDP_L4,
            VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4, VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6,
            VIRTIO_NET_HDR_GSO_ECN):
    raise AssertionError("gso.headers._vnet has other numbers than gso.headers.vnet")


def describable(gso_type, *, bint tunnels):
    """Tell which packets a virtio header can describe: bool array of shape (n,).

    It has no word for GRE, IPIP, FOU, GUE, remote checksums, or a fixed IPv4 ID.

    Args:
        gso_type: :class:`gso.GsoType` of each packet, shape (n,).
        tunnels: the reader knows the 24-byte header, with its words for tunnels in UDP.
    """
    cdef uint32_t known = PLAIN_TYPES | TUNNEL_TYPES if tunnels else PLAIN_TYPES
    cdef const uint32_t[::1] types = np.ascontiguousarray(gso_type, np.uint32)
    cdef Py_ssize_t i, n = types.shape[0]
    good = np.empty(n, np.bool_)
    cdef uint8_t[::1] out = good.view(np.uint8)
    for i in range(n):
        out[i] = not types[i] & ~known
    return good


def vnet_headers(layouts, gso_size, gso_type):
    """Make the virtio headers of super-packets whose checksum is partial.

    Args:
        layouts: array of LAYOUT_DTYPE, shape (n,).
        gso_size, gso_type: of each packet, shape (n,); 0 for one that needs no work.

    Returns an array of VNET_DTYPE and shape (n,): zeros where `gso_size` is 0.

    Raises ValueError if the lengths differ.
    """
    cdef const int64_t[::1] sizes = np.ascontiguousarray(gso_size, np.int64)
    cdef const uint32_t[::1] types = np.ascontiguousarray(gso_type, np.uint32)
    cdef Py_ssize_t i, n = sizes.shape[0]
    if not len(layouts) == n == types.shape[0]:
        raise ValueError(f"{len(layouts)} layouts, {n} sizes, {types.shape[0]} types")
    cdef headers h
    rows = np.zeros(n, VNET_DTYPE)
    cdef uint8_t[::1] out = rows.view(np.uint8)
    cdef const uint8_t[::1] found = np.ascontiguousarray(layouts, LAYOUT_DTYPE).view(np.uint8)
    for i in range(n):
        if sizes[i]:
            memcpy(&h, &found[i * ROW_SIZE], ROW_SIZE)  # rows are not aligned as the struct is
            describe(<vnet_header *>&out[i * sizeof(vnet_header)], &h, sizes[i], types[i])
    return rows


cdef void describe(
    vnet_header *row, const headers *found, int64_t gso_size, uint32_t gso_type
) noexcept nogil:
    """Fill in the header of one super-packet (virtio_net_hdr_from_skb).

    Of `found` only the members of LAYOUT_DTYPE are there.
    """
    cdef bint inside = found.inner_network_header >= 0
    row.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM
    if gso_type & SKB_GSO_TCPV4:
        row.gso_type |= VIRTIO_NET_HDR_GSO_TCPV4
    if gso_type & SKB_GSO_TCPV6:
        row.gso_type |= VIRTIO_NET_HDR_GSO_TCPV6
    if gso_type & SKB_GSO_UDP_L4:
        row.gso_type |= VIRTIO_NET_HDR_GSO_UDP_L4
    if gso_type & SKB_GSO_TCP_ECN:
        row.gso_type |= VIRTIO_NET_HDR_GSO_ECN
    row.gso_size = <uint16_t>gso_size
    row.hdr_len = <uint16_t>found.payload
    row.csum_start = <uint16_t>(
        found.inner_transport_header if inside else found.transport_header)
    row.csum_offset = TCP_CHECK if found.l4 == IPPROTO_TCP else UDP_CHECK
    if gso_type & TUNNEL_TYPES:
        row.gso_type |= (
            VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 if found.outer_version == 4
            else VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6)
        if gso_type & SKB_GSO_UDP_TUNNEL_CSUM:
            row.flags |= VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM
        put_le16(row.outer_th_offset, found.transport_header)
        put_le16(row.inner_nh_offset, found.inner_network_header)


cdef inline void put_le16(uint8_t *to, int32_t value) noexcept nogil:
    to[0] = <uint8_t>value
    to[1] = <uint8_t>(value >> 8)
