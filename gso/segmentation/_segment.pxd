from libc.stdint cimport int64_t, uint8_t

from gso.headers._walk cimport fault
from gso.segmentation._complete cimport complete
from gso.segmentation._emit cimport emit
from gso.segmentation._plan cimport plan

# Bytes of all headers of a plan, and whether they can be written without the payload: -1 and `why`
# if not.
cdef Py_ssize_t headers_size(const plan *p) noexcept nogil
cdef int check_headers(const plan *p, fault *why) noexcept nogil
# Write the headers; and offset and length of each payload, in memory where the frame is at `start`.
cdef int write_headers(
    plan *p, const uint8_t *frame, Py_ssize_t size, Py_ssize_t start, uint8_t *out, int64_t *pieces
) except -1 nogil


cdef inline int write_plan(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out, bint stream
) except -1 nogil:
    """Carry a plan out."""
    if p.gso_size:
        return emit(p, out, False, stream)
    return complete(p, frame, size, out)
