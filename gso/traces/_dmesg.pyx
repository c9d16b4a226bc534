# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The ``skb_dump`` blocks of the kernel's log."""

from libc.stdint cimport INT32_MIN, int16_t, int32_t, int64_t
from libc.string cimport memchr

from gso.traces._names cimport intern
from gso.traces._scanner cimport LINE_READ, LINE_STRANGE, OWNER_EVENT, Scanner
from gso.traces._text cimport (
    find, host_order, is_word, read_number, read_time, skip_blanks, skip_token, starts,
)
from gso.skb._skb cimport Skb


cdef enum:
    CHECKSUM_PARTIAL = 3


cdef inline const char *next_line(const char *p, const char *end) noexcept nogil:
    """Return the next line feed that is written out, as #012, \\x0a or \\n; NULL without one."""
    while p < end:
        if p[0] == c"#" and starts(p, end, b"#012", 4):
            return p
        if p[0] == c"\\" and (starts(p, end, b"\\n", 2) or starts(p, end, b"\\x0a", 4)):
            return p
        p += 1
    return NULL


cdef inline bint is_complaint(const char *p, const char *end) noexcept nogil:
    """Whether the line is that of skb_warn_bad_offload with the sk_buff's fields."""
    p = find(p, end, b": caps=(", 8)
    return p != NULL and find(p, end, b") len=", 6) != NULL


cdef class DmesgScanner(Scanner):
    """Scans the kernel's dumps of sk_buffs into columns; see `Scanner`."""

    # Whether the sum that the hardware gave for the next dump's packet is wrong.
    cdef bint bad_sum

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        return find(p, end, b"skb len=", 8) != NULL or is_complaint(p, end)

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"skb ", 4)
        if at != NULL and (
            starts(at, end, b"len=", 4) and find(at, end, b" headroom=", 10) != NULL
            or starts(at, end, b"linear:", 7) or starts(at, end, b"headroom:", 9)
            or starts(at, end, b"tailroom:", 9) or starts(at, end, b"frag:", 5)
        ):
            return True
        return is_complaint(p, end) or find(p, end, b"hw csum failure", 15) != NULL

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        """Read a line; syslog and the journal may print several of the kernel's as one."""
        cdef const char *stop = next_line(p, end)
        cdef const char *event = NULL
        cdef int status
        while True:
            status = self._scan_one(p, stop if stop != NULL else end, &event)
            if status < 0 or stop == NULL:
                return status
            p = stop + (4 if stop[1] != c"n" else 2)
            stop = next_line(p, end)

    cdef int _scan_one(self, const char *p, const char *end, const char **event) noexcept nogil:
        cdef const char *at = find(p, end, b"skb len=", 8)
        cdef Skb *row
        cdef int64_t number = 0
        if at == NULL and is_complaint(p, end):
            return self._complaint(p, end, event)
        if at != NULL and event[0] != NULL:
            return -1                   # a line makes one event
        if at != NULL:
            event[0] = p
            self._new()
            self._time(p, at)
            if self.bad_sum:
                self.row.function = intern(&self.names, b"netdev_rx_csum_fault", 20)
            else:
                self.row.function = intern(&self.names, b"skb_dump", 8)
            self.bad_sum = False
            row = &self.row.skb
            self._number(at - 4, end, b"len=", 4, &row.len)
            if self._get(p, end, b"headlen=", 8, &number) and row.len != INT32_MIN:
                row.data_len = <int32_t>max(row.len - number, 0)
            self.in_stack = False
            return 0
        if find(p, end, b"Call Trace:", 11) != NULL or find(p, end, b"Call trace:", 11) != NULL:
            self.in_stack = True
            return 0
        if find(p, end, b"hw csum failure", 15) != NULL:
            self.bad_sum = True
            return 0
        if self._is_strange(p, end):
            return LINE_STRANGE
        if self.owner != OWNER_EVENT:
            return LINE_READ
        at = find(p, end, b"WARNING: ", 9)
        if at != NULL:
            return self._warning(at, end)
        if find(p, end, b": caps=(", 8) != NULL:
            self.row.function = intern(&self.names, b"skb_warn_bad_offload", 20)
            return 0
        if self.in_stack:
            return self._stack(p, end)
        return self._more(p, end)

    cdef int _complaint(self, const char *p, const char *end, const char **event) noexcept nogil:
        """Read the sk_buff of skb_warn_bad_offload as it was printed before v5.3."""
        cdef Skb *row
        cdef int64_t value = 0
        if event[0] != NULL:
            return -1
        event[0] = p
        self._new()
        self._time(p, end)
        self.row.function = intern(&self.names, b"skb_warn_bad_offload", 20)
        row = &self.row.skb
        self._number(p, end, b") len=", 6, &row.len)
        self._number(p, end, b" data_len=", 10, &row.data_len)
        self._number(p, end, b" gso_size=", 10, &row.gso_size)
        self._number(p, end, b" gso_type=", 10, &row.gso_type)
        if self._get(p, end, b" ip_summed=", 11, &value):
            row.ip_summed = <int16_t>(value & 3)
        self.in_stack = False
        return 0

    cdef int _warning(self, const char *p, const char *end) noexcept nogil:
        """Read the function that warned: "at net/core/dev.c:3258 skb_checksum_help+0x7c/0x114"."""
        cdef const char *stop = find(p, end, b"+0x", 3)
        if stop == NULL:
            return 0
        stop -= 3
        p = stop
        while is_word((p - 1)[0]):
            p -= 1
        if p < stop:
            self.row.function = intern(&self.names, p, stop - p)
        return 0

    cdef void _time(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = <const char *>memchr(p, c"[", end - p)
        cdef const char *stop
        if at != NULL:
            stop = <const char *>memchr(at, c"]", end - at)
            if stop != NULL:
                read_time(skip_blanks(at + 1, stop), stop, &self.row.time)

    cdef bint _get(self, const char *p, const char *end, const char *key, int64_t size,
                   int64_t *value) noexcept nogil:
        cdef const char *at = find(p, end, key, size)
        cdef const char *stop
        if at == NULL:
            return False
        stop = at
        while stop < end and (is_word(stop[0]) or stop[0] == c"-"):
            stop += 1
        return read_number(at, stop, 10, value)

    cdef void _number(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value) and 0 <= value <= 0x7fffffff:
            target[0] = <int32_t>value

    cdef void _offset(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value):
            target[0] = <int32_t>(value & 0xffff)

    cdef int _more(self, const char *p, const char *end) noexcept nogil:
        cdef Skb *row = &self.row.skb
        cdef const char *at
        cdef int64_t value = 0
        cdef int32_t name
        at = find(p, end, b"inner(", 6)
        if at != NULL:
            if self._get(p, at, b"encapsulation=", 14, &value):
                row.encapsulation = <int16_t>(value & 1)
            self._offset(at, end, b"mac=", 4, &row.inner_mac_header)
            self._offset(at, end, b"net=", 4, &row.inner_network_header)
            self._offset(at, end, b"trans=", 6, &row.inner_transport_header)
            # inner_ipproto shares its memory: only a number in the range of Ethernet types is one.
            if self._get(at, end, b"proto=", 6, &value) and host_order(value) >= 0x600:
                row.inner_protocol = <int32_t>host_order(value)
            return 0
        if find(p, end, b"mac=(", 5) != NULL:
            self._offset(p, end, b"mac=(", 5, &row.mac_header)
            self._offset(p, end, b"net=(", 5, &row.network_header)
            self._offset(p, end, b"trans=", 6, &row.transport_header)
        elif find(p, end, b"shinfo(", 7) != NULL:
            at = find(p, end, b"gso(", 4)
            if at != NULL:
                self._number(at, end, b"size=", 5, &row.gso_size)
                self._number(at, end, b"type=", 5, &row.gso_type)
        elif find(p, end, b"csum(0x", 7) != NULL:
            if self._get(p, end, b"ip_summed=", 10, &value):
                row.ip_summed = <int16_t>(value & 3)
            # The word is a sum unless the checksum is still to be computed.
            if row.ip_summed == CHECKSUM_PARTIAL:
                if find(p, end, b"start=", 6) != NULL:
                    self._offset(p, end, b"start=", 6, &row.csum_start)
                    self._number(p, end, b"offset=", 7, &row.csum_offset)
                elif self._get(p, end, b"csum(", 5, &value):
                    row.csum_start = <int32_t>(value & 0xffff)
                    row.csum_offset = <int32_t>(value >> 16 & 0xffff)
        elif find(p, end, b"hash(0x", 7) != NULL:
            if self._get(p, end, b" proto=", 7, &value):
                row.protocol = <int32_t>host_order(value & 0xffff)
        else:
            at = find(p, end, b"dev name=", 9)
            if at != NULL and self.row.device < 0:
                name = intern(&self.names, at, skip_token(at, end) - at)
                self.row.device = name
                return -2 if name == -2 else 0
        return 0

    cdef int _stack(self, const char *p, const char *end) noexcept nogil:
        """Read a line like " ip_output+0x5a/0xc0 [module]"; "?" marks an unreliable one."""
        cdef const char *at = find(p, end, b"+0x", 3)
        cdef const char *stop
        if find(p, end, b"</TASK>", 7) != NULL or find(p, end, b"end trace", 9) != NULL:
            self.in_stack = False
            return 0
        if at == NULL or find(p, end, b"RIP:", 4) != NULL:
            return 0
        stop = at = at - 3
        while at > p and is_word((at - 1)[0]):
            at -= 1
        if not (at - p >= 2 and (at - 2)[0] == c"?"):
            self._stack_line(at, stop)
        return 0
