from libc.stdint cimport int64_t, uint8_t

from gso._plan cimport plan

# Write all segments; or, given `pieces`, headers alone and where in the payload they cut.
cdef void emit(plan *p, uint8_t *out, int64_t *pieces, bint stream) noexcept nogil
