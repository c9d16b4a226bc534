from libc.stdint cimport uint8_t, uint64_t

from gso.segmentation._plan cimport plan

# Write all segments, or their headers alone (for UFO, the first one's with the UDP header). -1:
# what a signal's handler raised.
cdef int emit(plan *p, uint8_t *out, bint headers_only, bint stream) except -1 nogil

# Sum the headers and set the template, once for a plan.
cdef void prepare(plan *p) noexcept nogil
# Write the headers of segment `i` with `n` bytes of payload, whose sum counts if p.full.outer >= 0.
cdef void put_headers(
    plan *p, uint8_t *out, Py_ssize_t i, Py_ssize_t n, uint64_t payload
) noexcept nogil
