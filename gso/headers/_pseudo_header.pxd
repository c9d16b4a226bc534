"""The pseudo header that TCP and UDP checksums cover."""

from libc.stdint cimport uint8_t, uint64_t

from gso.buffers._checksum cimport htons, short_sum
from gso.headers._numbers cimport (
    IPPROTO_ROUTING, IPV4_ADDRESSES_LEN, IPV4_SADDR, IPV6_ADDRESSES_LEN, IPV6_ADDRESS_LEN,
    IPV6_EXT_HDRLEN, IPV6_EXT_HLEN, IPV6_EXT_NEXTHDR, IPV6_HLEN, IPV6_NEXTHDR,
    IPV6_RT_ADDRESSES, IPV6_RT_SEGMENTS_LEFT, IPV6_RT_TYPE, IPV6_SADDR, IPV6_SRCRT_TYPE_0,
    IPV6_SRCRT_TYPE_2, IPV6_SRCRT_TYPE_4,
)


cdef inline uint64_t pseudo_sum(const uint8_t *ip, bint v4, unsigned int proto) noexcept nogil:
    """Sum of the pseudo header without the length, from an IP header."""
    if v4:
        return short_sum(ip + IPV4_SADDR, IPV4_ADDRESSES_LEN) + htons(proto)
    return short_sum(ip + IPV6_SADDR, IPV6_ADDRESSES_LEN) + htons(proto)


cdef inline const uint8_t *routing_header(const uint8_t *ip, const uint8_t *end) noexcept nogil:
    """The last routing header with segments left between an IPv6 header and `end`, or NULL.

    Extension headers that do not fit in between are not read.
    """
    cdef const uint8_t *found = NULL
    cdef const uint8_t *at = ip + IPV6_HLEN
    cdef unsigned int kind = ip[IPV6_NEXTHDR], length
    while end - at >= IPV6_EXT_HLEN:
        length = (at[IPV6_EXT_HDRLEN] + 1) * 8
        if length > end - at:
            break
        if kind == IPPROTO_ROUTING and at[IPV6_RT_SEGMENTS_LEFT]:
            found = at
        kind = at[IPV6_EXT_NEXTHDR]
        at += length
    return found


cdef inline const uint8_t *final_destination(
    const uint8_t *ip, const uint8_t *end
) noexcept nogil:
    """The last address of a routing header with segments left between an IPv6 header and `end`.

    NULL: there is none, or of a type that is not known.
    """
    cdef const uint8_t *routing = routing_header(ip, end)
    if routing is NULL or routing[IPV6_EXT_HDRLEN] < 2:
        return NULL
    if routing[IPV6_RT_TYPE] == IPV6_SRCRT_TYPE_4:  # which lists the addresses backwards
        return routing + IPV6_RT_ADDRESSES
    if routing[IPV6_RT_TYPE] == IPV6_SRCRT_TYPE_0 or routing[IPV6_RT_TYPE] == IPV6_SRCRT_TYPE_2:
        return routing + IPV6_RT_ADDRESSES + (routing[IPV6_EXT_HDRLEN] // 2 - 1) * IPV6_ADDRESS_LEN
    return NULL


cdef inline uint64_t routed_sum(
    const uint8_t *ip, const uint8_t *end, unsigned int proto
) noexcept nogil:
    """Sum of the pseudo header with the final destination of a routing header (RFC 8200, 8.1).

    Without the length. 0: no extension header between the IPv6 header and `end` names one.
    """
    cdef const uint8_t *last = final_destination(ip, end)
    if last is NULL:
        return 0
    return (short_sum(ip + IPV6_SADDR, IPV6_ADDRESS_LEN) + short_sum(last, IPV6_ADDRESS_LEN)
            + htons(proto))
