# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""tcpdrop of bcc and of bpftrace.

"14:46:49 0  4  192.0.2.10:80  > 198.51.100.55:33280  SYN_SENT (SYN|ACK)  NETFILTER_DROP (12)", or
"00:39:21 0  swapper/2  192.0.2.31:3306  198.51.100.82:50552  ESTABLISHED", and the stack after it.
"""

from gso.traces._event_lines cimport EventLines, is_endpoint
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport (
    is_blank, is_digit, is_word, read_clock, skip_blanks, skip_token, starts,
)


cdef inline const char *token_before(const char *p, const char *at) noexcept nogil:
    """Return where the word before `at` begins, in text that begins at `p`."""
    while at > p and is_blank((at - 1)[0]):
        at -= 1
    while at > p and not is_blank((at - 1)[0]):
        at -= 1
    return at


cdef inline const char *token_end(const char *p, const char *at) noexcept nogil:
    while at > p and is_blank((at - 1)[0]):
        at -= 1
    return at


# Where the endpoints of a line are.
cdef struct Drop:
    const char *source
    const char *source_end
    const char *target
    const char *target_end


cdef bint parse(const char *p, const char *end, Drop *drop) noexcept nogil:
    """Find two endpoints after a process, and a state unless ">" is between them."""
    cdef const char *at = skip_blanks(p, end)
    cdef const char *stop
    cdef bint arrow = False
    if at == end or not is_digit(at[0]):
        return False
    at = skip_token(at, end)
    drop.source = NULL
    while at < end:
        at = skip_blanks(at, end)
        stop = skip_token(at, end)
        if drop.source != NULL and stop - at == 1 and at[0] == c">":
            arrow = True
            at = stop
            continue
        if is_endpoint(at, stop):
            if drop.source != NULL:
                drop.target, drop.target_end = at, stop
                stop = skip_blanks(stop, end)
                return is_state(stop, end) or (arrow and stop == end)
            drop.source, drop.source_end = at, stop
        elif drop.source != NULL:
            return False
        at = stop
    return False


cdef bint is_state(const char *p, const char *end) noexcept nogil:
    """Whether the text begins with the state of a TCP socket."""
    return (starts(p, end, b"ESTAB", 5) or starts(p, end, b"SYN_", 4) or starts(p, end, b"FIN_", 4)
            or starts(p, end, b"TIME_W", 6) or starts(p, end, b"CLOS", 4)
            or starts(p, end, b"LAST_", 5) or starts(p, end, b"LISTEN", 6)
            or starts(p, end, b"NEW_SYN", 7))


cdef class TcpdropScanner(EventLines):
    """Scans tcpdrop's drops into columns; see `Scanner`."""

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        cdef Drop drop
        return parse(p, end, &drop)

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        """Whether there are more endpoints than two, or one in the line of a stack."""
        cdef Drop drop
        cdef const char *stop
        if parse(p, end, &drop):
            p = drop.target_end
        while p < end:
            p = skip_blanks(p, end)
            stop = skip_token(p, end)
            if is_endpoint(p, stop):
                return True
            p = stop
        return False

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef Drop drop
        cdef const char *at
        cdef const char *stop
        if not parse(p, end, &drop):
            return LINE_DAMAGED
        self._function(b"kfree_skb", 9)
        # The clock at the start of the line has been passed over like that of a log.
        if p > self.raw_start:
            self.row.time = read_clock(self.raw_start, p - 1)
        self._connection(drop.source, drop.source_end, drop.target, drop.target_end, b"tcp", 3)
        at = skip_blanks(skip_token(skip_blanks(p, end), end), end)
        if not (skip_token(at, end) - at == 1 and (at[0] == c"4" or at[0] == c"6")):
            self.row.process = self._named(at, token_end(at, drop.source))
        # "NETFILTER_DROP (12)"
        stop = token_end(p, token_before(p, end))
        at = token_before(p, stop)
        if end > p and (end - 1)[0] == c")" and stop > at and is_word(at[0]) \
                and at > drop.target_end and is_digit((end - 2)[0]):
            self.row.reason = self._named(at, stop)
        return LINE_READ

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        return (starts(p, end, b"TIME ", 5) or starts(p, end, b"Tracing tcp drops", 17)
                or starts(p, end, b"WARNING: tcp_drop", 17) or starts(p, end, b"Attaching ", 10)
                or starts(p, end, b"^C", 2) or starts(p, end, b"PID ", 4))
