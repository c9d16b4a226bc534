# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""A struct sk_buff as a debugger prints it: crash, drgn, gdb, and bpftrace's print.

"struct sk_buff {" or "*(struct sk_buff *)0xffff9ca661e90200 = {", then "  len = 1544," or
"  .len = (unsigned int)1544,"; gdb's "(gdb) p *skb" and "$1 = {{{next = 0x0, ...". A struct
skb_shared_info that follows is of the same packet.
"""

from libc.stdint cimport int32_t, int64_t, uint64_t

from gso.traces._columns cimport OWNER_EVENT
from gso.traces._event_lines cimport EventLines
from gso.traces._keys cimport find_key
from gso.traces._notes cimport is_expression
from gso.traces._row cimport Key, T_ETHERTYPE, T_NUMBER, T_OFFSET
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport find, is_digit, is_word, read_number, skip_blanks, starts


cdef inline bint is_command(const char *p, const char *end) noexcept nogil:
    """Whether gdb is asked to print an sk_buff, and no other struct that one leads to."""
    if not starts(p, end, b"(gdb) p", 7) or find(p, end, b"->", 2) != NULL:
        return False
    return find(p, end, b"*(struct sk_buff *)", 19) != NULL or (
        find(p, end, b" *", 2) != NULL and starts(end - 3, end, b"skb", 3))


cdef inline bint is_answer(const char *p, const char *end) noexcept nogil:
    """Whether gdb prints a struct: "$1 = {"."""
    if p == end or p[0] != c"$":
        return False
    p += 1
    while p < end and is_digit(p[0]):
        p += 1
    return starts(p, end, b" = {", 4)


cdef inline bint is_sk_buff(const char *p, const char *end) noexcept nogil:
    """Whether gdb prints an sk_buff, as a whole in this line."""
    return (is_answer(p, end) and find(p, end, b" mac_len = ", 11) != NULL
            and find(p, end, b" truesize = ", 12) != NULL)


cdef class SkBuffTextScanner(EventLines):
    """Scans what debuggers print of sk_buffs into columns; see `Scanner`."""

    # The braces that are open, and how many were open at the member that is no part of the sk_buff
    # itself; 0 outside of such a member.
    cdef int32_t open, member
    cdef uint64_t asked         # the address that the line before asked to print
    cdef bint awaited           # gdb was asked for the event's sk_buff or skb_shared_info

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        p = skip_blanks(p, end)
        if starts(p, end, b"struct sk_buff {", 16) or starts(p, end, b"(struct sk_buff){", 17) \
                or is_command(p, end) or is_sk_buff(p, end):
            return True
        at = find(p, end, b"(struct sk_buff *)0x", 20)
        return at != NULL and (starts(p, end, b"*(struct sk_buff *)0x", 21)
                               or starts(p, end, b"(struct sk_buff *)0x", 20)) \
            and find(at, end, b" = {", 4) != NULL

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"(struct sk_buff *)", 18)
        cdef const char *stop
        cdef int64_t number = 0
        self._function(b"sk_buff", 7)
        if at != NULL:
            stop = at
            while stop < end and is_word(stop[0]):
                stop += 1
            if read_number(at, stop, 16, &number):
                self.row.pointer = <uint64_t>number
        elif self.asked:
            self.row.pointer = self.asked
        self.asked = 0
        self.open = self.member = 0
        self.awaited = is_command(skip_blanks(p, end), end)
        if not self.awaited:
            self._struct(p, end)
        return LINE_READ

    cdef void _struct(self, const char *p, const char *end) noexcept nogil:
        p = find(p, end, b"{", 1)
        self.open = 1
        self.awaited = False
        self._members(p, end)

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        return self._starts_event(p, end) and not self._answers(skip_blanks(p, end), end)

    cdef bint _answers(self, const char *p, const char *end) noexcept nogil:
        return self.awaited and self.owner == OWNER_EVENT and is_answer(p, end)

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        if self._answers(at, end):
            self._struct(at, end)
            return LINE_READ
        # A brace alone might begin JSON elsewhere.
        if self.open > 0 and self.owner == OWNER_EVENT and end - at == 1 and at[0] == c"{":
            self._members(at, end)
            return LINE_READ
        return EventLines._scan(self, p, end)

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        if self.owner != OWNER_EVENT:
            return LINE_DAMAGED
        if self.open == 0:
            if find(at, end, b"struct skb_shared_info", 22) == NULL \
                    or find(at, end, b"{", 1) == NULL:
                return LINE_DAMAGED
            self._struct(at, end)
        else:
            self._members(at, end)
        return LINE_READ

    cdef void _members(self, const char *p, const char *end) noexcept nogil:
        """Read "name = value" of the struct itself, and pass over those of structs in it."""
        cdef const char *name
        cdef const char *name_end
        cdef bint named = False
        while p < end:
            if p[0] == c"{":
                if named and not self.member:
                    self.member = self.open + 1
                self.open += 1
                named = False
            elif p[0] == c"}":
                self.open = max(self.open - 1, 0)
                if self.open < self.member:
                    self.member = 0
            elif p[0] == c",":
                named = False
            elif p[0] == c"'" and end - p > 2 and p[2] == c"'":
                p += 2
            elif p[0] == c'"':
                p = string_end(p, end)
                continue
            if not is_word(p[0]):
                p += 1
                continue
            while p < end and p[0] == c".":
                p += 1
            name = p
            while p < end and is_word(p[0]):
                p += 1
            name_end = p
            p = skip_blanks(p, end)
            if p >= end or p[0] != c"=":
                continue
            named = True
            p = skip_blanks(p + 1, end)
            if not self.member and self.open > 0:
                self._value(name, name_end, p, end)
            p = after_cast(p, end)

    cdef void _value(self, const char *name, const char *name_end, const char *p,
                     const char *end) noexcept nogil:
        cdef const Key *key = find_key(name, name_end - name)
        cdef const char *stop = p
        cdef bint hex_offsets = False
        if key == NULL or key.target not in (T_NUMBER, T_OFFSET, T_ETHERTYPE):
            return
        # "ip_summed = 3 '\\003'," and "len = (unsigned int)1544,"
        if p < end and p[0] == c"(":
            stop = find(p, end, b")", 1)
            if stop == NULL:
                return
        while stop < end and (is_word(stop[0]) or stop[0] == c"-"):
            stop += 1
        # A number at the end of a cut line may lack digits; crash's last member has no comma.
        if stop > p:
            self._store(key, p, stop, &hex_offsets)

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"struct sk_buff ", 15)
        cdef const char *stop
        cdef int64_t number = 0
        if self.open > 0 and self.owner == OWNER_EVENT:
            return False
        if starts(p, end, b"(gdb) ", 6):
            self.awaited = find(p, end, b"(struct skb_shared_info *)", 26) != NULL
        if is_expression(self.raw_start, end):
            return True
        if at == NULL or not (starts(p, end, b"crash> ", 7) or starts(p, end, b">>> ", 4)
                              or starts(p, end, b"struct sk_buff ", 15)):
            return starts(p, end, b"crash> ", 7) or starts(p, end, b">>> ", 4) \
                or starts(p, end, b"(gdb) ", 6)
        stop = at
        while stop < end and is_word(stop[0]):
            stop += 1
        if read_number(at, stop, 16, &number):
            self.asked = <uint64_t>number
        return True


cdef inline const char *after_cast(const char *p, const char *end) noexcept nogil:
    """Pass over "(unsigned int)" and "(struct {...})", whose braces open nothing."""
    cdef int32_t depth = 0
    if p == end or p[0] != c"(":
        return p
    while p < end:
        depth += (p[0] == c"(") - (p[0] == c")")
        p += 1
        if not depth:
            break
    return p


cdef inline const char *string_end(const char *p, const char *end) noexcept nogil:
    """Return where the string at `p` ends."""
    p += 1
    while p < end and p[0] != c'"':
        p += 2 if p[0] == c"\\" else 1
    return min(p + 1, end)
