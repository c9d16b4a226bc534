"""What a line looked like, so that the next one like it is read without finding out again.

Most lines of a log differ from the line before in few places. While a line is read in the slow way,
the places of its values are noted: these are the slots of its shape. The next line has the same
shape if it has the same text outside of them, and if each slot whose text differs can be read as a
value of its kind. Then everything else is as it was in the line before.

A slot is read by the same function that read it first, and that function decides nothing by what
lies behind its slot. So the line means what the slow way would have found.
"""

from libc.stdint cimport int8_t, int32_t, uint64_t

from gso.traces._row cimport (
    T_DATA, T_DEVICE, T_ETHERTYPE, T_IFINDEX, T_LOCATION, T_MTU, T_NETNS, T_POINTER, T_REASON, Key,
)

cdef enum:
    SLOTS = 40
    LONGEST_SHAPE = 2048
    # Kinds of slots that every format has; those of one format count from FIRST_PART.
    PAIR = 1
    FLOW
    WORD
    FIRST_PART = 8

# What a slot decides, by numbers: first the fields of the sk_buff, then what keys may name besides.
cdef enum:
    BY_KEY = 24
    LENGTH_BIT = 6
    PROTOCOL_BIT = 12
    POINTER_BIT = BY_KEY + T_POINTER
    DEVICE_BIT = BY_KEY + T_DEVICE
    REASON_BIT = BY_KEY + T_REASON
    LOCATION_BIT = BY_KEY + T_LOCATION
    NETNS_BIT = BY_KEY + T_NETNS
    IFINDEX_BIT = BY_KEY + T_IFINDEX
    MTU_BIT = BY_KEY + T_MTU
    FLOW_BIT = BY_KEY + T_DATA
    FUNCTION_BIT = 40
    PROCESS_BIT
    CPU_BIT
    TIME_BIT
    RETURNS_BIT


cdef inline uint64_t bit(int number) noexcept nogil:
    return <uint64_t>1 << number


cdef inline uint64_t key_bit(const Key *key) noexcept nogil:
    if key.target > T_ETHERTYPE:
        return bit(BY_KEY + key.target)
    return bit(key.at // 4 if key.width == 4 else 16 + (key.at - 64) // 2)


cdef struct Slot:
    int32_t start           # from the first byte of the line
    int32_t end
    int8_t kind
    int8_t flag             # what the reader of this kind has to know
    int8_t hex_before       # whether offsets are hexadecimal without saying so
    int8_t hex_after
    const Key *key


cdef struct Shape:
    bint usable
    bint broken
    const char *text
    int32_t size
    int32_t count
    uint64_t decided
    Slot[SLOTS] slots
    char[LONGEST_SHAPE] kept
