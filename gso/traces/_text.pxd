"""Words and numbers in text; `end` is the byte after the last that may be read."""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

cdef extern from "token.h" nogil:
    const signed char[256] DIGITS "gso_digits"
    const char *skip_token "gso_token_end"(const char *p, const char *end)
    const char *skip_key "gso_key_end"(const char *p, const char *end)
    const char *skip_blanks "gso_blanks_end"(const char *p, const char *end)
    uint32_t hash_text "gso_hash"(const char *p, int64_t size, uint64_t key)
    uint64_t random_key "gso_random_key"()
    int64_t shared "gso_shared"(const char *a, const char *b, int64_t size)
    int64_t hex_digits_8 "gso_hex8"(const char *p)
    bint same_text "gso_same"(const char *a, const char *b, int64_t size)


cdef inline bint is_blank(char c) noexcept nogil:
    return c == c" " or c == c"\t"


cdef inline bint is_digit(char c) noexcept nogil:
    return c"0" <= c <= c"9"


cdef inline int hex_digit(char c) noexcept nogil:
    return DIGITS[<uint8_t>c]


cdef inline bint is_word(char c) noexcept nogil:
    return is_digit(c) or c"a" <= (c | 0x20) <= c"z" or c == c"_" or c == c"."


cdef inline bint starts(const char *p, const char *end, const char *word,
                        int64_t size) noexcept nogil:
    return end - p >= size and memcmp(p, word, size) == 0


cdef inline const char *find(const char *p, const char *end, const char *word,
                             int64_t size) noexcept nogil:
    """Return where the word ends in the text; NULL if it is not there."""
    cdef const char *at = p
    while end - at >= size:
        at = <const char *>memchr(at, word[0], end - at - size + 1)
        if at == NULL:
            return NULL
        if memcmp(at, word, size) == 0:
            return at + size
        at += 1
    return NULL


cdef inline bint read_number(const char *p, const char *end, int base,
                             int64_t *value) noexcept nogil:
    """Read the number at `p`; a C type in parentheses, a sign and 0x may stand before it.

    Returns False if there is none, or if it has more digits than 64 bits hold.
    """
    cdef bint negative = False
    cdef uint64_t total = 0
    cdef int64_t eight
    cdef int digit, digits = 0
    if p < end and p[0] == c"(":
        p = <const char *>memchr(p, c")", end - p)
        if p == NULL:
            return False
        p = skip_blanks(p + 1, end)
    if p < end and (p[0] == c"-" or p[0] == c"+"):
        negative = p[0] == c"-"
        p += 1
    if end - p > 2 and p[0] == c"0" and (p[1] | 0x20) == c"x":
        base = 16
        p += 2
    if base == 16:
        while end - p >= 8 and digits < 16:
            eight = hex_digits_8(p)
            if eight < 0:
                break
            digits += 8
            total = total << 32 | <uint64_t>eight
            p += 8
        while p < end:
            digit = hex_digit(p[0])
            if digit < 0:
                break
            digits += 1
            total = total << 4 | <uint64_t>digit
            p += 1
    else:
        while p < end and is_digit(p[0]):
            digits += 1
            total = total * 10 + <uint64_t>(p[0] - c"0")
            p += 1
        # A negative number printed unsigned has 20 digits; any that is larger has wrapped round.
        if digits == 20 and (p - 20)[0] == c"1" and total >> 63:
            digits = 19
    if digits > (16 if base == 16 else 19):
        return False
    if not digits or (p < end and is_word(p[0])):
        return False
    value[0] = <int64_t>(0 - total if negative else total)
    return True


cdef inline bint read_decimal(const char *p, const char *end, int64_t *whole,
                              int64_t *part) noexcept nogil:
    """Read 79090.376151 as 79090 and 376151000 billionths; False for others."""
    cdef int digits = 0
    whole[0] = part[0] = 0
    while p < end and is_digit(p[0]) and digits < 18:
        whole[0] = whole[0] * 10 + (p[0] - c"0")
        digits += 1
        p += 1
    if not digits or p == end or p[0] != c".":
        return False
    p += 1
    digits = 0
    while p < end and is_digit(p[0]) and digits < 9:
        part[0] = part[0] * 10 + (p[0] - c"0")
        digits += 1
        p += 1
    if not digits or p != end:
        return False
    while digits < 9:
        part[0] *= 10
        digits += 1
    return True


cdef inline bint read_time(const char *p, const char *end, int64_t *value,
                           int64_t unit=1000000000) noexcept nogil:
    """Read a time with a fraction, in units of so many nanoseconds; False for others.

    One that 63 bits do not hold becomes INT64_MIN: it is a time, but unknown.
    """
    cdef int64_t whole, part
    if not read_decimal(p, end, &whole, &part):
        return False
    value[0] = INT64_MIN
    if whole < INT64_MAX // unit:
        value[0] = whole * unit + part // (1000000000 // unit)
    return True


cdef inline int64_t read_clock(const char *p, const char *end) noexcept nogil:
    """Return a time of day in nanoseconds, INT64_MIN for other text.

    It is "13:05:01.123", or has a date and "T" before that.
    """
    cdef const char *t = <const char *>memchr(p, c"T", end - p)
    cdef int64_t fraction = 0, scale = 100000000, seconds
    cdef int i
    if t != NULL:
        p = t + 1
    if end - p < 8 or p[2] != c":" or p[5] != c":":
        return INT64_MIN
    for i in range(8):
        if i % 3 != 2 and not is_digit(p[i]):
            return INT64_MIN
    seconds = ((p[0] - c"0") * 10 + p[1] - c"0") * 3600 \
        + ((p[3] - c"0") * 10 + p[4] - c"0") * 60 + (p[6] - c"0") * 10 + p[7] - c"0"
    p += 8
    if p < end and (p[0] == c"." or p[0] == c","):
        p += 1
        while p < end and is_digit(p[0]):
            fraction += (p[0] - c"0") * scale
            scale //= 10
            p += 1
    if p < end and p[0] not in (c"Z", c"+", c"-"):
        return INT64_MIN                # no zone follows: the line was cut there
    return seconds * 1000000000 + fraction


cdef inline int64_t host_order(int64_t value) noexcept nogil:
    """Return an Ethernet type in host order; some tools print it in network order."""
    if value == 0x0008 or value == 0xdd86 or value == 0x0608 or value == 0x5865:
        return (value & 0xff) << 8 | value >> 8
    return value


cdef inline bint is_bare(const char *key_end, const char *end) noexcept nogil:
    """Whether a word is no key with a value; `key_end` is its first blank, "=" or ":"."""
    return key_end == end or is_blank(key_end[0]) or (
        key_end[0] == c":" and (end - key_end < 2 or key_end[1] != c" "))


cdef inline const char *value_of(const char *p, const char *end, const char **value,
                                 const char **stop, bint listed) noexcept nogil:
    """Find the value at `p` without its quotes; return its end, NULL if it is cut off.

    `listed` says whether it stands behind "name: ", where a comma ends it wherever it stands.
    """
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
    if listed:
        stop[0] = <const char *>memchr(value[0], c",", p - value[0])
        if stop[0] != NULL:
            return stop[0] + 1
        stop[0] = p
    while stop[0] > value[0] and ((stop[0] - 1)[0] == c"," or (stop[0] - 1)[0] == c";"):
        stop[0] -= 1
    return p
