# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Values of the event that is read: what a name and the text after it tell of it."""

from libc.stdint cimport INT16_MIN, INT64_MIN, UINT32_MAX, int32_t, int64_t, uint64_t
from libc.string cimport memchr, memcpy

from gso.traces._columns cimport NO_VALUE
from gso.traces._dumped_bytes cimport tell_tunnel
from gso.traces._names cimport intern_like
from gso.traces._row cimport (
    T_DATA, T_DEVICE, T_ETHERTYPE, T_IFINDEX, T_LOCATION, T_MTU, T_NETNS, T_NUMBER, T_OFFSET,
    T_POINTER, T_REASON, T_RESULT, EventRow, put,
)
from gso.traces._text cimport host_order, is_blank, read_number
from gso.traces._tuple cimport FLOW_ROOM, flow_of
from gso.skb._skb cimport FIELD_AT_FRAG_LIST, FIELD_AT_GSO_TYPE, FIELD_AT_TNL_HLEN

cdef enum:
    WORDS_KEPT = 24


cdef class EventValues(EventColumns):
    """Puts values into the row of an event."""

    cdef void _flow(self, const char *p, const char *end) noexcept nogil:
        """Keep the first flow of a line: a second one is that of the tunnel."""
        if self.row.flow < 0:
            self.row.flow = max(NO_VALUE, intern_like(&self.names, self.last.flow, p, end - p))

    cdef void _data(self, const char *p, const char *end) noexcept nogil:
        """{0x406fd0e8050045,0x...}: the packet's first bytes, 8 in a number, lowest first."""
        cdef char[FLOW_ROOM] text
        cdef const char *stop
        cdef int64_t size, number
        p += 1
        self.bytes.size = 0
        while p < end and self.bytes.size < WORDS_KEPT * 8:
            stop = <const char *>memchr(p, c",", end - p)
            if stop == NULL:
                stop = end
            if not read_number(p, stop, 16, &number):
                break
            memcpy(&self.bytes.data[self.bytes.size], &number, 8)
            self.bytes.size += 8
            p = stop + 1
        size = flow_of(self.bytes.data, self.bytes.size, text)
        if size > 0:
            self._flow(text, text + size)

    cdef void _tell_tunnel(self) noexcept nogil:
        """Set what the packet's bytes tell of its tunnel, once all offsets of its line are read."""
        self.row.skb.tunnel = self.row.skb.gre_flags = INT16_MIN
        tell_tunnel(&self.bytes, &self.row.skb)

    cdef int _store(self, const Key *key, const char *value, const char *stop,
                    bint *hex_offsets) noexcept nogil:
        """Store the value of a key; -2 for no memory. A value that cannot be read stays unknown."""
        cdef EventRow *row = self.row
        cdef int64_t number = 0
        cdef int32_t name
        cdef int base = 10
        if key.target == T_DATA:
            if value[0] == c"{":
                self._data(value, stop)
            return 0
        if key.target in (T_DEVICE, T_REASON, T_LOCATION):
            if key.target == T_LOCATION:
                stop = self._symbol_end(value, stop)
            name = intern_like(&self.names, self.last.device, value, stop - value)
            if name == -2:
                return -2
            if key.target == T_DEVICE:
                row.device = name
            elif key.target == T_REASON:
                row.reason = name
            else:
                row.location = name
            return 0
        if key.target == T_POINTER:
            if read_number(value, stop, 16, &number):
                row.pointer = <uint64_t>number
            # Old libtraceevent prints every number in hexadecimal, without 0x.
            if key.size == 3 and stop - value > 1 and value[1] != c"x":
                hex_offsets[0] = True
            return 0
        if (hex_offsets[0] and key.target == T_OFFSET
                or self.hex_proto and key.target == T_ETHERTYPE and key.size == 5):
            base = 16
        if not read_number(value, stop, base, &number):
            return 0                    # such as (fault)
        if key.target == T_NUMBER:
            if key.at == FIELD_AT_TNL_HLEN:     # a 32-bit int: the difference of two u16
                number = <int32_t>number
                if not -0xffff <= number <= 0xffff:
                    return 0
            elif key.at == FIELD_AT_FRAG_LIST:  # a pointer
                number = number != 0
            elif number < 0:
                return 0                # no field can be negative: the line is damaged there
            elif key.at == FIELD_AT_GSO_TYPE and number <= UINT32_MAX:
                number = <int32_t>number    # all of its 32 bits are flags
            put(&row.skb, key.at, key.width, number)
        elif key.target == T_OFFSET:
            put(&row.skb, key.at, key.width, number & 0xffff)
        elif key.target == T_ETHERTYPE and number >= 0:
            put(&row.skb, key.at, key.width, host_order(number))
        elif key.target == T_NETNS:
            row.netns = number
        elif key.target == T_RESULT:
            row.result = number
        elif 0 <= number <= 0x7fffffff:
            if key.target == T_IFINDEX:
                row.ifindex = <int32_t>number
            else:
                row.mtu = <int32_t>number
        return 0

    cdef void _forget(self, const Key *key) noexcept nogil:
        """Make the value that this key names unknown."""
        if key.target <= T_ETHERTYPE:
            memcpy(<char *>&self.row.skb + key.at, <char *>&self.nothing.skb + key.at, key.width)
        elif key.target == T_POINTER:
            self.row.pointer = 0
        elif key.target == T_NETNS:
            self.row.netns = NO_VALUE
        elif key.target == T_RESULT:
            self.row.result = INT64_MIN
        elif key.target == T_IFINDEX:
            self.row.ifindex = NO_VALUE
        elif key.target == T_MTU:
            self.row.mtu = NO_VALUE
        elif key.target == T_DATA:
            self.row.flow = NO_VALUE

    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil:
        while p < end and p[0] != c"+" and p[0] != c")" and not is_blank(p[0]):
            p += 1
        return p
