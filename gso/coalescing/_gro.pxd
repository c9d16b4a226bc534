"""Which frames become which packets."""

from gso.coalescing._held cimport gro_state

# Assign frames `begin` to `end` to packets, after those before them.
cdef void assign_frames(gro_state *j, Py_ssize_t begin, Py_ssize_t end) noexcept nogil
