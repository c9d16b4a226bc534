"""A virtio header as a row of gso.VNET_DTYPE."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef struct vnet_header:        # struct virtio_net_hdr_v1_hash_tunnel
    uint8_t flags
    uint8_t gso_type
    uint16_t hdr_len
    uint16_t gso_size
    uint16_t csum_start
    uint16_t csum_offset
    uint16_t num_buffers
    uint32_t hash_value
    uint16_t hash_report
    uint16_t padding
    uint8_t outer_th_offset[2]  # little-endian, whatever the machine is
    uint8_t inner_nh_offset[2]

cdef enum:
    VIRTIO_NET_HDR_F_NEEDS_CSUM = 1
    VIRTIO_NET_HDR_F_UDP_TUNNEL_CSUM = 8

cdef enum:
    VIRTIO_NET_HDR_GSO_TCPV4 = 1
    VIRTIO_NET_HDR_GSO_TCPV6 = 4
    VIRTIO_NET_HDR_GSO_UDP_L4 = 5
    VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV4 = 0x20
    VIRTIO_NET_HDR_GSO_UDP_TUNNEL_IPV6 = 0x40
    VIRTIO_NET_HDR_GSO_ECN = 0x80
