# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The kernel's log: its ``skb_dump`` blocks, and what it says of packets itself.

A sentence, or a crash, is an event with the function that said it, or in which the kernel crashed;
`Trace.reason` has the kernel's words. Dumps and stacks that belong to it follow.
"""

from libc.stdint cimport INT32_MIN, int64_t, uint64_t
from libc.string cimport memchr, memcpy

from gso.traces._columns cimport NO_VALUE, OWNER_DAMAGED, OWNER_EVENT, OWNER_NONE
from gso.traces._dmesg_lines cimport (
    PART_END, PART_NONE, has_message, is_bytes, is_complaint, is_cut, is_register, is_sanitizer,
    is_stack_end, is_warning, line_after, mark_of, next_line, part_of,
)
from gso.traces._dumped_bytes cimport (
    IN_DISORDER, forget_told, keep_bytes, tell,
)
from gso.traces._kernel_sentences cimport (
    LONGEST_SAID, REPORT_DUMP, REPORT_LIST, REPORT_PANIC, REPORT_STACK, REPORT_SUM, SentenceReader,
)
from gso.traces._kernel_words cimport (
    Words, after_counter, crash_in, function_in, letters_of, said_in,
)
from gso.traces._names cimport intern
from gso.traces._notes cimport is_flow, is_message
from gso.traces._scanner cimport LINE_DAMAGED, LINE_ORPHAN, LINE_READ, LINE_STRANGE
from gso.traces._text cimport find, is_blank, read_time, skip_blanks, starts


cdef enum:
    SAME_CRASH = 8      # lines in which a crash is told in several sentences

cdef uint64_t LETTERS_NOT_LOOKED_AT = <uint64_t>-1
# The bits of A and N, which warnings and sanitizers have.
cdef uint64_t CAPITALS = <uint64_t>1 << 1 | <uint64_t>1 << 14


# The state before a line of the log: whether the last event announced a dump, has one whose
# frag_list follows, is one that a warning may follow, or is a warning whose packet may follow;
# and whether a crash was announced whose function is still to come.
cdef struct State:
    bint announced
    bint listed
    bint dumped
    bint warned
    bint crashed


cdef class DmesgScanner(SentenceReader):
    """Scans the kernel's dumps of sk_buffs into columns; see `Scanner`."""

    cdef int before             # that of the dump before, PART_END where other lines came between
    cdef bint is_offload        # it is the warning of skb_warn_bad_offload
    cdef uint64_t letters       # of the line that is read, 0 for bytes of a dump
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

        A line that has no time begins with blanks, or with what is known. Tools that look at
        packets print a time, too.
        """
        return not is_flow(p, end) and (
                p > self.line_start or is_message(p, end) or is_blank(self.raw_start[0])
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
                or starts(p, end, b"sk family=", 10) or is_register(p, end)
                or crash_in(p, end, self.letters) != NULL
                or starts(p, end, b"invalid opcode", 14))

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
                self.row.skb.frag_list = 1
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

    cdef void _time(self, const char *p, const char *end) noexcept nogil:
        """Read the first "[  812.123460]"; a log may have other brackets before it."""
        cdef const char *stop
        while True:
            p = <const char *>memchr(p, c"[", end - p)
            stop = <const char *>memchr(p, c"]", end - p) if p != NULL else NULL
            if stop == NULL or read_time(skip_blanks(p + 1, stop), stop, &self.row.time):
                return
            p += 1

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
