"""The link-layer header in front of a result."""

from libc.stdint cimport uint8_t

cdef enum:
    LINK_ROOM = 64

cdef struct link_header:
    bint own                    # that of the frame itself
    Py_ssize_t size
    uint8_t data[LINK_ROOM]

cdef int take_link(link_header *link, object given, bint raw) except -1
cdef Py_ssize_t write_link(
    const link_header *link, uint8_t *out, const uint8_t *frame, int version) noexcept nogil
