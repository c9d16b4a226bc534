from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t


cdef struct Entry:
    uint64_t pointer
    int64_t life            # the number of its first event
    int32_t bucket_next
    int32_t older
    int32_t newer
    int8_t freed
    int8_t dropped
    int8_t encapsulated


cdef struct Seen:
    int64_t life
    int64_t time
    int32_t entry
    int32_t function
