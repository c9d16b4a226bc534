# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""retis' events in JSON: one object a line, or an array of a packet's events (retis sort).

An event has sections: "common", "kernel", "skb-tracking", "skb-drop", "dev", "netns", "skb". Before
v1.6 the addresses, the device and the namespace are in "skb".
"""

from libc.stdint cimport UINT32_MAX, int16_t, int32_t, int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy

from gso.traces._event_lines cimport EventLines
from gso.traces._json cimport skip_string, skip_value, skip_white
from gso.traces._scanner cimport LINE_DAMAGED, LINE_READ
from gso.traces._text cimport find, read_number, starts

cdef enum:
    DEEP = 4

# The objects that members are read of.
cdef enum Section:
    EVENT
    COMMON
    TASK
    KERNEL
    TRACKING
    DROP
    DEV
    NETNS
    SKB
    META
    GSO
    NO_SECTION

# The members, each of a section.
cdef enum Member:
    SECTION                 # an object; `to` is its section
    TIME
    CPU
    COMM
    SYMBOL
    PROBE
    STACK
    POINTER
    REASON
    DEVICE
    IFINDEX
    INUM
    LEN
    DATA_LEN
    SUMMED
    CSUM
    GSO_SIZE
    GSO_TYPE
    ETYPE
    SOURCE
    TARGET
    SPORT
    DPORT
    PROTOCOL

cdef struct Place:
    int section
    char[16] name
    int64_t size
    int member
    int to

cdef Place[48] PLACES
cdef int places = 0

_SECTIONS = [
    (EVENT, "common", COMMON), (EVENT, "kernel", KERNEL), (EVENT, "skb-tracking", TRACKING),
    (EVENT, "tracking", TRACKING), (TRACKING, "skb", TRACKING), (EVENT, "skb-drop", DROP),
    (EVENT, "dev", DEV), (EVENT, "netns", NETNS), (EVENT, "skb", SKB), (COMMON, "task", TASK),
    (SKB, "meta", META), (SKB, "gso", GSO),
]
_MEMBERS = [
    (COMMON, "timestamp", TIME), (COMMON, "smp_id", CPU), (TASK, "comm", COMM),
    (KERNEL, "symbol", SYMBOL), (KERNEL, "probe_type", PROBE), (KERNEL, "stack_trace", STACK),
    (DROP, "drop_reason", REASON), (DEV, "name", DEVICE), (DEV, "ifindex", IFINDEX),
    (NETNS, "inum", INUM), (META, "len", LEN), (META, "data_len", DATA_LEN),
    (META, "ip_summed", SUMMED), (META, "csum", CSUM), (GSO, "size", GSO_SIZE),
    (GSO, "type", GSO_TYPE), (SKB, "dev_name", DEVICE), (SKB, "ifindex", IFINDEX),
    (SKB, "netns", INUM), (SKB, "etype", ETYPE), (SKB, "saddr", SOURCE), (SKB, "daddr", TARGET),
    (SKB, "sport", SPORT), (SKB, "dport", DPORT), (SKB, "protocol", PROTOCOL),
]


def _fill():
    global places
    for section, name, to in _SECTIONS:
        _add(section, name, SECTION, to)
    for section, name, member in _MEMBERS:
        _add(section, name, member, NO_SECTION)


def _add(int section, str name, int member, int to):
    global places
    cdef bytes text = name.encode()
    PLACES[places].section, PLACES[places].size = section, len(text)
    memcpy(PLACES[places].name, <const char *>text, len(text))
    PLACES[places].member, PLACES[places].to = member, to
    places += 1


_fill()


cdef class RetisJsonScanner(EventLines):
    """Scans retis' JSON into columns; see `Scanner`."""

    cdef int64_t csum, protocol
    cdef const char *source
    cdef const char *source_end
    cdef const char *target
    cdef const char *target_end
    cdef int64_t sport, dport
    cdef bint tracked

    cdef bint _starts_event(self, const char *p, const char *end) noexcept nogil:
        p = skip_white(p, end)
        if not starts(p, end, b"{", 1):
            return False
        return (find(p, end, b'"kernel":', 9) != NULL or find(p, end, b'"kernel" :', 10) != NULL) \
            and find(p, end, b'"common"', 8) != NULL

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        return self._starts_event(p, end) or (
            self._is_chatter(p, end) and find(p, end, b'"startup"', 9) != NULL)

    cdef int _event(self, const char *p, const char *end) noexcept nogil:
        self.csum = self.protocol = self.sport = self.dport = -1
        self.source = self.target = NULL
        self.tracked = False
        p = self._object(EVENT, skip_white(p, end), end, 0)
        if p == NULL:
            return LINE_DAMAGED
        p = skip_white(p, end)
        if p < end and (p[0] != c"," or skip_white(p + 1, end) < end):
            return LINE_DAMAGED         # a second object
        if self.row.skb.ip_summed == 3 and self.csum >= 0:
            self.row.skb.csum_start = <int32_t>(self.csum & 0xffff)
            self.row.skb.csum_offset = <int32_t>(self.csum >> 16 & 0xffff)
        self._flow_of_members()
        return LINE_READ

    cdef bint _is_chatter(self, const char *p, const char *end) noexcept nogil:
        p = skip_white(p, end)
        if end - p == 1 and (p[0] == c"[" or p[0] == c"]"):
            return True                 # around the events of retis sort
        return starts(p, end, b'{"', 2) and find(p, end, b'"startup"', 9) != NULL

    cdef const char *_object(self, int section, const char *p, const char *end,
                             int depth) noexcept nogil:
        """Read the members of an object; return its end, NULL where the text is no JSON."""
        cdef const char *name
        cdef const char *stop
        cdef bint escaped
        p = skip_white(p + 1, end)
        if p < end and p[0] == c"}":
            return p + 1
        while True:
            name = skip_white(p, end)
            stop = skip_string(name, end, &escaped)
            if stop == NULL:
                return NULL
            p = skip_white(stop, end)
            if p == end or p[0] != c":":
                return NULL
            p = skip_white(p + 1, end)
            p = self._member(section, name + 1, stop - name - 2, p, end, depth)
            if p == NULL:
                return NULL
            p = skip_white(p, end)
            if p < end and p[0] == c"}":
                return p + 1
            if p == end or p[0] != c",":
                return NULL
            p += 1

    cdef const char *_member(self, int section, const char *name, int64_t size, const char *p,
                             const char *end, int depth) noexcept nogil:
        cdef int i
        cdef const char *stop
        for i in range(places):
            if PLACES[i].section != section or PLACES[i].size != size \
                    or memcmp(PLACES[i].name, name, size) != 0:
                continue
            if PLACES[i].member == SECTION:
                if p < end and p[0] == c"{" and depth < DEEP:
                    return self._object(PLACES[i].to, p, end, depth + 1)
                break
            stop = skip_value(p, end)
            if stop != NULL:
                self._value(PLACES[i].member, p, stop)
            return stop
        # The pointer is "skb" of the tracking section: a number there, an object elsewhere.
        stop = skip_value(p, end)
        if stop != NULL and section == TRACKING and size == 3 and memcmp(name, b"skb", 3) == 0:
            self._value(POINTER, p, stop)
        return stop

    cdef void _value(self, int member, const char *p, const char *end) noexcept nogil:
        cdef int64_t number = 0
        cdef bint known
        if p[0] == c'"':
            self._string(member, p + 1, end - 1)
            return
        if member == STACK and p[0] == c"[":
            self._stack(p + 1, end - 1)
            return
        known = read_number(p, end, 10, &number)
        if member == POINTER:
            if known:
                self.row.pointer = <uint64_t>number
            return
        if not known or number < 0:
            return
        if member == TIME:
            self.row.time = number
        elif member == CPU and number < 1 << 20:
            self.row.cpu = <int32_t>number
        elif member == INUM:
            self.row.netns = number
        elif member == CSUM:
            self.csum = number
        elif member == SUMMED:
            self.row.skb.ip_summed = <int16_t>(number & 3)
        elif member == ETYPE:
            self.row.skb.protocol = <int32_t>(number & 0xffff)
        elif member == PROTOCOL:
            self.protocol = number
        elif member == SPORT:
            self.sport = number
        elif member == DPORT:
            self.dport = number
        elif member == GSO_TYPE and number <= UINT32_MAX:
            self.row.skb.gso_type = <int32_t>number
        elif number <= 0x7fffffff:
            self._field(member, <int32_t>number)

    cdef void _field(self, int member, int32_t number) noexcept nogil:
        if member == IFINDEX:
            self.row.ifindex = number
        elif member == LEN:
            self.row.skb.len = number
        elif member == DATA_LEN:
            self.row.skb.data_len = number
        elif member == GSO_SIZE:
            self.row.skb.gso_size = number

    cdef void _string(self, int member, const char *p, const char *end) noexcept nogil:
        cdef const char *colon
        if member == SYMBOL:
            colon = <const char *>memchr(p, c":", end - p) if end > p else NULL
            if colon != NULL:
                p = colon + 1           # "skb:kfree_skb"
            self._function(p, end - p)
        elif member == PROBE:
            self.row.returns = starts(p, end, b"kretprobe", 9)
        elif member == COMM:
            self.row.process = self._named(p, end)
        elif member == REASON:
            self.row.reason = self._named(p, end)
        elif member == DEVICE:
            self.row.device = self._named(p, end)
        elif member == SOURCE:
            self.source, self.source_end = p, end
        elif member == TARGET:
            self.target, self.target_end = p, end

    cdef void _stack(self, const char *p, const char *end) noexcept nogil:
        """Read the functions of a stack, each a string."""
        cdef const char *stop
        cdef const char *plus
        cdef bint escaped
        while p < end:
            p = skip_white(p, end)
            stop = skip_string(p, end, &escaped)
            if stop == NULL:
                return
            plus = <const char *>memchr(p, c"+", stop - p)
            self._stack_line(p + 1, plus if plus != NULL else stop - 1)
            p = skip_white(stop, end) + 1

    cdef void _flow_of_members(self) noexcept nogil:
        cdef char[160] text
        cdef int64_t used, other
        if self.source == NULL or self.target == NULL or self.protocol not in (6, 17):
            return
        used = self._endpoint(text, self.source, self.source_end, self.sport)
        other = self._endpoint(&text[80], self.target, self.target_end, self.dport)
        if used and other:
            self._connection(text, text + used, &text[80], &text[80] + other,
                             b"tcp" if self.protocol == 6 else b"udp", 3)

    cdef int64_t _endpoint(self, char *text, const char *p, const char *end,
                           int64_t port) noexcept nogil:
        """Write "192.0.2.1:80", or "[2001:db8::1]:80"; return its size."""
        cdef bint six = end > p and memchr(p, c":", end - p) != NULL
        cdef char[8] digits
        cdef int64_t size = 0
        cdef int count = 0
        if end - p > 45 or not 0 <= port <= 0xffff:
            return 0
        if six:
            text[0] = c"["
            size = 1
        memcpy(&text[size], p, end - p)
        size += end - p
        if six:
            text[size] = c"]"
            size += 1
        text[size] = c":"
        size += 1
        while True:
            digits[count] = <char>(c"0" + port % 10)
            port //= 10
            count += 1
            if not port:
                break
        while count:
            count -= 1
            text[size] = digits[count]
            size += 1
        return size
