from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

from gso.traces._names cimport Names
from gso.traces._row cimport EventRow
from gso.skb._skb cimport Skb

cdef enum:
    NO_VALUE = -1
    NOBODY = -1
    STACK_BYTES = 8192

# The owner of the lines that follow: no event, an event whose line was damaged, an event.
cdef enum Owner:
    OWNER_NONE
    OWNER_DAMAGED
    OWNER_EVENT


cdef class EventColumns:
    cdef Py_ssize_t capacity, count
    cdef Names names
    cdef int64_t line, events, room
    cdef bint in_stack
    cdef public int number
    cdef int owner
    cdef char[STACK_BYTES] stack_text
    cdef int32_t stack_size, last_stack
    cdef dict columns
    cdef object state
    cdef Skb[::1] skbs
    cdef int64_t[::1] lines, times, netns, results
    cdef uint64_t[::1] pointers
    cdef int32_t[::1] cpus, functions, processes, devices, reasons, flows, stacks, locations
    cdef int32_t[::1] ifindexes, mtus
    cdef int8_t[::1] returns, readers
    # The last event is put into the columns when the next one begins.
    cdef bint pending
    cdef EventRow *row
    cdef EventRow *last
    cdef EventRow[2] events_read
    cdef EventRow nothing

    cdef void _store_event(self, EventRow *row) noexcept nogil
