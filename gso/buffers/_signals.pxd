"""Signals during long work, which Python's own loop would look for: Ctrl-C ends it soon.

Work is counted in bytes of memory that are read or written. Once some milliseconds of it are done,
compiled loops look whether a signal came. Little work never looks, so it pays nothing.
"""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from "Python.h":
    int PyErr_CheckSignals() except -1

cdef enum:
    PIECE = 1 << 25         # bytes between two looks: 3 to 10 ms
    FRAME_WORK = 1000       # bytes that take as long to copy as a frame takes to plan
    SEGMENT_WORK = 100      # or a segment's headers to write
    RELEASE_GIL = 1 << 17   # bytes from which releasing the GIL pays

ctypedef uint64_t (*summer)(const uint8_t *src, size_t n) noexcept nogil


cdef inline int check_signals(const bint *stop=NULL) except -1 nogil:
    """Run the handlers of signals that came, and raise what they raise.

    Only the main thread runs handlers. It tells threads that work for it by `stop`.
    """
    with gil:
        if stop is not NULL and stop[0]:
            raise KeyboardInterrupt
        return PyErr_CheckSignals()


cdef inline Py_ssize_t span_piece_end(
    const int64_t *starts, const int64_t *ends, Py_ssize_t begin, Py_ssize_t n
) noexcept nogil:
    """Up to which of `n` frames the work from `begin` on is one piece; at least one frame."""
    cdef Py_ssize_t least = min(begin + 1, n), most = min(begin + PIECE // FRAME_WORK, n), middle
    while least < most:
        middle = (least + most + 1) // 2
        if ends[middle - 1] - starts[begin] + (middle - begin) * FRAME_WORK <= PIECE:
            least = middle
        else:
            most = middle - 1
    return least


cdef inline Py_ssize_t piece_end(
    const int64_t *off, Py_ssize_t begin, Py_ssize_t n
) noexcept nogil:
    """The same for frames that follow one another, with an offset more than there are frames."""
    return span_piece_end(off, off + 1, begin, n)


cdef inline int add_sum(
    uint64_t *total, summer sum, const uint8_t *src, Py_ssize_t n, const bint *stop=NULL
) except -1 nogil:
    """Add the sum of bytes, however many."""
    while n > PIECE:
        total[0] += sum(src, PIECE)
        src += PIECE
        n -= PIECE
        check_signals(stop)
    total[0] += sum(src, n)
    return 0


cdef inline int copy_bytes(
    uint8_t *to, const uint8_t *src, Py_ssize_t n, const bint *stop=NULL
) except -1 nogil:
    """Copy bytes, however many."""
    while n > PIECE:
        memcpy(to, src, PIECE)
        to += PIECE
        src += PIECE
        n -= PIECE
        check_signals(stop)
    memcpy(to, src, n)
    return 0
