from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

cdef enum:
    # The effects of a function on a packet, as bits; Python knows them without KIND_.
    KIND_DROPS = 1
    KIND_CONSUMES = 2
    KIND_ENTERS = 4
    KIND_AFTER_FREE = 8     # it is called while a packet is freed
    KIND_SEGMENTS = 16


# A pointer that packets had, in the table.
cdef struct TableEntry:
    uint64_t pointer
    int64_t packet          # the number of the packet that has the pointer now
    int32_t bucket_next     # these three are entries, -1 for none
    int32_t older
    int32_t newer
    int32_t placed          # the function whose event told of its drop and of the place
    int8_t freed
    int8_t dropped
    int8_t encapsulated


# A packet that a CPU saw lately.
cdef struct RecentPacket:
    int64_t packet
    int64_t time
    int32_t entry
    int32_t function
