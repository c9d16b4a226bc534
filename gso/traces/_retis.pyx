# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""retis, as it prints events while it collects, and after retis sort.

"12313349514683 (1) [iperf3] 26822/26823 [k] ip_output #b32e... (skb 18446616546229617920) n 0 drop
(reason NO_SOCKET)" begins an event; the packet, "ns 0x1/4026531840 if 4 (eth0)", "skb [csum partial
(start 102 off 16) len 1544]", "gso [type 0x1 size 1448]" and the stack follow, on lines of their
own or on the same one.
"""

from libc.stdint cimport UINT32_MAX, int32_t, int64_t, uint64_t
from libc.string cimport memchr

from gso.traces._columns cimport OWNER_EVENT
from gso.traces._event_lines cimport EventLines, number_after, symbol_end, token_after
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport (
    find, hex_digit, is_blank, is_digit, read_number, skip_blanks, skip_token, starts,
)

cdef enum:
    ENDPOINT = 60


cdef const char *probe(const char *p, const char *end) noexcept nogil:
    """Return the end of "[k] ", "[kr] ", "[tp] " or "[u] " in an event's line; NULL without it."""
    cdef const char *at = find(p, end, b" [tp] ", 6)
    if at == NULL:
        at = find(p, end, b" [kr] ", 6)
    if at == NULL:
        at = find(p, end, b" [k] ", 5)
    return at if at != NULL else find(p, end, b" [u] ", 5)


cdef bint is_open(const char *p, const char *end, const char *word, int64_t size) noexcept nogil:
    """Whether a bracket is not closed before the next one, or at all: its line was cut."""
    cdef const char *close
    p = find(p, end, word, size)
    if p == NULL:
        return False
    close = <const char *>memchr(p, c"]", end - p)
    return close == NULL or memchr(p, c"[", close - p) != NULL


cdef const char *begin(const char *p, const char *end) noexcept nogil:
    """Pass over what retis sort has before the events of a series."""
    p = skip_blanks(p, end)
    return skip_blanks(p + 3, end) if starts(p, end, b"\xe2\x86\xb3", 3) else p


cdef class RetisScanner(EventLines):
    """Scans retis' text into columns; see `Scanner`."""

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        p = begin(p, end)
        if p == end or not is_digit(p[0]):
            return False
        at = probe(p, end)
        # The process, and for packets the sk_buff, are in brackets, too.
        return at != NULL and at < end and find(p, at, b") [", 3) != NULL

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *rest = probe(p, end) if self._starts_event(p, end) else p
        cdef const char *next = probe(rest, end)
        if is_open(p, end, b"skb [", 5) or is_open(p, end, b"gso [", 5):
            return True
        return next != NULL and find(rest, next, b") [", 3) != NULL

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = probe(p, end)
        cdef const char *stop
        cdef const char *close
        cdef int64_t number = 0
        p = begin(p, end)
        stop = skip_token(p, end)
        if read_number(p, stop, 10, &number) and number >= 0:
            self.row.time = number
        if number_after(stop, at, b"(", 1, 10, &number) and 0 <= number < 1 << 20:
            self.row.cpu = <int32_t>number
        p = find(stop, at, b") [", 3)
        close = find(p, at, b"] ", 2) if p != NULL else NULL
        if close != NULL:
            self.row.process = self._named(p, close - 2)
        self.row.returns = starts(at - 4, at, b"kr] ", 4)
        stop = skip_token(at, end)
        while at < stop and memchr(at, c":", stop - at) != NULL:
            at = <const char *>memchr(at, c":", stop - at) + 1      # "skb:kfree_skb"
        self._function(at, stop - at)
        close = find(stop, end, b"(skb ", 5)
        if close != NULL and read_number(close, skip_hex(close, end), 16, &number):
            self.row.pointer = <uint64_t>number
            if not starts(skip_hex(close, end), end, b")", 1):
                return LINE_DAMAGED     # digits may be missing
        at = token_after(stop, end, b"drop (reason ", 13, &close)
        if at != NULL:
            if close > at and (close - 1)[0] == c")":
                close -= 1
            stop = <const char *>memchr(at, c"/", close - at)
            self.row.reason = self._named(at if stop == NULL else stop + 1, close)
        self._fields(stop if at == NULL else close, end)
        return LINE_READ

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        if at == p or self.owner != OWNER_EVENT:
            return LINE_DAMAGED
        if symbol_end(at, end) == skip_token(at, end) \
                or symbol_end(at, end) < end and symbol_end(at, end)[0] == c"+":
            if at < end and not is_digit(at[0]) and at - p >= 4 and skip_token(at, end) == end:
                self._stack_line(at, symbol_end(at, end))
                return LINE_READ
        self._fields(at, end)
        return LINE_READ

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        return (find(p, end, b"(s) loaded", 10) != NULL or starts(p, end, b"Collector(s) ", 13)
                or starts(p, end, b"No probe(s) given", 17) or starts(p, end, b"^C", 2)
                or find(p, end, b" collected with Retis ", 22) != NULL
                or starts(p, end, b"Retis version ", 14) or starts(p, end, b"Machine info ", 13))

    cdef void _fields(self, const char *p, const char *end) noexcept nogil:
        """Read what is known of the packet in a line, or in a part of one."""
        cdef const char *at
        cdef const char *stop = end
        cdef int64_t number = 0
        self._packet(p, end)
        if starts(p, end, b"ns ", 3) or find(p, end, b" ns ", 4) != NULL:
            at = token_after(p, end, b"ns ", 3, &stop)
            while memchr(at, c"/", stop - at) != NULL:
                at = <const char *>memchr(at, c"/", stop - at) + 1
            if read_number(at, stop, 10, &number):
                self.row.netns = number
        if (starts(p, end, b"if ", 3) or find(p, end, b" if ", 4) != NULL) \
                and number_after(p, end, b"if ", 3, 10, &number):
            self.row.ifindex = <int32_t>(number & 0x7fffffff)
            at = token_after(p, end, b"if ", 3, &stop)
            at = skip_blanks(stop, end)
            stop = <const char *>memchr(at, c")", skip_token(at, end) - at) if at < end else NULL
            if at < end and at[0] == c"(" and stop != NULL:
                self.row.device = self._named(at + 1, stop)
        at = find(p, end, b"skb [", 5)
        if at != NULL:
            self._skb(at, end)
        at = find(p, end, b"gso [", 5)
        if at != NULL:
            if number_after(at, end, b"size ", 5, 10, &number) and 0 <= number <= 0xffff:
                self.row.skb.gso_size = <int32_t>number
            # retis calls the fragment's flags just flags.
            if number_after(at, end, b"type ", 5, 10, &number) and 0 <= number <= UINT32_MAX:
                self.row.skb.gso_type = <int32_t>number

    cdef void _skb(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = <const char *>memchr(p, c"]", end - p)
        cdef int64_t number = 0
        end = stop if stop != NULL else end
        if starts(p, end, b"csum none", 9):
            self.row.skb.ip_summed = 0
        elif starts(p, end, b"csum unnecessary", 16):
            self.row.skb.ip_summed = 1
        elif starts(p, end, b"csum complete", 13):
            self.row.skb.ip_summed = 2
        elif starts(p, end, b"csum partial", 12):
            self.row.skb.ip_summed = 3
            if number_after(p, end, b"(start ", 7, 10, &number):
                self.row.skb.csum_start = <int32_t>(number & 0xffff)
            if number_after(p, end, b" off ", 5, 10, &number):
                self.row.skb.csum_offset = <int32_t>(number & 0xffff)
        if number_after(p, end, b" len ", 5, 10, &number) and 0 <= number <= 0x7fffffff:
            self.row.skb.len = <int32_t>number
            # It prints data_len only where it is not 0.
            self.row.skb.data_len = 0
        if number_after(p, end, b" data_len ", 10, 10, &number) and 0 <= number <= 0x7fffffff:
            self.row.skb.data_len = <int32_t>number

    cdef void _packet(self, const char *p, const char *end) noexcept nogil:
        """Read "192.0.2.1.80 > 192.0.2.2.9 ... proto TCP (6)" and "ethertype IPv4 (0x0800)"."""
        cdef const char *arrow
        cdef const char *at = p
        cdef const char *stop
        cdef char[2 * ENDPOINT] text
        cdef int64_t number = 0, source, target
        if self.row.flow >= 0:
            return
        at = find(p, end, b" ethertype ", 11)
        if at != NULL and number_after(at, end, b"(0x", 3, 16, &number):
            self.row.skb.protocol = <int32_t>(number & 0xffff)
        at = at if at != NULL else p
        arrow = find(at, end, b" > ", 3)
        if arrow == NULL:
            return
        stop = arrow - 3
        at = stop
        while at > p and not is_blank((at - 1)[0]):
            at -= 1
        source = endpoint(at, stop, text)
        target = endpoint(arrow, skip_token(arrow, end), &text[ENDPOINT])
        if source == 0 or target == 0:
            return
        at = token_after(arrow, end, b" proto ", 7, &stop)
        if at != NULL and starts(at, stop, b"UDP", 3):
            self._connection(text, text + source, &text[ENDPOINT], &text[ENDPOINT] + target,
                             b"udp", 3)
        elif at != NULL and starts(at, stop, b"TCP", 3):
            self._connection(text, text + source, &text[ENDPOINT], &text[ENDPOINT] + target,
                             b"tcp", 3)


cdef inline const char *skip_hex(const char *p, const char *end) noexcept nogil:
    while p < end and hex_digit(p[0]) >= 0:
        p += 1
    return p


cdef int64_t endpoint(const char *p, const char *end, char *text) noexcept nogil:
    """Write "192.0.2.1.80" as "192.0.2.1:80", IPv6 in brackets; return its size, 0 for others."""
    cdef const char *dot = end
    cdef bint six = memchr(p, c":", end - p) != NULL if end > p else False
    cdef int64_t size = 0
    cdef int dots = 0
    cdef const char *at = p
    while at < end:
        dots += at[0] == c"."
        at += 1
    if end - p > ENDPOINT - 4 or dots != (1 if six else 4):
        return 0
    while dot > p and (dot - 1)[0] != c".":
        dot -= 1
    if six:
        text[0] = c"["
        size = 1
    while p < dot - 1:
        text[size] = p[0]
        size += 1
        p += 1
    if six:
        text[size] = c"]"
        size += 1
    text[size] = c":"
    size += 1
    p = dot
    while p < end and is_digit(p[0]):
        text[size] = p[0]
        size += 1
        p += 1
    return size if p == end and p > dot else 0
