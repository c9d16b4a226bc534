from libc.stdint cimport uint8_t

from gso.headers._shapes cimport shape_list
from gso.headers._walk cimport fault, headers, link_layer, port_list


cdef class Layout:
    cdef headers h
    cdef object link
    cdef bint restored      # from a pickle: of `h` only what is in LAYOUT_DTYPE


# The row of LAYOUT_DTYPE of a frame, by a known shape or by a walk; returns 0, or -1 with a row
# that says so.
cdef int read_row(
    uint8_t *row, shape_list *known, const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports, fault *why
) noexcept nogil
