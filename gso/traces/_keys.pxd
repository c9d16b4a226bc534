from libc.stdint cimport int64_t

from gso.traces._row cimport Key

cdef const Key *find_key(const char *text, int64_t size) noexcept nogil
