# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of trace text into columns: what all formats have in common.

One pass over the bytes, without the GIL. Names are kept once each, as numbers into a table. Nothing
is ever read behind a line's end, and no line can make more than one event.
"""

from libc.stdint cimport INT64_MIN, int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memchr, memcpy

import numpy as np

from gso._flow cimport FLOW_ROOM, flow_of
from gso._names cimport intern, intern_like
from gso._text cimport (
    find, host_order, is_blank, read_number, same_text, skip_blanks, skip_key, skip_token, starts,
)
from gso._validate cimport Skb

from gso._validate import FIELDS, SKB_DTYPE, unknown_rows

DAMAGED_KEPT = 10

COLUMNS = {
    "line": np.int64, "time": np.int64, "skb": np.uint64, "netns": np.int64, "result": np.int64,
    "cpu": np.int32, "function": np.int32, "process": np.int32, "device": np.int32,
    "reason": np.int32, "flow": np.int32, "stack": np.int32, "location": np.int32,
    "ifindex": np.int32, "mtu": np.int32, "returns": np.int8,
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
        elif name in ("payload", "tunnel", "l4"):
            continue            # not fields of the kernel's
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


cdef inline const char *trimmed(const char *p, const char *end) noexcept nogil:
    """Where the line ends without the white space behind it."""
    while end > p and ((end - 1)[0] in (c"\n", c"\r") or is_blank((end - 1)[0])):
        end -= 1
    return end


cdef class Scanner:
    """Scans blocks of whole lines into columns of up to `rows` events.

    This is what all formats have in common; each has a class of its own.

    Args:
        rows: most events of one batch.
        room: bytes of names after which a batch ends early.
    """

    def __cinit__(self, Py_ssize_t rows=65536, int64_t room=1 << 24):
        if rows < 1:
            raise ValueError(f"a batch cannot have {rows} rows")
        self.capacity = rows
        self.owner = NOBODY
        self.room = room
        self.damaged_lines = []
        cdef Skb[::1] nothing = unknown_rows(1)
        self.nothing = nothing[0]
        self._start()

    def __dealloc__(self):
        free(self.names.text)
        free(self.names.entries)
        free(self.names.slots)

    def _start(self):
        cdef int32_t i
        self.count = self.stack_size = 0
        self.in_stack = False
        if self.events:
            self.owner = DAMAGED_EVENT
        self.names.used = self.names.count = 0
        for i in range(self.names.slot_count):
            self.names.slots[i] = NONE
        # `_new` fills each row.
        self.columns = {name: np.empty(self.capacity, kind) for name, kind in COLUMNS.items()}
        self.state = np.empty(self.capacity, SKB_DTYPE)
        self.skbs = self.state
        self.lines, self.times = self.columns["line"], self.columns["time"]
        self.netns, self.results = self.columns["netns"], self.columns["result"]
        self.pointers, self.cpus = self.columns["skb"], self.columns["cpu"]
        self.functions, self.processes = self.columns["function"], self.columns["process"]
        self.devices, self.reasons = self.columns["device"], self.columns["reason"]
        self.flows, self.stacks = self.columns["flow"], self.columns["stack"]
        self.locations, self.ifindexes = self.columns["location"], self.columns["ifindex"]
        self.mtus, self.returns = self.columns["mtu"], self.columns["returns"]

    @property
    def totals(self):
        """(lines read, events found, damaged lines, events the kernel lost)."""
        return self.line, self.events, self.damaged, self.lost

    def remember_header(self, const uint8_t[::1] line):
        """Take the names of columns from a line of an earlier part of the log, uncounted."""
        self.feed(line, 0)
        self.line = 0

    def _complain(self, text):
        self.damaged += 1
        if len(self.damaged_lines) < DAMAGED_KEPT:
            self.damaged_lines.append((self.line, text.decode("utf-8", "replace")))

    def feed(self, const uint8_t[::1] block, Py_ssize_t start):
        """Scan the lines of a block from byte `start` on; the block ends with a whole line.

        Returns (byte to go on at, whether the batch is full: then `take` it and go on).
        """
        cdef const char *base = <const char *>&block[0] if block.shape[0] else NULL
        cdef const char *end = base + block.shape[0]
        cdef const char *p = base + start
        cdef const char *stop
        cdef const char *last
        cdef int status = 0
        if not 0 <= start <= block.shape[0]:
            raise ValueError(f"byte {start} is not in a block of {block.shape[0]}")
        while p < end:
            with nogil:
                while p < end:
                    stop = <const char *>memchr(p, c"\n", end - p)
                    if stop == NULL:
                        stop = end
                    last = trimmed(p, stop)
                    # The batch may only end where an event does: its stack comes behind it. The
                    # names of one batch are bounded too: the next one starts with none.
                    if (self.count == self.capacity or self.names.used > self.room) \
                            and self._begins(p, last):
                        status = 2
                        break
                    self.line += 1
                    status = self._scan(p, last) if last > p else 0
                    if status < 0:
                        break
                    p = stop + 1
            if status == 2:
                return p - base, True
            if status == -2:
                raise MemoryError("no memory for the names in the trace")
            if status == -1:
                self._complain((<bytes>p[:min(last - p, 80)]))
                p = stop + 1
        return block.shape[0], False

    def take(self):
        """(columns, rows of SKB_DTYPE, names) of the batch so far; the next one starts empty."""
        self._end_stack()
        n = self.count
        columns = {name: column[:n] for name, column in self.columns.items()}
        names = [self.names.text[self.names.entries[i].start:
                                 self.names.entries[i].start + self.names.entries[i].size]
                 .decode("utf-8", "replace") for i in range(self.names.count)]
        result = columns, self.state[:n], names
        self._start()
        return result

    # --- lines, in the words of a format ---

    def last_event(self, const uint8_t[::1] block):
        """The byte at which the last event of a block of whole lines begins; 0 without one."""
        cdef const char *base = <const char *>&block[0] if block.shape[0] else NULL
        cdef const char *stop = base + block.shape[0]
        cdef const char *p
        while stop > base:
            p = stop - 1
            while p > base and (p - 1)[0] != c"\n":
                p -= 1
            if self._begins(p, trimmed(p, stop)):
                return p - base
            stop = p
        return 0

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        """Whether this line is the start of another event: exactly those that call `_new`."""
        return False

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        """Read a line that is not empty: 0 for done, -1 for a damaged line, -2 for no memory."""
        return -1

    cdef void _new(self) noexcept nogil:
        """Begin an event, of which nothing is known yet."""
        cdef Py_ssize_t i = self.count
        self._end_stack()
        self.lines[i] = self.line
        self.pointers[i] = 0
        self.times[i] = self.results[i] = INT64_MIN
        self.cpus[i] = self.functions[i] = self.processes[i] = self.devices[i] = NONE
        self.reasons[i] = self.flows[i] = self.stacks[i] = self.locations[i] = NONE
        self.ifindexes[i] = self.mtus[i] = NONE
        self.netns[i] = NONE
        self.returns[i] = 0
        self.skbs[i] = self.nothing
        self.count += 1
        self.events += 1
        self.in_stack = False
        self.owner = EVENT

    cdef void _undo(self) noexcept nogil:
        """Take back the event whose line turned out to be damaged."""
        self.count -= 1
        self.events -= 1
        self.owner = DAMAGED_EVENT

    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil:
        """Keep one function of the stack of the last event."""
        cdef int64_t size = end - p
        if self.owner != EVENT or size <= 0 or self.stack_size + size + 1 > STACK_BYTES:
            return
        if self.stack_size:
            self.stack_text[self.stack_size] = c"\n"
            self.stack_size += 1
        memcpy(&self.stack_text[self.stack_size], p, size)
        self.stack_size += <int32_t>size

    cdef void _end_stack(self) noexcept nogil:
        cdef int32_t name
        if self.stack_size and self.count:
            name = intern(&self.names, self.stack_text, self.stack_size)
            self.stacks[self.count - 1] = max(name, NONE)
        self.stack_size = 0

    # --- key=value ---

    cdef int _pairs(self, const char *p, const char *end) noexcept nogil:
        """All key=value of the rest of a line; other words are passed over."""
        cdef const char *key
        cdef const char *key_end
        cdef const char *value
        cdef const char *stop
        cdef bint hex_offsets = False
        while True:
            p = skip_blanks(p, end)
            if p >= end:
                return 0
            key = p
            p = key_end = skip_key(p, end)
            if p == end or is_blank(p[0]) or (p[0] == c":" and (end - p < 2 or p[1] != c" ")):
                p = skip_token(p, end)
                if self.bare_flows and find(key, p, b"->", 2) != NULL:
                    self._flow(key, p)
                continue
            # "reason: NOT_SPECIFIED" is how tracepoints print it.
            p = p + 1 if p[0] == c"=" else skip_blanks(p + 1, end)
            if p < end and (p[0] == c'"' or p[0] == c"{" or p[0] == c"("):
                value = p + 1 if p[0] == c'"' else p
                stop = <const char *>memchr(
                    p + 1, c'"' if p[0] == c'"' else c"}" if p[0] == c"{" else c")", end - p - 1)
                if stop == NULL:
                    return -1
                p = stop + 1
                if value[0] == c"(" and p < end and not is_blank(p[0]):
                    p = stop = skip_token(p, end)       # a C type, and the number behind it
            else:
                value = p
                stop = p = skip_token(p, end)
                while stop > value and ((stop - 1)[0] == c"," or (stop - 1)[0] == c";"):
                    stop -= 1
            while key < key_end and (key[0] == c"." or key[0] == c"("):
                key += 1
            if starts(key, key_end, b"skb->", 5):
                key += 5
            if self._pair(key, key_end, value, stop, &hex_offsets) < 0:
                return -2

    cdef void _flow(self, const char *p, const char *end) noexcept nogil:
        """Keep the first flow of a line: a second one is that of the tunnel."""
        cdef Py_ssize_t i = self.count - 1
        if self.flows[i] < 0:
            self.flows[i] = max(NONE, intern_like(
                &self.names, self.flows[i - 1] if i else NONE, p, end - p))

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

    cdef int _pair(self, const char *key, const char *key_end, const char *value,
                   const char *stop, bint *hex_offsets) noexcept nogil:
        cdef const Key *found = find_key(key, key_end - key)
        cdef Py_ssize_t i = self.count - 1
        cdef int64_t number = 0
        cdef int32_t name
        if found == NULL:
            return 0
        if found.target == T_DATA:
            if value[0] == c"{":
                self._data(value, stop)
            return 0
        if found.target in (T_DEVICE, T_REASON, T_LOCATION):
            if found.target == T_LOCATION:
                stop = self._symbol_end(value, stop)
            name = intern_like(&self.names, self.devices[i - 1] if i else NONE, value,
                               stop - value)
            if name == -2:
                return -2
            if found.target == T_DEVICE:
                self.devices[i] = name
            elif found.target == T_REASON:
                self.reasons[i] = name
            else:
                self.locations[i] = name
            return 0
        if found.target == T_POINTER:
            if read_number(value, stop, 16, &number):
                self.pointers[i] = <uint64_t>number
            # libtraceevent of old prints everything in hexadecimal, the 0x left out.
            if found.size == 3 and stop - value > 1 and value[1] != c"x":
                hex_offsets[0] = True
            return 0
        if not read_number(value, stop, 16 if hex_offsets[0] and found.target == T_OFFSET else 10,
                           &number):
            return 0                    # such as (fault): it stays unknown
        if found.target == T_NUMBER:
            if found.at == 60:          # tnl_hlen, a 32-bit int: the difference of two u16
                number = <int32_t>number
                if not -0xffff <= number <= 0xffff:
                    return 0
            elif number < 0:
                return 0                # no field can be: the line is damaged there
            put(&self.skbs[i], found.at, found.width, number)
        elif found.target == T_OFFSET:
            put(&self.skbs[i], found.at, found.width, number & 0xffff)
        elif found.target == T_ETHERTYPE and number >= 0:
            put(&self.skbs[i], found.at, found.width, host_order(number))
        elif found.target == T_NETNS:
            self.netns[i] = number
        elif found.target == T_RESULT:
            self.results[i] = number
        elif 0 <= number <= 0x7fffffff:
            if found.target == T_IFINDEX:
                self.ifindexes[i] = <int32_t>number
            else:
                self.mtus[i] = <int32_t>number
        return 0

    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil:
        while p < end and p[0] != c"+" and p[0] != c")" and not is_blank(p[0]):
            p += 1
        return p
