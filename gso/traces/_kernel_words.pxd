from libc.stdint cimport int64_t, uint64_t

cdef enum Sentence:
    OTHER_SENTENCE      # its words tell all
    PANIC               # of skb_push or skb_put: the kernel crashes after it
    BAD_SUM             # a dump of the packet and a stack may follow
    TUN_TYPE
    UDP_SUM
    WRONG_HEADER        # the network header lies outside of the packet

cdef struct Words:
    int sentence
    const char *text
    int64_t size
    uint64_t letters            # of the text
    const char *function        # that says it
    int64_t function_size

# These are given the letters of the line, too: most lines lack one of those of each text.
cdef const Words *said_in(const char *p, const char *end, uint64_t letters,
                          const char **at) noexcept nogil
cdef const char *crash_in(const char *p, const char *end, uint64_t letters) noexcept nogil
cdef const char *after_counter(const char *p, const char *end, uint64_t letters) noexcept nogil
cdef const char *function_in(const char *p, const char *end, const char **stop) noexcept nogil


cdef inline uint64_t letters_of(const char *p, const char *end) noexcept nogil:
    """Return a bit for each letter and digit that a text has."""
    cdef uint64_t found = 0
    while p < end:
        found |= <uint64_t>1 << (p[0] & 63)
        p += 1
    return found
