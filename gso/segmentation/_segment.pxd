from libc.stdint cimport uint8_t

from gso.segmentation._plan cimport plan

cdef enum:
    RELEASE_GIL = 1 << 17   # bytes of output from which releasing the GIL pays
    STREAM = 1 << 24        # bytes of output that do not stay in the caches

# Carry a plan out.
cdef void write_plan(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out, bint stream
) noexcept nogil
