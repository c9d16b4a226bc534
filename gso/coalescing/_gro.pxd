"""Which frames become which packets."""

from libc.stdint cimport int32_t

from gso.coalescing._held cimport gro_state

# Assign frames `begin` to `end` to packets, after those before them.
cdef void assign_frames(gro_state *j, Py_ssize_t begin, Py_ssize_t end) noexcept nogil

# Stop holding frames whose checksums are wrong, from `slot` on; returns where to go on.
cdef int32_t judge_held(gro_state *j, int32_t slot) noexcept nogil
