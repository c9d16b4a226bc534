from libc.stdint cimport uint8_t

from gso.segmentation._plan cimport plan

# Write all segments, or their headers alone (for UFO, the first one's with the UDP header).
cdef void emit(plan *p, uint8_t *out, bint headers_only, bint stream) noexcept nogil
