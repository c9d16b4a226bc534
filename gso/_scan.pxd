from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint64_t

from gso._names cimport Names
from gso._validate cimport Skb

cdef enum:
    NONE = -1
    STACK_BYTES = 8192
    # Whose the lines are that follow: nobody's, those of an event that was damaged, an event's.
    NOBODY = 0
    DAMAGED_EVENT
    EVENT

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

cdef const Key *find_key(const char *text, int64_t size) noexcept nogil


cdef inline void put(Skb *row, int at, int width, int64_t value) noexcept nogil:
    if width == 4:
        if -0x80000000 < value <= 0x7fffffff:
            (<int32_t *>(<char *>row + at))[0] = <int32_t>value
    elif -0x8000 < value <= 0x7fff:
        (<int16_t *>(<char *>row + at))[0] = <int16_t>value


cdef class Scanner:
    cdef Py_ssize_t capacity, count
    cdef Names names
    cdef int64_t line, damaged, lost, events, room
    cdef bint in_stack, bare_flows
    cdef readonly bint relative
    cdef int owner
    cdef char[STACK_BYTES] stack_text
    cdef int32_t stack_size
    cdef readonly list damaged_lines
    cdef dict columns
    cdef object state
    cdef Skb[::1] skbs
    cdef int64_t[::1] lines, times, netns, results
    cdef uint64_t[::1] pointers
    cdef int32_t[::1] cpus, functions, processes, devices, reasons, flows, stacks, locations
    cdef int32_t[::1] ifindexes, mtus
    cdef int8_t[::1] returns
    cdef Skb nothing

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil
    cdef int _scan(self, const char *p, const char *end) noexcept nogil
    cdef void _new(self) noexcept nogil
    cdef void _undo(self) noexcept nogil
    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil
    cdef void _end_stack(self) noexcept nogil
    cdef int _pairs(self, const char *p, const char *end) noexcept nogil
    cdef void _flow(self, const char *p, const char *end) noexcept nogil
    cdef void _data(self, const char *p, const char *end) noexcept nogil
    cdef int _pair(self, const char *key, const char *key_end, const char *value,
                   const char *stop, bint *hex_offsets) noexcept nogil
    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil
