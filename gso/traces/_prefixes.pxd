cdef const char *after_prefixes(const char *p, const char *end) noexcept nogil
