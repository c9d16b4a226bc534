"""The pseudo header that TCP and UDP checksums cover."""

from libc.stdint cimport uint8_t, uint64_t

from gso.buffers._checksum cimport htons, short_sum
from gso.headers._numbers cimport (
    IPV4_ADDRESSES_LEN, IPV4_SADDR, IPV6_ADDRESSES_LEN, IPV6_SADDR,
)


cdef inline uint64_t pseudo_sum(const uint8_t *ip, bint v4, unsigned int proto) noexcept nogil:
    """Sum of the pseudo header without the length, from an IP header."""
    if v4:
        return short_sum(ip + IPV4_SADDR, IPV4_ADDRESSES_LEN) + htons(proto)
    return short_sum(ip + IPV6_SADDR, IPV6_ADDRESSES_LEN) + htons(proto)
