"""Layouts used again for frames of the same shape."""

from libc.stdint cimport uint8_t, uint64_t

from gso.headers._walk cimport FEW_BYTES, ROW_SIZE, headers, link_layer, port_list

cdef enum:
    MOST_SHAPES = 16
    SHAPE_WORDS = FEW_BYTES // 8

# The bytes that frames with the same layout have in common
cdef struct shape:
    Py_ssize_t words                # of 8 bytes
    Py_ssize_t least                # bytes that a frame must have
    Py_ssize_t plain_dest           # where the port is that must be no tunnel's; -1: nowhere
    uint64_t same[SHAPE_WORDS]      # bits that must be equal,
    uint64_t bits[SHAPE_WORDS]      # and what they are
    uint8_t row[ROW_SIZE]           # of LAYOUT_DTYPE

# The shapes of the latest frames
cdef struct shape_list:
    int n
    int next                        # the one to replace
    int last                        # the one that was found last
    int trust                       # falls with frames of new shapes; at 0 none is looked for,
    int rest                        # for so many frames
    int next_rest
    shape shapes[MOST_SHAPES]

cdef void no_shapes(shape_list *known) noexcept nogil
# The row of LAYOUT_DTYPE of a frame that has a known shape, or NULL.
cdef const uint8_t *known_row(
    shape_list *known, const port_list *ports, const uint8_t *frame, Py_ssize_t size
) noexcept nogil
# Note the shape of a frame, of which the walk has read this copy.
cdef void learn_shape(
    shape_list *known, const headers *h, const uint8_t *copy, Py_ssize_t size,
    const link_layer *link
) noexcept nogil
