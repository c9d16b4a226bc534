# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of trace text into columns: pwru, perf script, ftrace and skb_dump.

One pass over the bytes, without the GIL. Names are kept once each, as numbers into a table. Nothing
is ever read behind a line's end, and no line can make more than one event.
"""

from libc.stdint cimport (
    INT32_MIN, INT64_MIN, int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t,
)
from libc.stdlib cimport free
from libc.string cimport memchr, memcmp, memcpy

import numpy as np

from gso._names cimport Names, intern
from gso._text cimport (
    find, hex_digit, host_order, is_blank, is_digit, is_word, read_number, read_time, skip_blanks,
    skip_token, starts,
)
from gso._validate cimport Skb

from gso._validate import FIELDS, SKB_DTYPE, unknown_rows

cdef enum:
    PWRU
    EVENTS          # perf script, ftrace and trace-cmd: one grammar
    DMESG
    STACK_BYTES = 8192
    # Whose the lines are that follow: nobody's, those of an event that was damaged, an event's.
    NOBODY = 0
    DAMAGED_EVENT
    EVENT
    DAMAGED_KEPT = 10

FORMATS = {"pwru": PWRU, "perf": EVENTS, "ftrace": EVENTS, "dmesg": DMESG}

cdef int64_t NO_TIME = INT64_MIN
cdef int32_t NONE = -1

COLUMNS = {
    "line": np.int64, "time": np.int64, "skb": np.uint64, "netns": np.int64, "result": np.int64,
    "cpu": np.int32, "function": np.int32, "process": np.int32, "device": np.int32,
    "reason": np.int32, "flow": np.int32, "stack": np.int32, "location": np.int32,
    "ifindex": np.int32, "mtu": np.int32, "returns": np.int8,
}


# --- keys --------------------------------------------------------------------------------------

cdef enum Target:
    T_NUMBER = 1
    T_OFFSET
    T_ETHERTYPE
    T_POINTER
    T_DEVICE
    T_REASON
    T_LOCATION
    T_NETNS
    T_IFINDEX
    T_MTU
    T_RESULT

cdef struct Key:
    char[28] name
    int8_t size
    int8_t target
    int8_t width
    int8_t at

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
                         ("ifindex", T_IFINDEX), ("mtu", T_MTU)):
        _add_key(name, target)


_add_keys()


cdef const Key *find_key(const char *text, int64_t size) noexcept nogil:
    cdef uint32_t slot
    if not 0 < size < 28:
        return NULL
    slot = key_slot(text, size)
    while KEYS[slot].size:
        if KEYS[slot].size == size and memcmp(KEYS[slot].name, text, size) == 0:
            return &KEYS[slot]
        slot = (slot + 1) & (KEY_SLOTS - 1)
    return NULL


cdef inline void put(Skb *row, int at, int width, int64_t value) noexcept nogil:
    if width == 4:
        if INT32_MIN < value <= 0x7fffffff:
            (<int32_t *>(<char *>row + at))[0] = <int32_t>value
    elif -0x8000 < value <= 0x7fff:
        (<int16_t *>(<char *>row + at))[0] = <int16_t>value


cdef inline bint is_stack_mark(const char *p, const char *end) noexcept nogil:
    """Whether the line announces the stack of the event before it."""
    return end - p > 13 and memcmp(end - 13, b"<stack trace>", 13) == 0


cdef class Scanner:
    """Scans blocks of whole lines into columns of up to `rows` events.

    Args:
        format: one of FORMATS.
        rows: most events of one batch.
        room: bytes of names after which a batch ends early.
    """

    cdef int format
    cdef Py_ssize_t capacity, count
    cdef Names names
    cdef int64_t line, damaged, lost, events, room
    cdef bint in_stack, has_names, has_caller
    cdef readonly bint relative
    cdef int owner
    cdef char[STACK_BYTES] stack_text
    cdef int32_t stack_size
    cdef readonly list damaged_lines
    cdef dict columns
    cdef object state
    cdef Skb[::1] skbs
    cdef int64_t[::1] lines, times, netns, results
    cdef uint64_t[::1] pointers
    cdef int32_t[::1] cpus, functions, processes, devices, reasons, flows, stacks, locations
    cdef int32_t[::1] ifindexes, mtus
    cdef int8_t[::1] returns

    def __cinit__(self, str format, Py_ssize_t rows=65536, int64_t room=1 << 26):
        if rows < 1:
            raise ValueError(f"a batch cannot have {rows} rows")
        self.format = FORMATS[format]
        self.capacity = rows
        self.room = room
        self.damaged_lines = []
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
        self.columns = {name: np.full(self.capacity, -1, kind) if name != "skb"
                        else np.zeros(self.capacity, kind) for name, kind in COLUMNS.items()}
        self.columns["time"].fill(NO_TIME)
        self.columns["returns"].fill(0)
        self.columns["result"].fill(NO_TIME)
        self.state = unknown_rows(self.capacity)
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

    def skip_line(self, const uint8_t[::1] start):
        """Count a line that is too long to be read; `start` is its first part."""
        self.line += 1
        self.owner = DAMAGED_EVENT
        self._complain(bytes(start[:80]))

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
                    last = stop
                    while last > p and ((last - 1)[0] == c"\r" or is_blank((last - 1)[0])):
                        last -= 1
                    # The batch may only end where an event does: its stack comes behind it. The
                    # names of one batch are bounded too: the next one starts with none.
                    if (self.count == self.capacity or self.names.used > self.room) \
                            and self._begins(p, last):
                        status = 2
                        break
                    self.line += 1
                    status = self._scan(p, last)
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

    # --- lines: 0 for done, -1 for a damaged line, -2 for no memory ---

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        """Whether this line is the start of another event: exactly those that call `_new`."""
        cdef const char *at
        cdef int64_t clock, pointer
        if p == end:
            return False
        if self.format == PWRU:
            return self._pwru_start(p, end, &at, &clock, &pointer) == 1
        if self.format == DMESG:
            return find(p, end, b"skb len=", 8) != NULL
        p = skip_blanks(p, end)
        if p[0] == c"#" or starts(p, end, b"=>", 2):
            return False
        at = self._cpu(p, end)
        return at != NULL and not starts(at, end, b"[LOST ", 6) and not is_stack_mark(at, end)

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        if p == end:
            return 0
        if self.format == PWRU:
            return self._pwru(p, end)
        if self.format == DMESG:
            return self._dmesg(p, end)
        return self._event(p, end)

    cdef void _new(self) noexcept nogil:
        self._end_stack()
        self.lines[self.count] = self.line
        self.count += 1
        self.events += 1
        self.in_stack = False
        self.owner = EVENT

    cdef void _undo(self) noexcept nogil:
        """Take back the event whose line turned out to be damaged."""
        cdef Py_ssize_t i = self.count - 1
        self.count -= 1
        self.events -= 1
        self.owner = DAMAGED_EVENT
        self.pointers[i] = 0
        self.times[i] = self.results[i] = NO_TIME
        self.cpus[i] = self.functions[i] = self.processes[i] = self.devices[i] = NONE
        self.reasons[i] = self.flows[i] = self.locations[i] = self.netns[i] = NONE
        self.ifindexes[i] = self.mtus[i] = NONE
        self.returns[i] = 0
        self._forget(&self.skbs[i])

    cdef void _forget(self, Skb *row) noexcept nogil:
        cdef int i
        for i in range(16):
            (<int32_t *>row)[i] = INT32_MIN
        for i in range(8):
            (<int16_t *>(<char *>row + 64))[i] = -32768

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
            while p < end and not is_blank(p[0]) and p[0] != c"=" and p[0] != c":":
                p += 1
            key_end = p
            if p == end or is_blank(p[0]) or (p[0] == c":" and (end - p < 2 or p[1] != c" ")):
                p = skip_token(p, end)
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

    cdef int _pair(self, const char *key, const char *key_end, const char *value,
                   const char *stop, bint *hex_offsets) noexcept nogil:
        cdef const Key *found = find_key(key, key_end - key)
        cdef Py_ssize_t i = self.count - 1
        cdef int64_t number = 0
        cdef int32_t name
        if found == NULL:
            return 0
        if found.target in (T_DEVICE, T_REASON, T_LOCATION):
            if found.target == T_LOCATION:
                stop = self._symbol_end(value, stop)
            name = intern(&self.names, value, stop - value)
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
            if found.at == 60:          # tnl_hlen, a 32-bit int
                number = <int32_t>number
            put(&self.skbs[i], found.at, found.width, number)
        elif found.target == T_OFFSET:
            put(&self.skbs[i], found.at, found.width, number & 0xffff)
        elif found.target == T_ETHERTYPE:
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

    # --- perf script, ftrace ---

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef const char *cpu
        cdef int64_t number = 0
        if at[0] == c"#":
            return 0
        if starts(at, end, b"=>", 2):
            at = skip_blanks(at + 2, end)
            self._stack_line(at, self._symbol_end(at, end))
            return 0
        cpu = self._cpu(at, end)
        if cpu == NULL:
            return self._chain_line(p, at, end)
        if starts(cpu, end, b"[LOST ", 6):
            if read_number(cpu + 6, skip_token(cpu + 6, end), 10, &number):
                self.lost += number
            return 0
        if is_stack_mark(cpu, end):
            return 0                    # it belongs to the event before
        self._new()
        if self._event_fields(at, cpu, end) < 0:
            self._undo()
            return -1
        return 0

    cdef const char *_cpu(self, const char *p, const char *end) noexcept nogil:
        """Where "[030]" or "[LOST" stands, or the time if there is no CPU; NULL without either."""
        cdef const char *at = p
        cdef int64_t time
        while at < end:
            at = <const char *>memchr(at, c"[", end - at)
            if at == NULL:
                break
            if starts(at, end, b"[LOST ", 6):
                return at
            if at > p and end - at > 2 and is_digit(at[1]):
                p = at + 1
                while p < end and is_digit(p[0]):
                    p += 1
                if p < end and p[0] == c"]":
                    return at
            at += 1
        # perf script of one process alone has no CPU column.
        at = p
        while at < end:
            at = skip_blanks(at, end)
            p = skip_token(at, end)
            if p - at > 3 and (p - 1)[0] == c":" and read_time(at, p - 1, &time):
                return at
            at = p
        return NULL

    cdef int _event_fields(self, const char *p, const char *cpu, const char *end) noexcept nogil:
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop
        cdef const char *name
        cdef int64_t number = 0
        cdef int words = 0
        stop = cpu
        while stop > p and is_blank((stop - 1)[0]):
            stop -= 1
        # "comm-12" or "comm 12" or "comm 12/13": the last word is, or has, the process number.
        name = stop
        while name > p and (is_digit((name - 1)[0]) or (name - 1)[0] == c"/"):
            name -= 1
        while name > p and (is_blank((name - 1)[0]) or (name - 1)[0] == c"-"):
            name -= 1
        self.processes[i] = intern(&self.names, p, name - p)
        if cpu[0] == c"[":
            read_number(cpu + 1, end, 10, &number)
            self.cpus[i] = <int32_t>min(number, 1 << 20)
            p = <const char *>memchr(cpu, c"]", end - cpu) + 1
        else:
            p = cpu
        # Flags may come before the time.
        while True:
            p = skip_blanks(p, end)
            stop = skip_token(p, end)
            if stop - p > 1 and (stop - 1)[0] == c":" and read_time(p, stop - 1, &self.times[i]):
                break
            words += 1
            if p >= end or words > 2:
                return -1
            p = stop
        p = skip_blanks(stop, end)
        stop = skip_token(p, end)
        # perf prints the number of occurrences before the name if it is asked to.
        if stop > p and (stop - 1)[0] != c":" and is_digit(p[0]):
            p = skip_blanks(stop, end)
            stop = skip_token(p, end)
        if stop - p < 2:
            return -1
        return self._event_name(p, stop, end)

    cdef int _event_name(self, const char *p, const char *stop, const char *end) noexcept nogil:
        """The function, from "probe:NAME:" and "(SYMBOL+0x4/0x9 [module])"."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *name = p
        cdef const char *last = stop - 1 if (stop - 1)[0] == c":" else stop
        cdef const char *close
        cdef const char *arrow
        while p < last:
            if p[0] == c":":
                name = p + 1
            p += 1
        p = skip_blanks(stop, end)
        if p < end and p[0] == c"(":
            close = <const char *>memchr(p, c")", end - p)
            if close == NULL:
                return -1
            arrow = find(p, close, b"<- ", 3)
            if arrow != NULL:
                self.returns[i] = 1
                p = arrow - 1
            if close - p > 3 and not (p[1] == c"0" and p[2] == c"x") and not self._is_address(
                    p + 1, close):
                name, last = p + 1, self._symbol_end(p + 1, close)
            p = close + 1
        if name == last:
            return -1
        self.functions[i] = intern(&self.names, name, last - name)
        return self._pairs(p, end)

    cdef bint _is_address(self, const char *p, const char *end) noexcept nogil:
        cdef int digits = 0
        while p < end and hex_digit(p[0]) >= 0:
            digits += 1
            p += 1
        return digits >= 8 and (p == end or is_blank(p[0]))

    cdef int _chain_line(self, const char *p, const char *at, const char *end) noexcept nogil:
        """A line of a call chain: "    ffffffff85070e60 __dev_queue_xmit+0x1 ([kernel])"."""
        cdef const char *stop
        if at == p:
            return -1
        stop = skip_token(at, end)
        if self._is_address(at, stop):
            at = skip_blanks(stop, end)
        if at < end and (is_word(at[0]) or at[0] == c"["):
            self._stack_line(at, self._symbol_end(at, end))
            return 0
        return -1

    # --- pwru ---

    cdef int _pwru(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef int64_t clock, pointer
        cdef int start
        if starts(at, end, b"SKB ", 4) or starts(at, end, b"TIME ", 5):
            self.has_names = find(at, end, b"NETNS NAME", 10) != NULL
            self.has_caller = find(at, end, b"CALLER", 6) != NULL
            return 0
        start = self._pwru_start(p, end, &at, &clock, &pointer)
        if start == 0:
            return self._pwru_more(at, end)
        if start < 0:
            self.owner = DAMAGED_EVENT
            return -1
        self._new()
        self.pointers[self.count - 1] = <uint64_t>pointer
        self.times[self.count - 1] = clock
        if self._pwru_fields(at, end) < 0:
            self._undo()
            return -1
        return 0

    cdef int _pwru_start(self, const char *p, const char *end, const char **rest, int64_t *clock,
                         int64_t *pointer) noexcept nogil:
        """1 for a line that begins an event, 0 for one behind an event, -1 for a damaged one.

        `rest` is what is still to be read.
        """
        cdef const char *at = skip_blanks(p, end)
        cdef const char *stop = skip_token(at, end)
        clock[0] = NO_TIME
        rest[0] = at
        if is_digit(at[0]) and not starts(at, end, b"0x", 2):
            clock[0] = self._clock(at, stop)
            if clock[0] == NO_TIME:
                return 0
            at = skip_blanks(stop, end)
            stop = skip_token(at, end)
        if not starts(at, end, b"0x", 2):
            return 0
        if not read_number(at, stop, 16, pointer):
            return -1
        rest[0] = skip_blanks(stop, end)
        if rest[0] == end:
            rest[0] = p
            return -1 if clock[0] == NO_TIME and stop - p < 14 else 0
        return 1

    cdef int64_t _clock(self, const char *p, const char *end) noexcept nogil:
        """Time of day in nanoseconds: "13:05:01.123", or a date, "T" and that."""
        cdef const char *t = <const char *>memchr(p, c"T", end - p)
        cdef int64_t fraction = 0, scale = 100000000
        cdef int i
        if t != NULL:
            p = t + 1
        if end - p < 8 or p[2] != c":" or p[5] != c":":
            return NO_TIME
        for i in range(8):
            if i % 3 != 2 and not is_digit(p[i]):
                return NO_TIME
        cdef int64_t seconds = (((p[0] - c"0") * 10 + p[1] - c"0") * 3600
                                + ((p[3] - c"0") * 10 + p[4] - c"0") * 60
                                + (p[6] - c"0") * 10 + p[7] - c"0")
        p += 8
        if p < end and (p[0] == c"." or p[0] == c","):
            p += 1
            while p < end and is_digit(p[0]) and scale:
                fraction += (p[0] - c"0") * scale
                scale //= 10
                p += 1
        return seconds * 1000000000 + fraction

    cdef int _pwru_fields(self, const char *p, const char *end) noexcept nogil:
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop = skip_token(p, end)
        cdef int64_t number = 0
        if p[0] != c"[" and read_number(p, stop, 10, &number) and 0 <= number <= 1 << 20:
            self.cpus[i] = <int32_t>number
            p = skip_blanks(stop, end)
        if p < end and p[0] == c"[":
            return self._pwru_old(p, end)
        return self._pwru_new(p, end)

    cdef int _pwru_old(self, const char *p, const char *end) noexcept nogil:
        """[process] FUNCTION [time] netns=... TUPLE, up to v1.0.6."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *close = <const char *>memchr(p, c"]", end - p)
        cdef const char *stop
        cdef int64_t number = 0
        if close == NULL:
            return -1
        self.processes[i] = intern(&self.names, p + 1, close - p - 1)
        p = skip_blanks(close + 1, end)
        if p == end:
            return -1
        p = self._function(p, end)
        stop = skip_token(p, end)
        if stop > p and is_digit(p[0]) and read_number(p, stop, 10, &number):
            self._pwru_time(number)
            p = skip_blanks(stop, end)
        return self._pwru_rest(p, end)

    cdef void _pwru_time(self, int64_t number) noexcept nogil:
        """The clock's time, if the line has one, is better than this column."""
        cdef Py_ssize_t i = self.count - 1
        if self.times[i] == NO_TIME:
            # Nanoseconds since the boot, or since the packet was last seen: 0 for the first.
            if self.events == 1 and number == 0:
                self.relative = True
            self.times[i] = number

    cdef const char *_function(self, const char *p, const char *end) noexcept nogil:
        """NAME, NAME(REASON), "NAME (2)" or NAME(tc); returns what comes behind it."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop = skip_token(p, end)
        cdef const char *name_end = p
        cdef const char *close
        while name_end < stop and name_end[0] != c"(":
            name_end += 1
        self.functions[i] = intern(&self.names, p, name_end - p)
        p = skip_blanks(name_end, end)
        if p < end and p[0] == c"(":
            close = <const char *>memchr(p, c")", end - p)
            if close != NULL:
                if not starts(p, end, b"(tc)", 4) and not starts(p, end, b"(xdp)", 5):
                    self.reasons[i] = intern(&self.names, p + 1, close - p - 1)
                p = close + 1
        return skip_blanks(p, end)

    cdef int _pwru_rest(self, const char *p, const char *end) noexcept nogil:
        """netns=4026531840 mark=0x0 ifindex=4 proto=8 mtu=1600 len=1512 TUPLE key=value..."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *at = p
        cdef const char *stop
        while at < end:
            at = skip_blanks(at, end)
            stop = skip_token(at, end)
            if self.flows[i] < 0 and find(at, stop, b"->", 2) != NULL \
                    and memchr(at, c"=", stop - at) == NULL:
                self.flows[i] = intern(&self.names, at, stop - at)
            at = stop
        # There proto is hexadecimal, without saying so; 8 is IPv4 in network order.
        if self._pairs(p, end) < 0:
            return -1
        if self.skbs[i].protocol not in (INT32_MIN, 0x0800):
            self._old_proto(p, end)
        return 0

    cdef void _old_proto(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"proto=", 6)
        cdef int64_t number = 0
        if at != NULL and read_number(at, skip_token(at, end), 16, &number):
            put(&self.skbs[self.count - 1], 48, 4, host_order(number))

    cdef int _pwru_new(self, const char *p, const char *end) noexcept nogil:
        """PROCESS [TIME] [NETNS MARK IFACE PROTO MTU LEN] [cb] [name] [TUPLE] FUNC [CALLER] ..."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *stop = self._process_end(p, end)
        cdef const char *at
        cdef int64_t number = 0
        self.processes[i] = intern(&self.names, p, stop - p)
        p = skip_blanks(stop, end)
        at = self._meta(p, end)
        if at == NULL:
            # Without these columns, or with the time before them.
            stop = skip_token(p, end)
            if stop > p and is_digit(p[0]) and read_number(p, stop, 10, &number):
                self._pwru_time(number)
                p = skip_blanks(stop, end)
                at = self._meta(p, end)
        if at != NULL:
            p = at
        if starts(p, end, b"[0x", 3):
            p = skip_blanks(skip_token(p, end), end)
        stop = skip_token(p, end)
        at = skip_blanks(stop, end)
        if find(p, stop, b"->", 2) == NULL and at < end and (
                find(at, skip_token(at, end), b"->", 2) != NULL or self.has_names):
            if memchr(at, c"=", skip_token(at, end) - at) == NULL:
                p, stop = at, skip_token(at, end)       # past the name of the namespace
        if find(p, stop, b"->", 2) != NULL:
            self.flows[i] = intern(&self.names, p, stop - p)
            p = skip_blanks(stop, end)
        if p == end:
            return -1
        p = self._function(p, end)
        if self.has_caller and p < end:
            stop = skip_token(p, end)
            if memchr(p, c"=", stop - p) == NULL:
                self.locations[i] = intern(&self.names, p, self._symbol_end(p, stop) - p)
                p = stop
        return 0 if self._pairs(p, end) >= 0 else -1

    cdef const char *_process_end(self, const char *p, const char *end) noexcept nogil:
        """The process ends with ":" and its number; its path may have spaces."""
        cdef const char *stop = p
        cdef const char *at
        cdef int words = 0
        while stop < end and words < 4:
            stop = skip_token(skip_blanks(stop, end), end)
            at = stop
            while at > p and is_digit((at - 1)[0]):
                at -= 1
            if at < stop and at > p and (at - 1)[0] == c":":
                return stop
            words += 1
        return skip_token(p, end)

    cdef const char *_meta(self, const char *p, const char *end) noexcept nogil:
        """The six columns of numbers; NULL if they are not here. Returns what comes behind."""
        cdef Py_ssize_t i = self.count - 1
        cdef const char *start[6]
        cdef const char *stop[6]
        cdef int64_t[6] value
        cdef const char *at
        cdef int k
        for k in range(6):
            p = skip_blanks(p, end)
            if p >= end:
                return NULL
            start[k] = p
            p = stop[k] = skip_token(p, end)
        # The name of the namespace may touch the length.
        at = start[5]
        while at < stop[5] and is_digit(at[0]):
            at += 1
        p = stop[5] = at
        for k in range(6):
            if k != 2 and not read_number(
                    start[k], stop[k], 16 if k == 1 or k == 3 else 10, &value[k]):
                return NULL
        if not starts(start[3], stop[3], b"0x", 2):
            return NULL
        self.netns[i] = value[0]
        # "eth0:2": the name, and the interface's number.
        at = stop[2]
        while at > start[2] and is_digit((at - 1)[0]):
            at -= 1
        if at > start[2] and (at - 1)[0] == c":" and at < stop[2]:
            read_number(at, stop[2], 10, &value[2])
            self.ifindexes[i] = <int32_t>min(value[2], 0x7fffffff)
            at -= 1
        else:
            at = stop[2]
        self.devices[i] = intern(&self.names, start[2], at - start[2])
        put(&self.skbs[i], 48, 4, host_order(value[3]))
        self.mtus[i] = <int32_t>min(value[4], 0x7fffffff)
        put(&self.skbs[i], 24, 4, value[5])
        return skip_blanks(p, end)

    cdef int _pwru_more(self, const char *p, const char *end) noexcept nogil:
        """Lines behind an event: its stack, or its sk_buff as C prints it."""
        cdef const char *stop
        cdef bint dump = memchr(b".({}),][\"", p[0], 9) != NULL or find(p, end, b" = ", 3) != NULL
        if not dump:
            if not is_word(p[0]) or is_digit(p[0]) and not starts(p, end, b"0x", 2):
                return -1
            stop = p
            while stop < end and is_word(stop[0]):
                stop += 1
            if stop < end and not is_blank(stop[0]) and stop[0] != c"+" and stop[0] != c"(":
                return -1
        if self.owner != EVENT:
            return -1 if self.owner == NOBODY else 0
        if dump:
            return self._dump_line(p, end)
        self._stack_line(p, stop)
        return 0

    cdef int _dump_line(self, const char *p, const char *end) noexcept nogil:
        """.inner_mac_header = (__u16)68, - and fields that are zero are left out."""
        cdef const char *key
        cdef const char *key_end
        cdef const char *stop
        cdef bint hex_offsets = False
        while True:
            p = find(p, end, b".", 1)
            if p == NULL:
                return 0
            key = p
            while p < end and is_word(p[0]):
                p += 1
            key_end = p
            p = skip_blanks(p, end)
            if p >= end or p[0] != c"=":
                continue
            p = skip_blanks(p + 1, end)
            stop = <const char *>memchr(p, c",", end - p)
            if stop == NULL:
                stop = end
            if find_key(key, key_end - key) != NULL and find_key(
                    key, key_end - key).target in (T_NUMBER, T_OFFSET, T_ETHERTYPE):
                self._pair(key, key_end, p, stop, &hex_offsets)
            p = stop

    # --- dmesg ---

    cdef int _dmesg(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = find(p, end, b"skb len=", 8)
        cdef Skb *row
        cdef int64_t number = 0
        if at != NULL:
            self._new()
            self._dmesg_time(p, at)
            self.functions[self.count - 1] = intern(&self.names, b"skb_dump", 8)
            row = &self.skbs[self.count - 1]
            self._number(at - 4, end, b"len=", 4, &row.length)
            if self._get(p, end, b"headlen=", 8, &number) and row.length != INT32_MIN:
                row.data_len = <int32_t>max(row.length - number, 0)
            self.in_stack = False
            return 0
        if find(p, end, b"Call Trace:", 11) != NULL:
            self.in_stack = True
            return 0
        if self.owner != EVENT:
            return 0
        if self.in_stack:
            return self._dmesg_stack(p, end)
        return self._dmesg_more(p, end)

    cdef void _dmesg_time(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = <const char *>memchr(p, c"[", end - p)
        cdef const char *stop
        if at != NULL:
            stop = <const char *>memchr(at, c"]", end - at)
            if stop != NULL:
                read_time(skip_blanks(at + 1, stop), stop, &self.times[self.count - 1])

    cdef bint _get(self, const char *p, const char *end, const char *key, int64_t size,
                   int64_t *value) noexcept nogil:
        cdef const char *at = find(p, end, key, size)
        cdef const char *stop
        if at == NULL:
            return False
        stop = at
        while stop < end and (is_word(stop[0]) or stop[0] == c"-"):
            stop += 1
        return read_number(at, stop, 10, value)

    cdef void _number(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value) and INT32_MIN < value <= 0x7fffffff:
            target[0] = <int32_t>value

    cdef void _offset(self, const char *p, const char *end, const char *key, int64_t size,
                      int32_t *target) noexcept nogil:
        cdef int64_t value = 0
        if self._get(p, end, key, size, &value):
            target[0] = <int32_t>(value & 0xffff)

    cdef int _dmesg_more(self, const char *p, const char *end) noexcept nogil:
        cdef Skb *row = &self.skbs[self.count - 1]
        cdef const char *at
        cdef int64_t value = 0
        cdef int32_t name
        at = find(p, end, b"inner(", 6)
        if at != NULL:
            if self._get(p, at, b"encapsulation=", 14, &value):
                row.encapsulation = <int16_t>(value & 1)
            self._offset(at, end, b"mac=", 4, &row.inner_mac_header)
            self._offset(at, end, b"net=", 4, &row.inner_network_header)
            self._offset(at, end, b"trans=", 6, &row.inner_transport_header)
            # It shares its place with inner_ipproto: only an Ethernet type is sure to be one.
            if self._get(at, end, b"proto=", 6, &value) and host_order(value) >= 0x600:
                row.inner_protocol = <int32_t>host_order(value)
            return 0
        if find(p, end, b"mac=(", 5) != NULL:
            self._offset(p, end, b"mac=(", 5, &row.mac_header)
            self._offset(p, end, b"net=(", 5, &row.network_header)
            self._offset(p, end, b"trans=", 6, &row.transport_header)
        elif find(p, end, b"shinfo(", 7) != NULL:
            at = find(p, end, b"gso(", 4)
            if at != NULL:
                self._number(at, end, b"size=", 5, &row.gso_size)
                self._number(at, end, b"type=", 5, &row.gso_type)
        elif find(p, end, b"csum(0x", 7) != NULL:
            self._offset(p, end, b"start=", 6, &row.csum_start)
            self._number(p, end, b"offset=", 7, &row.csum_offset)
            if self._get(p, end, b"ip_summed=", 10, &value):
                row.ip_summed = <int16_t>(value & 3)
        elif find(p, end, b"hash(0x", 7) != NULL:
            if self._get(p, end, b" proto=", 7, &value):
                row.protocol = <int32_t>host_order(value & 0xffff)
        else:
            at = find(p, end, b"dev name=", 9)
            if at != NULL and self.devices[self.count - 1] < 0:
                name = intern(&self.names, at, skip_token(at, end) - at)
                self.devices[self.count - 1] = name
                return -2 if name == -2 else 0
        return 0

    cdef int _dmesg_stack(self, const char *p, const char *end) noexcept nogil:
        """Lines like " ip_output+0x5a/0xc0 [module]"; what the compiler guessed has a "?"."""
        cdef const char *at = find(p, end, b"+0x", 3)
        cdef const char *stop
        if find(p, end, b"</TASK>", 7) != NULL or find(p, end, b"end trace", 9) != NULL:
            self.in_stack = False
            return 0
        if at == NULL or find(p, end, b"RIP:", 4) != NULL:
            return 0
        stop = at = at - 3
        while at > p and is_word((at - 1)[0]):
            at -= 1
        if not (at - p >= 2 and (at - 2)[0] == c"?"):
            self._stack_line(at, stop)
        return 0
