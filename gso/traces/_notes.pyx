# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Lines of a log that are no events and whose loss costs nothing.

They are what tracers say of their own progress, prompts and fences that are pasted along, and the
kernel's messages of other matters.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memchr, memcpy

from gso.traces._text cimport (
    find, is_blank, is_digit, is_word, read_time, skip_blanks, skip_token, starts,
)

cdef enum:
    LONGEST_STAMP = 64      # with its brackets

cdef struct Word:
    char[40] text
    int64_t size

cdef Word[64] WORDS
cdef int words = 0


def _add_words():
    global words
    for word in (
        # pwru
        *("Attaching ", "Attached ", "Detaching ", "Listening for events", "Per cpu buffer size:"),
        *("Received signal, exiting", "Printed ", "Probing ", "Kprobe"),
        *("Use multi-kprobes", "Attach"),
        # perf, trace-cmd, ftrace
        *("[ perf record:", "cpus=", "version = ", "CPU 0 is empty", "CPU 1 is empty"),
        # the journal
        *("-- Logs begin", "-- Journal begins", "-- Boot ", "-- Reboot --", "-- No entries --"),
        *("-- cursor:",),
        # people and their terminals
        *("```", "~~~", "$ ", "# ", "#\t", "^C", "root@", "sudo ", "[sudo] ", "~# ", "~$ "),
        *("Script started on ", "Script done on ", "[-- MARK -- ", "--More--", "(END)", "==> "),
        *("Connected to domain ", "Escape character is "),
        # fences of bug trackers, continuous integration and diff
        *("{noformat", "{code", "[code", "[/code", "<details", "</details", "<summary"),
        *("#+begin_", "#+end_", "##[", "::group::", "::endgroup::"),
        *("diff --git ", "@@ -", "+++ ", "--- ", "index ", "new file mode "),
    ):
        text = word.encode()
        memcpy(WORDS[words].text, <const char *>text, len(text))
        WORDS[words].size = len(text)
        words += 1


_add_words()


cdef bint is_note(const char *p, const char *end) noexcept nogil:
    """Whether the line is no event for sure."""
    cdef int i
    if find(p, end, b"#012", 4) != NULL:
        return False                    # several lines, as syslog writes them
    p = skip_blanks(p, end)
    for i in range(words):
        if starts(p, end, WORDS[i].text, WORDS[i].size):
            return True
    return is_prompt(p, end) or has_no_word(p, end) or find(p, end, b"[-----", 6) != NULL \
        or is_message(p, end)


cdef bint has_no_word(const char *p, const char *end) noexcept nogil:
    """Whether there are only marks, such as brackets and lines of "-"."""
    while p < end:
        if (is_word(p[0]) and p[0] != c"." and p[0] != c"_") or <uint8_t>p[0] >= 0x80 \
                or p[0] == c"%":
            return False
        p += 1
    return True


cdef bint is_prompt(const char *p, const char *end) noexcept nogil:
    """Whether the line begins with "user@host:~$ "."""
    cdef const char *at = <const char *>memchr(p, c"@", min(end - p, 40))
    if at == NULL:
        return False
    while p < at:
        if not is_word(p[0]) and p[0] != c"-" and p[0] != c"[":
            return False
        p += 1
    while at < end and not is_blank(at[0]):
        at += 1
    return (at - 1)[0] in (c"$", c"#", c"%", c">") or end - at > 1 and at[1] == c"~"


cdef bint is_flow(const char *p, const char *end) noexcept nogil:
    """Whether tcpdump or hubble says a packet's ends: "IP 192.0.2.1.80 > ", "pod:80 (ID:7) -> "."""
    cdef const char *stop = skip_token(p, end)
    if starts(p, end, b"IP ", 3) or starts(p, end, b"IP6 ", 4):
        stop = skip_token(stop + 1, end)
        return starts(stop, end, b" > ", 3)
    if starts(p, end, b": ", 2):        # hubble has it behind the time
        stop = skip_token(p + 2, end)
    if not starts(stop, end, b" (", 2):
        return False
    stop = <const char *>memchr(stop, c")", end - stop)
    return stop != NULL and (starts(stop, end, b") -> ", 5) or starts(stop, end, b") <> ", 5)
                             or starts(stop, end, b") <- ", 5))


cdef bint is_expression(const char *p, const char *end) noexcept nogil:
    """Whether drgn is asked for something: ">>> skb_shinfo(skb)"; a quoted event has more words."""
    if not starts(p, end, b">>> ", 4) or end - p < 5 or not c"a" <= (p[4] | 0x20) <= c"z":
        return False
    return skip_token(p + 4, end) == end and memchr(p, c"=", end - p) == NULL


cdef const char *after_stamp(const char *p, const char *end) noexcept nogil:
    """Return where the text of the kernel's message begins, `p` where this is none."""
    if p == end or p[0] != c"[" or not is_message(p, end):
        return p
    p = <const char *>memchr(p, c"]", end - p) + 1
    return p + 1 if p < end and p[0] == c" " else p


cdef bint is_message(const char *p, const char *end) noexcept nogil:
    """Whether this is a message of the kernel: "[  812.123456] text"."""
    cdef int64_t time
    cdef const char *close
    cdef const char *stop
    if p == end or p[0] != c"[":
        return False
    close = <const char *>memchr(p, c"]", min(end - p, LONGEST_STAMP))
    if close == NULL:
        return False
    p = skip_blanks(p + 1, close)
    # dmesg --show-delta: "[  812.123456 <    0.000003>]"; -H: "[Nov28 05:17]", "[  +0.000003]"
    stop = skip_token(p, close)
    if p < stop and p[0] == c"+":
        p += 1
    elif close - p == 11 and p[5] == c" " and p[8] == c":":
        return is_digit(p[4]) and is_digit(p[7]) and is_digit(p[10])
    if read_time(p, stop, &time) and (stop == close or starts(skip_blanks(stop, close), close,
                                                              b"<", 1)):
        return True
    # dmesg -T: "[Sat Nov 28 05:17:01 2026]"
    return close - p == 24 and is_digit(p[11]) and p[13] == c":" and p[16] == c":"
