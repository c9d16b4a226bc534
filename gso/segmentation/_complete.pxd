from libc.stdint cimport uint8_t

from gso.segmentation._plan cimport plan

# Copy a frame and complete its checksums.
cdef void complete(plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out) noexcept nogil
# The headers only; -1: no memory.
cdef int complete_headers(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out
) noexcept nogil
