"""One event while it is read, with a value for every column, and the keys of such values."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint64_t

from gso.skb._skb cimport Skb


cdef struct EventRow:
    int64_t line
    int64_t time
    int64_t netns
    int64_t result
    uint64_t pointer
    int32_t cpu
    int32_t function
    int32_t process
    int32_t device
    int32_t reason
    int32_t flow
    int32_t stack
    int32_t location
    int32_t ifindex
    int32_t mtu
    int8_t returns
    Skb skb

cdef enum Target:
    T_NUMBER = 1
    T_OFFSET
    T_ETHERTYPE
    T_POINTER
    T_DEVICE
    T_REASON
    T_LOCATION
    T_NETNS
    T_IFINDEX
    T_MTU
    T_RESULT
    T_DATA

cdef struct Key:
    char[28] name
    int8_t size
    int8_t target
    int8_t width
    int8_t at


cdef inline void put(Skb *row, int at, int width, int64_t value) noexcept nogil:
    if width == 4:
        if -0x80000000 < value <= 0x7fffffff:
            (<int32_t *>(<char *>row + at))[0] = <int32_t>value
    elif -0x8000 < value <= 0x7fff:
        (<int16_t *>(<char *>row + at))[0] = <int16_t>value
