"""Internet checksum arithmetic for the other modules.

A *sum* is an unsigned integer that is congruent, modulo 0xffff, to the sum of 16-bit words as the
machine loads them, whatever its byte order (RFC 1071, section 2.B), and 0 only if all are 0.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport load16


cdef extern from "simd.h" nogil:
    enum:
        GSO_LINE
        GSO_TRAIN_IDS

    cdef struct gso_train_id:
        uint16_t offset
        uint16_t ident
        uint16_t base

    cdef struct gso_train:
        const uint8_t *header
        size_t hlen
        size_t step
        gso_train_id id[GSO_TRAIN_IDS]
        int ids
        int tcp
        size_t l4_header
        uint32_t seq
        uint64_t base

    cdef struct gso_simd:
        const char *name
        uint64_t (*sum)(const uint8_t *src, size_t n) noexcept nogil
        void (*sums)(
            uint64_t *sums, const uint8_t *src, const int64_t *offsets, size_t n) noexcept nogil
        uint64_t (*copy_sum)(uint8_t *dst, const uint8_t *src, size_t n) noexcept nogil
        uint64_t (*stream_sum)(uint8_t *dst, const uint8_t *src, size_t n) noexcept nogil
        void (*train_headers)(
            const gso_train *train, uint8_t *out, const uint8_t *src, size_t begin,
            size_t end) noexcept nogil
        void (*train)(
            const gso_train *train, uint8_t *out, const uint8_t *src, size_t begin,
            size_t end) noexcept nogil
        void (*stream_train)(
            const gso_train *train, uint8_t *out, const uint8_t *src, size_t begin,
            size_t end) noexcept nogil
        void (*stream_end)() noexcept nogil

    void gso_prefetch(const void *p) noexcept nogil
    const gso_simd *gso_simd_find(const char *name) noexcept nogil
    const gso_simd *gso_simd_at(size_t i) noexcept nogil

cdef extern from "<arpa/inet.h>" nogil:
    uint16_t htons(uint16_t value) noexcept nogil
    uint16_t ntohs(uint16_t value) noexcept nogil
    uint32_t htonl(uint32_t value) noexcept nogil
    uint32_t ntohl(uint32_t value) noexcept nogil


cdef const gso_simd *simd

cdef enum:
    STREAM = 1 << 24        # bytes of output that do not stay in the caches


cdef inline uint16_t fold(uint64_t total) noexcept nogil:
    """The sum in 16 bits; 0 only if `total` is 0."""
    # Adding the halves the other way round too carries from the upper into the lower one and back
    cdef uint32_t half = <uint32_t>((total + (total >> 32 | total << 32)) >> 32)
    return <uint16_t>((half + (half >> 16 | half << 16)) >> 16)


cdef inline uint64_t short_sum(const uint8_t *p, size_t n) noexcept nogil:
    """Sum of a header: `n` is even and small, so that a call would cost more than the work."""
    cdef uint64_t total = 0, words
    cdef uint32_t word
    while n >= 8:
        memcpy(&words, p, 8)
        total += words
        total += total < words  # the carry
        p += 8
        n -= 8
    total = <uint32_t>total + (total >> 32)
    if n & 4:
        memcpy(&word, p, 4)
        total += word
        p += 4
    if n & 2:
        total += load16(p)
    return total


cdef inline uint64_t length_sum(Py_ssize_t n) noexcept nogil:
    """The sum that a 32-bit length adds to a pseudo header."""
    return htons(<uint16_t>(n >> 16)) + <uint64_t>htons(<uint16_t>n)


cdef inline uint16_t not_zero(uint16_t check) noexcept nogil:
    """A UDP checksum as it is sent: 0 would say that there is none."""
    return check if check else 0xffff


cdef inline uint64_t sum_at(uint64_t total, Py_ssize_t distance) noexcept nogil:
    """The sum of bytes that start `distance` bytes into the data of a checksum."""
    cdef uint16_t folded = fold(total)
    return <uint16_t>(folded << 8 | folded >> 8) if distance & 1 else folded
