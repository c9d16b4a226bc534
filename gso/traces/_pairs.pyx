# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of names and values: "len=1544 gso_size=1448", ".inner_mac_header = (__u16)68"."""

from libc.stdint cimport INT32_MIN

from gso.traces._keys cimport find_key
from gso.traces._line_template cimport (
    FLOW_BIT, SLOT_FLOW, SLOT_PAIR, SLOT_WORD, TemplateSlot, bit, key_bit,
)
from gso.traces._row cimport T_ETHERTYPE, T_NUMBER, T_OFFSET, Key
from gso.traces._text cimport (
    find, is_bare, is_word, skip_blanks, skip_key, skip_token, starts, value_of,
)


cdef class PairReader(TemplateReader):
    """Reads names and values into the row of an event."""

    cdef int _pairs(self, const char *p, const char *end) noexcept nogil:
        """Read every key=value in the rest of a line; other words are passed over."""
        cdef const char *key
        cdef const char *key_end
        cdef const char *value
        cdef const char *stop
        cdef bint hex_offsets = False, flow, virtio = False, offsets = False
        cdef TemplateSlot *slot
        cdef const Key *found
        while True:
            p = skip_blanks(p, end)
            if p >= end:
                if virtio and not offsets:
                    self._forget_virtio()
                if self.bytes.size:
                    self._tell_tunnel()
                return 0
            key = p
            key_end = skip_key(p, end)
            if is_bare(key_end, end):
                p = skip_token(key_end, end)
                flow = self.bare_flows and find(key, p, b"->", 2) != NULL
                if flow and self.row.flow < 0:
                    self._note(SLOT_FLOW, bit(FLOW_BIT), key, p)
                    self._flow(key, p)
                else:
                    slot = self._note(SLOT_WORD, 0, key, p)
                    slot.flag = not self.bare_flows or self.row.flow >= 0
                continue
            # Tracepoints print "reason: NOT_SPECIFIED".
            p = key_end + 1 if key_end[0] == c"=" else skip_blanks(key_end + 2, end)
            p = value_of(p, end, &value, &stop, key_end[0] == c":")
            if p == NULL:
                return -1
            while key < key_end and (key[0] == c"." or key[0] == c"("):
                key += 1
            if starts(key, key_end, b"skb->", 5):
                key += 5
            found = find_key(key, key_end - key)
            slot = self._note(SLOT_PAIR, key_bit(found) if found != NULL else 0,
                              key_end + (1 if key_end[0] == c"=" else 2), p)
            slot.flag, slot.key = key_end[0] != c"=", found
            slot.hex_before = hex_offsets
            if found != NULL and self._store(found, value, stop, &hex_offsets) < 0:
                return -2
            slot.hex_after = hex_offsets
            virtio |= found == NULL and starts(key, key_end, b"hdr_len", 7)
            offsets |= (found != NULL and found.target == T_OFFSET
                        and not starts(key, key_end, b"csum", 4))

    cdef void _forget_virtio(self) noexcept nogil:
        """Forget what a virtio_net_hdr calls as an sk_buff does, and means otherwise."""
        self.row.skb.gso_type, self.row.skb.gso_size = INT32_MIN, INT32_MIN
        self.row.skb.csum_start, self.row.skb.csum_offset = INT32_MIN, INT32_MIN
        self.template.broken = True

    cdef int _dump_line(self, const char *p, const char *end) noexcept nogil:
        """Read fields such as .inner_mac_header = (__u16)68, where those of zero are left out."""
        cdef const char *key
        cdef const char *stop
        cdef const Key *found
        cdef bint hex_offsets = False, named = False
        self.template.usable = False    # the row has more values than those of the event's line
        if self.dump_of != self.events or starts(p, end, b"(struct sk", 10):
            self.dump_of = self.events
            self.depth = self.member_depth = 0
        while p < end:
            if p[0] == c"{":
                if named and not self.member_depth:
                    self.member_depth = self.depth + 1
                self.depth += 1
                named = False
            elif p[0] == c"}":
                self.depth = max(self.depth - 1, 0)
                if self.depth < self.member_depth:
                    self.member_depth = 0
            elif p[0] == c"'" and end - p > 2 and p[2] == c"'":
                p += 2                  # a printable char of an array
            elif p[0] == c",":
                named = False
            if p[0] != c".":
                p += 1
                continue
            p += 1
            key = p
            while p < end and is_word(p[0]):
                p += 1
            found = find_key(key, p - key)
            p = skip_blanks(p, end)
            if p >= end or p[0] != c"=":
                continue
            named = True
            p = skip_blanks(p + 1, end)
            # A number that neither "," nor "}" follows may have been cut off.
            stop = p
            while stop < end and stop[0] != c"," and stop[0] != c"}" and stop[0] != c"{":
                stop += 1
            if found != NULL and not self.member_depth and stop < end and stop[0] != c"{" \
                    and found.target in (T_NUMBER, T_OFFSET, T_ETHERTYPE):
                self._store(found, p, stop, &hex_offsets)
            p = stop
        return 0
