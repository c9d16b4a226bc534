from libc.stdint cimport int32_t, int64_t

from gso.traces._scanner cimport Scanner


cdef class EventLines(Scanner):
    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil
    cdef int _event(self, const char *p, const char *end) noexcept nogil
    cdef int _detail(self, const char *p, const char *end) noexcept nogil
    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil
    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil
    cdef int32_t _named(self, const char *p, const char *end) noexcept nogil
    cdef void _function(self, const char *p, int64_t size) noexcept nogil
    cdef void _count(self, int64_t number) noexcept nogil
    cdef bint _frame(self, const char *p, const char *end) noexcept nogil
    cdef void _connection(self, const char *p, const char *end, const char *q,
                          const char *stop, const char *protocol, int64_t size) noexcept nogil

cdef const char *token_after(const char *p, const char *end, const char *word, int64_t size,
                             const char **stop) noexcept nogil
cdef bint number_after(const char *p, const char *end, const char *word, int64_t size, int base,
                       int64_t *value) noexcept nogil
cdef const char *symbol_end(const char *p, const char *end) noexcept nogil
cdef bint is_endpoint(const char *p, const char *end) noexcept nogil
