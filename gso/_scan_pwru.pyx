# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of pwru, of every version."""

from libc.stdint cimport INT32_MIN, INT64_MIN, int32_t, int64_t, uint64_t
from libc.string cimport memchr

from gso._names cimport intern, intern_like
from gso._scan cimport (
    DAMAGED_EVENT, EVENT, NOBODY, NONE, T_ETHERTYPE, T_NUMBER, T_OFFSET, Scanner, find_key, put,
)
from gso._text cimport (
    find, host_order, is_blank, is_digit, is_word, read_number, skip_blanks, skip_token, starts,
)

cdef int64_t NO_TIME = INT64_MIN


cdef class PwruScanner(Scanner):
    """Scans events of pwru into columns; see `Scanner`."""

    # Which columns the header line names.
    cdef bint has_names, has_caller

    def __cinit__(self, *_, **__):
        self.bare_flows = True

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        cdef int64_t clock, pointer
        return self._start_of(p, end, &at, &clock, &pointer) == 1

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef int64_t clock, pointer
        cdef int start
        if starts(at, end, b"SKB ", 4) or starts(at, end, b"TIME ", 5):
            self.has_names = find(at, end, b"NETNS NAME", 10) != NULL
            self.has_caller = find(at, end, b"CALLER", 6) != NULL
            return 0
        start = self._start_of(p, end, &at, &clock, &pointer)
        if start == 0:
            return self._more(at, end)
        if start < 0:
            self.owner = DAMAGED_EVENT
            return -1
        self._new()
        self.pointers[self.count - 1] = <uint64_t>pointer
        self.times[self.count - 1] = clock
        if self._fields(at, end) < 0:
            self._undo()
            return -1
        return 0

    cdef int _start_of(self, const char *p, const char *end, const char **rest, int64_t *clock,
                       int64_t *pointer) noexcept nogil:
        """1 for a line that begins an event, 0 for one behind an event, -1 for a damaged one.

        `rest` is what is still to be read.
        """
        cdef const char *at = skip_blanks(p, end)
        cdef const char *stop = skip_token(at, end)
        clock[0] = NO_TIME
        rest[0] = at
        if is_digit(at[0]) and not starts(at, end, b"0x", 2):
            clock[0] = self._clock(at, stop)
            if clock[0] == NO_TIME:
                return 0
            at = skip_blanks(stop, end)
            stop = skip_token(at, end)
        if not starts(at, end, b"0x", 2):
            return 0
        if not read_number(at, stop, 16, pointer):
            return -1
        rest[0] = skip_blanks(stop, end)
        if rest[0] == end:
            rest[0] = p
            return -1 if clock[0] == NO_TIME and stop - p < 14 else 0
        return 1

    cdef int64_t _clock(self, const char *p, const char *end) noexcept nogil:
        """Time of day in nanoseconds: "13:05:01.123", or a date, "T" and that."""
        cdef const char *t = <const char *>memchr(p, c"T", end - p)
        cdef int64_t fraction = 0, scale = 100000000
        cdef int i
        if t != NULL:
            p = t + 1
        if end - p < 8 or p[2] != c":" or p[5] != c":":
            return NO_TIME
        for i in range(8):
            if i % 3 != 2 and not is_digit(p[i]):
                return NO_TIME
        cdef int64_t seconds = (((p[0] - c"0") * 10 + p[1] - c"0") * 3600
                                + ((p[3] - c"0") * 10 + p[4] - c"0") * 60
                                + (p[6] - c"0") * 10 + p[7] - c"0")
        p += 8
        if p < end and (p[0] == c"." or p[0] == c","):
            p += 1
            while p < end and is_digit(p[0]) and scale:
                fraction += (p[0] - c"0") * scale
                scale //= 10
                p += 1
        return seconds * 1000000000 + fraction

    cdef int _fields(self, const char *p, const char *end) noexcept nogil:
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop = skip_token(p, end)
        cdef int64_t number = 0
        if p[0] != c"[" and read_number(p, stop, 10, &number) and 0 <= number <= 1 << 20:
            self.cpus[i] = <int32_t>number
            p = skip_blanks(stop, end)
        if p < end and p[0] == c"[":
            return self._line_old(p, end)
        return self._line_new(p, end)

    cdef int _line_old(self, const char *p, const char *end) noexcept nogil:
        """[process] FUNCTION [time] netns=... TUPLE, up to v1.0.6."""
        cdef const char *close = <const char *>memchr(p, c"]", end - p)
        cdef const char *stop
        cdef int64_t number = 0
        if close == NULL:
            return -1
        self._process(p + 1, close)
        p = skip_blanks(close + 1, end)
        if p == end:
            return -1
        p = self._function(p, end)
        stop = skip_token(p, end)
        if stop > p and is_digit(p[0]) and read_number(p, stop, 10, &number):
            self._time(number)
            p = skip_blanks(stop, end)
        return self._rest(p, end)

    cdef void _time(self, int64_t number) noexcept nogil:
        """The clock's time, if the line has one, is better than this column."""
        cdef Py_ssize_t i = self.count - 1
        if self.times[i] == NO_TIME:
            # Nanoseconds since the boot, or since the packet was last seen: 0 for the first.
            if self.events == 1 and number == 0:
                self.relative = True
            self.times[i] = number

    cdef const char *_function(self, const char *p, const char *end) noexcept nogil:
        """NAME, NAME(REASON), "NAME (2)" or NAME(tc); returns what comes behind it."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop = skip_token(p, end)
        cdef const char *name_end = p
        cdef const char *close
        while name_end < stop and name_end[0] != c"(":
            name_end += 1
        self.functions[i] = intern(&self.names, p, name_end - p)
        p = skip_blanks(name_end, end)
        if p < end and p[0] == c"(":
            close = <const char *>memchr(p, c")", end - p)
            if close != NULL:
                if not starts(p, end, b"(tc)", 4) and not starts(p, end, b"(xdp)", 5):
                    self.reasons[i] = intern(&self.names, p + 1, close - p - 1)
                p = close + 1
        return skip_blanks(p, end)

    cdef int _rest(self, const char *p, const char *end) noexcept nogil:
        """netns=4026531840 mark=0x0 ifindex=4 proto=8 mtu=1600 len=1512 TUPLE key=value..."""
        cdef Py_ssize_t i = self.count - 1
        # There proto is hexadecimal, without saying so; 8 is IPv4 in network order.
        if self._pairs(p, end) < 0:
            return -1
        if self.skbs[i].protocol not in (INT32_MIN, 0x0800):
            self._old_proto(p, end)
        return 0

    cdef void _old_proto(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"proto=", 6)
        cdef int64_t number = 0
        if at != NULL and read_number(at, skip_token(at, end), 16, &number):
            put(&self.skbs[self.count - 1], 48, 4, host_order(number))

    cdef int _line_new(self, const char *p, const char *end) noexcept nogil:
        """PROCESS [TIME] [NETNS MARK IFACE PROTO MTU LEN] [cb] [name] [TUPLE] FUNC [CALLER] ..."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop = self._process_end(p, end)
        cdef const char *at
        cdef int64_t number = 0
        self._process(p, stop)
        p = skip_blanks(stop, end)
        at = self._meta(p, end)
        if at == NULL:
            # Without these columns, or with the time before them.
            stop = skip_token(p, end)
            if stop > p and is_digit(p[0]) and read_number(p, stop, 10, &number):
                self._time(number)
                p = skip_blanks(stop, end)
                at = self._meta(p, end)
        if at != NULL:
            p = at
        if starts(p, end, b"[0x", 3):
            p = skip_blanks(skip_token(p, end), end)
        stop = skip_token(p, end)
        at = skip_blanks(stop, end)
        if find(p, stop, b"->", 2) == NULL and at < end and (
                find(at, skip_token(at, end), b"->", 2) != NULL or self.has_names):
            if memchr(at, c"=", skip_token(at, end) - at) == NULL:
                p, stop = at, skip_token(at, end)       # past the name of the namespace
        if find(p, stop, b"->", 2) != NULL:
            self._flow(p, stop)
            p = skip_blanks(stop, end)
        if p == end:
            return -1
        p = self._function(p, end)
        if self.has_caller and p < end:
            stop = skip_token(p, end)
            if memchr(p, c"=", stop - p) == NULL:
                self.locations[i] = intern(&self.names, p, self._symbol_end(p, stop) - p)
                p = stop
        return 0 if self._pairs(p, end) >= 0 else -1

    cdef void _process(self, const char *p, const char *end) noexcept nogil:
        cdef Py_ssize_t i = self.count - 1
        self.processes[i] = intern_like(
            &self.names, self.processes[i - 1] if i else NONE, p, end - p)

    cdef const char *_process_end(self, const char *p, const char *end) noexcept nogil:
        """The process ends with ":" and its number; its path may have spaces."""
        cdef const char *stop = p
        cdef const char *at
        cdef int words = 0
        while stop < end and words < 4:
            stop = skip_token(skip_blanks(stop, end), end)
            at = stop
            while at > p and is_digit((at - 1)[0]):
                at -= 1
            if at < stop and at > p and (at - 1)[0] == c":":
                return stop
            words += 1
        return skip_token(p, end)

    cdef const char *_meta(self, const char *p, const char *end) noexcept nogil:
        """The six columns of numbers; NULL if they are not here. Returns what comes behind."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *start[6]
        cdef const char *stop[6]
        cdef int64_t[6] value
        cdef const char *at
        cdef int k
        for k in range(6):
            p = skip_blanks(p, end)
            if p >= end:
                return NULL
            start[k] = p
            p = stop[k] = skip_token(p, end)
        # The name of the namespace may touch the length.
        at = start[5]
        while at < stop[5] and is_digit(at[0]):
            at += 1
        p = stop[5] = at
        for k in range(6):
            if k != 2 and not read_number(
                    start[k], stop[k], 16 if k == 1 or k == 3 else 10, &value[k]):
                return NULL
        if not starts(start[3], stop[3], b"0x", 2):
            return NULL
        self.netns[i] = value[0]
        # "eth0:2": the name, and the interface's number.
        at = stop[2]
        while at > start[2] and is_digit((at - 1)[0]):
            at -= 1
        if at > start[2] and (at - 1)[0] == c":" and at < stop[2]:
            read_number(at, stop[2], 10, &value[2])
            self.ifindexes[i] = <int32_t>min(value[2], 0x7fffffff)
            at -= 1
        else:
            at = stop[2]
        self.devices[i] = intern_like(
            &self.names, self.devices[i - 1] if i else NONE, start[2], at - start[2])
        put(&self.skbs[i], 48, 4, host_order(value[3]))
        self.mtus[i] = <int32_t>min(value[4], 0x7fffffff)
        put(&self.skbs[i], 24, 4, value[5])
        return skip_blanks(p, end)

    cdef int _more(self, const char *p, const char *end) noexcept nogil:
        """Lines behind an event: its stack, or its sk_buff as C prints it."""
        cdef const char *stop
        cdef bint dump = memchr(b".({}),][\"", p[0], 9) != NULL or find(p, end, b" = ", 3) != NULL
        if not dump:
            if not is_word(p[0]) or is_digit(p[0]) and not starts(p, end, b"0x", 2):
                return -1
            stop = p
            while stop < end and is_word(stop[0]):
                stop += 1
            if stop < end and not is_blank(stop[0]) and stop[0] != c"+" and stop[0] != c"(":
                return -1
        if self.owner != EVENT:
            return -1 if self.owner == NOBODY else 0
        if dump:
            return self._dump_line(p, end)
        self._stack_line(p, stop)
        return 0

    cdef int _dump_line(self, const char *p, const char *end) noexcept nogil:
        """.inner_mac_header = (__u16)68, - and fields that are zero are left out."""
        cdef const char *key
        cdef const char *key_end
        cdef const char *stop
        cdef bint hex_offsets = False
        while True:
            p = find(p, end, b".", 1)
            if p == NULL:
                return 0
            key = p
            while p < end and is_word(p[0]):
                p += 1
            key_end = p
            p = skip_blanks(p, end)
            if p >= end or p[0] != c"=":
                continue
            p = skip_blanks(p + 1, end)
            stop = <const char *>memchr(p, c",", end - p)
            if stop == NULL:
                stop = end
            if find_key(key, key_end - key) != NULL and find_key(
                    key, key_end - key).target in (T_NUMBER, T_OFFSET, T_ETHERTYPE):
                self._pair(key, key_end, p, stop, &hex_offsets)
            p = stop
