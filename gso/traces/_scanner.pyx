# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of trace text into columns: the part that all formats have in common.

The bytes are passed over once, without the GIL. Each name is kept once, in a table; columns have
its number. No line is read past its end, and none makes more than one event.
"""

from libc.stdint cimport (
    INT32_MIN, INT64_MIN, UINT32_MAX, int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t,
)
from libc.stdlib cimport free
from libc.string cimport memchr, memcpy

import os

import numpy as np

from gso.traces._line_template cimport (
    FLOW_BIT, LONGEST_TEMPLATE, SLOT_FLOW, SLOT_PAIR, SLOT_WORD, SLOTS, begins_alike, bit, key_bit,
)
from gso.traces._names cimport intern_like
from gso.traces._notes cimport is_expression, is_message, is_note
from gso.traces._prefixes cimport after_prefix, after_prefixes, next_start
from gso.traces._row cimport (
    T_DATA, T_DEVICE, T_ETHERTYPE, T_IFINDEX, T_LOCATION, T_MTU, T_NETNS, T_NUMBER, T_OFFSET,
    T_POINTER, T_REASON, T_RESULT, put,
)
from gso.traces._text cimport (
    find, hex_digit, host_order, is_blank, is_digit, is_word, read_number, same_text, shared,
    skip_blanks, skip_key, skip_token, starts,
)
from gso.traces._tuple cimport FLOW_ROOM, flow_of
from gso.skb._skb cimport FIELD_AT_GSO_TYPE, FIELD_AT_TNL_HLEN, Skb

from gso.buffers._memory import new_array
from gso.skb._skb import FIELDS, SKB_DTYPE, unknown_rows
from gso.traces.name_table import NameTable

DAMAGED_KEPT = 10
# Bytes of the longest line that is read. A line of pwru has 300, a dump of an sk_buff some 10000.
LONGEST_LINE = 1 << 20

cdef enum:
    MOST_MISSED = 1 << 14       # lines in which a prefix is looked for in vain
    SHORTEST_POINTER = 10       # "0x" and eight digits
    MOST_WRAPPED = 8            # lines that one was wrapped into

COLUMNS = {
    "line": np.int64, "time": np.int64, "skb": np.uint64, "netns": np.int64, "result": np.int64,
    "cpu": np.int32, "function": np.int32, "process": np.int32, "device": np.int32,
    "reason": np.int32, "flow": np.int32, "stack": np.int32, "location": np.int32,
    "ifindex": np.int32, "mtu": np.int32, "returns": np.int8, "reader": np.int8,
}


# --- keys --------------------------------------------------------------------------------------

cdef enum:
    KEY_SLOTS = 256

cdef Key[KEY_SLOTS] KEYS


cdef inline uint32_t key_slot(const char *text, int64_t size) noexcept nogil:
    return (<uint8_t>text[0] * 31 + <uint8_t>text[size - 1] * 7 + <uint8_t>text[size // 2] * 3
            + size) & (KEY_SLOTS - 1)


def _add_key(name, int target, int at=0, int width=0):
    cdef bytes text = name.encode()
    cdef const char *raw = text
    cdef uint32_t slot = key_slot(raw, len(text))
    while KEYS[slot].size:
        slot = (slot + 1) & (KEY_SLOTS - 1)
    memcpy(KEYS[slot].name, raw, len(text))
    KEYS[slot].size, KEYS[slot].target = <int8_t>len(text), <int8_t>target
    KEYS[slot].at, KEYS[slot].width = <int8_t>at, <int8_t>width


def _add_keys():
    for name in FIELDS:
        kind, at = SKB_DTYPE.fields[name][:2]
        target = T_NUMBER
        if name.endswith("_header") or name == "csum_start":
            target = T_OFFSET
        elif name in ("protocol", "inner_protocol"):
            target = T_ETHERTYPE
        elif name in ("payload", "tunnel", "l4", "mtu", "context", "gre_flags"):
            continue            # the kernel's sk_buff has no such fields
        _add_key(name, target, at, kind.itemsize)
        if name == "protocol":
            _add_key("proto", target, at, kind.itemsize)
    for name in ("skb", "skbaddr"):
        _add_key(name, T_POINTER)
    for name in ("dev", "iface", "device", "name"):
        _add_key(name, T_DEVICE)
    for name in ("result", "ret", "retval", "arg1"):
        _add_key(name, T_RESULT)
    for name, target in (("reason", T_REASON), ("location", T_LOCATION), ("netns", T_NETNS),
                         ("ifindex", T_IFINDEX), ("mtu", T_MTU), ("data", T_DATA)):
        _add_key(name, target)


_add_keys()


cdef const Key *find_key(const char *text, int64_t size) noexcept nogil:
    cdef uint32_t slot
    if not 0 < size < 28:
        return NULL
    slot = key_slot(text, size)
    while KEYS[slot].size:
        if KEYS[slot].size == size and same_text(KEYS[slot].name, text, size):
            return &KEYS[slot]
        slot = (slot + 1) & (KEY_SLOTS - 1)
    return NULL


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


cdef inline bint is_bare(const char *key_end, const char *end) noexcept nogil:
    """Whether a word is no key with a value; `key_end` is its first blank, "=" or ":"."""
    return key_end == end or is_blank(key_end[0]) or (
        key_end[0] == c":" and (end - key_end < 2 or key_end[1] != c" "))


cdef inline const char *value_of(const char *p, const char *end, const char **value,
                                 const char **stop) noexcept nogil:
    """Find the value at `p` without its quotes; return its end, NULL if it is cut off."""
    cdef char close
    if p < end and (p[0] == c'"' or p[0] == c"{" or p[0] == c"("):
        value[0] = p + 1 if p[0] == c'"' else p
        close = c'"' if p[0] == c'"' else c"}" if p[0] == c"{" else c")"
        stop[0] = <const char *>memchr(p + 1, close, end - p - 1)
        if stop[0] == NULL:
            return NULL
        p = stop[0] + 1
        if value[0][0] == c"(" and p < end and not is_blank(p[0]):
            p = stop[0] = skip_token(p, end)        # a C type, and the number after it
        return p
    value[0] = p
    stop[0] = p = skip_token(p, end)
    while stop[0] > value[0] and ((stop[0] - 1)[0] == c"," or (stop[0] - 1)[0] == c";"):
        stop[0] -= 1
    return p


cdef void doubt_end(Scanner scanner):
    """Forget the last number of an event's line: the rest of it may stand in the next one."""
    cdef const TemplateSlot *slot = &scanner.template.slots[max(scanner.template.count - 1, 0)]
    if scanner.template.count and slot.end == scanner.template.size and slot.key != NULL:
        scanner._forget(slot.key)


cdef class Scanner:
    """Scans blocks of whole lines into columns of up to `rows` events.

    This is the base of the scanners; each format has one of its own. The base itself reads nothing:
    it waits for a line that another scanner claims.

    Args:
        rows: most events of one batch.
        room: bytes of names after which a batch ends early.

    Attributes:
        number: that of the reader, for the column "reader"; see `gso.traces.formats`.
        next: the first of the readers that may claim lines; None where this one reads all lines.
        stranger: the number of the reader that claims the line at which `feed` ended; -1 if none
            does.
    """

    def __cinit__(self, Py_ssize_t rows=65536, int64_t room=1 << 24):
        if rows < 1:
            raise ValueError(f"a batch cannot have {rows} rows")
        self.capacity = rows
        self.owner = OWNER_NONE
        self.number = self.stranger = NOBODY
        self.room = room
        self.damaged_lines = []
        cdef Skb[::1] nothing = unknown_rows(1)
        self.nothing.skb = nothing[0]
        self.nothing.time = self.nothing.result = INT64_MIN
        self.nothing.netns = NO_VALUE
        self.nothing.cpu = self.nothing.function = self.nothing.process = NO_VALUE
        self.nothing.device = self.nothing.reason = self.nothing.flow = NO_VALUE
        self.nothing.stack = self.nothing.location = NO_VALUE
        self.nothing.ifindex = self.nothing.mtu = NO_VALUE
        self.row, self.last = &self.events_read[0], &self.events_read[1]
        self.row[0] = self.last[0] = self.nothing
        self.use_templates = os.environ.get("GSO_LINE_TEMPLATES") != "0"
        self._start()
        self._allocate()

    def __dealloc__(self):
        free(self.names.text)
        free(self.names.entries)
        free(self.names.slots)

    def _start(self):
        cdef int32_t i
        self.count = self.stack_size = 0
        self.in_stack = self.pending = self.template.usable = False
        if self.events:
            self.owner = OWNER_DAMAGED
        self.names.used = self.names.count = 0
        for i in range(self.names.slot_count):
            self.names.slots[i] = NO_VALUE
        self.columns = None

    def _allocate(self):
        # All columns share one block: that of the batch before has the same size, and can be used
        # again as a whole.
        cdef Py_ssize_t at = 0
        kinds = {**COLUMNS, "state": SKB_DTYPE}
        order = sorted(kinds, key=lambda name: -np.dtype(kinds[name]).alignment)
        memory = new_array(self.capacity * sum(np.dtype(kinds[name]).itemsize for name in order),
                           np.uint8)
        arrays = {}
        for name in order:
            size = self.capacity * np.dtype(kinds[name]).itemsize
            arrays[name] = memory[at:at + size].view(kinds[name])
            at += size
        self.columns = {name: arrays[name] for name in COLUMNS}
        self.state = arrays["state"]
        self.skbs = self.state
        self.lines, self.times = self.columns["line"], self.columns["time"]
        self.netns, self.results = self.columns["netns"], self.columns["result"]
        self.pointers, self.cpus = self.columns["skb"], self.columns["cpu"]
        self.functions, self.processes = self.columns["function"], self.columns["process"]
        self.devices, self.reasons = self.columns["device"], self.columns["reason"]
        self.flows, self.stacks = self.columns["flow"], self.columns["stack"]
        self.locations, self.ifindexes = self.columns["location"], self.columns["ifindex"]
        self.mtus, self.returns = self.columns["mtu"], self.columns["returns"]
        self.readers = self.columns["reader"]

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
                    status = self._scan(text, last) if stop - p <= longest else self._too_long()
                    if status == LINE_DAMAGED and stop - p <= longest:
                        status = self._not_read(text, last)
                    if status == LINE_AGAIN:
                        self.template.usable = self.stack.usable = False
                        self.after_event = NULL
                        self.line -= 1
                        continue
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

    def take(self):
        """Return (columns, rows of SKB_DTYPE, names) of the batch; the next one starts empty."""
        if self.pending:
            self._store_event(self.row)
        if self.columns is None:
            self._allocate()
        n = self.count
        columns = {name: column[:n] for name, column in self.columns.items()}
        ends = np.empty(self.names.count + 1, np.int64)
        cdef int64_t[::1] end = ends
        cdef int32_t i
        end[0] = 0
        for i in range(self.names.count):
            end[i + 1] = self.names.entries[i].start + self.names.entries[i].size
        names = NameTable(self.names.text[:self.names.used] if self.names.used else b"", ends)
        result = columns, self.state[:n], names
        self._start()
        return result

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
        cdef const char *at = after_prefix(&self.prefix, p, end)
        return after_prefixes(p if at == NULL else at, end)

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
        return True

    cdef int _not_read(self, const char *p, const char *end) noexcept nogil:
        """Return the status of a line that this scanner could not read."""
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

    cdef void _new(self) noexcept nogil:
        """Begin an event in a row with all values unknown."""
        self.row, self.last = self.last, self.row
        self.row[0] = self.nothing
        self._begin()
        self.template.usable = self.template.broken = False
        self.template.count = 0
        self.template.seen = 0

    cdef void _begin(self) noexcept nogil:
        if self.stack_size and self.after_event != NULL and not self.stack.usable:
            self._keep_stack(self.last)
        if self.pending:
            self._store_event(self.last)
        self.row.line = self.line
        self.count += 1
        self.events += 1
        self.pending = True
        self.in_stack = False
        self.owner = OWNER_EVENT

    cdef void _undo(self) noexcept nogil:
        """Take back the event whose line turned out to be damaged."""
        self.count -= 1
        self.events -= 1
        self.pending = False
        self.owner = OWNER_DAMAGED

    cdef int _cut(self) noexcept nogil:
        """Return the status of a line in which another event begins: its own text was cut short."""
        self.owner = OWNER_DAMAGED
        return LINE_ORPHAN

    cdef void _store_event(self, EventRow *row) noexcept nogil:
        """Put an event, with the stack that followed it, into the columns."""
        cdef Py_ssize_t i = self.count - 1
        if self.stack_size:
            row.stack = max(NO_VALUE, intern_like(&self.names, self.last_stack, self.stack_text,
                                                  self.stack_size))
            self.last_stack = row.stack
            self.stack_size = 0
        self.lines[i] = row.line
        self.times[i], self.results[i] = row.time, row.result
        self.pointers[i], self.netns[i] = row.pointer, row.netns
        self.cpus[i], self.functions[i] = row.cpu, row.function
        self.processes[i], self.devices[i] = row.process, row.device
        self.reasons[i], self.flows[i] = row.reason, row.flow
        self.stacks[i], self.locations[i] = row.stack, row.location
        self.ifindexes[i], self.mtus[i] = row.ifindex, row.mtu
        self.returns[i], self.readers[i] = row.returns, <int8_t>self.number
        self.skbs[i] = row.skb

    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil:
        """Add one function to the stack of the last event."""
        cdef int64_t size = end - p
        self.stack_lines += 1
        self.stack.usable = False
        if self.owner != OWNER_EVENT or size <= 0 or self.stack_size + size + 1 > STACK_BYTES:
            return
        if self.stack_size:
            self.stack_text[self.stack_size] = c"\n"
            self.stack_size += 1
        memcpy(&self.stack_text[self.stack_size], p, size)
        self.stack_size += <int32_t>size

    # --- stacks that are repeated ---

    cdef void _keep_stack(self, const EventRow *event) noexcept nogil:
        """Keep the text of the lines after an event, which are its stack and nothing else."""
        self.stack.size = <int32_t>min(self.raw_start - self.after_event, STACK_BYTES + 1)
        if self.stack.size > STACK_BYTES:
            return
        memcpy(self.stack.text, self.after_event, self.stack.size)
        self.stack.lines = self.line - event.line - 1
        self.stack.functions_size = self.stack_size
        self.stack.usable = self.use_templates

    cdef int64_t _skip_stack(self, const char *p, const char *end) noexcept nogil:
        """Return how many bytes after an event repeat the last stack; 0 for another stack."""
        self.after_event = p
        if not self.stack.usable or end - p < self.stack.size:
            return 0
        if shared(p, self.stack.text, self.stack.size) < self.stack.size:
            return 0
        self.line += self.stack.lines
        self.stack_size = self.stack.functions_size     # stack_text still has the functions
        return self.stack.size

    # --- lines like the one before, see `gso.traces._line_template` ---

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
        p = value_of(skip_blanks(p, end) if slot.flag else p, end, &value, &stop)
        if p == NULL or slot.key == NULL:
            return p
        if slot.key.target == T_DATA and self.bare_flows:
            return NULL                 # the meaning of a later word depends on a flow in it
        self._forget(slot.key)
        if self._store(slot.key, value, stop, &hex_offsets) < 0 or hex_offsets != slot.hex_after:
            return NULL
        return p

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

    # --- key=value ---

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
            p = value_of(p, end, &value, &stop)
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

    cdef void _flow(self, const char *p, const char *end) noexcept nogil:
        """Keep the first flow of a line: a second one is that of the tunnel."""
        if self.row.flow < 0:
            self.row.flow = max(NO_VALUE, intern_like(&self.names, self.last.flow, p, end - p))

    cdef void _data(self, const char *p, const char *end) noexcept nogil:
        """{0x406fd0e8050045,0x...}: the packet's first bytes, 8 in a number, lowest first."""
        cdef uint64_t[24] words
        cdef char[FLOW_ROOM] text
        cdef const char *stop
        cdef int count = 0
        cdef int64_t size
        p += 1
        while p < end and count < 24:
            stop = <const char *>memchr(p, c",", end - p)
            if stop == NULL:
                stop = end
            if not read_number(p, stop, 16, <int64_t *>&words[count]):
                break
            count += 1
            p = stop + 1
        size = flow_of(<const uint8_t *>&words[0], 8 * count, text)
        if size > 0:
            self._flow(text, text + size)

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

    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil:
        while p < end and p[0] != c"+" and p[0] != c")" and not is_blank(p[0]):
            p += 1
        return p
