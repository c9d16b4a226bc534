from libc.stdint cimport uint8_t

from gso.segmentation._plan cimport plan

# Write all segments, or their headers alone (for UFO, the first one's with the UDP header). -1:
# what a signal's handler raised.
cdef int emit(plan *p, uint8_t *out, bint headers_only, bint stream) except -1 nogil
