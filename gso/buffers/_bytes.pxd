"""Fields of 16 bits in headers: unaligned, in network order."""

from libc.stdint cimport uint8_t, uint16_t
from libc.string cimport memcpy


cdef inline uint16_t load16(const uint8_t *p) noexcept nogil:
    """A 16-bit field as it lies in memory."""
    cdef uint16_t value
    memcpy(&value, p, 2)
    return value


cdef inline void store16(uint8_t *p, uint16_t value) noexcept nogil:
    memcpy(p, &value, 2)


cdef inline uint16_t get16(const uint8_t *p) noexcept nogil:
    """A 16-bit field in host order."""
    return <uint16_t>(p[0] << 8 | p[1])


cdef inline void put16(uint8_t *p, unsigned int value) noexcept nogil:
    p[0] = <uint8_t>(value >> 8)
    p[1] = <uint8_t>value
