# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The kernel's log: its ``skb_dump`` blocks, and what it says of packets itself.

A sentence, or a crash, is an event with the function that said it, or in which the kernel crashed;
`Trace.reason` has the kernel's words. Dumps and stacks that belong to it follow.
"""

from libc.stdint cimport INT32_MIN, UINT32_MAX, int16_t, int32_t, int64_t, uint64_t
from libc.string cimport memchr, memcpy

from gso.traces._columns cimport NO_VALUE, OWNER_DAMAGED, OWNER_EVENT, OWNER_NONE
from gso.traces._dumped_bytes cimport (
    IN_DISORDER, DumpedBytes, forget_told, keep_bytes, tell,
)
from gso.traces._kernel_words cimport (
    BAD_SUM, PANIC, TUN_TYPE, UDP_SUM, WRONG_HEADER, Words, after_counter, crash_in, function_in,
    letters_of, said_in,
)
from gso.traces._names cimport intern
from gso.traces._notes cimport is_message
from gso.traces._scanner cimport LINE_DAMAGED, LINE_ORPHAN, LINE_READ, LINE_STRANGE, Scanner
from gso.traces._text cimport (
    find, host_order, is_blank, is_word, read_number, read_time, skip_blanks, skip_token, starts,
)
from gso.skb._skb cimport Skb


cdef enum:
    CHECKSUM_PARTIAL = 3
    GSO_TCPV4 = 1
    LONGEST_SAID = 240
    SAME_CRASH = 8      # lines in which a crash is told in several sentences
    WINDOW = 256        # bytes of a line in which one mark after the other is looked for

cdef uint64_t LETTERS_NOT_LOOKED_AT = <uint64_t>-1
# The bits of A and N, which warnings and sanitizers have.
cdef uint64_t CAPITALS = <uint64_t>1 << 1 | <uint64_t>1 << 14

# The lines that may still follow the last event.
cdef enum Report:
    REPORT_STACK        # its stack alone
    REPORT_DUMP         # lines of its dump, and then a warning
    REPORT_SUM          # the dump that it announced
    REPORT_PANIC        # the crash that it announced
    REPORT_LIST         # dumps of the packets in its frag_list, and then a warning


# The order in which a dump's lines are printed.
cdef enum Part:
    PART_NONE           # it is no such line
    PART_MAC, PART_SHINFO, PART_CSUM, PART_HASH, PART_PRIORITY, PART_INNER, PART_DEVICE
    PART_END


# The state before a line of the log: whether the last event announced a dump, has one whose
# frag_list follows, is one that a warning may follow, or is a warning whose packet may follow;
# and whether a crash was announced whose function is still to come.
cdef struct State:
    bint announced
    bint listed
    bint dumped
    bint warned
    bint crashed


cdef inline const char *next_line(const char *p, const char *end) noexcept nogil:
    """Return the next line feed that is written out, as #012, \\x0a or \\n; NULL without one."""
    cdef const char *stop
    cdef const char *mark
    cdef const char *found
    # By windows: a mark that is nowhere would be looked for to the end, from each of another kind.
    while p < end:
        stop = p + min(end - p, WINDOW)
        mark = next_mark(p, stop, end, c"#", b"#012", 4)
        found = next_mark(p, mark if mark != NULL else stop, end, c"\\", b"\\x0a", 4)
        if found != NULL:
            mark = found
        found = next_mark(p, mark if mark != NULL else stop, end, c"\\", b"\\n", 2)
        if found != NULL or mark != NULL:
            return found if found != NULL else mark
        p = stop
    return NULL


cdef inline const char *line_after(const char *mark) noexcept nogil:
    return mark + (4 if mark[1] != c"n" else 2)


cdef inline const char *next_mark(const char *p, const char *stop, const char *end, char first,
                                  const char *word, int64_t size) noexcept nogil:
    """Return where the word begins before `stop`, `first` being its first byte; NULL without it."""
    while p < stop:
        p = <const char *>memchr(p, first, stop - p)
        if p == NULL or starts(p, end, word, size):
            return p
        p += 1
    return NULL


cdef inline bint has_message(const char *p, const char *end) noexcept nogil:
    """Whether the text of a message begins somewhere in the line."""
    while True:
        p = <const char *>memchr(p, c"[", end - p) if p < end else NULL
        if p == NULL:
            return False
        if is_message(p, end):
            return True
        p += 1


cdef inline bint is_complaint(const char *p, const char *end) noexcept nogil:
    """Whether the line is that of skb_warn_bad_offload with the sk_buff's fields."""
    p = find(p, end, b": caps=(", 8)
    return p != NULL and find(p, end, b") len=", 6) != NULL


cdef inline const char *word_before(const char *p, const char *at) noexcept nogil:
    """Return where the word before `at` begins, in text that begins at `p`."""
    while at > p and is_blank((at - 1)[0]):
        at -= 1
    while at > p and not is_blank((at - 1)[0]):
        at -= 1
    return at


cdef inline bint is_bytes(const char *p, const char *end) noexcept nogil:
    """Whether "skb " at `p` begins bytes of the packet: "linear:   00000000: 45 00"."""
    return (starts(p, end, b"linear:", 7) or starts(p, end, b"frag:", 5)
            or starts(p, end, b"headroom:", 9) or starts(p, end, b"tailroom:", 9))


cdef inline const char *mark_of(int part, const char *p, const char *end) noexcept nogil:
    """Return the end of what only this line of a dump has; NULL without it."""
    if part == PART_INNER:
        return find(p, end, b"inner(", 6)
    if part == PART_MAC:
        return find(p, end, b"mac=(", 5)
    if part == PART_SHINFO:
        return find(p, end, b"shinfo(", 7)
    if part == PART_CSUM:
        return find(p, end, b"csum(0x", 7)
    if part == PART_HASH:
        return find(p, end, b"hash(0x", 7)
    if part == PART_DEVICE:
        return find(p, end, b"dev name=", 9)
    return find(p, end, b"priority=0x", 11)


cdef inline int part_of(const char *p, const char *end) noexcept nogil:
    """Which line of a dump this is."""
    cdef int part
    for part in range(<int>PART_MAC, <int>PART_END):
        if mark_of(part, p, end) != NULL:
            return part
    return PART_NONE


cdef bint has_next(const char *p, const char *end) noexcept nogil:
    """Whether another line of the kernel begins after `p`: the one that begins there was cut."""
    return (find(p, end, b"skb len=", 8) != NULL or part_of(p, end) != PART_NONE
            or has_message(p, end))


cdef bint is_cut(const char *p, const char *mark, const char *end) noexcept nogil:
    """Whether what stands in two lines of the kernel stands in one; `mark` follows the first."""
    cdef const char *start = mark
    while start > p and not is_blank((start - 1)[0]):
        start -= 1
    return part_of(p, start) != PART_NONE or has_next(mark, end)


cdef inline bint is_sanitizer(const char *p, const char *end) noexcept nogil:
    """Whether the line is "BUG: KASAN: use-after-free in skb_segment+0x1a3/0x1f50"."""
    cdef const char *stop
    p = find(p, end, b"BUG: K", 6)
    return (p != NULL and find(p, end, b"SAN: ", 5) != NULL
            and function_in(p, end, &stop) != NULL)


cdef inline bint is_warning(const char *p, const char *end) noexcept nogil:
    """Whether the network warns: "WARNING: CPU: 0 PID: 0 at net/core/dev.c:3258 NAME+0x78/0xe0"."""
    cdef const char *stop
    p = find(p, end, b"WARNING: ", 9)
    if p == NULL or function_in(p, end, &stop) == NULL:
        return False
    # Kernels without CONFIG_DEBUG_BUGVERBOSE name no file.
    return (find(p, end, b".c:", 3) == NULL and find(p, end, b".h:", 3) == NULL
            or find(p, end, b"net/", 4) != NULL or find(p, end, b"/skbuff.h:", 10) != NULL)


cdef inline bint is_register(const char *p, const char *end) noexcept nogil:
    """Whether the line is of a crash's registers: "RSP: 0018:ffff", "x29: ffff", "sp : ffff"."""
    cdef const char *at = p
    while at < end and is_word(at[0]) and at[0] != c"_":
        at += 1
    if at == p or at - p > 6:
        return False
    at = skip_blanks(at, end)
    return at < end and at[0] == c":" and (end - at == 1 or is_blank(at[1]))


cdef inline bint is_stack_end(const char *p, const char *end) noexcept nogil:
    return (find(p, end, b"</TASK>", 7) != NULL or find(p, end, b"end trace", 9) != NULL
            or find(p, end, b"Code: ", 6) != NULL or find(p, end, b" linked in:", 11) != NULL
            or find(p, end, b" by task ", 9) != NULL)


cdef class DmesgScanner(Scanner):
    """Scans the kernel's dumps of sk_buffs into columns; see `Scanner`."""

    cdef int report             # what may follow the last event
    cdef int part               # the last line of its dump
    cdef int before             # that of the dump before, PART_END where other lines came between
    cdef bint is_offload        # it is the warning of skb_warn_bad_offload
    cdef uint64_t letters       # of the line that is read, 0 for bytes of a dump
    cdef DumpedBytes bytes
    # The words of a crash whose function was not printed yet, and their line.
    cdef char[LONGEST_SAID] crash
    cdef int64_t crash_size, crash_line

    def __cinit__(self, *_, **__):
        self.crash_line = -SAME_CRASH - 1

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        cdef const char *stop = next_line(p, end)
        cdef State before = self._state()
        while stop != NULL:
            if self._begins_one(p, stop, &before):
                return True
            p = line_after(stop)
            stop = next_line(p, end)
        return self._begins_one(p, end, &before)

    cdef State _state(self) noexcept nogil:
        cdef State now
        cdef bint open = self.owner == OWNER_EVENT
        now.announced = open and self.report == REPORT_SUM
        now.listed = open and self.report == REPORT_LIST
        now.dumped = open and (self.report == REPORT_DUMP or self.report == REPORT_LIST)
        now.warned = open and self.is_offload and self.row.skb.gso_size == INT32_MIN
        now.crashed = self.crash_size > 0
        return now

    cdef bint _begins_one(self, const char *p, const char *end,
                          const State *before) noexcept nogil:
        """Whether a line of the kernel begins an event, by what stood before the log's line."""
        cdef const char *at = find(p, end, b"skb ", 4)
        self.letters = LETTERS_NOT_LOOKED_AT
        if at != NULL and starts(at, end, b"len=", 4):
            return not before.announced and not before.listed
        if at != NULL and is_bytes(at, end):
            self.letters = 0
            return False
        self.letters = letters_of(p, end)
        if is_complaint(p, end):
            return not before.warned
        if said_in(p, end, self.letters, &at) != NULL:
            return True
        if before.crashed and after_counter(p, end, self.letters) != NULL:
            return True
        if self.letters & CAPITALS != CAPITALS:
            return False
        return is_sanitizer(p, end) or (not before.dumped and is_warning(p, end))

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"skb ", 4)
        cdef uint64_t letters
        if at != NULL and starts(at, end, b"len=", 4):
            return find(at, end, b" headroom=", 10) != NULL
        if at != NULL and is_bytes(at, end):
            return True
        letters = letters_of(p, end)
        return (is_complaint(p, end) or said_in(p, end, letters, &at) != NULL
                or crash_in(p, end, letters) != NULL or is_sanitizer(p, end)
                or is_warning(p, end))

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        """Read a line; syslog and the journal may print several of the kernel's as one."""
        cdef const char *stop = next_line(p, end)
        cdef State before = self._state()
        cdef bint event = False
        cdef int status
        while True:
            status = self._scan_one(p, stop if stop != NULL else end, &before, &event)
            if status < 0 or stop == NULL:
                return status
            p = line_after(stop)
            stop = next_line(p, end)

    cdef int _scan_one(self, const char *p, const char *end, const State *before,
                       bint *event) noexcept nogil:
        cdef const char *at
        if self._begins_one(p, end, before) and not (event[0] and self.report == REPORT_SUM):
            if event[0]:
                return -1               # a line makes one event
            if is_cut(p, self._mark(p, end), end):
                return self._cut()
            event[0] = True
            self.before = self.part
            if self.report != REPORT_DUMP and self.report != REPORT_LIST:
                self.before = PART_END
            self._new()
            self.bytes.size = 0
            self.report, self.part, self.is_offload = REPORT_DUMP, PART_NONE, False
            self._time(p, end)
            return self._event(p, end)
        if not self.letters:
            self._bytes(find(p, end, b"skb linear:", 11), end)
            return 0
        if before.warned and is_complaint(p, end):
            self._complaint(p, end)
            return 0
        if not event[0] and self._is_strange(p, end):
            return LINE_STRANGE
        if not event[0] and not self._is_own(p, end):
            return LINE_DAMAGED
        at = crash_in(p, end, self.letters)
        if at != NULL:
            return self._crash(at, end)
        if self.crash_size and find(p, end, b"[ cut here ]", 12) != NULL:
            self.crash_size = 0         # it had no function
        if self.owner != OWNER_EVENT:
            # A dump without its first line, as a log that begins with the newest line has them.
            return LINE_READ if part_of(p, end) == PART_NONE else LINE_ORPHAN
        if find(p, end, b"skb len=", 8) != NULL:
            if self.report != REPORT_LIST:
                self._length(p, end)
                self.report = REPORT_DUMP
            return 0
        if self.report == REPORT_LIST:
            if part_of(p, end) != PART_NONE or find(p, end, b"skb ", 4) != NULL \
                    or find(p, end, b"sk family=", 10) != NULL:
                return 0
            self.report, self.part = REPORT_DUMP, PART_END
        return self._detail(p, end)

    cdef const char *_mark(self, const char *p, const char *end) noexcept nogil:
        """Return where a line that begins an event has the words by which it is known."""
        cdef const char *at = find(p, end, b"skb len=", 8)
        if at == NULL:
            at = find(p, end, b": caps=(", 8)
        if at == NULL and said_in(p, end, self.letters, &at) == NULL:
            function_in(p, end, &at)
        return at if at != NULL else p

    cdef bint _is_own(self, const char *p, const char *end) noexcept nogil:
        """Whether this is a message of the kernel, or the further text of one, or has a prefix.

        A line that has no time begins with blanks, or with what is known.
        """
        return (p > self.line_start or is_message(p, end) or is_blank(self.raw_start[0])
                or self.line_start > self.raw_start or has_message(p, end)
                or find(p, end, b"skb ", 4) != NULL or find(p, end, b"=(", 2) != NULL
                or find(p, end, b"=0x", 3) != NULL or find(p, end, b"+0x", 3) != NULL
                or find(p, end, b"(0x", 3) != NULL or find(p, end, b"dev name=", 9) != NULL
                or find(p, end, b"encapsulation=", 14) != NULL
                or find(p, end, b"shinfo(", 7) != NULL or starts(p, end, b"<", 1)
                or find(p, end, b"cut here", 8) != NULL or find(p, end, b"end trace", 9) != NULL
                or find(p, end, b"WARNING: ", 9) != NULL or find(p, end, b"PID:", 4) != NULL
                or starts(p, end, b"Modules linked", 14) or starts(p, end, b"Hardware name", 13)
                or find(p, end, b": caps=(", 8) != NULL or find(p, end, b"all Trace:", 10) != NULL
                or find(p, end, b"all trace:", 10) != NULL or starts(p, end, b"Oops", 4)
                or starts(p, end, b"BUG", 3) or starts(p, end, b"general protection", 18)
                or starts(p, end, b"sk family=", 10) or is_register(p, end))

    # --- events ---

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        cdef const Words *words
        if find(p, end, b"skb len=", 8) != NULL:
            self.row.function = intern(&self.names, b"skb_dump", 8)
            self._length(p, end)
        elif is_complaint(p, end):
            self._complaint(p, end)
        else:
            words = said_in(p, end, self.letters, &at)
            if words != NULL:
                self.row.function = intern(&self.names, words.function, words.function_size)
                self._sentence(words, p, at, end)
            elif self.crash_size and after_counter(p, end, self.letters) != NULL:
                self._crashed(after_counter(p, end, self.letters), end)
            else:
                at = find(p, end, b"BUG: ", 5) if is_sanitizer(p, end) else NULL
                at = at - 5 if at != NULL else find(p, end, b"WARNING: ", 9) - 9
                self._function(at, end)
                self._keep_words(at, end)
                self.report = REPORT_STACK
                self.is_offload = find(at, end, b" skb_warn_bad_offload+", 22) != NULL
        return 0

    cdef void _length(self, const char *p, const char *end) noexcept nogil:
        cdef int64_t number = 0
        cdef Skb *row = &self.row.skb
        self._number(find(p, end, b"skb len=", 8) - 4, end, b"len=", 4, &row.len)
        self._number(p, end, b" headroom=", 10, &row.headroom)
        if self._get(p, end, b"headlen=", 8, &number) and row.len != INT32_MIN:
            row.data_len = <int32_t>max(row.len - number, 0)

    cdef void _complaint(self, const char *p, const char *end) noexcept nogil:
        """Read the sk_buff of skb_warn_bad_offload as it was printed before v5.3."""
        cdef Skb *row = &self.row.skb
        cdef int64_t value = 0
        self.part = PART_END
        self.row.function = intern(&self.names, b"skb_warn_bad_offload", 20)
        self._device_before(p, find(p, end, b": caps=(", 8) - 7)
        self._number(p, end, b") len=", 6, &row.len)
        self._number(p, end, b" data_len=", 10, &row.data_len)
        self._number(p, end, b" gso_size=", 10, &row.gso_size)
        self._gso_type(p, end, b" gso_type=", 10)
        # Before v4.14 bits after the first one meant others; the line does not tell the version.
        if row.gso_type != GSO_TCPV4:
            row.gso_type = INT32_MIN
        if self._get(p, end, b" ip_summed=", 11, &value):
            row.ip_summed = <int16_t>(value & 3)

    cdef void _sentence(self, const Words *words, const char *p, const char *at,
                        const char *end) noexcept nogil:
        """Read the fields that a sentence about a packet has; its words end at `at`."""
        cdef const char *start = at - words.size
        cdef const char *stop
        cdef int64_t value = 0
        self.report = (REPORT_PANIC if words.sentence == PANIC
                       else REPORT_SUM if words.sentence == BAD_SUM else REPORT_STACK)
        if words.sentence == PANIC:
            self._number(at, end, b"len:", 4, &self.row.skb.len)
            stop = find(at, end, b" dev:", 5)
            if stop != NULL and stop[0] != c"<":
                self.row.device = max(-1, intern(&self.names, stop, skip_token(stop, end) - stop))
        elif words.sentence == UDP_SUM:
            self._addresses(at, end)
            start = word_before(p, start)           # "UDP: ", "UDP-Lite: "
        elif words.sentence == WRONG_HEADER:
            self.row.device = max(-1, intern(&self.names, at, skip_token(at, end) - at))
            start = word_before(p, word_before(p, start))
            if self._get(start, end, b"protocol ", 9, &value, 16):
                self.row.skb.protocol = <int32_t>(value & 0xffff)
        else:
            self._device_before(p, start)
            if words.sentence == TUN_TYPE:
                self._gso_type(at - 7, end, b" type: ", 7)
                self._number(at, end, b", gso_size ", 11, &self.row.skb.gso_size)
        self._keep_words(start, end)

    cdef void _device_before(self, const char *p, const char *at) noexcept nogil:
        """Read the device of "eth0: hw csum failure"."""
        cdef const char *stop = at
        while stop > p and is_blank((stop - 1)[0]):
            stop -= 1
        if stop - p < 2 or (stop - 1)[0] != c":":
            return
        stop -= 1
        at = word_before(p, stop)
        # Before v4.13 "tun" stands for all of its devices.
        if stop - at == 3 and starts(at, stop, b"tun", 3):
            return
        self.row.device = max(-1, intern(&self.names, at, stop - at))

    cdef void _addresses(self, const char *p, const char *end) noexcept nogil:
        """Read "192.0.2.1:19 to 198.51.100.7:21143 ulen 3189"."""
        cdef char[128] flow
        cdef const char *stop = skip_token(p, end)
        cdef const char *other = find(stop, end, b" to ", 4)
        cdef int64_t size = stop - p
        if other == NULL or size > 50 or skip_token(other, end) - other > 50:
            return
        memcpy(flow, p, size)
        memcpy(&flow[size], b"->", 2)
        memcpy(&flow[size + 2], other, skip_token(other, end) - other)
        size += 2 + (skip_token(other, end) - other)
        memcpy(&flow[size], b"(udp)", 5)
        self._flow(flow, flow + size + 5)

    cdef void _keep_words(self, const char *p, const char *end) noexcept nogil:
        self.row.reason = max(-1, intern(&self.names, p, min(end - p, LONGEST_SAID)))

    # --- crashes ---

    cdef int _crash(self, const char *at, const char *end) noexcept nogil:
        """Keep what a line says of a crash, until its function is printed."""
        if self.owner == OWNER_EVENT and self.report == REPORT_PANIC:
            return 0                    # that of skb_push or skb_put, which said why
        # "Oops: 0000" is more about the crash just before it, unless it stands alone.
        if (at[0] == c"O" or at[0] == c"I") and self.line <= self.crash_line + SAME_CRASH:
            return 0
        self.owner, self.part = OWNER_NONE, PART_END
        self.crash_line, self.crash_size = self.line, min(end - at, LONGEST_SAID)
        memcpy(self.crash, at, self.crash_size)
        return 0

    cdef void _crashed(self, const char *p, const char *end) noexcept nogil:
        self._function(p, end)
        self._keep_words(self.crash, self.crash + self.crash_size)
        self.crash_size = 0
        self.report = REPORT_STACK

    # --- lines after an event's ---

    cdef int _detail(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        if find(p, end, b"Call Trace:", 11) != NULL or find(p, end, b"Call trace:", 11) != NULL:
            self.in_stack = self.stack_size == 0        # a second one is of something else
            self.report = REPORT_STACK
            return 0
        if find(p, end, b"[ cut here ]", 12) != NULL:
            if self.report == REPORT_STACK:
                self.owner = OWNER_NONE
            return 0
        at = find(p, end, b"WARNING: ", 9)
        if at != NULL:
            if self.report == REPORT_STACK:
                self.owner = OWNER_NONE
                return 0
            self.report = REPORT_STACK
            self._keep_words(at - 9, end)
            self._function(at, end)
            return 0
        if self.in_stack:
            return self._stack(p, end)
        if find(p, end, b": caps=(", 8) != NULL:
            self.row.function = intern(&self.names, b"skb_warn_bad_offload", 20)
            return 0
        return self._dumped(p, end) if self.report == REPORT_DUMP else 0

    cdef int _dumped(self, const char *p, const char *end) noexcept nogil:
        """Read a line of the dump.

        Its lines come in one order, each once: where they do not, or go on where the dump before
        stopped, dumps were printed at the same time by two processors, or the log begins with its
        newest line. What of it is this packet's cannot be told, so nothing of it is kept.
        """
        cdef int part = part_of(p, end)
        if part == PART_NONE:
            if find(p, end, b"skb fraglist:", 13) != NULL:
                self.report = REPORT_LIST
            return 0
        if is_cut(p, mark_of(part, p, end), end):
            return self._cut()
        if part <= self.part or self.part == PART_NONE and part > self.before:
            self.row.skb = self.nothing.skb
            self.row.device = NO_VALUE
            self.owner, self.part = OWNER_DAMAGED, PART_END
            return LINE_ORPHAN
        self.part = part
        return self._part(part, p, end)

    cdef void _bytes(self, const char *p, const char *end) noexcept nogil:
        """Read the packet's bytes after "skb linear:"; others are not those of its headers."""
        if p == NULL or self.owner != OWNER_EVENT or self.report != REPORT_DUMP \
                or self.bytes.size == IN_DISORDER or not keep_bytes(&self.bytes, p, end):
            return
        if self.bytes.size == IN_DISORDER:
            forget_told(&self.row.skb)
        else:
            tell(&self.bytes, &self.row.skb)

    cdef void _function(self, const char *p, const char *end) noexcept nogil:
        """Read the function in "at net/core/dev.c:3258 skb_checksum_help+0x7c/0x114"."""
        cdef const char *stop
        cdef const char *at = function_in(p, end, &stop)
        if at != NULL:
            self.row.function = max(-1, intern(&self.names, at, stop - at))

    cdef void _time(self, const char *p, const char *end) noexcept nogil:
        """Read the first "[  812.123460]"; a log may have other brackets before it."""
        cdef const char *stop
        while True:
            p = <const char *>memchr(p, c"[", end - p)
            stop = <const char *>memchr(p, c"]", end - p) if p != NULL else NULL
            if stop == NULL or read_time(skip_blanks(p + 1, stop), stop, &self.row.time):
                return
            p += 1

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

    cdef int _stack(self, const char *p, const char *end) noexcept nogil:
        """Read a line like " ip_output+0x5a/0xc0 [module]"; "?" marks an unreliable one."""
        cdef const char *at
        cdef const char *stop
        at = function_in(p, end, &stop)
        if at == NULL or find(p, end, b"RIP:", 4) != NULL:
            self.in_stack = not is_stack_end(p, end)
            return 0
        if not (at - p >= 2 and (at - 2)[0] == c"?"):
            self._stack_line(at, stop)
        return 0
