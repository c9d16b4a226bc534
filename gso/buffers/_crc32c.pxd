"""CRC32c, the checksum of SCTP (RFC 9260, appendix A), for the other modules."""

from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint32_t


cdef extern from "crc32c.h" nogil:
    cdef struct gso_crc:
        const char *name
        uint32_t (*update)(uint32_t crc, const uint8_t *p, size_t n) noexcept nogil

    const gso_crc *gso_crc_find(const char *name) noexcept nogil
    const gso_crc *gso_crc_at(size_t i) noexcept nogil


cdef const gso_crc *crc


cdef inline void store_crc(uint8_t *p, uint32_t value) noexcept nogil:
    """A CRC32c as it is sent: the low byte first."""
    cdef int i
    for i in range(4):
        p[i] = <uint8_t>(value >> (8 * i))
