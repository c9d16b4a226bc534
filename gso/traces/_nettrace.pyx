# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""nettrace and droptrace.

"[2553.203430] [ip_output           ] TCP: 192.0.2.1:80 -> 192.0.2.2:9 seq:1, ack:2, flags:A", with
"*reason: NO_SOCKET, tcp_v4_rcv+0x86*" at the end of a drop. A line of stars names the packet of the
lines after it.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr

from gso.traces._event_lines cimport EventLines, symbol_end, token_after
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport (
    find, is_blank, is_digit, is_word, read_number, read_time, skip_blanks, skip_token, starts,
)


cdef enum:
    LONGEST_TIME = 32       # with its brackets


cdef inline const char *trim(const char *p, const char *at) noexcept nogil:
    while at > p and (is_blank((at - 1)[0]) or (at - 1)[0] == c","):
        at -= 1
    return at


cdef class NettraceScanner(EventLines):
    """Scans nettrace's events into columns; see `Scanner`."""

    cdef uint64_t packet        # of the lines since the last line of stars; 0 for none

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *close
        cdef const char *arrow
        cdef int64_t time
        if p == end or p[0] != c"[":
            return False
        close = <const char *>memchr(p, c"]", end - p)
        if close == NULL or not read_time(p + 1, close, &time):
            return False
        arrow = find(close, end, b" -> ", 4)
        if arrow == NULL:
            return False
        # The kernel's own messages have no such words.
        return (find(close, arrow, b": ", 2) != NULL and starts(close, end, b"] [", 3)
                or find(arrow, end, b" *", 2) != NULL or find(arrow, end, b" reason:", 8) != NULL
                or find(arrow, end, b" seq:", 5) != NULL)

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        """Whether there is a time in brackets after the first byte."""
        cdef const char *close
        cdef int64_t time
        while True:
            p = <const char *>memchr(p + 1, c"[", end - p - 1) if p + 1 < end else NULL
            if p == NULL:
                return False
            close = <const char *>memchr(p, c"]", min(end - p, LONGEST_TIME))
            if close != NULL and read_time(p + 1, close, &time):
                return True

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *close = <const char *>memchr(p, c"]", end - p)
        cdef const char *arrow = find(p, end, b" -> ", 4)
        read_time(p + 1, close, &self.row.time)
        self.row.pointer = self.packet
        p = self._brackets(skip_blanks(close + 1, end), end)
        self._addresses(p, arrow, end)
        self._drop(arrow, end)
        return LINE_READ

    cdef const char *_brackets(self, const char *p, const char *end) noexcept nogil:
        """Read "[e8c00][ip_output  ][cpu:3  ][eth0 ][iperf3-12][ns:4026531840]"."""
        cdef const char *close
        cdef const char *stop
        cdef int64_t number = 0
        cdef int place = 0
        cdef bint detailed = find(p, end, b"][cpu:", 6) != NULL
        while p < end and p[0] == c"[":
            close = <const char *>memchr(p, c"]", end - p)
            if close == NULL:
                return p
            stop = trim(p + 1, close)
            if starts(p, end, b"[cpu:", 5):
                if read_number(p + 5, stop, 10, &number) and 0 <= number < 1 << 20:
                    self.row.cpu = <int>number
            elif starts(p, end, b"[ns:", 4):
                if read_number(p + 4, stop, 10, &number):
                    self.row.netns = number
            elif place == (1 if detailed else 0):
                self._function(p + 1, stop - p - 1)
            elif detailed and place == 0:
                if read_number(p + 1, stop, 16, &number) and not self.row.pointer:
                    self.row.pointer = <uint64_t>number
            elif detailed and place == 3:
                self.row.device = self._named(p + 1, stop)
            elif detailed and place == 4:
                while stop > p + 1 and is_digit((stop - 1)[0]):
                    stop -= 1
                self.row.process = self._named(p + 1, stop - 1 if (stop - 1)[0] == c"-" else stop)
            place += 1
            p = skip_blanks(close + 1, end)
        return p

    cdef void _addresses(self, const char *p, const char *arrow,
                         const char *end) noexcept nogil:
        """Read "TCP: 192.0.2.1:80 -> 192.0.2.2:9"; droptrace has the protocol after them."""
        cdef const char *source = trim(p, arrow - 4)
        cdef const char *source_end = source
        cdef const char *target_end = skip_token(arrow, end)
        cdef const char *name = p
        cdef const char *name_end = p
        cdef char[8] protocol
        cdef int i
        while source > p and not is_blank((source - 1)[0]):
            source -= 1
        while name_end < source and is_word(name_end[0]):
            name_end += 1
        if name_end == name or name_end[0] != c":":
            name = skip_blanks(target_end, end)
            name_end = symbol_end(name, end)
        if not 0 < name_end - name < 8:
            return
        for i in range(name_end - name):
            protocol[i] = name[i] | 0x20
        self._connection(source, source_end, arrow, target_end, protocol, name_end - name)

    cdef void _drop(self, const char *p, const char *end) noexcept nogil:
        """Read "*reason: NO_SOCKET, tcp_v4_rcv+0x86*", or droptrace's "reason:X tcp_v4_rcv"."""
        cdef const char *stop = end
        cdef const char *at = token_after(p, end, b"reason:", 7, &stop)
        cdef const char *place
        if at != NULL and find(at, end, b"state: ", 7) != NULL:
            return                      # that of a reset
        if at == NULL:
            # Without a reason the star is before the function that dropped it.
            place = find(p, end, b" *", 2)
            if place == NULL or find(place, end, b"+0x", 3) == NULL:
                return
            stop = place
        else:
            self.row.reason = self._named(at, trim(at, stop))
            place = skip_blanks(stop, end)
        self.row.location = self._named(place, symbol_end(place, end))
        if self.row.function < 0:
            self._function(b"kfree_skb", 9)

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        return LINE_READ if self._frame(p, end) else LINE_DAMAGED

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        cdef int64_t number = 0
        if starts(p, end, b"*****", 5):
            at = p
            while at < end and at[0] == c"*":
                at += 1
            at = skip_blanks(at, end)
            self.packet = 0
            if read_number(at, trim(at, hex_end(at, end)), 16, &number):
                self.packet = <uint64_t>number
            return True
        return (starts(p, end, b"total latency", 13) or starts(p, end, b"begin trace", 11)
                or starts(p, end, b"Call Stack", 10) or starts(p, end, b"end trace", 9)
                or starts(p, end, b"this is a good", 14) or starts(p, end, b"----", 4)
                or starts(p, end, b"analysis finished", 17)
                or p[0] == c"[" and find(p, end, b" happens in ", 12) != NULL)


cdef inline const char *hex_end(const char *p, const char *end) noexcept nogil:
    while p < end and is_word(p[0]):
        p += 1
    return p
