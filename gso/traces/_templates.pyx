# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines like the one before, read by its template; see `gso.traces._line_template`."""

from libc.stdint cimport int8_t, int32_t, int64_t, uint64_t
from libc.string cimport memchr, memcpy

from gso.traces._columns cimport NO_VALUE, EventColumns
from gso.traces._line_template cimport (
    LONGEST_TEMPLATE, SLOT_FLOW, SLOT_PAIR, SLOT_WORD, SLOTS, LineTemplate, TemplateSlot,
)
from gso.traces._row cimport T_DATA
from gso.traces._text cimport (
    find, is_bare, is_digit, read_number, shared, skip_blanks, skip_key, skip_token, starts,
    value_of,
)


cdef class TemplateReader(StackedEvents):
    """Reads the line of an event by that of the event before, where the two are alike."""

    def _start(self):
        EventColumns._start(self)
        self.template.usable = False

    cdef void _new(self) noexcept nogil:
        """Begin an event in a row with all values unknown."""
        self.row, self.last = self.last, self.row
        self.row[0] = self.nothing
        self._begin()
        self.template.usable = self.template.broken = False
        self.template.count = 0
        self.template.seen = 0
        self.bytes.size = 0

    cdef bint _read_by_template(self, const char *p, const char *end) noexcept nogil:
        """Read a line by the template of the last event's; False if it does not fit."""
        cdef LineTemplate *template = &self.template
        cdef TemplateSlot *slot = &template.slots[0]
        cdef TemplateSlot *slots_end = slot + template.count
        cdef const char *at = p
        cdef const char *old = template.text
        cdef const char *old_end = old + template.size
        cdef const char *stop
        cdef int64_t same
        cdef int32_t offset, shift
        # "<stack trace>" at its end would make it no event.
        if not template.usable or (end - 1)[0] == c">":
            return False
        self.last[0] = self.row[0]
        self.row, self.last = self.last, self.row
        self.row.stack = NO_VALUE
        while True:
            same = shared(at, old, min(end - at, old_end - old))
            at += same
            old += same
            offset = <int32_t>(old - template.text)
            shift = <int32_t>(at - p) - offset
            # Slots that ended before this offset have the same text. A slot that ends here may
            # have longer text than before.
            while slot < slots_end and (slot.end < offset or at == end and old == old_end):
                slot.start += shift
                slot.end += shift
                slot += 1
            if at == end and old == old_end and not template.broken:
                self._begin()
                if self.bytes.size:
                    self._tell_tunnel()
                template.text, template.size = p, <int32_t>(end - p)
                template.bare = self.line_start == self.raw_start
                return True
            if slot == slots_end or slot.start > offset:
                break
            at = p + slot.start + shift
            stop = self._reread_slot(slot, at, end)
            if stop == NULL:
                break
            old = template.text + slot.end
            slot.start, slot.end = <int32_t>(at - p), <int32_t>(stop - p)
            slot += 1
            at = stop
        self.row, self.last = self.last, self.row
        # The template is unchanged up to its first slot: lines that follow an event leave it so.
        template.usable = slot == &template.slots[0]
        return False

    cdef const char *_reread_slot(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil:
        """Read the new text of a slot; return its end, NULL if it is not of the slot's kind."""
        cdef const char *stop
        cdef int64_t number = 0
        cdef bint flow
        if slot.kind == SLOT_PAIR:
            return self._reread_pair(slot, p, end)
        if slot.kind != SLOT_FLOW and slot.kind != SLOT_WORD:
            return self._read_part(slot, p, end)
        p = skip_blanks(p, end)
        stop = skip_token(p, end)
        if stop == p or not is_bare(skip_key(p, end), end) or starts(p, end, b"[0x", 3):
            return NULL
        # A number may have another meaning there.
        if is_digit(p[0]) and read_number(p, stop, 10, &number):
            return NULL
        # With "=" in it, the reader of the word before may not take it for a flow.
        if memchr(p, c"=", stop - p) != NULL:
            return NULL
        flow = find(p, stop, b"->", 2) != NULL
        if slot.kind == SLOT_WORD:
            if flow and not slot.flag:
                return NULL
            return stop
        if not flow:
            return NULL
        self.row.flow = NO_VALUE
        self._flow(p, stop)
        return stop

    cdef const char *_reread_pair(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil:
        cdef const char *value
        cdef const char *stop
        cdef bint hex_offsets = slot.hex_before
        p = value_of(skip_blanks(p, end) if slot.flag else p, end, &value, &stop, slot.flag)
        if p == NULL or slot.key == NULL:
            return p
        if slot.key.target == T_DATA and self.bare_flows:
            return NULL                 # the meaning of a later word depends on a flow in it
        self._forget(slot.key)
        if self._store(slot.key, value, stop, &hex_offsets) < 0 or hex_offsets != slot.hex_after:
            return NULL
        return p

    cdef const char *_read_part(self, const TemplateSlot *slot, const char *p,
                                const char *end) noexcept nogil:
        """Read a part of an event's line; return where it ends, NULL if it is not there.

        It may have blanks before it. It sets each of its values, or leaves it as in a new row.
        """
        return NULL

    cdef const char *_take_part(self, int kind, uint64_t sets, const char *p,
                                const char *end) noexcept nogil:
        """Read a part, and note its slot; return where it ends, NULL if it is not there."""
        cdef TemplateSlot slot
        cdef const char *stop
        slot.kind, slot.flag = <int8_t>kind, 0
        stop = self._read_part(&slot, p, end)
        if stop != NULL:
            self._note(kind, sets, p, stop)
        return stop

    cdef TemplateSlot *_note(self, int kind, uint64_t sets, const char *p,
                             const char *stop) noexcept nogil:
        """Add a slot to the template of this line; `sets` has the bits of the values it sets."""
        cdef TemplateSlot *slot = &self.template.slots[self.template.count]
        # Of two slots that set the same value the later counts: one of them alone does not tell.
        if self.template.count == SLOTS - 1 or self.template.seen & sets:
            self.template.broken = True
            return slot
        self.template.count += 1
        self.template.seen |= sets
        slot.start = <int32_t>(p - self.line_start)
        slot.end = <int32_t>(stop - self.line_start)
        slot.kind, slot.flag, slot.key = <int8_t>kind, 0, NULL
        return slot

    cdef void _keep_template(self) noexcept nogil:
        """Copy the text of the last event's line before its block is freed."""
        if not self.template.usable or self.template.text == self.template.kept:
            return
        self.template.usable = self.template.size <= LONGEST_TEMPLATE
        if self.template.usable:
            memcpy(self.template.kept, self.template.text, self.template.size)
            self.template.text = self.template.kept
