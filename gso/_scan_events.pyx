# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of perf script, ftrace and trace-cmd: one grammar."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memchr, memcmp

from gso._names cimport intern, intern_like
from gso._scan cimport NONE, Scanner
from gso._text cimport (
    find, hex_digit, is_blank, is_digit, is_word, read_number, read_time, skip_blanks, skip_token,
    starts,
)


cdef inline bint is_stack_mark(const char *p, const char *end) noexcept nogil:
    """Whether the line announces the stack of the event before it."""
    return end - p > 13 and memcmp(end - 13, b"<stack trace>", 13) == 0


cdef class EventScanner(Scanner):
    """Scans events of tracers into columns; see `Scanner`."""

    cdef bint _begins(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at
        p = skip_blanks(p, end)
        if p == end or p[0] == c"#" or starts(p, end, b"=>", 2):
            return False
        at = self._cpu(p, end)
        return at != NULL and not starts(at, end, b"[LOST ", 6) and not is_stack_mark(at, end)

    cdef int _scan(self, const char *p, const char *end) noexcept nogil:
        cdef const char *at = skip_blanks(p, end)
        cdef const char *cpu
        cdef int64_t number = 0
        if at[0] == c"#" or starts(at, end, b"Attaching ", 10):
            return 0                    # what tracers say of themselves
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
        self.processes[i] = intern_like(
            &self.names, self.processes[i - 1] if i else NONE, p, name - p)
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
        if self.returns[i] and last - name > 8 and memcmp(last - 8, b"__return", 8) == 0:
            last -= 8                   # perf probe's name for FUNCTION%return
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
