# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of perf script, ftrace and trace-cmd, which have one grammar.

A kernel that crashes may dump the buffer of ftrace into its log: "sh-12   1d.h1. 34us : " is of the
processor 1, 34 microseconds after the boot.
"""

from libc.stdint cimport INT64_MAX, int32_t, int64_t
from libc.string cimport memchr, memcmp

from gso.traces._line_template cimport (
    CPU_BIT, FIRST_PART, FUNCTION_BIT, PROCESS_BIT, RETURNS_BIT, TIME_BIT, TemplateSlot, bit,
)
from gso.traces._names cimport intern, intern_like
from gso.traces._notes cimport after_stamp
from gso.traces._scanner cimport LINE_DAMAGED, LINE_EVENT, LINE_READ, LINE_STRANGE, Scanner
from gso.traces._text cimport (
    find, hex_digit, is_blank, is_digit, is_word, read_number, read_time, skip_blanks, skip_token,
    starts,
)


cdef enum Part:
    PROCESS = FIRST_PART    # all text before the CPU
    CPU
    TIME                    # and flags before it
    NAME                    # of the event and of the function

cdef enum:
    LONGEST_NAME = 16       # of a process
    LEAST_DIGITS = 6        # of a time, after its point


cdef inline bint is_stack_mark(const char *p, const char *end) noexcept nogil:
    """Whether the line announces the stack of the event before it."""
    return (end - p > 13 and memcmp(end - 13, b"<stack trace>", 13) == 0
            or end - p > 14 and memcmp(end - 14, b"<stack trace >", 14) == 0)


cdef inline const char *dumped_cpu(const char *p, const char *end) noexcept nogil:
    """Return where "1d.h1." is, the processor and flags before "34us :"; NULL without them."""
    cdef const char *at
    cdef const char *stop = p
    while True:
        stop = find(stop, end, b"us", 2) if stop < end else NULL
        if stop == NULL:
            return NULL
        at = stop - 2
        while at > p and is_digit((at - 1)[0]):
            at -= 1
        if at == stop - 2 or at == p or not is_blank((at - 1)[0]) \
                or find(stop, min(end, stop + 3), b":", 1) == NULL:
            continue
        while at > p and is_blank((at - 1)[0]):
            at -= 1
        while at > p and not is_blank((at - 1)[0]):
            at -= 1
        if at > p and is_digit(at[0]):
            return at


cdef inline bint is_symbol(const char *p, const char *end) noexcept nogil:
    """Whether the line has a function, perhaps its offset, its module or file, and nothing else."""
    while p < end and (is_word(p[0]) or p[0] in (c"[", c"]", c":", c"$", c"@", c"<", c">", c"-")):
        p += 1
    if p < end and p[0] == c"+":
        p = skip_token(p, end)
    p = skip_blanks(p, end)
    return p == end or p[0] == c"(" or p[0] == c"["


cdef const char *after_time(const char *p, const char *end) noexcept nogil:
    """Return the end of the first "12.345678:" after `p`, which begins an event; NULL without."""
    cdef const char *at
    while True:
        p = <const char *>memchr(p, c".", end - p) if p < end else NULL
        if p == NULL:
            return NULL
        p += 1
        at = p
        while at < end and is_digit(at[0]):
            at += 1
        if at - p >= LEAST_DIGITS and is_digit((p - 2)[0]) and starts(at, end, b": ", 2):
            return at


cdef bint has_two(const char *cpu, const char *end) noexcept nogil:
    """Whether another event begins in the line of one: the line was cut short there."""
    cdef const char *rest
    if is_digit(cpu[0]):
        rest = find(cpu, end, b"us", 2)
        if rest != NULL and dumped_cpu(rest, end) != NULL:
            return True
    rest = after_time(cpu, end)
    return rest != NULL and after_time(rest, end) != NULL


cdef inline bint is_hex(const char *p, const char *end) noexcept nogil:
    while p < end and hex_digit(p[0]) >= 0:
        p += 1
    return p == end


cdef inline bint is_all_digits(const char *p, const char *end) noexcept nogil:
    while p < end and is_digit(p[0]):
        p += 1
    return p == end


cdef class EventScanner(Scanner):
    """Scans events of tracers into columns; see `Scanner`."""

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        p = skip_blanks(after_stamp(p, end), end)
        if p == end or p[0] == c"#" or starts(p, end, b"=>", 2):
            return False
        at = self._cpu(p, end)
        return (at != NULL and not starts(at, end, b"[LOST ", 6) and not is_stack_mark(at, end)
                and not is_prefixed(p, at))

    cdef bint _is_whole(self, const char *p, const char *at, const char *end) noexcept nogil:
        return self._begins(p, end) and not (self._claims(at, end) and self._has_name(at, end))

    cdef bint _has_name(self, const char *p, const char *end) noexcept nogil:
        """Whether a process has a name before its number, in a line of this format."""
        cdef const char *cpu = self._cpu(p, end)
        cdef const char *number
        if cpu == NULL:
            return True
        number = word_before(cpu, p)
        while number > p and is_blank((number - 1)[0]):
            number -= 1
        return number > p or not is_digit(skip_blanks(p, end)[0])

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(after_stamp(p, end), end)
        cdef const char *cpu
        cdef int64_t number = 0
        if at == end:
            return LINE_READ
        if at[0] == c"#" or starts(at, end, b"Attaching ", 10):
            return 0                    # a comment of the tracer, or its own progress
        if starts(at, end, b"=>", 2):
            if after_time(at, end) != NULL:
                return self._cut()
            at = skip_blanks(at + 2, end)
            self._stack_line(at, self._symbol_end(at, end))
            return 0
        cpu = self._cpu(at, end)
        if cpu == NULL:
            return self._chain_line(p, at, end)
        if starts(cpu, end, b"[LOST ", 6):
            # A number of more than 32 bits is damaged, and might overflow the total.
            if read_number(cpu + 6, skip_token(cpu + 6, end), 10, &number) \
                    and number > 0 and number >> 32 == 0:
                self.lost += number
            return 0
        if is_stack_mark(cpu, end):
            return 0                    # it belongs to the event before
        if is_prefixed(at, cpu):
            return LINE_DAMAGED
        if has_two(cpu, end):
            return self._cut()
        self._new()
        if self._fields(p if at == skip_blanks(p, end) else at, cpu, end) < 0:
            self._undo()
            return -1
        return LINE_EVENT

    cdef const char *_cpu(self, const char *p, const char *end) noexcept nogil:
        """Return where "[030]" or "[LOST" is, or the time if there is no CPU; NULL without both."""
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
        at = dumped_cpu(p, end)
        if at != NULL:
            return at
        # perf script of one process alone has no CPU column.
        at = p
        while at < end:
            at = skip_blanks(at, end)
            p = skip_token(at, end)
            if p - at > 3 and (p - 1)[0] == c":" and read_time(at, p - 1, &time):
                return at
            at = p
        return NULL

    cdef int _fields(self, const char *p, const char *cpu, const char *end) noexcept nogil:
        self._process(skip_blanks(p, end), cpu)
        self._note(PROCESS, bit(PROCESS_BIT), p, cpu)
        if cpu[0] == c"[":
            p = self._take_part(CPU, bit(CPU_BIT), cpu, end)
        else:
            p = self._dumped(cpu, end)
            self.template.broken = True
            if p != cpu:
                p = self._name(p, end)
                return -1 if p == NULL else self._pairs(p, end)
        p = self._take_part(TIME, bit(TIME_BIT), p, end)
        if p == NULL:
            return -1
        p = self._take_part(NAME, bit(FUNCTION_BIT) | bit(RETURNS_BIT), p, end)
        if p == NULL:
            return -1
        return self._pairs(p, end)

    cdef const char *_dumped(self, const char *p, const char *end) noexcept nogil:
        """Read "1d.h1. 34us : " of a dump; return its end, `p` where there is a time alone."""
        cdef const char *at = p
        cdef const char *stop = skip_token(p, end)
        cdef int64_t number = 0
        while at < stop and is_digit(at[0]):
            at += 1
        if at == p or at == stop or (stop - 1)[0] == c":":
            return p
        read_number(p, at, 10, &number)
        self.row.cpu = <int32_t>min(number, 1 << 20)
        at = skip_blanks(stop, end)
        stop = find(at, end, b"us", 2)
        if stop == NULL:
            return p
        if read_number(at, stop - 2, 10, &number) and number <= INT64_MAX // 1000:
            self.row.time = number * 1000
        return find(stop, end, b":", 1)

    cdef const char *_reread_slot(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil:
        cdef const char *stop = Scanner._reread_slot(self, slot, p, end)
        cdef const char *time
        if stop == NULL or slot.kind == PROCESS:
            return stop
        # A second time begins another event: the line was cut short there, as `has_two` sees.
        time = after_time(p, min(stop + 2, end))
        if time != NULL and slot.kind == TIME:
            time = after_time(time, min(stop + 2, end))
        return stop if time == NULL else NULL

    cdef const char *_read_part(self, const TemplateSlot *slot, const char *p,
                                const char *end) noexcept nogil:
        if slot.kind == PROCESS:
            return self._reread_process(p, end)
        if slot.kind == CPU:
            return self._cpu_number(p, end)
        if slot.kind == TIME:
            return self._time(p, end)
        return self._name(p, end)

    cdef const char *_reread_process(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef const char *cpu
        # Other kinds of lines begin or end like this.
        if at == end or at[0] == c"#" or starts(at, end, b"=>", 2) \
                or starts(at, end, b"Attaching ", 10):
            return NULL
        cpu = self._cpu(at, end)
        if cpu == NULL or cpu[0] != c"[" or is_prefixed(at, cpu):
            return NULL
        self._process(at, cpu)
        return cpu

    cdef void _process(self, const char *p, const char *cpu) noexcept nogil:
        """"comm-12" or "comm 12" or "comm 12/13": the last word is, or has, the process number."""
        cdef const char *name = cpu
        while name > p and is_blank((name - 1)[0]):
            name -= 1
        while name > p and (is_digit((name - 1)[0]) or (name - 1)[0] == c"/"):
            name -= 1
        while name > p and (is_blank((name - 1)[0]) or (name - 1)[0] == c"-"):
            name -= 1
        self.row.process = intern_like(&self.names, self.last.process, p, name - p)

    cdef const char *_cpu_number(self, const char *p, const char *end) noexcept nogil:
        """Read "[030]"."""
        cdef int64_t number = 0
        cdef const char *close = <const char *>memchr(p, c"]", end - p)
        if p == end or p[0] != c"[" or close == NULL:
            return NULL
        if close - p < 2 or not is_all_digits(p + 1, close):
            return NULL
        read_number(p + 1, close, 10, &number)
        self.row.cpu = <int32_t>min(number, 1 << 20)
        return close + 1

    cdef const char *_time(self, const char *p, const char *end) noexcept nogil:
        """Read the time; up to two words of flags may come before it."""
        cdef const char *stop
        cdef int words = 0
        while True:
            p = skip_blanks(p, end)
            stop = skip_token(p, end)
            if stop - p > 1 and (stop - 1)[0] == c":" and read_time(p, stop - 1, &self.row.time):
                return stop
            words += 1
            if p >= end or words > 2:
                return NULL
            p = stop

    cdef const char *_name(self, const char *p, const char *end) noexcept nogil:
        """Read the function from "probe:NAME:" and "(SYMBOL+0x4/0x9 [module])"."""
        cdef const char *stop
        cdef const char *name
        cdef const char *last
        cdef const char *close
        cdef const char *arrow
        self.row.returns = 0
        p = skip_blanks(p, end)
        stop = skip_token(p, end)
        # perf prints the number of occurrences before the name if it is asked to.
        if stop > p and (stop - 1)[0] != c":" and is_digit(p[0]):
            p = skip_blanks(stop, end)
            stop = skip_token(p, end)
        if stop - p < 2:
            return NULL
        name = p
        last = stop - 1 if (stop - 1)[0] == c":" else stop
        while p < last:
            if p[0] == c":":
                name = p + 1
            p += 1
        p = skip_blanks(stop, end)
        if p < end and p[0] == c"(":
            close = <const char *>memchr(p, c")", end - p)
            if close == NULL or after_time(p, close) != NULL:
                return NULL
            arrow = find(p, close, b"<- ", 3)
            if arrow != NULL:
                self.row.returns = 1
                p = arrow - 1
            if close - p > 3 and not (p[1] == c"0" and p[2] == c"x") and not self._is_address(
                    p + 1, close):
                name, last = p + 1, self._symbol_end(p + 1, close)
            p = close + 1
        if self.row.returns and last - name > 8 and memcmp(last - 8, b"__return", 8) == 0:
            last -= 8                   # perf probe's name for FUNCTION%return
        if name == last:
            return NULL
        self.row.function = intern(&self.names, name, last - name)
        return p

    cdef bint _is_address(self, const char *p, const char *end) noexcept nogil:
        cdef int digits = 0
        while p < end and hex_digit(p[0]) >= 0:
            digits += 1
            p += 1
        return digits >= 8 and (p == end or is_blank(p[0]))

    cdef int _chain_line(self, const char *p, const char *at, const char *end) noexcept nogil:
        """Read a call chain's line: "    ffffffff85070e60 __dev_queue_xmit+0x1 ([kernel])"."""
        cdef const char *stop
        if at == p:
            return -1
        stop = skip_token(at, end)
        if self._is_address(at, stop):
            at = skip_blanks(stop, end)
        elif self._is_strange(at, end):
            return LINE_STRANGE
        elif is_hex(at, stop) and skip_blanks(stop, end) < end \
                and is_symbol(skip_blanks(stop, end), end):
            at = skip_blanks(stop, end)         # a short address of a process
        elif is_digit(at[0]) or not is_symbol(at, end):
            return -1
        if at < end and (is_word(at[0]) or at[0] == c"["):
            self._stack_line(at, self._symbol_end(at, end))
            return 0
        return -1


cdef inline bint is_prefixed(const char *p, const char *cpu) noexcept nogil:
    """Whether more stands before the CPU than a process: its name is short, and is not spaced."""
    cdef const char *end = cpu
    while end > p and is_blank((end - 1)[0]):
        end -= 1
    if end > p and (end - 1)[0] == c")":        # "comm-12 (  12)": its group
        while end > p and (end - 1)[0] != c"(":
            end -= 1
        end -= 1
        while end > p and is_blank((end - 1)[0]):
            end -= 1
    while end > p and (is_digit((end - 1)[0]) or (end - 1)[0] == c"/"):
        end -= 1
    while end > p and (is_blank((end - 1)[0]) or (end - 1)[0] == c"-"):
        end -= 1
    if end - p > LONGEST_NAME:
        return True
    while p < end - 1:
        if is_blank(p[0]) and is_blank(p[1]) or p[0] == c"\t":
            return True
        p += 1
    return False


cdef inline const char *word_before(const char *p, const char *start) noexcept nogil:
    """Return where the word that ends before the blanks before `p` begins."""
    while p > start and is_blank((p - 1)[0]):
        p -= 1
    while p > start and not is_blank((p - 1)[0]):
        p -= 1
    return p


cdef class FtraceScanner(EventScanner):
    """Scans ftrace, trace-cmd report, and bpftrace programs that print as they do."""

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        """Look for "comm-12 (tgid) [003] flags 12.345: "."""
        cdef const char *cpu
        cdef const char *word
        cdef const char *stop
        p = after_stamp(p, end)
        if starts(p, end, b"# tracer:", 9):
            return True
        cpu = self._cpu(p, end)
        if cpu == NULL:
            return False
        if starts(cpu, end, b"[LOST ", 6):
            return starts(p, end, b"CPU:", 4)
        if is_prefixed(skip_blanks(p, end), cpu):
            return False
        if is_digit(cpu[0]) and dumped_cpu(p, end) == cpu:
            word = word_before(cpu, p)
            return memchr(word, c"-", skip_token(word, end) - word) != NULL
        if cpu[0] != c"[" or not is_digit(cpu[2]) or not is_digit(cpu[3]):
            return False
        word = word_before(cpu, p)
        if word > p and (word[0] == c"(" or (skip_token(word, end) - 1)[0] == c")"):
            while word > p and word[0] != c"(":
                word -= 1
            word = word_before(word, p)
        stop = skip_token(word, end)
        while stop > word and is_digit((stop - 1)[0]):
            stop -= 1
        if stop == word or (stop - 1)[0] != c"-" or not is_digit(stop[0]):
            return False
        return self._time_follows(cpu, end, 1)

    cdef bint _time_follows(self, const char *cpu, const char *end, int digits) noexcept nogil:
        """Whether a time with so many digits after the point follows, flags may be before it."""
        cdef const char *at = skip_blanks(skip_token(cpu, end), end)
        cdef const char *stop = skip_token(at, end)
        cdef int64_t time = 0
        if stop > at and not is_digit(at[0]):
            at = skip_blanks(stop, end)
            stop = skip_token(at, end)
        return (stop < end and stop - at > digits + 2 and (stop - 1)[0] == c":"
                and read_time(at, stop - 1, &time) and (stop - 1 - digits)[0] != c".")


cdef class PerfScanner(FtraceScanner):
    """Scans perf script."""

    cdef bint _claims(self, const char *p, const char *end) noexcept nogil:
        """Look for "comm 12/13 [003] 12.345678: "."""
        cdef const char *at = self._cpu(p, end)
        cdef const char *word
        cdef const char *stop
        if at == NULL or starts(at, end, b"[LOST ", 6) or is_prefixed(skip_blanks(p, end), at):
            return False
        word = word_before(at, p)
        if word == p:
            return False
        stop = skip_token(word, end)
        while word < stop and (is_digit(word[0]) or word[0] == c"/" or word[0] == c"-"):
            word += 1
        if word < stop:
            return False
        if at[0] == c"[":
            at = skip_blanks(skip_token(at, end), end)
        stop = skip_token(at, end)
        return stop < end and stop - at > 8 and (stop - 1)[0] == c":" \
            and self._six_digits(at, stop - 1)

    cdef bint _six_digits(self, const char *p, const char *end) noexcept nogil:
        cdef const char *point = <const char *>memchr(p, c".", end - p)
        cdef int64_t time
        return point != NULL and end - point >= 7 and read_time(p, end, &time)
