# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The prefixes that tools which pass logs on put before each line.

These are the journal, syslog, the container runtimes' files (CRI), kubectl, docker compose,
``ts``, grep -n and mail. Every line is looked at for itself: a log may have been passed on by
several tools, and only in part. Prefixes of other tools are learned: what stands before an event
stands, but for its numbers, before the lines that belong to it.
"""

from libc.stdint cimport int64_t
from libc.string cimport memchr

from gso.traces._text cimport (
    is_blank, is_digit, is_word, skip_blanks, skip_token, starts,
)

cdef enum:
    MOST_PREFIXES = 6
    NAME_ROOM = 80          # a name before "|" or ":" is no longer


cdef const char *after_prefixes(const char *p, const char *end) noexcept nogil:
    """Return where the text begins that was passed on."""
    cdef const char *rest
    cdef int _count
    if starts(p, end, b"0x", 2):
        return p                        # the pointer with which pwru's lines begin
    for _count in range(MOST_PREFIXES):
        rest = after_one(p, end)
        if rest == NULL:
            return p
        p = rest
    return p


cdef const char *after_one(const char *p, const char *end) noexcept nogil:
    """Return the end of the prefix at `p`, NULL where there is none."""
    cdef char first = p[0] if p < end else 0
    if is_digit(first):
        return after_date_or_number(p, end)
    if first == c">" or first == c"|":
        return after_quote(p, end)
    if first == c"[":
        return after_bracket(p, end)
    if first == c"<":
        return after_priority(p, end)
    if c"A" <= first <= c"Z":
        return after_month(p, end)
    if is_word(first):
        return after_name(p, end)
    if is_blank(first):
        return after_blanks(p, end)
    return NULL


# --- prefixes that are learned ---------------------------------------------------------------

cdef const char *after_prefix(const Prefix *prefix, const char *p, const char *end) noexcept nogil:
    """Return the end of a prefix that differs in its numbers and blanks alone; NULL without it."""
    cdef const char *old = <const char *>prefix.text
    cdef const char *old_end = old + prefix.size
    if not prefix.size:
        return NULL
    if is_blank(old[0]) and p < end and is_digit(p[0]):
        old = skip_blanks(old, old_end)     # the number of a line, with more digits
    while old < old_end:
        if p == end:
            # A line without text: the blank at its end is gone.
            return p if old == old_end - 1 and is_blank(old[0]) else NULL
        if is_digit(old[0]) and is_digit(p[0]):
            old, p = number_end(old, old_end), number_end(p, end)
        elif is_blank(old[0]) and is_blank(p[0]) and old < old_end - 1:
            old, p = skip_blanks(old, old_end), skip_blanks(p, end)
        elif old[0] == p[0]:
            old, p = old + 1, p + 1
        else:
            return NULL
    return p


cdef const char *next_start(const char *p, const char *at, const char *end) noexcept nogil:
    """Return the next place after `at` where text may begin in a line from `p`; NULL without one.

    One blank is part of what stands before it, others may be part of the text.
    """
    while at < end and at - p < LONGEST_PREFIX - 1:
        at += 1
        if at == end:
            return NULL
        if is_blank((at - 1)[0]):
            if at - p < 2 or not is_blank((at - 2)[0]):
                return at
        elif not is_blank(at[0]) and memchr(b":|>;]+=", (at - 1)[0], 7) != NULL:
            return at
    return NULL


# --- parts -------------------------------------------------------------------------------------

cdef bint is_clock(const char *p, const char *end) noexcept nogil:
    """Whether the text begins with "05:17:01"."""
    return (end - p >= 8 and is_digit(p[0]) and is_digit(p[1]) and p[2] == c":" and is_digit(p[3])
            and is_digit(p[4]) and p[5] == c":" and is_digit(p[6]) and is_digit(p[7]))


cdef bint is_date(const char *p, const char *end) noexcept nogil:
    """Whether the text begins with "2026-11-28" or "2026/11/28"."""
    cdef int i
    if end - p < 10 or (p[4] != c"-" and p[4] != c"/") or p[7] != p[4]:
        return False
    for i in range(10):
        if i != 4 and i != 7 and not is_digit(p[i]):
            return False
    return True


cdef const char *after_clock(const char *p, const char *end) noexcept nogil:
    """Return the end of "05:17:01.123+01:00"."""
    p += 8
    if p < end and (p[0] == c"." or p[0] == c","):
        p += 1
        while p < end and is_digit(p[0]):
            p += 1
    if p < end and p[0] == c"Z":
        return p + 1
    if end - p >= 5 and (p[0] == c"+" or p[0] == c"-") and is_digit(p[1]):
        p += 1
        while p < end and (is_digit(p[0]) or p[0] == c":"):
            p += 1
    return p


cdef const char *after_program(const char *p, const char *end) noexcept nogil:
    """Return the end of "host program[12]: ", NULL where there is something else."""
    cdef const char *stop = skip_token(p, end)
    cdef const char *program
    if stop == p or p[0] == c"#" or (stop - 1)[0] == c":" or stop >= end:
        return NULL
    program = skip_blanks(stop, end)
    stop = skip_token(program, end)
    if stop - program < 2 or (stop - 1)[0] != c":" or not is_name(program, stop - 1):
        return NULL
    return skip_blank(stop, end)


cdef bint is_name(const char *p, const char *end) noexcept nogil:
    """Whether this is a program, with or without its number in brackets."""
    while p < end and (is_word(p[0]) or p[0] in (c"-", c"/", c"@", c"[", c"]", c"(", c")")):
        p += 1
    return p == end


cdef const char *skip_blank(const char *p, const char *end) noexcept nogil:
    """Pass over one blank: those after it may be part of the line."""
    return p + 1 if p < end and is_blank(p[0]) else p


cdef const char *number_end(const char *p, const char *end) noexcept nogil:
    while p < end and is_digit(p[0]):
        p += 1
    return p


# --- prefixes, by their first character ----------------------------------------------------------

cdef const char *after_date_or_number(const char *p, const char *end) noexcept nogil:
    cdef const char *stop
    if is_date(p, end):
        return after_date(p, end)
    if is_clock(p, end):
        stop = after_clock(p, end)
        if stop == end or not is_blank(stop[0]) or starts(skip_blanks(stop, end), end, b"0x", 2):
            return NULL                 # the clock of pwru
        return skip_blank(stop, end)
    stop = after_record(p, end)
    if stop != NULL:
        return stop
    # grep -n and cat -n: the number of the line.
    stop = number_end(p, end)
    if stop == end or stop - p > 9:
        return NULL
    if stop[0] == c"\t":
        return stop + 1
    if (stop[0] == c":" or stop[0] == c"-") and end - stop > 1 \
            and (not is_digit(stop[1]) or starts(stop + 1, end, b"0x", 2)):
        return stop + 1
    return NULL


cdef const char *after_record(const char *p, const char *end) noexcept nogil:
    """Read "4,1000,812123460,-;" of /dev/kmsg; netconsole has the release before it."""
    cdef const char *stop = number_end(p, end)
    cdef int _number
    if stop < end and stop[0] == c".":
        stop = <const char *>memchr(p, c",", min(end - p, NAME_ROOM))
        if stop == NULL:
            return NULL
        p = stop + 1
        stop = number_end(p, end)
    for _number in range(3):
        if stop == p or stop == end or stop[0] != c",":
            return NULL
        p = stop + 1
        stop = number_end(p, end)
    stop = <const char *>memchr(p, c";", min(end - p, NAME_ROOM))
    return stop + 1 if stop != NULL else NULL


cdef const char *after_date(const char *p, const char *end) noexcept nogil:
    """Read "2026-11-28T05:17:01.123Z" and what the journal, syslog or CRI have after it."""
    cdef const char *stop = p + 10
    cdef const char *rest
    if stop < end and (stop[0] == c"T" or stop[0] == c" ") and is_clock(stop + 1, end):
        stop = after_clock(stop + 1, end)
    if stop == end or not is_blank(stop[0]):
        return NULL
    rest = skip_blanks(stop, end)
    if starts(rest, end, b"0x", 2):
        return NULL                     # it is part of the event: pwru prints such times
    if (starts(rest, end, b"stdout ", 7) or starts(rest, end, b"stderr ", 7)) and end - rest > 9 \
            and rest[8] == c" ":
        return rest + 9
    rest = after_program(rest, end)
    return rest if rest != NULL else skip_blank(stop, end)


cdef const char *after_quote(const char *p, const char *end) noexcept nogil:
    """Read the quotation marks of mail."""
    while p < end and (p[0] == c">" or p[0] == c"|"):
        p = skip_blank(p + 1, end)
    return p


cdef const char *after_bracket(const char *p, const char *end) noexcept nogil:
    """Read "[pod/name/container] ", "[2026-11-28 05:17:01] "."""
    cdef const char *close
    if not starts(p, end, b"[pod/", 5) and not is_date(p + 1, end):
        return NULL
    close = <const char *>memchr(p, c"]", end - p)
    return skip_blank(close + 1, end) if close != NULL else NULL


cdef const char *after_priority(const char *p, const char *end) noexcept nogil:
    """Read "<4>", the priority of a message; RFC 5424 has a version and six words after it."""
    cdef const char *stop = number_end(p + 1, end)
    cdef int _word
    if stop == p + 1 or stop - p > 4 or stop == end or stop[0] != c">":
        return NULL
    p = stop + 1
    if end - p < 2 or p[0] != c"1" or p[1] != c" " or not is_date(p + 2, end):
        return p
    p += 2
    for _word in range(6):
        p = skip_blanks(skip_token(p, end), end)
    return p


cdef const char *after_month(const char *p, const char *end) noexcept nogil:
    """Read "Nov 28 05:17:01 host program[12]: ", without host and program, and other orders."""
    cdef const char *at = p
    cdef const char *stop
    cdef const char *rest
    cdef int _word
    if end - p < 4 or p[3] != c" " and p[3] != c",":
        return after_name(p, end)
    # Some put the day of the week before the month, and some the year.
    for _word in range(5):
        stop = skip_token(at, end)
        if is_clock(at, end):
            break
        if stop - at > 4 and not is_date(at, stop):
            return after_name(p, end)
        at = skip_blanks(stop, end)
    else:
        return after_name(p, end)
    at = after_clock(at, end)
    rest = skip_blanks(at, end)
    if end - rest > 4 and rest[4] == c" " and rest[0] == c"2" and is_digit(rest[1]):
        rest = skip_blanks(rest + 4, end)       # the year
    stop = after_program(rest, end)
    if stop == NULL and starts(rest, end, b"UTC ", 4):
        stop = after_program(rest + 4, end)
    return stop if stop != NULL else skip_blank(at, end)


cdef const char *after_blanks(const char *p, const char *end) noexcept nogil:
    """Read "    12\t" of cat -n."""
    p = skip_blanks(p, end)
    if p == end or not is_digit(p[0]):
        return NULL
    p = number_end(p, end)
    return p + 1 if p < end and p[0] == c"\t" else NULL


cdef const char *after_name(const char *p, const char *end) noexcept nogil:
    """Read "name-1  | " of docker compose, "kernel: ", and "name.log:12:" of grep -n."""
    cdef const char *stop = p
    cdef const char *rest
    cdef int64_t size = min(end - p, NAME_ROOM)
    while stop < p + size and (is_word(stop[0]) or stop[0] == c"-"):
        stop += 1
    if starts(p, end, b"kernel: ", 8):
        return p + 8
    if stop > p and stop < end and stop[0] == c":" and end - stop > 1 and is_digit(stop[1]):
        rest = number_end(stop + 1, end)
        if end - rest > 1 and rest[0] == c":" and rest - stop < 10:
            return rest + 1
    rest = skip_blanks(stop, end)
    if rest == stop or end - rest < 2 or rest[0] != c"|" or rest[1] != c" ":
        return NULL
    return rest + 2
