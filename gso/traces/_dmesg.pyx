# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The ``skb_dump`` blocks of the kernel's log."""

from libc.stdint cimport INT32_MIN, int16_t, int32_t, int64_t
from libc.string cimport memchr

from gso.traces._names cimport intern
from gso.traces._scanner cimport OWNER_EVENT, Scanner
from gso.traces._text cimport (
    find, host_order, is_word, read_number, read_time, skip_blanks, skip_token,
)
from gso.skb._skb cimport Skb


cdef class DmesgScanner(Scanner):
    """Scans the kernel's dumps of sk_buffs into columns; see `Scanner`."""

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        return find(p, end, b"skb len=", 8) != NULL

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"skb len=", 8)
        cdef Skb *row
        cdef int64_t number = 0
        if at != NULL:
            self._new()
            self._time(p, at)
            self.row.function = intern(&self.names, b"skb_dump", 8)
            row = &self.row.skb
            self._number(at - 4, end, b"len=", 4, &row.len)
            if self._get(p, end, b"headlen=", 8, &number) and row.len != INT32_MIN:
                row.data_len = <int32_t>max(row.len - number, 0)
            self.in_stack = False
            return 0
        if find(p, end, b"Call Trace:", 11) != NULL:
            self.in_stack = True
            return 0
        if self.owner != OWNER_EVENT:
            return 0
        if self.in_stack:
            return self._stack(p, end)
        return self._more(p, end)

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
            self._offset(p, end, b"start=", 6, &row.csum_start)
            self._number(p, end, b"offset=", 7, &row.csum_offset)
            if self._get(p, end, b"ip_summed=", 10, &value):
                row.ip_summed = <int16_t>(value & 3)
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
