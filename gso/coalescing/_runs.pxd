"""Runs of frames that are like the one before them."""

from libc.stdint cimport int64_t, uint8_t

from gso.coalescing._held cimport frame, gro_state, held_packet, packet

# Note what the headers of the frames that may follow share with those of the second frame.
cdef void begin_run(
    const gro_state *j, held_packet *one, const frame *f, const packet *to
) noexcept nogil
# Append the frame to the packet that took up the last one, where it is like that one.
cdef bint continues_run(
    gro_state *j, const uint8_t *p, Py_ssize_t size, int64_t i
) noexcept nogil
