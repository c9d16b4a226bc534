from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

from gso.traces._names cimport Names
from gso.traces._row cimport Key, Row
from gso.traces._shape cimport Shape, Slot
from gso.skb._skb cimport Skb

cdef enum:
    NONE = -1
    STACK_BYTES = 8192
    # Whose the lines are that follow: nobody's, those of an event that was damaged, an event's.
    NOBODY = 0
    DAMAGED_EVENT
    EVENT
    # What came of a line, if it was no damaged one.
    READ = 0
    READ_EVENT

cdef const Key *find_key(const char *text, int64_t size) noexcept nogil

# The lines of a stack as they stand in the log.
cdef struct StackText:
    bint usable             # and Scanner.stack_text is the functions in them
    int32_t size
    int32_t functions_size
    int64_t lines
    char[STACK_BYTES] text


cdef class Scanner:
    cdef Py_ssize_t capacity, count
    cdef Names names
    cdef int64_t line, damaged, lost, events, room
    cdef bint in_stack, bare_flows, hex_proto, shapes
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
    # The event that is read, or was read last, is not in the columns before the next one begins.
    cdef bint pending
    cdef Row *row
    cdef Row *last
    cdef Row[2] events_read
    cdef Row nothing
    cdef const char *line_start
    cdef Shape shape
    cdef const char *behind     # the last event, as long as there is only its stack
    cdef StackText stack
    cdef int64_t stack_lines
    cdef int32_t last_stack

    cdef bint _names_columns(self, const char *p, const char *end) noexcept nogil
    cdef bint _begins(self, const char *p, const char *end) noexcept nogil
    cdef int _scan(self, const char *p, const char *end) noexcept nogil
    cdef const char *_part(self, const Slot *slot, const char *p, const char *end) noexcept nogil
    cdef bint _read_like_before(self, const char *p, const char *end) noexcept nogil
    cdef const char *_slot_again(self, const Slot *slot, const char *p,
                                 const char *end) noexcept nogil
    cdef const char *_pair_again(self, const Slot *slot, const char *p,
                                 const char *end) noexcept nogil
    cdef void _forget(self, const Key *key) noexcept nogil
    cdef const char *_take(self, int kind, uint64_t decides, const char *p,
                           const char *end) noexcept nogil
    cdef Slot *_note(self, int kind, uint64_t decides, const char *p,
                     const char *stop) noexcept nogil
    cdef void _keep_shape(self) noexcept nogil
    cdef void _begin(self) noexcept nogil
    cdef int _too_long(self) noexcept nogil
    cdef void _new(self) noexcept nogil
    cdef void _undo(self) noexcept nogil
    cdef void _store_event(self, Row *row) noexcept nogil
    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil
    cdef void _keep_stack(self, const Row *event) noexcept nogil
    cdef int64_t _skip_stack(self, const char *p, const char *end) noexcept nogil
    cdef int _pairs(self, const char *p, const char *end) noexcept nogil
    cdef void _flow(self, const char *p, const char *end) noexcept nogil
    cdef void _data(self, const char *p, const char *end) noexcept nogil
    cdef int _store(self, const Key *key, const char *value, const char *stop,
                    bint *hex_offsets) noexcept nogil
    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil
