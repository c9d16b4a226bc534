# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Several short byte strings looked for in a block at once.

One byte is found at memory speed, a string of several is not. Each is found by the byte of it that
logs have least.
"""

from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp, memset

cdef enum:
    MOST_MARKS = 64

cdef struct mark:
    const uint8_t *text
    Py_ssize_t size
    Py_ssize_t at           # of the byte by which it is found

_RARE = b'"&<\\^#\r\b\f\v\0\x1b'


cdef class Marks:
    """Byte strings, none of them empty, that :meth:`are_in` looks for."""

    cdef tuple kept
    cdef mark[MOST_MARKS] marks     # those that are found by one byte are in a row
    cdef int n

    def __cinit__(self, *marks):
        cdef const uint8_t[::1] text
        if len(marks) > MOST_MARKS or not all(marks):
            raise ValueError(f"at most {MOST_MARKS} marks, none empty, not {marks!r}")
        self.kept = tuple(sorted(map(bytes, marks), key=_found_by))
        for one in self.kept:
            text = one
            self.marks[self.n] = mark(&text[0], len(one), one.index(_found_by(one)))
            self.n += 1

    def are_in(self, const uint8_t[::1] block not None):
        """Whether one of them is in the block."""
        cdef Py_ssize_t size = block.shape[0]
        cdef int first = 0, end
        cdef bint found = False
        if size == 0:
            return False
        with nogil:
            while first < self.n and not found:
                end = first + 1
                while end < self.n and byte_of(&self.marks[end]) == byte_of(&self.marks[first]):
                    end += 1
                found = one_is_in(&block[0], size, &self.marks[first], end - first)
                first = end
        return found


def _found_by(one):
    """The byte by which a mark is found: the first that is rare in logs, or the first at all."""
    rare = [byte for byte in one if byte in _RARE or byte >= 0x80]
    return (rare or one)[0]


cdef inline uint8_t byte_of(const mark *one) noexcept nogil:
    return one.text[one.at]


cdef void beside(const mark *marks, int n, uint8_t *before, uint8_t *after) noexcept nogil:
    """Note which bytes stand before and after those by which the marks are found."""
    cdef const mark *one
    cdef int k
    memset(before, 0, 256)
    memset(after, 0, 256)
    for k in range(n):
        one = &marks[k]
        if one.at:
            before[one.text[one.at - 1]] = 1
        else:
            memset(before, 1, 256)
        if one.at + 1 < one.size:
            after[one.text[one.at + 1]] = 1
        else:
            memset(after, 1, 256)


cdef bint one_is_in(
    const uint8_t *block, Py_ssize_t size, const mark *marks, int n
) noexcept nogil:
    """Whether one of the marks, all of which are found by the same byte, is in the block."""
    cdef uint8_t[256] before
    cdef uint8_t[256] after
    cdef const uint8_t *end = block + size
    cdef const uint8_t *at = block - 1
    cdef const mark *one
    cdef int k
    beside(marks, n, before, after)
    while at + 1 < end:
        at = <const uint8_t *>memchr(at + 1, byte_of(&marks[0]), end - at - 1)
        if at is NULL:
            return False
        if at > block and not before[at[-1]] or at + 1 < end and not after[at[1]]:
            continue
        for k in range(n):
            one = &marks[k]
            if at - block < one.at or end - at < one.size - one.at:
                continue
            if at[-one.at] == one.text[0] and memcmp(at - one.at, one.text, one.size) == 0:
                return True
    return False
