"""The packet that goes into a tunnel: what the outer headers take over from it."""

from libc.stdint cimport uint8_t, uint32_t

cdef enum:
    MAC_ADDRESSES_LEN = 12

cdef enum:  # RFC 3168; include/net/inet_ecn.h
    INET_ECN_MASK = 3
    INET_ECN_NOT_ECT = 0
    INET_ECN_ECT_0 = 2
    INET_ECN_CE = 3

cdef struct inner_packet:
    const uint8_t *p            # what the tunnel carries: an Ethernet frame or an IP packet
    Py_ssize_t size
    Py_ssize_t start            # of the network header, in the frame
    const uint8_t *ip           # the IP header
    Py_ssize_t ip_length        # of the IP packet, without Ethernet's padding
    uint8_t version             # 0: it is no IP packet; nothing below counts, then
    uint8_t tos
    uint8_t ttl
    bint df

cdef void find_inner(
    inner_packet *packet, const uint8_t *frame, Py_ssize_t size, bint raw, bint ethernet
) noexcept nogil
cdef unsigned int ecn_inside(const inner_packet *packet) noexcept nogil
cdef uint32_t flow_hash(const inner_packet *packet) noexcept nogil
