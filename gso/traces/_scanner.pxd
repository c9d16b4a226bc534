from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t

from gso.traces._line_template cimport LineTemplate, TemplateSlot
from gso.traces._names cimport Names
from gso.traces._prefixes cimport Prefix
from gso.traces._row cimport EventRow, Key
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

# The outcome of a line, or why there was none.
cdef enum LineStatus:
    LINE_ORPHAN = -4        # part of an event that is not known, or of several: unread for sure
    LINE_STRANGE = -3       # another reader claims it
    LINE_NO_MEMORY = -2
    LINE_DAMAGED = -1
    LINE_READ = 0
    LINE_EVENT
    LINE_AGAIN              # what stands before its text was learned
    BATCH_FULL

cdef const Key *find_key(const char *text, int64_t size) noexcept nogil

# The last stack, as its lines stand in the log.
cdef struct StackText:
    bint usable             # it is set, and Scanner.stack_text has its functions
    int32_t size
    int32_t functions_size
    int64_t lines
    char[STACK_BYTES] text


cdef class Scanner:
    cdef Py_ssize_t capacity, count
    cdef Names names
    cdef int64_t line, damaged, lost, events, room
    cdef bint in_stack, bare_flows, hex_proto, use_templates
    cdef public bint relative
    cdef public int number
    cdef public Scanner next
    cdef readonly int stranger
    cdef int64_t given_line         # the line that another scanner gave to this one
    cdef int64_t wrapped            # the last line that went on with an event's
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
    cdef int8_t[::1] returns, readers
    # The last event is put into the columns when the next one begins.
    cdef bint pending
    cdef EventRow *row
    cdef EventRow *last
    cdef EventRow[2] events_read
    cdef EventRow nothing
    cdef const char *line_start
    cdef const char *raw_start      # with its prefixes
    cdef Prefix prefix
    cdef LineTemplate template
    cdef const char *after_event    # where the last event's stack begins; NULL after other lines
    cdef StackText stack
    cdef int64_t stack_lines
    cdef int32_t last_stack
    # The event whose dump is read, the braces that are open in it, and how many were open at the
    # innermost struct that is no part of the sk_buff itself; 0 outside of those.
    cdef int64_t dump_of
    cdef int32_t depth, member_depth

    cdef bint _names_columns(self, const char *p, const char *end) noexcept nogil
    cdef bint _begins(self, const char *p, const char *end) noexcept nogil
    cdef bint _claims(self, const char *p, const char *end) noexcept nogil
    cdef int _claimed(self, const char *p, const char *end, int but) noexcept nogil
    cdef bint _goes_on(self, const char *p, const char *end) noexcept nogil
    cdef bint _is_strange(self, const char *p, const char *end) noexcept nogil
    cdef const char *_text_of(self, const char *p, const char *end) noexcept nogil
    cdef bint _learn(self, const char *p, const char *end) noexcept nogil
    cdef int _within(self, const char *p, const char *at, const char *end) noexcept nogil
    cdef int _not_read(self, const char *p, const char *end) noexcept nogil
    cdef int _scan(self, const char *p, const char *end) noexcept nogil
    cdef const char *_read_part(self, const TemplateSlot *slot, const char *p,
                                const char *end) noexcept nogil
    cdef bint _read_by_template(self, const char *p, const char *end) noexcept nogil
    cdef const char *_reread_slot(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil
    cdef const char *_reread_pair(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil
    cdef void _forget(self, const Key *key) noexcept nogil
    cdef const char *_take_part(self, int kind, uint64_t sets, const char *p,
                                const char *end) noexcept nogil
    cdef TemplateSlot *_note(self, int kind, uint64_t sets, const char *p,
                             const char *stop) noexcept nogil
    cdef void _keep_template(self) noexcept nogil
    cdef void _begin(self) noexcept nogil
    cdef int _too_long(self) noexcept nogil
    cdef void _new(self) noexcept nogil
    cdef void _undo(self) noexcept nogil
    cdef int _cut(self) noexcept nogil
    cdef void _store_event(self, EventRow *row) noexcept nogil
    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil
    cdef void _keep_stack(self, const EventRow *event) noexcept nogil
    cdef int64_t _skip_stack(self, const char *p, const char *end) noexcept nogil
    cdef int _pairs(self, const char *p, const char *end) noexcept nogil
    cdef void _forget_virtio(self) noexcept nogil
    cdef void _flow(self, const char *p, const char *end) noexcept nogil
    cdef void _data(self, const char *p, const char *end) noexcept nogil
    cdef int _store(self, const Key *key, const char *value, const char *stop,
                    bint *hex_offsets) noexcept nogil
    cdef int _dump_line(self, const char *p, const char *end) noexcept nogil
    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil
