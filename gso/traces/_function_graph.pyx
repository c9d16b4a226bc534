# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""ftrace's function_graph tracer: " 12)   0.505 us    |    vxlan_find_vni [vxlan]();".

It shows calls, and since v6.5 what they returned ("/* = -22 */", "} /* NAME = -22 */",
"ret=-22"), but no packets.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr

from gso.traces._event_lines cimport EventLines, symbol_end
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport (
    find, is_digit, is_word, read_number, skip_blanks, skip_token, starts,
)


cdef const char *call(const char *p, const char *end, int64_t *cpu) noexcept nogil:
    """Return where the call stands after "12) 0.505 us |"; NULL where there is none."""
    cdef const char *at = skip_blanks(p, end)
    cdef const char *start = at
    cdef const char *bar = <const char *>memchr(p, c"|", end - p)
    if bar == NULL:
        return NULL
    while at < bar and is_digit(at[0]):
        at += 1
    if at == start:                     # a time may be before the CPU
        return NULL
    if at < bar and at[0] == c".":      # "  123.456789 |   1)"
        start = skip_blanks(bar + 1, end)
        at = start
        while at < end and is_digit(at[0]):
            at += 1
        bar = <const char *>memchr(at, c"|", end - at)
    if bar == NULL or at == end or at[0] != c")" or not read_number(start, at, 10, cpu):
        return NULL
    while True:                         # "|  3.821 us |" has several bars
        at = <const char *>memchr(bar + 1, c"|", end - bar - 1)
        if at == NULL:
            return skip_blanks(bar + 1, end)
        bar = at


cdef class FunctionGraphScanner(EventLines):
    """Scans calls into columns; see `Scanner`."""

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t cpu
        cdef const char *at = call(p, end, &cpu)
        if at == NULL or at == end:
            return False
        if is_word(at[0]) and not is_digit(at[0]):
            return find(at, end, b"(", 1) != NULL
        return at[0] == c"}" and find(at, end, b"/* ", 3) != NULL and (
            find(at, end, b"ret=", 4) != NULL or find(at, end, b" = ", 3) != NULL)

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        """Whether two processors stand before the last bar: "12) 0.505 us | f 12) 0.5 us | g"."""
        cdef int64_t cpu
        cdef const char *stop = call(p, end, &cpu)
        cdef int cpus = 0
        while stop != NULL and p < stop:
            p = skip_blanks(p, stop)
            if p < stop and is_digit(p[0]):
                while p < stop and is_digit(p[0]):
                    p += 1
                cpus += p < stop and p[0] == c")"
            p = skip_token(p, stop)
        return cpus > 1

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t cpu = 0, value = 0
        cdef const char *at = call(p, end, &cpu)
        cdef const char *stop
        if at == NULL:
            return LINE_DAMAGED
        if cpu < 1 << 20:
            self.row.cpu = <int32_t>cpu
        if at[0] == c"}":
            at = find(at, end, b"/* ", 3)
            if at == NULL:
                return LINE_DAMAGED
            self.row.returns = 1
        self._function(at, symbol_end(at, end) - at)
        stop = find(at, end, b"ret=", 4)
        if stop == NULL:
            stop = find(at, end, b" = ", 3)
        if stop == NULL:
            return LINE_READ
        at = stop
        while stop < end and (is_word(stop[0]) or stop[0] == c"-"):
            stop += 1
        if read_number(at, stop, 10, &value):
            self.row.returns = 1
            # Before v6.15 the value is printed as a word of 32 bits or 64.
            self.row.result = <int32_t>value if 0 <= value >> 31 <= 1 else value
        return LINE_READ

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t cpu
        return LINE_READ if call(p, end, &cpu) != NULL else LINE_DAMAGED

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        return (starts(at, end, b"#", 1) or starts(at, end, b"------", 6)
                or find(at, end, b" => ", 4) != NULL)
