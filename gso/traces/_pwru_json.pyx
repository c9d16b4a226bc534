# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of ``pwru --output-json``, of every version: one object each.

Members may have any order; of two that set the same value the later counts. Numbers may stand in
strings. pwru leaves out values of zero, which therefore read as unknown; only a CPU every event
has, so that a missing one means 0.
"""

from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy

from gso.traces._columns cimport NO_VALUE, OWNER_DAMAGED, STACK_BYTES
from gso.traces._json cimport skip_scalar, skip_string, skip_value, skip_white, unescape
from gso.traces._keys cimport find_key
from gso.traces._line_template cimport (
    CPU_BIT, DEVICE_BIT, FIRST_PART, FLOW_BIT, FUNCTION_BIT, IFINDEX_BIT, LOCATION_BIT, POINTER_BIT,
    PROCESS_BIT, REASON_BIT, RETURNS_BIT, TIME_BIT, TemplateSlot, bit, key_bit,
)
from gso.traces._names cimport intern_like
from gso.traces._row cimport (
    T_ETHERTYPE, T_IFINDEX, T_MTU, T_NETNS, T_NUMBER, T_OFFSET, Key,
)
from gso.traces._scanner cimport LINE_DAMAGED, LINE_EVENT, LINE_NO_MEMORY, LINE_READ, Scanner
from gso.traces._text cimport (
    find, is_blank, is_digit, is_word, read_clock, read_number, skip_blanks, starts,
)

from gso.traces._scanner import LONGEST_LINE

cdef extern from "stdio.h" nogil:
    int snprintf(char *target, size_t size, const char *format, ...)

# The members of an event; one whose value has another type than expected is passed over.
cdef enum Part:
    POINTER = FIRST_PART
    CPU
    PROCESS
    FUNCTION
    CALLER
    TIME
    INTERFACE
    TUPLE
    STACK
    DUMP                    # an sk_buff or its skb_shared_info, as C prints it
    FIELD                   # of the sk_buff, by its name
    OTHER

cdef enum Object:
    EVENT_OBJECT
    TUPLE_OBJECT
    DUMP_OBJECT

cdef enum:
    LONGEST_OBJECT = 1 << 20
    ADDRESS = 64            # "[2001:db8::1]"; longer text is no address
    FLOW_BYTES = 2 * ADDRESS + 80
    STACK_BIT = RETURNS_BIT     # no line of pwru reports a return

cdef struct Member:
    char[16] name
    int64_t size
    int part
    uint64_t sets

cdef struct Endpoint:
    char[ADDRESS] address
    int64_t size
    int64_t port

cdef Member[12] MEMBERS
cdef int members = 0


def _add_members():
    global members
    for name, part, sets in (
        ("skb", POINTER, (POINTER_BIT,)),
        ("cpu", CPU, (CPU_BIT,)),
        ("process", PROCESS, (PROCESS_BIT,)),
        ("func", FUNCTION, (FUNCTION_BIT, REASON_BIT)),
        ("caller_func", CALLER, (LOCATION_BIT,)),
        ("time", TIME, (TIME_BIT,)),
        ("iface", INTERFACE, (DEVICE_BIT, IFINDEX_BIT)),
        ("tuple", TUPLE, (FLOW_BIT,)),
        ("stack", STACK, (STACK_BIT,)),
        ("skb_metadata", DUMP, ()),
        ("skb_shared_info", DUMP, ()),
    ):
        text = name.encode()
        memcpy(MEMBERS[members].name, <const char *>text, len(text))
        MEMBERS[members].size, MEMBERS[members].part = len(text), part
        MEMBERS[members].sets = sum(1 << number for number in sets)
        members += 1


_add_members()


cdef inline bint is_scalar_of(const char *p, const char *end) noexcept nogil:
    """Whether a colon and a string or a number follow a member's name, which may be NULL."""
    if p == NULL:
        return False
    p = skip_white(p, end)
    if p == end or p[0] != c":":
        return False
    p = skip_white(p + 1, end)
    return p < end and (p[0] == c'"' or is_digit(p[0]))


cdef class JsonScanner(Scanner):
    """Scans events of pwru's JSON into columns; see `Scanner`."""

    cdef char *scratch          # room for a string without its escapes
    # An object that goes over several lines: its text so far, and the line and the column where it
    # begins.
    cdef char *object
    cdef int64_t filled, object_line, object_column
    cdef int64_t longest
    cdef int32_t stack_name
    cdef bint by_clock
    cdef Endpoint source, destination
    cdef int64_t protocol
    cdef bint is_flow

    def __cinit__(self, *_, **__):
        self.longest = LONGEST_LINE
        self.scratch = <char *>malloc(LONGEST_LINE)
        if self.scratch == NULL:
            raise MemoryError(f"no memory for strings of {LONGEST_LINE} bytes")

    def __dealloc__(self):
        free(self.scratch)
        free(self.object)

    # --- lines ---

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        p = skip_white(p, end)
        return p < end and p[0] == c"{" and not self.filled

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        """Look for "skb" with a pointer, or "func" with a name: other tools have objects there.

        An object that jq wrote over several lines begins with a line of its own.
        """
        p = skip_white(p, end)
        return p < end and p[0] == c"{" and (
            end - p == 1
            or is_scalar_of(find(p, end, b'"skb"', 5), end)
            or is_scalar_of(find(p, end, b'"func"', 6), end))

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *start = skip_white(p, end)
        if self.filled:
            return self._add_line(p, start, end)
        if start < end and (end - 1)[0] == c",":
            end -= 1                    # of an array
        if end - start == 1 and start[0] == c"{":
            return self._open(p, start)
        if end - start == 1 and (start[0] == c"[" or start[0] == c"]"):
            return LINE_READ
        if not self._begins(p, end):
            self.owner = OWNER_DAMAGED
            return -1
        return self._event(p, end)

    cdef int _open(self, const char *p, const char *start) noexcept nogil:
        """Begin an object that goes over several lines."""
        if self.object == NULL:
            self.object = <char *>malloc(LONGEST_OBJECT)
            if self.object == NULL:
                return LINE_NO_MEMORY
        self.object[0] = c"{"
        self.filled = 1
        self.object_line, self.object_column = self.line, start - p
        self.template.usable = False
        return LINE_READ

    cdef int _add_line(self, const char *p, const char *start, const char *end) noexcept nogil:
        """Add a line to the object; read it at its last line, which begins where the first did."""
        cdef int64_t size = end - start
        cdef int status
        if start < end and start[0] == c"{" and start - p <= self.object_column:
            self._give_up()
            return self._scan(p, end)
        if self.filled + size > LONGEST_OBJECT:
            self.filled = 0
            self.owner = OWNER_DAMAGED
            return LINE_DAMAGED
        memcpy(self.object + self.filled, start, size)
        self.filled += size
        if start == end or start[0] != c"}" or start - p != self.object_column:
            return LINE_READ
        if (end - 1)[0] == c",":
            self.filled -= 1
        size, self.filled = self.filled, 0
        self.line_start = self.object
        status = self._event(self.object, self.object + size)
        if status == LINE_EVENT:
            self.row.line = self.object_line
        elif status == LINE_DAMAGED:
            self._give_up()
            status = LINE_READ
        self.template.broken = True
        return status

    cdef void _give_up(self) noexcept nogil:
        """Count an object that has no end, or is no event, as damaged: its first line."""
        cdef int64_t line = self.line
        self.filled = 0
        self.owner = OWNER_DAMAGED
        with gil:
            self.line = self.object_line
            self._complain(b"{")
            self.line = line

    def end(self):
        """Count an object that the log does not end."""
        if self.filled:
            self._give_up()

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        self._new()
        self.row.cpu = 0
        self.stack_name = NO_VALUE
        self.by_clock = False
        p = self._object(EVENT_OBJECT, skip_white(p, end), end)
        if p == NULL or skip_white(p, end) < end or not self.template.seen & bit(POINTER_BIT):
            self._undo()
            return -1
        self.row.stack = self.stack_name
        if self.events == 1 and self.row.time == 0 and not self.by_clock:
            self.relative = True        # it is 0 for each packet's first event
        return LINE_EVENT

    cdef bint _read_by_template(self, const char *p, const char *end) noexcept nogil:
        self.stack_name = self.row.stack
        if end - p > self.longest or not Scanner._read_by_template(self, p, end):
            return False
        self.row.stack = self.stack_name
        return True

    cdef const char *_read_part(self, const TemplateSlot *slot, const char *p,
                                const char *end) noexcept nogil:
        return self._value(slot.kind, slot.key, skip_white(p, end), end)

    # --- objects ---

    cdef const char *_object(self, int kind, const char *p, const char *end) noexcept nogil:
        """Read the members of the object at `p`; return its end, NULL if it is none."""
        cdef const char *name
        cdef int64_t size
        p = skip_white(p + 1, end)
        if p < end and p[0] == c"}":
            return p + 1
        while True:
            p = self._string(skip_white(p, end), end, &name, &size)
            if p == NULL:
                return NULL
            p = skip_white(p, end)
            if p == end or p[0] != c":":
                return NULL
            p = skip_white(p + 1, end)
            if kind == EVENT_OBJECT:
                p = self._member(name, size, p, end)
            elif kind == TUPLE_OBJECT:
                p = self._of_tuple(name, size, p, end)
            else:
                p = self._of_dump(name, size, p, end)
            if p == NULL:
                return NULL
            p = skip_white(p, end)
            if p == end or p[0] != c",":
                return p + 1 if p < end and p[0] == c"}" else NULL
            p += 1

    cdef const char *_member(self, const char *name, int64_t size, const char *p,
                             const char *end) noexcept nogil:
        """Read a member of an event, and note the slot of its value."""
        cdef const Key *key = NULL
        cdef const char *stop
        cdef uint64_t sets = 0
        cdef int part = OTHER, i
        cdef TemplateSlot *slot
        for i in range(members):
            if MEMBERS[i].size == size and memcmp(MEMBERS[i].name, name, size) == 0:
                part, sets = MEMBERS[i].part, MEMBERS[i].sets
                break
        else:
            key = find_key(name, size)
            if key != NULL and (key.target in (T_NUMBER, T_OFFSET, T_ETHERTYPE)
                                or key.target in (T_NETNS, T_MTU, T_IFINDEX)):
                part, sets = FIELD, key_bit(key)
        stop = self._value(part, key, p, end)
        if stop == NULL:
            return NULL
        if part == DUMP:
            self.template.broken = True    # only its text shows what it sets
        slot = self._note(part, sets, p, stop)
        slot.key = key
        self.template.seen |= sets
        return stop

    cdef const char *_value(self, int part, const Key *key, const char *p,
                            const char *end) noexcept nogil:
        """Read the value of a member; return its end.

        A value that has no meaning is unknown. NULL where it is no JSON, or no sk_buff's pointer.
        """
        cdef const char *text
        cdef int64_t size
        cdef bint hex_offsets = False
        if part == OTHER:
            return skip_value(p, end)
        if part == TUPLE:
            return self._tuple(p, end)
        if part == DUMP:
            return self._dump(p, end)
        if part == POINTER:
            return self._pointer(p, end)
        p = self._word(p, end, &text, &size)
        if p == NULL:
            return NULL
        if part == FIELD:
            self._forget(key)
            self._store(key, text, text + size, &hex_offsets)
        elif part == CPU:
            self._cpu(text, text + size)
        elif part == TIME:
            self._time(text, text + size)
        elif part == PROCESS:
            self.row.process = intern_like(&self.names, self.last.process, text, size)
        elif part == FUNCTION:
            self._function(text, text + size)
        elif part == CALLER:
            self.row.location = intern_like(&self.names, self.last.location, text,
                                            self._symbol_end(text, text + size) - text)
        elif part == INTERFACE:
            self._interface(text, text + size)
        else:
            self._stack(text, text + size)
        return p

    # --- strings and numbers ---

    cdef const char *_string(self, const char *p, const char *end, const char **text,
                             int64_t *size) noexcept nogil:
        """Find the text of the string at `p`, valid until the next one with escapes is read."""
        cdef bint escaped
        cdef const char *stop = skip_string(p, end, &escaped)
        if stop == NULL:
            return NULL
        text[0], size[0] = p + 1, stop - p - 2
        if escaped:
            size[0] = unescape(text[0], stop - 1, self.scratch)
            text[0] = self.scratch
        return stop

    cdef const char *_word(self, const char *p, const char *end, const char **text,
                           int64_t *size) noexcept nogil:
        """Find the text of a string, or a number as it is written; no text for other values."""
        if p < end and p[0] == c'"':
            return self._string(p, end, text, size)
        text[0], size[0] = p, 0
        if p < end and (p[0] == c"-" or is_digit(p[0])):
            p = skip_scalar(p, end)
            size[0] = p - text[0] if p != NULL else 0
            return p
        return skip_value(p, end)

    cdef const char *_pointer(self, const char *p, const char *end) noexcept nogil:
        cdef const char *text
        cdef const char *stop
        cdef int64_t size, number = 0
        stop = self._word(p, end, &text, &size)
        if stop == NULL or not read_number(text, text + size, 16 if p[0] == c'"' else 10, &number):
            return NULL
        self.row.pointer = <uint64_t>number
        return stop

    cdef void _cpu(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t number = 0
        self.row.cpu = NO_VALUE
        if read_number(p, end, 10, &number) and 0 <= number <= 1 << 20:
            self.row.cpu = <int32_t>number

    cdef void _time(self, const char *p, const char *end) noexcept nogil:
        """Read a time of day, or nanoseconds since the boot or the packet's last event."""
        cdef int64_t number = 0
        self.row.time = read_clock(p, end)
        self.by_clock = self.row.time != INT64_MIN
        if not self.by_clock and read_number(p, end, 10, &number) and number >= 0:
            self.row.time = number

    # --- names ---

    cdef void _function(self, const char *p, const char *end) noexcept nogil:
        """Read NAME, NAME(REASON), "NAME (2)" or NAME(tc)."""
        cdef const char *stop = p
        cdef const char *close
        while stop < end and stop[0] != c"(" and not is_blank(stop[0]):
            stop += 1
        self.row.function = intern_like(&self.names, self.last.function, p, stop - p)
        self.row.reason = NO_VALUE
        p = skip_blanks(stop, end)
        if p == end or p[0] != c"(" or starts(p, end, b"(tc)", 4) or starts(p, end, b"(xdp)", 5):
            return
        close = <const char *>memchr(p, c")", end - p)
        if close != NULL:
            self.row.reason = intern_like(&self.names, self.last.reason, p + 1, close - p - 1)

    cdef void _interface(self, const char *p, const char *end) noexcept nogil:
        """Read "eth0:2": the interface's name and number."""
        cdef const char *at = end
        cdef int64_t number = 0
        self.row.ifindex = NO_VALUE
        while at > p and is_digit((at - 1)[0]):
            at -= 1
        if at > p and (at - 1)[0] == c":" and read_number(at, end, 10, &number):
            self.row.ifindex = <int32_t>min(number, 0x7fffffff)
            end = at - 1
        self.row.device = intern_like(&self.names, self.last.device, p, end - p)

    cdef void _stack(self, const char *p, const char *end) noexcept nogil:
        """Read a stack: each line begins with a function."""
        cdef const char *line_end
        cdef const char *stop
        cdef int64_t used = 0
        while p < end:
            line_end = <const char *>memchr(p, c"\n", end - p)
            if line_end == NULL:
                line_end = end
            p = stop = skip_blanks(p, line_end)
            while stop < line_end and is_word(stop[0]):
                stop += 1
            if stop > p and used + (stop - p) + 1 <= STACK_BYTES:
                if used:
                    self.stack_text[used] = c"\n"
                    used += 1
                memcpy(&self.stack_text[used], p, stop - p)
                used += stop - p
            p = line_end + 1
        self.stack_name = intern_like(&self.names, self.last.stack, self.stack_text, used)

    # --- the flow ---

    cdef const char *_tuple(self, const char *p, const char *end) noexcept nogil:
        cdef char[FLOW_BYTES] text
        cdef char[24] protocol
        cdef int64_t size
        self.row.flow = NO_VALUE
        if p == end or p[0] != c"{":
            return skip_value(p, end)
        self.source.size = self.destination.size = 0
        self.source.port = self.destination.port = self.protocol = 0
        self.is_flow = True
        p = self._object(TUPLE_OBJECT, p, end)
        if p == NULL or not self.is_flow or not self.source.size and not self.destination.size:
            return p
        if self.protocol in (1, 6, 17, 58):
            snprintf(protocol, sizeof(protocol), b"%s",
                     b"tcp" if self.protocol == 6 else b"udp" if self.protocol == 17
                     else b"icmp" if self.protocol == 1 else b"icmp6")
        else:
            snprintf(protocol, sizeof(protocol), b"%lld", <long long>self.protocol)
        size = self._endpoint(&self.source, text, 0)
        memcpy(text + size, b"->", 2)
        size = self._endpoint(&self.destination, text, size + 2)
        size += snprintf(text + size, FLOW_BYTES - size, b"(%s)", protocol)
        self.row.flow = intern_like(&self.names, self.last.flow, text, size)
        return p

    cdef int64_t _endpoint(self, const Endpoint *endpoint, char *text, int64_t at) noexcept nogil:
        memcpy(text + at, endpoint.address, endpoint.size)
        at += endpoint.size
        return at + snprintf(text + at, 24, b":%lld", <long long>endpoint.port)

    cdef const char *_of_tuple(self, const char *name, int64_t size, const char *p,
                               const char *end) noexcept nogil:
        cdef Endpoint *endpoint = &self.source
        cdef bint is_address, is_port, is_protocol
        cdef int64_t number = 0
        cdef const char *text
        is_protocol = size == 5 and memcmp(name, b"proto", 5) == 0
        is_address = size == 5 and memcmp(name + 1, b"addr", 4) == 0
        is_port = size == 5 and memcmp(name + 1, b"port", 4) == 0
        if not is_protocol:
            if not (is_address or is_port) or (name[0] != c"s" and name[0] != c"d"):
                return skip_value(p, end)
            endpoint = &self.source if name[0] == c"s" else &self.destination
        p = self._word(p, end, &text, &size)
        if p == NULL:
            return NULL
        if is_address:
            self.is_flow &= size <= ADDRESS
            endpoint.size = min(size, ADDRESS)
            memcpy(endpoint.address, text, endpoint.size)
            return p
        if not read_number(text, text + size, 10, &number):
            self.is_flow = False
        if is_protocol:
            self.protocol = number
        else:
            endpoint.port = number
        return p

    # --- the sk_buff as C prints it ---

    cdef const char *_dump(self, const char *p, const char *end) noexcept nogil:
        """Read lines such as ".inner_mac_header = (__u16)68,", or an object of such fields."""
        cdef const char *text
        cdef const char *stop
        cdef const char *line_end
        cdef int64_t size
        if p < end and p[0] == c"{":
            return self._object(DUMP_OBJECT, p, end)
        stop = self._word(p, end, &text, &size)
        if stop == NULL:
            return NULL
        end = text + size
        self.dump_of = -1
        while text < end:
            line_end = <const char *>memchr(text, c"\n", end - text)
            if line_end == NULL:
                line_end = end
            self._dump_line(text, line_end)
            text = line_end + 1
        return stop

    cdef const char *_of_dump(self, const char *name, int64_t size, const char *p,
                              const char *end) noexcept nogil:
        cdef const Key *key = find_key(name, size)
        cdef const char *text
        p = self._word(p, end, &text, &size)
        if p != NULL:
            self._field(key, text, text + size)
        return p

    cdef void _field(self, const Key *key, const char *p, const char *end) noexcept nogil:
        """Store a field of the sk_buff where its value can be read; others are passed over."""
        cdef bint hex_offsets = False
        if key != NULL and key.target in (T_NUMBER, T_OFFSET, T_ETHERTYPE):
            self._store(key, p, end, &hex_offsets)
