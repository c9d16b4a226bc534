# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of trace text into columns: the part that all formats have in common.

The bytes are passed over once, without the GIL. No line is read past its end, and none makes more
than one event.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memchr, memcpy

from gso.traces._columns cimport NOBODY, OWNER_DAMAGED, OWNER_EVENT
from gso.traces._keys cimport find_key
from gso.traces._line_template cimport TemplateSlot, begins_alike
from gso.traces._notes cimport is_expression, is_message, is_note
from gso.traces._prefixes cimport (
    READ_BARE, READ_BEHIND, READ_EITHER, after_prefix, after_prefixes, next_start,
)
from gso.traces._row cimport T_POINTER, Key
from gso.traces._text cimport hex_digit, is_blank, skip_blanks, skip_key, skip_token, starts

DAMAGED_KEPT = 10
# Bytes of the longest line that is read. A line of pwru has 300, a dump of an sk_buff some 10000.
LONGEST_LINE = 1 << 20

cdef enum:
    MOST_MISSED = 1 << 14       # lines in which a prefix is looked for in vain
    SHORTEST_POINTER = 10       # "0x" and eight digits
    MOST_WRAPPED = 8            # lines that one was wrapped into


cdef inline bint is_number_end(const char *p, const char *end) noexcept nogil:
    """Whether this may be the end of a number, as "44", "x44" or "e200"."""
    while p < end and (hex_digit(p[0]) >= 0 or p[0] == c"x"):
        p += 1
    return p == end


cdef inline const char *trimmed(const char *p, const char *end) noexcept nogil:
    """Return where the line ends without the white space at its end."""
    while end > p and ((end - 1)[0] in (c"\n", c"\r") or is_blank((end - 1)[0])):
        end -= 1
    return end


cdef void doubt_end(Scanner scanner):
    """Forget the last number of an event's line: the rest of it may stand in the next one."""
    cdef const TemplateSlot *slot = &scanner.template.slots[max(scanner.template.count - 1, 0)]
    if scanner.template.count and slot.end == scanner.template.size and slot.key != NULL:
        scanner._forget(slot.key)


cdef class Scanner(PairReader):
    """Scans blocks of whole lines into columns of up to `rows` events.

    This is the base of the scanners; each format has one of its own. The base itself reads nothing:
    it waits for a line that another scanner claims.

    Args:
        rows, room: as of `gso.traces._columns.EventColumns`.

    Attributes:
        next: the first of the readers that may claim lines; None where this one reads all lines.
        stranger: the number of the reader that claims the line at which `feed` ended; -1 if none
            does.
    """

    def __cinit__(self, *_, **__):
        self.stranger = NOBODY
        self.damaged_lines = []

    @property
    def totals(self):
        """(lines read, events found, damaged lines, events the kernel lost)."""
        return self.line, self.events, self.damaged, self.lost

    def remember_header(self, const uint8_t[::1] line):
        """Read a header line from an earlier part of the log; it does not count as a line."""
        self.feed(line, 0)
        self.line = 0

    def take_over(self, Scanner other not None):
        """Go on with a log where another scanner ended: at a line that is not its own."""
        self.prefix = other.prefix
        self.go_on(other.line, other.damaged, other.lost, other.damaged_lines)
        self.given_line = self.line + 1

    def go_on(self, int64_t lines, int64_t damaged, int64_t lost, list damaged_lines):
        """Count on from these totals of the part of a log before this one."""
        self.line, self.damaged, self.lost = lines, damaged, lost
        self.damaged_lines = damaged_lines

    def remember_times(self, bint relative):
        """Take over what the log's first event shows: whether its times are relative."""
        self.relative, self.events = relative, max(self.events, 1)

    @property
    def learned(self):
        """Whether lines have a prefix that was learned."""
        return self.prefix.size > 0

    def claimant(self, const uint8_t[::1] line, bint within=False):
        """Return the number of the reader that claims a line, -1 if none does; `next` included.

        `within` says whether other text may stand before what is claimed.
        """
        if not line.shape[0]:
            return NOBODY
        cdef const char *p = <const char *>&line[0]
        cdef const char *end = trimmed(p, p + line.shape[0])
        cdef const char *at = after_prefixes(p, end)
        cdef int found = self._claimed(at, end, NOBODY)
        while found == NOBODY and within:
            at = next_start(p, at, end)
            if at == NULL:
                break
            found = self._within(p, at, end)
        return found

    def _complain(self, text):
        self.damaged += 1
        if len(self.damaged_lines) < DAMAGED_KEPT:
            self.damaged_lines.append((self.line, text.decode("utf-8", "replace")))

    def feed(self, const uint8_t[::1] block, Py_ssize_t start):
        """Scan the lines of a block from byte `start` on; the block ends with a whole line.

        Returns (byte to go on at, whether the batch is full and has to be taken before that). It
        has to be taken, too, where `stranger` names the reader that should go on.
        """
        cdef const char *base = <const char *>&block[0] if block.shape[0] else NULL
        cdef const char *end = base + block.shape[0]
        cdef const char *p = base + start
        cdef const char *stop
        cdef const char *last
        cdef const char *text
        cdef int status
        cdef int64_t longest = LONGEST_LINE, stack_lines
        cdef int owner
        cdef bint alike
        self.after_event = NULL
        self.stranger = NOBODY
        if self.columns is None:
            self._allocate()
        if not 0 <= start <= block.shape[0]:
            raise ValueError(f"byte {start} is not in a block of {block.shape[0]}")
        while p < end:
            status = LINE_READ
            with nogil:
                while p < end:
                    stop = <const char *>memchr(p, c"\n", end - p)
                    if stop == NULL:
                        stop = end
                    last = trimmed(p, stop)
                    # The batch may only end before an event: lines of the last one's stack may
                    # follow. The names of a batch are bounded, too; the next one has none at first.
                    if (self.count == self.capacity or self.names.used > self.room) \
                            and self._begins(self._text_of(p, last), last):
                        status = BATCH_FULL
                        break
                    self.line += 1
                    if last == p:
                        p = stop + 1
                        continue
                    alike = not self.prefix.size and begins_alike(&self.template, p, last)
                    text = p if alike else self._text_of(p, last)
                    self.raw_start, self.line_start = p, text
                    if text == last:
                        p = stop + 1
                        continue
                    if stop - p <= longest and self._read_by_template(text, last):
                        p = stop + 1 + self._skip_stack(stop + 1, end)
                        continue
                    if alike:
                        # It begins as an event did, perhaps with the time that stands before both.
                        text = self.line_start = self._text_of(p, last)
                    stack_lines = self.stack_lines
                    owner = self.owner
                    status = self._scan(text, last) if stop - p <= longest else self._too_long()
                    if status == LINE_DAMAGED and stop - p <= longest:
                        status = self._not_read(text, last)
                    if status == LINE_AGAIN:
                        self.template.usable = self.stack.usable = False
                        self.after_event = NULL
                        self.owner = owner
                        self.line -= 1
                        continue
                    self.prefix.reading = READ_EITHER
                    if status < 0:
                        break
                    if self.row.line == self.line:
                        self.template.size = <int32_t>(last - self.line_start)
                    p = stop + 1
                    if status == LINE_EVENT:
                        self.template.usable = self.use_templates and not self.template.broken
                        self.template.text = self.line_start
                        self.template.bare = self.line_start == self.raw_start
                        p += self._skip_stack(p, end)
                    elif self.stack_lines == stack_lines:
                        self.after_event = NULL      # there is more than a stack
            if status < 0:
                self.template.usable = False
                self.after_event = NULL
            if status == LINE_STRANGE:
                self.line -= 1
            if status == BATCH_FULL or status == LINE_STRANGE:
                return p - base, True
            if status == LINE_NO_MEMORY:
                raise MemoryError("no memory for the names in the trace")
            if status == LINE_DAMAGED and self.pending and self.row.line == self.line - 1:
                doubt_end(self)
            if status == LINE_DAMAGED or status == LINE_ORPHAN:
                self._complain((<bytes>p[:min(last - p, 80)]))
                p = stop + 1
        self._keep_template()
        return block.shape[0], False

    def end(self):
        """Count what the end of the log cuts off."""

    # --- lines; each format has its own of these ---

    def last_event(self, const uint8_t[::1] block):
        """Return the byte at which the last event of a block begins; 0 without one."""
        cdef const char *base = <const char *>&block[0] if block.shape[0] else NULL
        cdef const char *stop = base + block.shape[0]
        cdef const char *p
        cdef const char *last
        while stop > base:
            p = stop - 1
            while p > base and (p - 1)[0] != c"\n":
                p -= 1
            last = trimmed(p, stop)
            if self._begins(self._text_of(p, last), last):
                return p - base
            stop = p
        return 0

    def last_header(self, const uint8_t[::1] block):
        """Return the last header line of a block, empty if there is none."""
        cdef const char *base = <const char *>&block[0] if block.shape[0] else NULL
        cdef const char *end = base + block.shape[0]
        cdef const char *p = base
        cdef const char *stop
        cdef const char *last
        cdef const char *found = end
        with nogil:
            while p < end:
                stop = <const char *>memchr(p, c"\n", end - p)
                if stop == NULL:
                    stop = end
                last = trimmed(p, stop)
                if self._names_columns(self._text_of(p, last), last):
                    found = p
                p = stop + 1
        return bytes(block[found - base:]).split(b"\n", 1)[0]

    cdef bint _names_columns(self, const char *p, const char *end) noexcept nogil:
        """Whether this is a header line: it names the columns of the lines after it."""
        return False

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        """Whether this line begins an event: exactly those lines for which `_scan` calls `_new`."""
        return False

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        """Whether this line is surely of this format, whatever stands before it."""
        return False

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        """Read a line that is not empty; return a LineStatus.

        Where it may as well be another format's, ask `_is_strange` before anything is kept of it.
        """
        return LINE_DAMAGED

    # --- lines of other formats ---

    cdef int _claimed(self, const char *p, const char *end, int but) noexcept nogil:
        """Return the number of the first reader from this one on, except `but`, that claims it."""
        if self.number != but and self._claims(p, end):
            return self.number
        if self.next is None:
            return NOBODY
        return self.next._claimed(p, end, but)

    cdef bint _goes_on(self, const char *p, const char *end) noexcept nogil:
        """Whether this is the rest of an event's line, wrapped: it begins with a value or a field.

        A tool whose own lines begin so names the sk_buff first, in each of them.
        """
        cdef const char *stop
        cdef const Key *key
        if self.wrapped == self.line:
            return True
        if self.owner != OWNER_EVENT or self.line > self.row.line + MOST_WRAPPED \
                or max(self.row.line, self.wrapped) != self.line - 1:
            return False
        p = skip_blanks(p, end)
        stop = skip_token(p, end)
        if is_number_end(p, stop) or p < stop and p[0] == c"(":
            p = skip_blanks(stop, end)          # or the place of the event; then a field
        stop = skip_key(p, end)
        if stop == end or stop[0] != c"=":
            return False
        key = find_key(p, stop - p)
        if key != NULL and key.target == T_POINTER and (
                self.row.pointer or self.wrapped == self.line - 1):
            return False
        self.wrapped = self.line
        return True

    cdef bint _is_strange(self, const char *p, const char *end) noexcept nogil:
        """Whether another reader claims this line; the line's status is LINE_STRANGE then."""
        if self.next is None or self.line == self.given_line or self._goes_on(p, end):
            return False
        self.stranger = self.next._claimed(p, end, self.number)
        return self.stranger != NOBODY

    cdef const char *_text_of(self, const char *p, const char *end) noexcept nogil:
        """Return where the text of a line begins that other tools passed on."""
        cdef const char *bare = after_prefixes(p, end)
        cdef const char *at = after_prefix(&self.prefix, p, end)
        if at == NULL or self.prefix.reading == READ_BARE:
            return bare
        at = after_prefixes(at, end)
        if self.prefix.reading == READ_EITHER and self._is_whole(bare, at, end):
            return bare
        return at

    cdef bint _may_be_otherwise(self, const char *text, const char *end) noexcept nogil:
        """Whether a line, whose `text` could not be read, is to be read as it stands, or is not."""
        cdef const char *at = after_prefix(&self.prefix, self.raw_start, end)
        if at == NULL or self.prefix.reading == READ_BEHIND:
            return False
        if self.prefix.reading == READ_EITHER and text != after_prefixes(self.raw_start, end):
            self.prefix.reading = READ_BARE
        else:
            self.prefix.reading = READ_BEHIND
        return True

    cdef bint _is_whole(self, const char *p, const char *at, const char *end) noexcept nogil:
        """Whether the line begins an event as it stands, and what was learned is a part of that.

        The text after what was learned begins at `at`. A line that was cut short, so that another
        goes on in it, may have been taken for one with a prefix.
        """
        return False

    cdef int _within(self, const char *p, const char *at, const char *end) noexcept nogil:
        """Return the number of the reader that claims the text after `at`, -1 if none does."""
        cdef const char *stop
        at = after_prefixes(at, end)
        stop = skip_token(at, end)
        if starts(at, end, b"0x", 2) and stop - at < SHORTEST_POINTER:
            return NOBODY               # a number in a line that lacks its beginning
        if self.next is None and starts(at, end, b"{", 1):
            return NOBODY               # where all lines are JSON, text before an object is damage
        if self._claims(at, end):
            return self.number
        return self.next._claimed(at, end, NOBODY) if self.next is not None else NOBODY

    cdef bint _learn(self, const char *p, const char *end) noexcept nogil:
        """Learn what stands before the text of a line; False if no reader claims any of it."""
        cdef const char *at = self.line_start
        if self.prefix.missed == MOST_MISSED or p[0] == c"{":
            return False                # an object of JSON is damaged within
        while True:
            at = next_start(p, at, end)
            if at == NULL:
                self.prefix.missed += 1
                return False
            if self._within(p, at, end) != NOBODY:
                break
        self.prefix.size = at - p
        memcpy(self.prefix.text, p, at - p)
        self.prefix.reading = READ_BEHIND
        return True

    cdef int _not_read(self, const char *p, const char *end) noexcept nogil:
        """Return the status of a line that this scanner could not read."""
        if self._may_be_otherwise(p, end):
            return LINE_AGAIN
        if self._is_strange(p, end):
            return LINE_STRANGE
        if self.wrapped == self.line:
            return LINE_DAMAGED
        if self._learn(self.raw_start, end):
            return LINE_AGAIN
        if is_note(p, end) or is_message(self.raw_start, end) \
                or is_expression(self.raw_start, end):
            return LINE_READ
        return LINE_DAMAGED

    cdef int _too_long(self) noexcept nogil:
        self.owner = OWNER_DAMAGED
        return LINE_DAMAGED

    cdef int _cut(self) noexcept nogil:
        """Return the status of a line in which another event begins: its own text was cut short."""
        self.owner = OWNER_DAMAGED
        return LINE_ORPHAN
