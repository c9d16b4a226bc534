# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Logs of tools that print an event's line, then lines of its details and its stack.

This is the base of the scanners of dropwatch, tcpdrop, perf trace, retis, nettrace and others.
"""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcpy

from gso.traces._columns cimport NO_VALUE, OWNER_DAMAGED, OWNER_EVENT
from gso.traces._names cimport intern
from gso.traces._notes cimport is_note
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ, LINE_STRANGE, Scanner
from gso.traces._text cimport (
    find, hex_digit, is_blank, is_digit, is_word, read_number, skip_blanks, skip_token, starts,
)

cdef enum:
    LONGEST_ENDPOINT = 60


cdef const char *token_after(const char *p, const char *end, const char *word, int64_t size,
                             const char **stop) noexcept nogil:
    """Return the token after a word, `stop` becomes its end; NULL without the word."""
    p = find(p, end, word, size)
    if p == NULL:
        return NULL
    p = skip_blanks(p, end)
    stop[0] = skip_token(p, end)
    return p


cdef bint number_after(const char *p, const char *end, const char *word, int64_t size, int base,
                       int64_t *value) noexcept nogil:
    """Read the number after a word; whatever is no part of a number may follow it."""
    cdef const char *stop
    p = find(p, end, word, size)
    if p == NULL:
        return False
    p = skip_blanks(p, end)
    stop = p
    while stop < end and (is_word(stop[0]) or stop[0] == c"-"):
        stop += 1
    return read_number(p, stop, base, value)


cdef const char *symbol_end(const char *p, const char *end) noexcept nogil:
    """Return the end of the name of a function."""
    while p < end and is_word(p[0]):
        p += 1
    return p


cdef bint is_endpoint(const char *p, const char *end) noexcept nogil:
    """Whether this is an address and a port, as "192.0.2.1:80" or "2001:db8::1:80"."""
    cdef const char *at = end
    cdef bint dots = False
    while at > p and is_digit((at - 1)[0]):
        at -= 1
    if at == end or end - at > 5 or at - p < 2 or (at - 1)[0] != c":":
        return False
    at -= 1
    while at > p:
        at -= 1
        dots |= at[0] == c"." or at[0] == c":"
        if not (hex_digit(at[0]) >= 0 or at[0] == c"." or at[0] == c":"):
            return False
    return dots


cdef class EventLines(Scanner):
    """Scans events with details into columns; see `Scanner`."""

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        """Whether an event begins with this line. It looks at nothing but the line."""
        return False

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        """Read the line of a new event; LINE_DAMAGED takes the event back."""
        return LINE_DAMAGED

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        """Read another line of the last event; LINE_DAMAGED if it is none."""
        return LINE_READ if self._frame(p, end) else LINE_DAMAGED

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        """Whether another event begins within a line of an event: it was cut short there."""
        return False

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        """Whether the tool says something about itself, or heads its columns."""
        return False

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        return self._starts_event(p, end)

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        return self._starts_event(p, end)

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef int status
        if self._starts_event(p, end):
            if self._has_event(p, end):
                return self._cut()
            self._new()
            status = self._event(p, end)
            if status == LINE_DAMAGED:
                self._undo()
                self.stack_size = 0
            return status
        if self._is_strange(p, end):
            return LINE_STRANGE
        if self._is_chatter(p, end):
            return LINE_READ
        if self._has_event(p, end):
            return self._cut()
        status = self._detail(p, end)
        if status == LINE_DAMAGED and not is_note(p, end):
            self.owner = OWNER_DAMAGED      # it may have been an event, and details of it follow
        return status

    cdef int32_t _named(self, const char *p, const char *end) noexcept nogil:
        return max(NO_VALUE, intern(&self.names, p, end - p))

    cdef void _function(self, const char *p, int64_t size) noexcept nogil:
        self.row.function = max(NO_VALUE, intern(&self.names, p, size))

    cdef void _count(self, int64_t number) noexcept nogil:
        """Keep how often it happened; `gso.traces.trace.COUNTING` names the tools that count."""
        if number > 0:
            self.row.result = number

    cdef bint _frame(self, const char *p, const char *end) noexcept nogil:
        """Read a line of a stack: "    b'ip_output+0x90'", " -> [ffffffff81]ip_output+0x1"."""
        cdef const char *at = skip_blanks(p, end)
        cdef const char *stop
        if at == p:
            return False
        if starts(at, end, b"-> ", 3):
            at += 3
        if starts(at, end, b"b'", 2):
            at += 2
        if at < end and at[0] == c"[":
            stop = <const char *>memchr(at, c"]", end - at)
            at = skip_blanks(stop + 1, end) if stop != NULL else at
        stop = symbol_end(at, end)
        if stop - at >= 8 and stop < end and is_blank(stop[0]) and hex_digit(at[0]) >= 0:
            if is_hexadecimal(at, stop):
                at = skip_blanks(stop, end)
                stop = symbol_end(at, end)
        if stop == at or is_digit(at[0]) and stop < end:
            return False
        if stop < end and stop[0] not in (c"+", c" ", c"\t", c"'", c"["):
            return False
        if self.owner == OWNER_EVENT:
            self._stack_line(at, stop)
        return True

    cdef void _connection(self, const char *p, const char *end, const char *q,
                          const char *stop, const char *protocol, int64_t size) noexcept nogil:
        """Keep a flow, as "192.0.2.1:80->192.0.2.2:9(tcp)"."""
        cdef char[2 * LONGEST_ENDPOINT + 20] text
        cdef int64_t used = end - p
        if used > LONGEST_ENDPOINT or stop - q > LONGEST_ENDPOINT or size > 10:
            return
        memcpy(text, p, used)
        memcpy(&text[used], b"->", 2)
        used += 2
        memcpy(&text[used], q, stop - q)
        used += stop - q
        text[used] = c"("
        memcpy(&text[used + 1], protocol, size)
        text[used + 1 + size] = c")"
        self._flow(text, text + used + size + 2)


cdef bint is_hexadecimal(const char *p, const char *end) noexcept nogil:
    while p < end and hex_digit(p[0]) >= 0:
        p += 1
    return p == end
