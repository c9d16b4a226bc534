cdef bint is_flow(const char *p, const char *end) noexcept nogil
cdef bint is_note(const char *p, const char *end) noexcept nogil
cdef bint is_message(const char *p, const char *end) noexcept nogil
cdef const char *after_stamp(const char *p, const char *end) noexcept nogil
cdef bint is_expression(const char *p, const char *end) noexcept nogil
