"""Lines of the kernel's log: where each ends, and what it is about."""

from libc.stdint cimport int64_t
from libc.string cimport memchr

from gso.traces._kernel_words cimport function_in
from gso.traces._notes cimport is_message
from gso.traces._text cimport find, is_blank, is_word, skip_blanks, starts

cdef enum:
    WINDOW = 256        # bytes of a line in which one mark after the other is looked for

# The order in which a dump's lines are printed.
cdef enum Part:
    PART_NONE           # it is no such line
    PART_MAC, PART_SHINFO, PART_CSUM, PART_HASH, PART_PRIORITY, PART_INNER, PART_DEVICE
    PART_END


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


cdef inline bint has_next(const char *p, const char *end) noexcept nogil:
    """Whether another line of the kernel begins after `p`: the one that begins there was cut."""
    return (find(p, end, b"skb len=", 8) != NULL or part_of(p, end) != PART_NONE
            or has_message(p, end))


cdef inline bint is_cut(const char *p, const char *mark, const char *end) noexcept nogil:
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
