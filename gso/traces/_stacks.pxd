from libc.stdint cimport int32_t, int64_t

from gso.traces._columns cimport STACK_BYTES
from gso.traces._row cimport EventRow
from gso.traces._values cimport EventValues

# The last stack, as its lines stand in the log.
cdef struct StackText:
    bint usable             # it is set, and Scanner.stack_text has its functions
    int32_t size
    int32_t functions_size
    int64_t lines
    char[STACK_BYTES] text


cdef class StackedEvents(EventValues):
    cdef bint use_templates
    cdef const char *raw_start      # of the line that is read, with its prefixes
    cdef const char *after_event    # where the last event's stack begins; NULL after other lines
    cdef StackText stack
    cdef int64_t stack_lines

    cdef void _begin(self) noexcept nogil
    cdef void _undo(self) noexcept nogil
    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil
    cdef void _keep_stack(self, const EventRow *event) noexcept nogil
    cdef int64_t _skip_stack(self, const char *p, const char *end) noexcept nogil
