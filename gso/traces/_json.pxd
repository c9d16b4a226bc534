"""Functions that walk over JSON (RFC 8259) in place; they return NULL where the text is no JSON.

`end` is the byte after the last that may be read. Bytes that are no UTF-8 are passed over as they
are; they have to be replaced before they are shown.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from gso.traces._text cimport hex_digit, is_digit

cdef enum:
    DEEPEST = 64            # levels of objects and arrays; `skip_value` has a bit for each


cdef inline const char *skip_white(const char *p, const char *end) noexcept nogil:
    while p < end and p[0] in (c" ", c"\t", c"\r", c"\n"):
        p += 1
    return p


cdef inline int64_t hex4(const char *p, const char *end) noexcept nogil:
    """Return the value of four hexadecimal digits, -1 if there are others."""
    cdef int64_t total = 0
    cdef int i, digit
    if end - p < 4:
        return -1
    for i in range(4):
        digit = hex_digit(p[i])
        if digit < 0:
            return -1
        total = total << 4 | digit
    return total


cdef inline const char *skip_string(const char *p, const char *end, bint *escaped) noexcept nogil:
    """Return the end of the string at `p`, and tell whether it has escapes."""
    escaped[0] = False
    if p >= end or p[0] != c'"':
        return NULL
    p += 1
    while p < end:
        if p[0] == c'"':
            return p + 1
        if <uint8_t>p[0] < 0x20:
            return NULL
        if p[0] == c"\\":
            escaped[0] = True
            p += 1
            if p == end:
                return NULL
            if p[0] == c"u":
                if hex4(p + 1, end) < 0:
                    return NULL
                p += 4
            elif p[0] not in (c'"', c"\\", c"/", c"b", c"f", c"n", c"r", c"t"):
                return NULL
        p += 1
    return NULL


cdef inline const char *skip_digits(const char *p, const char *end) noexcept nogil:
    """Return the end of one digit or more."""
    cdef const char *start = p
    while p < end and is_digit(p[0]):
        p += 1
    return p if p > start else NULL


cdef inline const char *skip_number(const char *p, const char *end) noexcept nogil:
    if p < end and p[0] == c"-":
        p += 1
    p = p + 1 if p < end and p[0] == c"0" else skip_digits(p, end)
    if p != NULL and p < end and p[0] == c".":
        p = skip_digits(p + 1, end)
    if p != NULL and p < end and (p[0] | 0x20) == c"e":
        p += 1
        if p < end and (p[0] == c"+" or p[0] == c"-"):
            p += 1
        p = skip_digits(p, end)
    return p


cdef inline const char *skip_literal(const char *p, const char *end, const char *word,
                                     int64_t size) noexcept nogil:
    cdef int64_t i
    if end - p < size:
        return NULL
    for i in range(size):
        if p[i] != word[i]:
            return NULL
    return p + size


cdef inline const char *skip_scalar(const char *p, const char *end) noexcept nogil:
    """Return the end of a value that is neither an object nor an array."""
    cdef bint escaped
    if p == end:
        return NULL
    if p[0] == c'"':
        return skip_string(p, end, &escaped)
    if p[0] == c"t":
        return skip_literal(p, end, b"true", 4)
    if p[0] == c"f":
        return skip_literal(p, end, b"false", 5)
    if p[0] == c"n":
        return skip_literal(p, end, b"null", 4)
    return skip_number(p, end)


cdef inline const char *skip_name(const char *p, const char *end) noexcept nogil:
    """Return the end of the name of an object's member and its colon."""
    cdef bint escaped
    p = skip_string(skip_white(p, end), end, &escaped)
    if p == NULL:
        return NULL
    p = skip_white(p, end)
    return p + 1 if p < end and p[0] == c":" else NULL


cdef inline const char *skip_value(const char *p, const char *end) noexcept nogil:
    """Return the end of the value at `p`, of any type."""
    cdef uint64_t objects = 0       # a bit for each level: whether it is an object
    cdef int depth = 0
    cdef char close
    while True:
        p = skip_white(p, end)
        if p < end and (p[0] == c"{" or p[0] == c"["):
            if depth == DEEPEST:
                return NULL
            objects = objects << 1 | (p[0] == c"{")
            depth += 1
            p = skip_white(p + 1, end)
            if p == end or p[0] != (c"}" if objects & 1 else c"]"):
                if objects & 1:
                    p = skip_name(p, end)
                if p == NULL:
                    return NULL
                continue                # to its first value
        else:
            p = skip_scalar(p, end)
        while True:                     # after a value, or at the end of an empty level
            if p == NULL or depth == 0:
                return p
            p = skip_white(p, end)
            if p == end:
                return NULL
            close = c"}" if objects & 1 else c"]"
            if p[0] == c",":
                p = skip_name(p + 1, end) if objects & 1 else p + 1
                if p == NULL:
                    return NULL
                break
            if p[0] != close:
                return NULL
            p += 1
            objects >>= 1
            depth -= 1


cdef inline char *put_utf8(char *to, uint32_t code) noexcept nogil:
    if code < 0x80:
        to[0] = <char>code
        return to + 1
    if code < 0x800:
        to[0] = <char>(0xc0 | code >> 6)
        to[1] = <char>(0x80 | code & 0x3f)
        return to + 2
    if code < 0x10000:
        to[0] = <char>(0xe0 | code >> 12)
        to[1] = <char>(0x80 | code >> 6 & 0x3f)
        to[2] = <char>(0x80 | code & 0x3f)
        return to + 3
    to[0] = <char>(0xf0 | code >> 18)
    to[1] = <char>(0x80 | code >> 12 & 0x3f)
    to[2] = <char>(0x80 | code >> 6 & 0x3f)
    to[3] = <char>(0x80 | code & 0x3f)
    return to + 4


cdef inline int64_t unescape(const char *p, const char *end, char *to) noexcept nogil:
    """Write the text between a string's quotes as UTF-8; return how many bytes it has.

    They are never more than those of the string, which `skip_string` has to have found right. Half
    of a surrogate pair becomes U+FFFD.
    """
    cdef const char *start = to
    cdef int64_t code, low
    while p < end:
        if p[0] != c"\\":
            to[0] = p[0]
            to += 1
            p += 1
            continue
        p += 1
        if p[0] != c"u":
            to[0] = (c"\n" if p[0] == c"n" else c"\t" if p[0] == c"t" else c"\r" if p[0] == c"r"
                     else c"\b" if p[0] == c"b" else c"\f" if p[0] == c"f" else p[0])
            to += 1
            p += 1
            continue
        code = hex4(p + 1, end)
        p += 5
        if 0xd800 <= code < 0xdc00 and end - p >= 6 and p[0] == c"\\" and p[1] == c"u":
            low = hex4(p + 2, end)
            if 0xdc00 <= low < 0xe000:
                code = 0x10000 + ((code - 0xd800) << 10) + low - 0xdc00
                p += 6
        if 0xd800 <= code < 0xe000:
            code = 0xfffd
        to = put_utf8(to, <uint32_t>code)
    return to - start
