# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The numbers in the lines of ``skb_dump``."""

from libc.stdint cimport INT32_MIN, UINT32_MAX, int16_t, int32_t, int64_t

from gso.traces._dmesg_lines cimport (
    PART_CSUM, PART_DEVICE, PART_HASH, PART_INNER, PART_MAC, PART_SHINFO,
)
from gso.traces._names cimport intern
from gso.traces._text cimport find, host_order, is_word, read_number, skip_token
from gso.skb._skb cimport Skb

cdef enum:
    CHECKSUM_PARTIAL = 3


cdef class SkbDumpReader(Scanner):
    """Puts the numbers of a dump into the row of its event."""

    cdef bint _get(self, const char *p, const char *end, const char *key, int64_t size,
                   int64_t *value, int base=10) noexcept nogil:
        cdef const char *at = find(p, end, key, size)
        cdef const char *stop
        if at == NULL:
            return False
        stop = at
        while stop < end and (is_word(stop[0]) or stop[0] == c"-"):
            stop += 1
        return read_number(at, stop, base, value)

    cdef void _number(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value) and 0 <= value <= 0x7fffffff:
            target[0] = <int32_t>value

    cdef void _gso_type(
        self, const char *p, const char *end, const char *key, int64_t size
    ) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value) and 0 <= value <= UINT32_MAX:
            self.row.skb.gso_type = <int32_t>value

    cdef void _offset(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value):
            target[0] = <int32_t>(value & 0xffff)

    cdef void _length(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t number = 0
        cdef Skb *row = &self.row.skb
        self._number(find(p, end, b"skb len=", 8) - 4, end, b"len=", 4, &row.len)
        self._number(p, end, b" headroom=", 10, &row.headroom)
        if self._get(p, end, b"headlen=", 8, &number) and row.len != INT32_MIN:
            row.data_len = <int32_t>max(row.len - number, 0)

    cdef int _part(self, int part, const char *p, const char *end) noexcept nogil:
        cdef Skb *row = &self.row.skb
        cdef const char *at
        cdef int64_t value = 0
        if part == PART_INNER:
            self._inner(p, end)
        elif part == PART_MAC:
            self._offset(p, end, b"mac=(", 5, &row.mac_header)
            self._offset(p, end, b"net=(", 5, &row.network_header)
            self._offset(p, end, b"trans=", 6, &row.transport_header)
        elif part == PART_SHINFO:
            at = find(p, end, b"gso(", 4)
            if at != NULL:
                self._number(at, end, b"size=", 5, &row.gso_size)
                self._gso_type(at, end, b"type=", 5)
        elif part == PART_CSUM:
            self._checksum(p, end)
        elif part == PART_HASH:
            if self._get(p, end, b" proto=", 7, &value):
                row.protocol = <int32_t>host_order(value & 0xffff)
        elif part == PART_DEVICE and self.row.device < 0:
            at = find(p, end, b"dev name=", 9)
            self.row.device = intern(&self.names, at, skip_token(at, end) - at)
            return -2 if self.row.device == -2 else 0
        return 0

    cdef void _inner(self, const char *p, const char *end) noexcept nogil:
        cdef Skb *row = &self.row.skb
        cdef const char *at = find(p, end, b"inner(", 6)
        cdef int64_t value = 0
        if self._get(p, at, b"encapsulation=", 14, &value):
            row.encapsulation = <int16_t>(value & 1)
        self._offset(at, end, b"mac=", 4, &row.inner_mac_header)
        self._offset(at, end, b"net=", 4, &row.inner_network_header)
        self._offset(at, end, b"trans=", 6, &row.inner_transport_header)
        # inner_ipproto shares its memory: only a number in the range of Ethernet types is one.
        if self._get(at, end, b"proto=", 6, &value) and host_order(value) >= 0x600:
            row.inner_protocol = <int32_t>host_order(value)

    cdef void _checksum(self, const char *p, const char *end) noexcept nogil:
        cdef Skb *row = &self.row.skb
        cdef int64_t value = 0
        if self._get(p, end, b"ip_summed=", 10, &value):
            row.ip_summed = <int16_t>(value & 3)
        # The word is a sum unless the checksum is still to be computed.
        if row.ip_summed != CHECKSUM_PARTIAL:
            return
        if find(p, end, b"start=", 6) != NULL:
            self._offset(p, end, b"start=", 6, &row.csum_start)
            self._number(p, end, b"offset=", 7, &row.csum_offset)
        elif self._get(p, end, b"csum(", 5, &value):
            row.csum_start = <int32_t>(value & 0xffff)
            row.csum_offset = <int32_t>(value >> 16 & 0xffff)
