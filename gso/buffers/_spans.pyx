# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Frames where they lie: pieces of a buffer that may have other bytes between them."""

from libc.stdint cimport int64_t, uint8_t

from gso.buffers._frames cimport Frames, as_frames

import numpy as np

from gso.buffers._frames import as_numbers

cdef uint8_t NO_BYTES = 0  # where frames without a byte are


cdef class Spans:
    """Frames that are not copied: number `i` is ``data[starts[i]:ends[i]]``.

    `data` is any contiguous buffer, whose bytes must not change as long as the frames are used; the
    numbers are copied.

    Raises ValueError for a frame that ends before it starts or leaves `data`.

    Attributes:
        nbytes: total bytes of all frames.
    """

    def __init__(self, data, starts, ends):
        cdef const uint8_t[::1] view = data
        if self.base is not None:
            raise TypeError("Spans are immutable")
        self.base = view
        self.buf = &view[0] if view.shape[0] else &NO_BYTES
        places = np.empty((2, len(starts)), np.int64)
        places[0] = starts
        places[1] = ends
        self.lie_at(places, view.shape[0])

    cdef int lie_at(self, object places, Py_ssize_t size) except -1:
        """Take these numbers, within `size` bytes."""
        cdef const int64_t[:, ::1] numbers = places
        cdef Py_ssize_t i, total = 0
        for i in range(numbers.shape[1]):
            if not 0 <= numbers[0, i] <= numbers[1, i] <= size:
                raise ValueError(
                    f"frame {i} is at {numbers[0, i]} to {numbers[1, i]}, but data has {size} "
                    "bytes")
            total += numbers[1, i] - numbers[0, i]
        self.places = places
        self.n = numbers.shape[1]
        self.nbytes = total
        if self.n:
            self.starts, self.ends = &numbers[0, 0], &numbers[1, 0]
        return 0

    def take(self, which):
        """Those with these numbers, in this order.

        Raises IndexError for a number that none has.
        """
        cdef const int64_t[::1] numbers = as_numbers(which)
        cdef Py_ssize_t i, n = numbers.shape[0], last = 0
        places = np.empty((2, n), np.int64)
        cdef int64_t[:, ::1] own = places
        for i in range(n):
            if not 0 <= numbers[i] < self.n:
                raise IndexError(f"frame {numbers[i]} of {self.n}")
            own[0, i], own[1, i] = self.starts[numbers[i]], self.ends[numbers[i]]
            last = max(last, own[1, i])
        cdef Spans some = Spans.__new__(Spans)
        some.base, some.buf = self.base, self.buf
        some.lie_at(places, last)
        return some

    def __len__(self):
        return self.n


cdef Spans as_spans(object frames):
    """What an argument is, or where the frames lie that it is or lists."""
    if type(frames) is Spans:
        return frames
    cdef Frames batch = as_frames(frames)
    cdef Spans spans = Spans.__new__(Spans)
    spans.base = batch
    spans.buf, spans.starts, spans.n = batch.buf, batch.off, batch.n
    if batch.n:
        spans.ends, spans.nbytes = batch.off + 1, batch.off[batch.n]
    return spans
