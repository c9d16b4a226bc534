from libc.stdint cimport uint8_t

from gso.segmentation._plan cimport plan

# Copy a frame and complete its checksums. -1: what a signal's handler raised.
cdef int complete(plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out) except -1 nogil
# The headers only; -1 also without memory.
cdef int complete_headers(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out
) except -1 nogil
