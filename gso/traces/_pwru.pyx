# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of pwru, of every version."""

from libc.stdint cimport INT64_MIN, int32_t, int64_t, uint64_t
from libc.string cimport memchr

from gso.skb._skb cimport FIELD_AT_LEN, FIELD_AT_PROTOCOL
from gso.traces._columns cimport NO_VALUE, OWNER_DAMAGED, OWNER_EVENT, OWNER_NONE
from gso.traces._keys cimport find_key
from gso.traces._line_template cimport (
    CPU_BIT, DEVICE_BIT, FIRST_PART, FLOW_BIT, FUNCTION_BIT, IFINDEX_BIT, LENGTH_BIT, LOCATION_BIT,
    MTU_BIT, NETNS_BIT, POINTER_BIT, PROCESS_BIT, PROTOCOL_BIT, REASON_BIT, SLOT_FLOW, TIME_BIT,
    TemplateSlot, bit,
)
from gso.traces._names cimport intern, intern_like
from gso.traces._row cimport EventRow, Key, put
from gso.traces._scanner cimport LINE_EVENT, LINE_READ, LINE_STRANGE, Scanner
from gso.traces._text cimport (
    find, hex_digit, hex_digits_8, host_order, is_blank, is_digit, is_word, read_clock, read_number,
    skip_blanks, skip_token, starts,
)

cdef enum Part:
    START = FIRST_PART      # the clock, if there is one, and the pointer
    CPU
    BRACKETED               # [process]
    PROCESS
    FUNCTION
    BARE_FUNCTION           # with no flow before it
    TIME
    NETNS
    MARK
    INTERFACE
    PROTOCOL
    MTU
    LENGTH
    CONTROL                 # what --output-skb-cb prints
    NETNS_NAME
    CALLER

cdef int64_t NO_TIME = INT64_MIN
cdef const Key *LENGTH_KEY = find_key(b"len", 3)

cdef enum:
    LEAST_DIGITS = 8        # of a pointer
    MOST_DIGITS = 16
    LONGEST_PROCESS = 512   # its number and its path
    MOST_WORDS = 4          # of a process


cdef bint has_event(const char *p, const char *end) noexcept nogil:
    """Whether an event begins after `p`: the line that begins there was cut short."""
    cdef const char *at = p
    cdef const char *stop
    while True:
        at = <const char *>memchr(at, c"x", end - at) if at < end else NULL
        if at == NULL:
            return False
        if at > p and (at - 1)[0] == c"0" and end - at > LEAST_DIGITS and hex_digits_8(at + 1) >= 0:
            stop = skip_token(at, min(end, at + MOST_DIGITS + 2))
            if stop < end and is_blank(stop[0]) \
                    and names_process(stop, min(end, stop + LONGEST_PROCESS)):
                return True
        at += 1


cdef bint names_process(const char *p, const char *end) noexcept nogil:
    """Whether "9 [process]" or "9 process:12" follows a pointer."""
    cdef const char *stop
    cdef int64_t number = 0
    cdef int _word
    p = skip_blanks(p, end)
    stop = skip_token(p, end)
    if read_number(p, stop, 10, &number):
        p = skip_blanks(stop, end)
    if p < end and p[0] == c"[":
        return memchr(p, c"]", end - p) != NULL
    for _word in range(MOST_WORDS):
        stop = skip_token(p, end)
        if ends_in_number(p, stop):
            return True
        p = skip_blanks(stop, end)
    return False


cdef bint ends_in_number(const char *p, const char *stop) noexcept nogil:
    """Whether a word ends with ":" and a number, as a process does."""
    cdef const char *at = stop
    while at > p and is_digit((at - 1)[0]):
        at -= 1
    return at < stop and at > p and (at - 1)[0] == c":"


cdef bint read_pointer(const char *p, const char *stop, int64_t *pointer) noexcept nogil:
    """Read a word that is a pointer and nothing else; in a table more may stand in it."""
    cdef const char *at = p + 2
    cdef int64_t high, low
    if stop - at == MOST_DIGITS:
        high, low = hex_digits_8(at), hex_digits_8(at + 8)
        pointer[0] = <int64_t>(<uint64_t>high << 32 | <uint64_t>low)
        return high >= 0 and low >= 0
    while at < stop and hex_digit(at[0]) >= 0:
        at += 1
    return at == stop and read_number(p, stop, 16, pointer)


cdef class PwruScanner(Scanner):
    """Scans events of pwru into columns; see `Scanner`."""

    # Which columns the header line names.
    cdef bint has_names, has_caller

    def __cinit__(self, *_, **__):
        self.bare_flows = True

    cdef bint _names_columns(self, const char *p, const char *end) noexcept nogil:
        p = skip_blanks(p, end)
        return (starts(p, end, b"SKB", 3) and end - p > 3 and is_blank(p[3])
                or starts(p, end, b"TIME", 4) and end - p > 4 and is_blank(p[4]))

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        cdef int64_t clock, pointer
        return self._start_of(p, end, &at, &clock, &pointer) == 1

    cdef bint _is_whole(self, const char *p, const char *at, const char *end) noexcept nogil:
        return self._begins(p, end)

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        """Look for the header line, "0xffff.. 9 [process] ..." and "0xffff.. 9 process:12 ..."."""
        cdef const char *at = skip_blanks(p, end)
        cdef int64_t clock, pointer, number
        if starts(at, end, b"TIME", 4):
            at = skip_blanks(at + 4, end)
        if starts(at, end, b"SKB", 3) and end - at > 4 and is_blank(at[3]):
            at = skip_blanks(at + 4, end)
            return starts(at, end, b"CPU", 3) or starts(at, end, b"PROCESS", 7)
        if self._start_of(p, end, &at, &clock, &pointer) != 1:
            return False
        at = skip_blanks(at, end)
        if read_number(at, skip_token(at, end), 10, &number):
            at = skip_blanks(skip_token(at, end), end)
        if at < end and at[0] == c"[":
            at = <const char *>memchr(at, c"]", end - at)
            return at != NULL and skip_blanks(at + 1, end) < end
        return self._has_process(at, end)

    cdef bint _has_process(self, const char *p, const char *end) noexcept nogil:
        """Whether a word ends with ":" and a number."""
        while True:
            p = <const char *>memchr(p, c":", end - p) if p < end else NULL
            if p == NULL:
                return False
            p += 1
            if p < end and is_digit(p[0]):
                while p < end and is_digit(p[0]):
                    p += 1
                if p < end and is_blank(p[0]):
                    return True

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef int64_t clock, pointer
        cdef int start
        if self._names_columns(at, end):
            if has_event(at, end):
                return self._cut()
            self.has_names = find(at, end, b"NETNS NAME", 10) != NULL
            self.has_caller = find(at, end, b"CALLER", 6) != NULL
            self.template.usable = False
            return LINE_READ
        start = self._start_of(p, end, &at, &clock, &pointer)
        if start == 0:
            return self._more(at, end)
        if start < 0:
            self.owner = OWNER_DAMAGED
            return -1
        if has_event(at, end):
            return self._cut()
        self._new()
        self.row.pointer = <uint64_t>pointer
        self.row.time = clock
        self._note(START, bit(POINTER_BIT) | (bit(TIME_BIT) if clock != NO_TIME else 0),
                   p, at).flag = clock != NO_TIME
        if self._fields(at, end) < 0:
            self._undo()
            return -1
        return LINE_EVENT

    cdef int _start_of(self, const char *p, const char *end, const char **rest, int64_t *clock,
                       int64_t *pointer) noexcept nogil:
        """Return 1 for a line that begins an event, 0 for one that follows it, -1 if damaged.

        `rest` is set to the text that is still to be read.
        """
        cdef const char *at = skip_blanks(p, end)
        cdef const char *stop = skip_token(at, end)
        clock[0] = NO_TIME
        rest[0] = at
        if is_digit(at[0]) and not starts(at, end, b"0x", 2):
            clock[0] = read_clock(at, stop)
            if clock[0] == NO_TIME:
                return 0
            at = skip_blanks(stop, end)
            stop = skip_token(at, end)
        if not starts(at, end, b"0x", 2):
            return 0
        if not read_pointer(at, stop, pointer):
            return -1
        rest[0] = stop
        if skip_blanks(stop, end) == end:
            rest[0] = p
            return -1 if clock[0] == NO_TIME and stop - p < 14 else 0
        return 1

    cdef const char *_read_part(self, const TemplateSlot *slot, const char *p,
                                const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef int64_t clock, pointer
        if slot.kind == START:
            if self._start_of(p, end, &at, &clock, &pointer) != 1 \
                    or (clock != NO_TIME) != slot.flag:
                return NULL
            self.row.pointer = <uint64_t>pointer
            if slot.flag:
                self.row.time = clock
            return at
        if at == end:
            return NULL
        if slot.kind == CPU:
            return self._cpu(at, end)
        if slot.kind == BRACKETED:
            return self._bracketed(at, end)
        if slot.kind == PROCESS:
            return self._process(at, end)
        if slot.kind == FUNCTION:
            return self._function(at, end)
        if slot.kind == BARE_FUNCTION:
            return self._function(at, end) if self._is_function(at, end) else NULL
        if slot.kind == TIME:
            return self._time(at, end)
        if NETNS <= slot.kind <= LENGTH:
            return self._column(slot.kind, at, end)
        if slot.kind == CONTROL:
            return skip_token(at, end) if starts(at, end, b"[0x", 3) else NULL
        if slot.kind == NETNS_NAME:
            return self._netns_name(at, end)
        return self._caller(at, end)

    cdef int _fields(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = self._take_part(CPU, bit(CPU_BIT), p, end)
        if at != NULL:
            p = at
        else:
            self.template.broken = True    # in the next line a number here would be the CPU
        p = skip_blanks(p, end)
        self.hex_proto = p < end and p[0] == c"["
        if self.hex_proto:
            return self._line_old(p, end)
        return self._line_new(p, end)

    cdef const char *_cpu(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = skip_token(p, end)
        cdef int64_t number = 0
        if p[0] == c"[" or not read_number(p, stop, 10, &number) or not 0 <= number <= 1 << 20:
            return NULL
        self.row.cpu = <int32_t>number
        return stop

    cdef int _line_old(self, const char *p, const char *end) noexcept nogil:
        """Read [process] FUNCTION [time] netns=... mark=... ifindex=... proto=... TUPLE.

        This is pwru up to v1.0.6. Its proto is hexadecimal without 0x; 8 is IPv4 in network order.
        """
        cdef const char *at = self._take_part(BRACKETED, bit(PROCESS_BIT), p, end)
        if at == NULL:
            return -1
        p = self._take_part(FUNCTION, bit(FUNCTION_BIT) | bit(REASON_BIT), at, end)
        if p == NULL:
            return -1
        at = self._take_time(p, end)
        return self._pairs(p if at == NULL else at, end)

    cdef const char *_bracketed(self, const char *p, const char *end) noexcept nogil:
        cdef const char *close = <const char *>memchr(p, c"]", end - p)
        if p[0] != c"[" or close == NULL or has_event(p, end):
            return NULL
        self.row.process = intern_like(&self.names, self.last.process, p + 1, close - p - 1)
        return close + 1

    cdef const char *_time(self, const char *p, const char *end) noexcept nogil:
        """Read nanoseconds since the boot, or since the packet's last event: 0 for its first."""
        cdef const char *stop = skip_token(p, end)
        cdef int64_t number = 0
        if not is_digit(p[0]) or not read_number(p, stop, 10, &number):
            return NULL
        # If the line begins with a clock's time, that is better than this column.
        if self.template.slots[0].flag:
            return stop
        self.row.time = number
        return stop

    cdef const char *_take_time(self, const char *p, const char *end) noexcept nogil:
        """Read the time in full, without a template, as that of the first event always is."""
        cdef const char *at = self._take_part(TIME, bit(TIME_BIT), p, end)
        if at != NULL and self.events == 1 and self.row.time == 0 \
                and not self.template.slots[0].flag:
            self.relative = True
        return at

    cdef const char *_function(self, const char *p, const char *end) noexcept nogil:
        """Read NAME, NAME(REASON), "NAME (2)" or NAME(tc), and the blanks after it."""
        cdef const char *stop = skip_token(p, end)
        cdef const char *name_end = p
        cdef const char *close
        if (is_digit(p[0]) or p[0] == c"[") and memchr(p, c":", stop - p) != NULL:
            return NULL                 # an address and a port
        while name_end < stop and name_end[0] != c"(":
            name_end += 1
        self.row.function = intern(&self.names, p, name_end - p)
        self.row.reason = NO_VALUE
        p = skip_blanks(name_end, end)
        if p < end and p[0] == c"(":
            close = <const char *>memchr(p, c")", skip_token(p, end) - p)
            if close != NULL:
                if not starts(p, end, b"(tc)", 4) and not starts(p, end, b"(xdp)", 5):
                    self.row.reason = intern(&self.names, p + 1, close - p - 1)
                p = close + 1
            else:
                self.template.broken = True     # in the next line any later bracket would close it
        return skip_blanks(p, end)

    cdef int _line_new(self, const char *p, const char *end) noexcept nogil:
        """Read a line of pwru after v1.0.6.

        PROCESS [TIME] [NETNS MARK IFACE PROTO MTU LEN] [cb] [name] [TUPLE] FUNC [CALLER] ...
        """
        cdef const char *at = self._take_part(PROCESS, bit(PROCESS_BIT), p, end)
        p = p if at == NULL else at
        at = self._meta(p, end)
        if at == NULL:
            # Without these columns, or with the time before them.
            at = self._take_time(p, end)
            if at != NULL:
                p = at
                at = self._meta(p, end)
        if at != NULL:
            p = at
        else:
            self.template.broken = True
        at = self._take_part(CONTROL, 0, p, end)
        p = p if at == NULL else at
        at = self._take_part(NETNS_NAME, 0, p, end)
        p = skip_blanks(p if at == NULL else at, end)
        at = skip_token(p, end)
        if find(p, at, b"->", 2) != NULL:
            self._note(SLOT_FLOW, bit(FLOW_BIT), p, at)
            self._flow(p, at)
            p = self._take_part(FUNCTION, bit(FUNCTION_BIT) | bit(REASON_BIT), at, end)
            if p == NULL:
                return -1               # cut off after the flow
        else:
            # It may be a flow or a name instead, see `_is_function`.
            at = self._take_part(BARE_FUNCTION, bit(FUNCTION_BIT) | bit(REASON_BIT), p, end)
            self.template.broken |= at == NULL
            p = at if at != NULL or p == end else self._function(p, end)
        if p == NULL:
            return -1
        if self.has_caller:
            at = self._take_part(CALLER, bit(LOCATION_BIT), p, end)
            p = p if at == NULL else at
        return self._pairs(p, end)

    cdef const char *_netns_name(self, const char *p, const char *end) noexcept nogil:
        """Return the end of the namespace's name before the flow or the function, NULL without."""
        cdef const char *stop = skip_token(p, end)
        cdef const char *next = skip_blanks(stop, end)
        cdef const char *next_stop = skip_token(next, end)
        cdef bint flow_follows = find(next, next_stop, b"->", 2) != NULL
        if next == end or find(p, stop, b"->", 2) != NULL:
            return NULL
        if not flow_follows and not self.has_names:
            return NULL
        if memchr(next, c"=", next_stop - next) != NULL:
            return NULL
        self.template.broken |= not flow_follows
        return stop

    cdef bint _is_function(self, const char *p, const char *end) noexcept nogil:
        """Whether this is the function, and no flow or name before it."""
        cdef const char *stop = skip_token(p, end)
        cdef const char *next = skip_blanks(stop, end)
        # With a flow after it the next word decides that this is no name; another may not.
        self.template.broken |= find(next, skip_token(next, end), b"->", 2) != NULL
        return not starts(p, end, b"[0x", 3) and find(p, stop, b"->", 2) == NULL \
            and self._netns_name(p, end) == NULL

    cdef const char *_caller(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = skip_token(p, end)
        if memchr(p, c"=", stop - p) != NULL:
            return NULL
        self.template.broken |= find(p, stop, b"->", 2) != NULL
        self.row.location = intern(&self.names, p, self._symbol_end(p, stop) - p)
        return stop

    cdef const char *_process(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = self._process_end(p, end)
        if p[0] == c"[" or has_event(p, stop):
            return NULL
        self.row.process = intern_like(&self.names, self.last.process, p, stop - p)
        return stop

    cdef const char *_process_end(self, const char *p, const char *end) noexcept nogil:
        """Return the end of the process: ":" and its number; its path may have spaces."""
        cdef const char *stop = p
        cdef int _word
        for _word in range(MOST_WORDS):
            stop = skip_token(skip_blanks(stop, end), end)
            if ends_in_number(p, stop):
                return stop
        self.template.broken = True     # four words decide, not the process alone
        return skip_token(p, end)

    cdef const char *_meta(self, const char *p, const char *end) noexcept nogil:
        """Read the six columns of numbers; return their end, NULL if they are not here."""
        cdef const char *start = p
        cdef const char *stop
        cdef uint64_t sets
        cdef TemplateSlot *slot
        cdef int kind
        cdef EventRow before = self.row[0]
        for kind in range(NETNS, LENGTH + 1):
            p = skip_blanks(p, end)
            p = self._column(kind, p, end) if p < end else NULL
            if p == NULL:
                self.row[0] = before
                return NULL
        p = start
        for kind in range(NETNS, LENGTH + 1):
            stop = skip_token(skip_blanks(p, end), end)
            if kind == LENGTH:
                stop = self._length_end(skip_blanks(p, end), end)
            sets = (bit(NETNS_BIT) if kind == NETNS
                    else bit(DEVICE_BIT) | bit(IFINDEX_BIT) if kind == INTERFACE
                    else bit(PROTOCOL_BIT) if kind == PROTOCOL
                    else bit(MTU_BIT) if kind == MTU
                    else bit(LENGTH_BIT) if kind == LENGTH else 0)
            slot = self._note(kind, sets, p, stop)
            slot.key = LENGTH_KEY if kind == LENGTH else NULL
            p = stop
        return p

    cdef const char *_column(self, int kind, const char *p, const char *end) noexcept nogil:
        """Read one of the six columns: NETNS MARK IFACE PROTO MTU LEN."""
        cdef EventRow *row = self.row
        cdef const char *stop = skip_token(p, end)
        cdef int64_t value = 0
        if kind == INTERFACE:
            self._interface(p, stop)
            return stop
        if kind == LENGTH:
            stop = self._length_end(p, stop)
        if kind == PROTOCOL and not starts(p, stop, b"0x", 2):
            return NULL
        if not read_number(p, stop, 16 if kind == MARK or kind == PROTOCOL else 10, &value):
            return NULL
        if kind == NETNS:
            row.netns = value
        elif kind == PROTOCOL:
            row.skb.protocol = self.nothing.skb.protocol
            put(&row.skb, FIELD_AT_PROTOCOL, 4, host_order(value))
        elif kind == MTU:
            row.mtu = <int32_t>min(value, 0x7fffffff)
        elif kind == LENGTH:
            row.skb.len = self.nothing.skb.len
            put(&row.skb, FIELD_AT_LEN, 4, value)
        return stop

    cdef const char *_length_end(self, const char *p, const char *end) noexcept nogil:
        """Return the end of the length; the namespace's name may follow without a blank.

        "100xff" and "30.0.0.0:1->" have none: a damaged number, and one that runs into a flow.
        """
        cdef const char *stop = skip_token(p, end)
        while p < end and is_digit(p[0]):
            p += 1
        if p < stop and (not is_word(p[0]) or p[0] == c"x" or find(p, stop, b"->", 2) != NULL):
            return stop
        return p

    cdef void _interface(self, const char *p, const char *end) noexcept nogil:
        """Read "eth0:2": the interface's name and number."""
        cdef const char *at = end
        cdef int64_t number = 0
        # Were it a number, the time before these columns could be taken for the first column.
        self.template.broken |= starts(p, end, b"0x", 2)
        while at > p and is_digit((at - 1)[0]):
            at -= 1
        if at > p and (at - 1)[0] == c":" and at < end:
            read_number(at, end, 10, &number)
            self.row.ifindex = <int32_t>min(number, 0x7fffffff)
            at -= 1
        else:
            self.row.ifindex = NO_VALUE
            at = end
        self.row.device = intern_like(&self.names, self.last.device, p, at - p)

    cdef int _more(self, const char *p, const char *end) noexcept nogil:
        """Read a line that follows an event: of its stack, or of its sk_buff as C prints it."""
        cdef const char *stop
        cdef bint dump = self._is_dump(p, end)
        if not dump:
            if not is_word(p[0]) or is_digit(p[0]) and not starts(p, end, b"0x", 2):
                return -1
            stop = p
            while stop < end and is_word(stop[0]):
                stop += 1
            if stop < end and not is_blank(stop[0]) and stop[0] != c"+" and stop[0] != c"(":
                return -1
            if not self._is_symbol(stop, end):
                if not is_digit(p[0]):
                    return -1           # text, not a function
                if self._is_strange(p, end):
                    return LINE_STRANGE
        elif p[0] not in (c".", c"(", c"}", c")", c",") and self._is_strange(p, end):
            return LINE_STRANGE
        if self.owner != OWNER_EVENT:
            return -1 if self.owner == OWNER_NONE else 0
        if dump:
            return self._cut() if has_event(p, end) else self._dump_line(p, end)
        self._stack_line(p, stop)
        return 0

    cdef bint _is_dump(self, const char *p, const char *end) noexcept nogil:
        """Whether a line is shaped as those in which C prints a struct.

        After brackets and commas there is nothing, ".field", "(type)value" or a quoted char;
        drgn and gdb print "field = value".
        """
        cdef const char *start = p
        cdef const char *close
        while p < end and (memchr(b"{}[]),", p[0], 6) != NULL or is_blank(p[0])):
            p += 1
        if p == end:
            return True
        if p[0] == c".":
            return end - p > 1 and is_word(p[1]) and p[1] != c"."
        if p[0] == c"'":
            return end - p > 2 and (p[2] == c"'" or p[1] == c"\\")
        if p[0] == c"(":
            close = <const char *>memchr(p, c")", end - p)
            return close != NULL and end - close > 1 and not is_blank(close[1])
        if p > start:
            return False
        while p < end and is_word(p[0]):
            p += 1
        return p > start and starts(p, end, b" = ", 3)

    cdef bint _is_symbol(self, const char *p, const char *end) noexcept nogil:
        """Whether nothing but an offset and a module's name follow a function's."""
        if p < end and p[0] == c"+":
            p = skip_token(p, end)
        p = skip_blanks(p, end)
        return p == end or p[0] == c"["
