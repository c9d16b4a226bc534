from libc.stdint cimport int32_t, int64_t

from gso.traces._scanner cimport Scanner


cdef class SkbDumpReader(Scanner):
    cdef bint _get(self, const char *p, const char *end, const char *key, int64_t size,
                   int64_t *value, int base=*) noexcept nogil
    cdef void _number(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil
    cdef void _gso_type(
        self, const char *p, const char *end, const char *key, int64_t size
    ) noexcept nogil
    cdef void _offset(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil
    cdef void _length(self, const char *p, const char *end) noexcept nogil
    cdef int _part(self, int part, const char *p, const char *end) noexcept nogil
    cdef void _inner(self, const char *p, const char *end) noexcept nogil
    cdef void _checksum(self, const char *p, const char *end) noexcept nogil
