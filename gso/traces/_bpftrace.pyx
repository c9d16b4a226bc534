# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The output of bpftrace: maps, and lines of printf with names and values.

"@[\n    kfree_skb_reason+1\n    validate_xmit_skb+418\n]: 12" and "@[SKB_DROP_REASON_NO_SOCKET]: 2"
count events, and other parts of a key may stand before and after a stack;
"skb_udp_tunnel_segment skb=0xffff9ca661e90200 len=1544 gso_size=1448" is one, and a stack may
follow it.
"""

from libc.stdint cimport INT64_MIN, int64_t, uint64_t
from libc.string cimport memchr

from gso.traces._columns cimport OWNER_EVENT
from gso.traces._event_lines cimport EventLines, symbol_end
from gso.traces._keys cimport find_key
from gso.traces._line_template cimport key_bit
from gso.traces._row cimport Key, T_OFFSET, T_POINTER
from gso.traces._scanner cimport LINE_DAMAGED, LINE_NO_MEMORY, LINE_READ
from gso.traces._text cimport (
    find, is_blank, is_digit, is_word, read_number, skip_blanks, skip_key, skip_token, starts,
)

cdef enum:
    LEAST_KEYS = 2


cdef inline bint is_map(const char *p, const char *end) noexcept nogil:
    """Whether this is "@name[": the key of a map."""
    if p == end or p[0] != c"@":
        return False
    p = symbol_end(p + 1, end)
    return p < end and p[0] == c"["


cdef bint is_traced(const char *p, const char *end) noexcept nogil:
    """Whether a line has the processor of ftrace and perf: " [003] "; what they print is theirs."""
    while True:
        p = find(p, end, b" [", 2) if p < end else NULL
        if p == NULL:
            return False
        if end - p > 5 and is_digit(p[0]) and is_digit(p[1]) and is_digit(p[2]) \
                and starts(p + 3, end, b"] ", 2):
            return True


cdef bint has_fields(const char *p, const char *end) noexcept nogil:
    """Whether a line names fields of an sk_buff, and the sk_buff or one that nothing else has."""
    cdef const char *stop
    cdef const Key *key
    cdef int keys = 0
    cdef bint own = False
    while True:
        p = skip_blanks(p, end)
        if p >= end:
            return own and keys >= LEAST_KEYS
        stop = skip_key(p, end)
        if stop < end and stop[0] == c"=":
            if starts(p, stop, b"skb->", 5):
                p += 5
            key = find_key(p, stop - p)
            keys += key != NULL
            own |= key != NULL and (key.target == T_POINTER or key.target == T_OFFSET
                                    or starts(p, stop, b"gso_", 4))
        p = skip_token(max(stop, p + 1), end)


cdef bint has_field_twice(const char *p, const char *end) noexcept nogil:
    """Whether a line names a field of the sk_buff twice."""
    cdef const char *stop
    cdef const Key *key
    cdef uint64_t seen = 0, found
    while True:
        p = skip_blanks(p, end)
        if p >= end:
            return False
        stop = skip_key(p, end)
        if stop < end and stop[0] == c"=":
            if starts(p, stop, b"skb->", 5):
                p += 5
            key = find_key(p, stop - p)
            found = key_bit(key) if key != NULL else 0
            if seen & found:
                return True
            seen |= found
        p = skip_token(max(stop, p + 1), end)


cdef class BpftraceScanner(EventLines):
    """Scans bpftrace's maps and key-value lines into columns; see `Scanner`."""

    cdef bint in_map            # the key of a map is a stack, and its lines follow

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        return is_map(p, end) or has_fields(p, end) and not is_traced(p, end)

    cdef bint _has_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = p + 1
        while at < end:
            at = <const char *>memchr(at, c"@", end - at)
            if at == NULL:
                break
            if is_map(at, end):
                return True
            at += 1
        # A map's value is a count, and no field of an sk_buff.
        return has_field_twice(p, end) or is_map(p, end) and has_fields(p, end)

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        if is_map(p, end):
            return self._map(p, end)
        self.in_map = False
        self._probe(p, end)
        if self._pairs(p, end) == -2:
            return LINE_NO_MEMORY
        self.row.returns = self.row.result != INT64_MIN
        return LINE_READ

    cdef int _map(self, const char *p, const char *end) noexcept nogil:
        """Read "@[SKB_DROP_REASON_NO_SOCKET, tcp_v4_rcv]: 2", or "@[", "@[2, " before a stack."""
        cdef const char *stop
        p = <const char *>memchr(p, c"[", end - p) + 1
        stop = find(p, end, b"]: ", 3)
        self.in_map = stop == NULL
        if stop != NULL:
            self._times(stop, end)
            stop -= 3
        else:
            stop = end
            while stop > p and is_blank((stop - 1)[0]):
                stop -= 1
            if stop > p and (stop - 1)[0] != c",":
                self.in_map = False
                return LINE_DAMAGED
        self._keys(p, stop)
        return LINE_READ

    cdef void _keys(self, const char *p, const char *end) noexcept nogil:
        while p < end:
            p = skip_blanks(p, end)
            self._key(p, symbol_end(p, end))
            p = symbol_end(p, end)
            p = skip_blanks(p + 1, end) if p < end else end

    cdef void _key(self, const char *p, const char *end) noexcept nogil:
        """Read a part of a map's key: a drop reason, or a function where no stack tells it."""
        cdef bint consumed = starts(p, end, b"SKB_CONSUMED", 12)
        if consumed or starts(p, end, b"SKB_DROP_REASON_", 16):
            if self.row.function < 0 and consumed:
                self._function(b"consume_skb", 11)
            elif self.row.function < 0:
                self._function(b"kfree_skb", 9)
            if not consumed:
                self.row.reason = self._named(p, end)
        elif not self.in_map and end > p and not is_digit(p[0]) \
                and memchr(p, c"_", end - p) != NULL:
            self.row.location = self._named(p, end)

    cdef void _times(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t number = 0
        if read_number(p, end, 10, &number):
            self._count(number)

    cdef void _probe(self, const char *p, const char *end) noexcept nogil:
        """Read the function from "kprobe:NAME", "NAME:" or "func=NAME"."""
        cdef const char *stop
        cdef const char *name
        cdef int _word
        for _word in range(4):
            p = skip_blanks(p, end)
            stop = skip_token(p, end)
            name = p
            if starts(p, stop, b"func=", 5):
                name = p + 5
            elif starts(p, stop, b"function=", 9):
                name = p + 9
            elif starts(p, stop, b"probe=", 6):
                name = p + 6
            elif memchr(p, c"=", stop - p) != NULL:
                p = stop
                continue
            while stop > name and (stop - 1)[0] in (c":", c",", c"|"):
                stop -= 1
            p = stop
            while p > name and is_word((p - 1)[0]):
                p -= 1
            if stop > p and not is_digit(p[0]) and memchr(p, c"_", stop - p) != NULL:
                self._function(p, stop - p)
                return
            p = skip_token(stop, end)

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        if self.in_map and (starts(p, end, b"]: ", 3) or starts(p, end, b", ", 2)):
            return self._behind_stack(p, end)
        if at == p or not self._frame(p, end):
            return LINE_DAMAGED
        # The innermost function is the one that the map's probe is in.
        if self.owner == OWNER_EVENT and self.row.function < 0:
            self._function(at, symbol_end(at, end) - at)
        return LINE_READ

    cdef int _behind_stack(self, const char *p, const char *end) noexcept nogil:
        """Read "]: 2", or more of the key: "@[\n    f+1\n, iperf3]: 2"."""
        cdef const char *stop = find(p, end, b"]: ", 3)
        if self.owner == OWNER_EVENT:
            self._keys(p + 1, end if stop == NULL else stop - 3)
            if stop != NULL:
                self._times(stop, end)
        self.in_map = stop == NULL
        return LINE_READ

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = symbol_end(p + 1, end)
        cdef int64_t number = 0
        if starts(p, end, b"Lost ", 5) and read_number(p + 5, skip_token(p + 5, end), 10, &number):
            if number > 0 and number >> 32 == 0:
                self.lost += number
            return True
        # Maps without a key count nothing that has a name: "@total: 51".
        return (starts(p, end, b"Attaching ", 10) or starts(p, end, b"Attached ", 9)
                or starts(p, end, b"^C", 2) or p[0] == c"@" and starts(stop, end, b": ", 2))
