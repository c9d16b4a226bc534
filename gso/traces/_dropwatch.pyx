# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""dropwatch, in both of its modes.

A summary counts drops: "3 drops at validate_xmit_skb+1a2 (0xffffffffa2b8c1d2) [software]". In
packet mode each drop has lines of its own: "drop at: tcp_v4_rcv+0x86/0xf60 (0xffffffff81d5fbf6)",
"drop reason: NO_SOCKET", "original length: 1514".
"""

from libc.stdint cimport int32_t, int64_t

from gso.traces._columns cimport OWNER_EVENT
from gso.traces._event_lines cimport EventLines, number_after, symbol_end, token_after
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport find, is_digit, read_number, skip_blanks, skip_token, starts


cdef class DropwatchScanner(EventLines):
    """Scans dropwatch's drops into columns; see `Scanner`."""

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        if starts(p, end, b"drop at: ", 9):
            return True
        if p == end or not is_digit(p[0]):
            return False
        p = skip_token(p, end)
        return starts(p, end, b" drops at ", 10)

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *rest = find(p, end, b" drops at ", 10)
        if rest == NULL:
            return find(p + 1, end, b"drop at: ", 9) != NULL
        return (not self._starts_event(p, end) or starts(p, end, b"drop at: ", 9)
                or find(rest, end, b" drops at ", 10) != NULL
                or find(rest, end, b"drop at: ", 9) != NULL)

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"drop at: ", 9)
        cdef const char *stop
        cdef int64_t number = 0
        self._function(b"kfree_skb", 9)
        if at == NULL:
            if not read_number(p, skip_token(p, end), 10, &number) or number <= 0:
                return LINE_DAMAGED
            self._count(number)
            at = find(p, end, b" drops at ", 10)
            if starts(at, end, b"location ", 9):
                at += 9
        at = skip_blanks(at, end)
        stop = symbol_end(at, end)
        self.row.location = self._named(at, stop)
        at = skip_blanks(skip_token(stop, end), end)
        return LINE_READ if at == end or at[0] == c"(" or at[0] == c"[" else LINE_DAMAGED

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = end
        cdef const char *at
        cdef int64_t number = 0
        if self.owner != OWNER_EVENT:
            return LINE_DAMAGED
        at = token_after(p, end, b"drop reason: ", 13, &stop)
        if at != NULL:
            self.row.reason = self._named(at, stop)
        elif number_after(p, end, b"length: ", 8, 10, &number):
            # The original length is the last one; the other one is of the part that was copied.
            if 0 <= number <= 0x7fffffff:
                self.row.skb.len = <int32_t>number
        elif number_after(p, end, b"protocol: 0x", 12, 16, &number):
            self.row.skb.protocol = <int32_t>(number & 0xffff)
        elif number_after(p, end, b"port ifindex: ", 14, 10, &number):
            self.row.ifindex = <int32_t>(number & 0x7fffffff)
        else:
            at = token_after(p, end, b"port name: ", 11, &stop)
            if at != NULL:
                self.row.device = self._named(at, stop)
            elif not (starts(p, end, b"origin: ", 8) or starts(p, end, b"timestamp: ", 11)
                      or starts(p, end, b"cookie: ", 8)):
                return LINE_DAMAGED
        return LINE_READ

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        return (starts(p, end, b"dropwatch>", 10) or starts(p, end, b"Initializing ", 13)
                or starts(p, end, b"Enabling monitoring", 19) or starts(p, end, b"Alert ", 6)
                or starts(p, end, b"Kernel monitoring ", 18) or starts(p, end, b"Issue Ctrl-C", 12)
                or starts(p, end, b"Waiting for ", 12) or starts(p, end, b"Got a ", 6)
                or starts(p, end, b"Setting ", 8) or starts(p, end, b"Shutting down", 13)
                or starts(p, end, b"Terminating ", 12) or starts(p, end, b"Truncation ", 11)
                or starts(p, end, b"Deactivation ", 13) or starts(p, end, b"Disabling ", 10)
                or starts(p, end, b"^C", 2))
