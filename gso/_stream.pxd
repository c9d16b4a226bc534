"""Output past the caches, in whole cache lines.

A streaming store is only cheaper than an ordinary one where a whole line is written at once: a part
of a line makes the processor fetch the line after all. Segments begin and end anywhere, so the
lines with a header in them, and with the ends of the payloads around it, are put together in a slot.
A slot is written only when the others have been filled: reading what was just stored, in larger
pieces, would wait for all stores before it.
"""

from libc.stdint cimport uint8_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from gso._checksum cimport behind, simd

cdef enum:
    LINE = 64
    STREAM_ROOM = 320   # the longest header that may be put in front of a payload
    SLOTS = 4

cdef struct slot:
    uint8_t *at             # where its first byte goes
    Py_ssize_t n            # bytes
    uint8_t bytes[LINE + STREAM_ROOM + LINE]

cdef struct stream:
    int now                 # the slot that is being filled
    Py_ssize_t lines        # bytes of the payload that went straight to memory
    slot slots[SLOTS]


cdef inline Py_ssize_t to_line(const uint8_t *p) noexcept nogil:
    """Bytes from p to the next line."""
    return <Py_ssize_t>(-<uintptr_t>p & (LINE - 1))


cdef inline void stream_begin(stream *s) noexcept nogil:
    cdef int i
    s.now = 0
    for i in range(SLOTS):
        s.slots[i].n = 0
    s.slots[0].at = NULL


cdef inline void write_slot(slot *one) noexcept nogil:
    """Write what is in it, and leave it empty."""
    # Nothing but the very first and the last bytes of an output share a line with something else
    cdef Py_ssize_t before = min(to_line(one.at), one.n)
    cdef Py_ssize_t whole = (one.n - before) & ~(LINE - 1)
    memcpy(one.at, one.bytes, before)
    if whole:
        simd.stream_sum(one.at + before, one.bytes + before, whole)
    memcpy(one.at + before + whole, one.bytes + before + whole, one.n - before - whole)
    one.n = 0


cdef inline void stream_settle(stream *s) noexcept nogil:
    """Write all that is waiting."""
    cdef int i
    for i in range(SLOTS):
        write_slot(&s.slots[i])


cdef inline void stream_move(stream *s, uint8_t *out) noexcept nogil:
    """Go on at `out`."""
    if s.slots[s.now].at + s.slots[s.now].n != out:
        stream_settle(s)
        s.slots[s.now].at = out


cdef inline uint64_t stream_payload(
    stream *s, Py_ssize_t hlen, const uint8_t *src, Py_ssize_t n
) noexcept nogil:
    """Write n bytes behind a header of hlen bytes, which is yet to be put at stream_head().

    Returns their sum.
    """
    cdef slot *one = &s.slots[s.now]
    cdef slot *following = &s.slots[(s.now + 1) % SLOTS]
    cdef Py_ssize_t begin = one.n + hlen
    cdef Py_ssize_t first = min(to_line(one.at + begin), n)
    cdef Py_ssize_t rest
    cdef uint64_t total
    s.lines = (n - first) & ~(LINE - 1)
    rest = n - first - s.lines
    write_slot(following)
    total = simd.stream_sum(one.at + begin + first, src + first, s.lines)
    total += simd.copy_sum(following.bytes, src + first + s.lines, rest)
    following.at = one.at + begin + first + s.lines
    following.n = rest
    return simd.copy_sum(one.bytes + begin, src, first) + behind(total, first)


cdef inline uint8_t *stream_head(stream *s) noexcept nogil:
    """Where the header is put."""
    return s.slots[s.now].bytes + s.slots[s.now].n


cdef inline void stream_next(stream *s) noexcept nogil:
    """The header is there."""
    cdef slot *one = &s.slots[s.now]
    s.now = (s.now + 1) % SLOTS
    one.n = s.slots[s.now].at - s.lines - one.at
    if to_line(s.slots[s.now].at):
        # A payload too short to reach the end of a line
        stream_settle(s)
