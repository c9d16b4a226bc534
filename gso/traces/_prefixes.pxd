from libc.stdint cimport int64_t

cdef enum:
    LONGEST_PREFIX = 200
    READ_EITHER = 0         # behind the prefix if it is there, unless the line begins an event
    READ_BARE               # as it stands
    READ_BEHIND

# The text before the last event, where no tool that is known writes such: other lines may
# have it, too.
cdef struct Prefix:
    char[LONGEST_PREFIX] text
    int64_t size            # 0 for none
    int64_t missed          # lines in which none was found
    int reading             # READ_EITHER, or how the line is read that could not be otherwise

cdef const char *after_prefixes(const char *p, const char *end) noexcept nogil
cdef const char *after_prefix(const Prefix *prefix, const char *p, const char *end) noexcept nogil
cdef const char *next_start(const char *p, const char *at, const char *end) noexcept nogil
