from libc.stdint cimport int64_t

cdef enum:
    LONGEST_PREFIX = 200

# The text before the last event, where no tool that is known writes such: other lines may
# have it, too.
cdef struct Prefix:
    char[LONGEST_PREFIX] text
    int64_t size            # 0 for none
    int64_t missed          # lines in which none was found
    bint new                # it was learned from the line that is read

cdef const char *after_prefixes(const char *p, const char *end) noexcept nogil
cdef const char *after_prefix(const Prefix *prefix, const char *p, const char *end) noexcept nogil
cdef const char *next_start(const char *p, const char *at, const char *end) noexcept nogil
