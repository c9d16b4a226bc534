# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""perf trace -e 'skb:*'.

"0.104 curl/506057 skb:kfree_skb(skbaddr: 0xffff9ca661e90200, location: 0xffffffff81d5fbf6,
protocol: 2048, reason: SKB_DROP_REASON_NO_SOCKET)"; old ones print "skb:kfree_skb:skbaddr=0x...
protocol=2048 ...". Times are milliseconds since the first event.
"""

from libc.stdint cimport int64_t

from gso.traces._event_lines cimport EventLines
from gso.traces._scanner cimport LINE_DAMAGED, LINE_NO_MEMORY, LINE_READ
from gso.traces._text cimport (
    find, is_blank, is_digit, is_word, read_time, skip_blanks, skip_token, starts,
)


cdef const char *event_name(const char *p, const char *end, const char **name,
                            const char **stop) noexcept nogil:
    """Find "skb:kfree_skb(" after the time; return where its arguments begin, NULL without it."""
    cdef const char *at = p
    cdef const char *colon
    while at < end:
        at = skip_blanks(at, end)
        colon = at
        while colon < end and (is_word(colon[0]) or colon[0] == c"-"):
            colon += 1
        if colon > at and colon < end and colon[0] == c":" and not is_digit(at[0]):
            name[0] = colon + 1
            stop[0] = colon + 1
            while stop[0] < end and is_word(stop[0][0]):
                stop[0] += 1
            # A process may have colons in its name, as "ipvs-e:2:0/190".
            if stop[0] > name[0] and stop[0] < end and not is_digit(name[0][0]) \
                    and (stop[0][0] == c"(" or is_named_value(stop[0], end)):
                return stop[0] + 1
        at = skip_token(at, end)
    return NULL


cdef inline bint is_named_value(const char *p, const char *end) noexcept nogil:
    """Whether ":" stands here, and a name and "=" follow it."""
    if p[0] != c":":
        return False
    p += 1
    while p < end and is_word(p[0]):
        p += 1
    return p < end and p[0] == c"="


cdef class PerfTraceScanner(EventLines):
    """Scans perf trace's tracepoints into columns; see `Scanner`."""

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef const char *stop = skip_token(at, end)
        cdef const char *name
        cdef const char *name_end
        cdef int64_t time
        if stop == at or not is_digit((stop - 1)[0]) or not read_time(at, stop, &time):
            return False
        at = event_name(stop, end, &name, &name_end)
        return at != NULL and (
            (end - 1)[0] == c")" and (find(at, end, b": ", 2) != NULL or at == end - 1)
            or (at - 1)[0] == c":" and find(at, end, b"=", 1) != NULL)

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *name
        cdef const char *stop
        cdef const char *rest = event_name(p, end, &name, &stop)
        return rest != NULL and (not self._starts_event(p, end)
                                 or event_name(rest, end, &name, &stop) != NULL)

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef const char *stop = skip_token(at, end)
        cdef const char *name
        cdef const char *name_end
        cdef const char *slash
        read_time(at, stop, &self.row.time, 1000000)       # milliseconds
        at = event_name(stop, end, &name, &name_end)
        if at == NULL:
            return LINE_DAMAGED
        self._function(name, name_end - name)
        stop = skip_blanks(stop, name)
        if starts(stop, end, b"(", 1):          # "( 0.010 ms): "
            slash = find(stop, name, b"): ", 3)
            stop = skip_blanks(slash, name) if slash != NULL else stop
        slash = stop
        while slash < name and not (slash[0] == c"/" and is_process(slash, name)):
            slash += 1
        if slash < name:
            self.row.process = self._named(stop, slash)
        if (end - 1)[0] == c")":
            end -= 1
        return LINE_NO_MEMORY if self._pairs(at, end) == -2 else LINE_READ

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        """Read a line of the stack; a program's may have no name: "[0xb702f] (/usr/bin/ls)"."""
        cdef const char *at = skip_blanks(p, end)
        if at > p and starts(at, end, b"[", 1) and (end - 1)[0] == c")":
            at = skip_token(at, end)
            if (at - 1)[0] == c"]" and starts(at, end, b" (", 2):
                return LINE_READ
        return EventLines._detail(self, p, end)

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        return starts(p, end, b"^C", 2)


cdef inline bint is_process(const char *p, const char *end) noexcept nogil:
    """Whether "/" at `p` begins the number of a process, and a blank follows it."""
    p += 1
    if p == end or not is_digit(p[0]):
        return False
    while p < end and is_digit(p[0]):
        p += 1
    return p == end or is_blank(p[0])
