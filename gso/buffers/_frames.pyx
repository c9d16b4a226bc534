# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Batches of frames in Arrow's large-binary layout: one run of bytes and n + 1 offsets into it."""

cimport cython
from cpython.buffer cimport PyObject_CheckBuffer
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE,
)
from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memcmp, memcpy

from gso.buffers._arrow cimport large_binary_array, large_binary_schema
from gso.buffers._borrow cimport packed
from gso.buffers._memory cimport Memory, address, new_bytes
from gso.buffers._signals cimport check_signals, piece_end

from importlib.util import find_spec
from operator import index

import numpy as np

from gso.html import MOST_ROWS, html_table


cdef bytes _bytes_of(object part):
    """Copy of a buffer, or of what makes bytes of itself, as packets of scapy do."""
    if not PyObject_CheckBuffer(part) and hasattr(type(part), "__bytes__"):
        return bytes(part)
    return packed(part)


cdef Frames as_frames(object frames):
    """The batch that an argument is or lists.

    Raises TypeError for one buffer: its items are bytes, not frames.
    """
    if isinstance(frames, Frames):
        return frames
    if PyObject_CheckBuffer(frames) or isinstance(frames, str):
        raise TypeError(
            f"frames is gso.Frames or a list of buffers, not one {type(frames).__name__}")
    if type(frames) is not list and _is_arrow(frames):
        return Frames.from_arrow(frames)
    return Frames.from_list(frames)


cdef Py_ssize_t _length(object base) noexcept:
    """How many bytes it has, for what `address` takes."""
    if PyBytes_CheckExact(base):
        return PyBytes_GET_SIZE(base)
    if type(base) is Memory:
        return (<Memory>base).size
    return PyMemoryView_GET_BUFFER(base).len


def as_numbers(indices):
    """Indices as an int64 array of one dimension.

    Raises TypeError for others than integers: the False and True of a mask are no numbers.
    """
    numbers = np.asarray(indices)
    if numbers.size and numbers.dtype.kind not in "iu":
        raise TypeError(f"indices are integers, not {numbers.dtype}")
    if numbers.dtype == np.uint64 and numbers.size and numbers.max() > np.iinfo(np.int64).max:
        raise IndexError(f"no batch has a frame {numbers.max()}")  # and it is none from the end
    return numbers.astype(np.int64).reshape(-1)


def take_frames(frames):
    """The batch that an argument is or lists: for modules that are not compiled."""
    return as_frames(frames)


def _is_arrow(frames):
    """Whether it exports Arrow arrays, and there is pyarrow to import them."""
    if not (hasattr(frames, "__arrow_c_array__") or hasattr(frames, "__arrow_c_stream__")):
        return False
    return find_spec("pyarrow") is not None


@cython.freelist(8)
cdef class Frames:
    """An immutable batch of frames: ``frames[i]`` is ``data[offsets[i]:offsets[i + 1]]``.

    ``Frames(data, offsets)`` refers to the bytes of `data`, any contiguous buffer, without
    copying them, and copies `offsets`, n + 1 integers that never decrease. Bytes before the first
    and after the last offset are left out, so that ``offsets[0]`` is always 0 and ``offsets[n]``
    always ``len(data)``.

    Raises ValueError for offsets that are empty, decrease or leave `data`.
    """

    def __init__(self, data=b"", offsets=(0,)):
        if not PyBytes_CheckExact(data):
            data = _flat(data)
        cdef int64_t[::1] source = _checked_offsets(offsets, len(data))
        cdef Py_ssize_t i, last = source.shape[0] - 1
        cdef int64_t first = source[0]
        cdef object ends = new_bytes((last + 1) * sizeof(int64_t))
        cdef int64_t *own = <int64_t *>address(ends)
        for i in range(last + 1):
            own[i] = source[i] - first
        if first or source[last] != len(data):
            data = memoryview(data)[first:source[last]]
        # Asked last: the arguments' own code, which has run by now, may have called this too.
        if self.ends is not None:
            raise TypeError("Frames are immutable")
        self.adopt(data, ends, last)

    cdef int adopt(self, object base, object ends, Py_ssize_t n) except -1:
        """Refer to the bytes of n frames, and to offsets known good.

        Both are bytes objects, Memory that grows no more, or contiguous memoryviews. Of `base`,
        which may have had room for more, only the bytes of the frames are seen.
        """
        cdef Py_ssize_t size = (<const int64_t *>address(ends))[n]
        if _length(base) > size:
            base = memoryview(base)[:size]
        self.base = base
        self.ends = ends
        self.buf = <const uint8_t *>address(base)
        self.off = <const int64_t *>address(ends)
        self.n = n
        return 0

    cdef object memory(self):
        if self.view is None:
            self.view = memoryview(b"" if self.base is None else self.base)
        return self.view

    @staticmethod
    def from_list(frames):
        """Copy buffers (bytes, memoryview, ndarray...), or what has ``__bytes__``, into a batch."""
        frames = list(frames)
        cdef Py_ssize_t i, end, n = len(frames), total = 0
        cdef object ends = new_bytes((n + 1) * sizeof(int64_t))
        cdef int64_t *off = <int64_t *>address(ends)
        # The sizes are taken from the same exports as the bytes: a buffer cannot change its size
        # while it is exported, but it can between two exports.
        parts = [part if PyBytes_CheckExact(part) else _bytes_of(part) for part in frames]
        off[0] = 0
        for i in range(n):
            total += PyBytes_GET_SIZE(parts[i])
            off[i + 1] = total
        cdef object data = new_bytes(total)
        cdef char *out = address(data)
        i = 0
        while i < n:
            end = piece_end(off, i, n)
            for i in range(i, end):
                memcpy(out + off[i], PyBytes_AS_STRING(parts[i]), off[i + 1] - off[i])
            i = end
            check_signals()
        cdef Frames self = Frames.__new__(Frames)
        self.adopt(data, ends, n)
        return self

    @staticmethod
    def split(data, Py_ssize_t size, *, Py_ssize_t skip=0):
        """Cut pieces of `size` bytes, the last of which may be shorter: as UDP_GRO merged them.

        The first `skip` bytes of each piece are left out: the header of a tunnel, say. Without
        `skip` the frames refer to the bytes of `data`; with it they are copies.

        Raises ValueError if `size` is below 1, or if a piece has fewer bytes than are left out.
        """
        if not PyBytes_CheckExact(data):
            data = _flat(data)
        cdef Py_ssize_t i, n, length = len(data)
        if size < 1:
            raise ValueError(f"pieces have 1 byte or more, not {size}")
        n = length // size + (length % size > 0)
        if skip < 0 or n and skip > length - (n - 1) * size:
            raise ValueError(
                f"{skip} bytes cannot be left out of a piece of {length - (n - 1) * size} bytes")
        cdef object ends = new_bytes((n + 1) * sizeof(int64_t))
        cdef int64_t *off = <int64_t *>address(ends)
        for i in range(n):
            off[i] = i * (size - skip)
        off[n] = length - n * skip
        cdef Frames self = Frames.__new__(Frames)
        if skip:
            data = _without(<const char *>address(data), off, n, size, skip)
        self.adopt(data, ends, n)
        return self

    def prefixed(self, prefix):
        """Copy the frames with the bytes `prefix` in front of each: the header of a tunnel, say.

        Returns :class:`Frames`, whose ``data`` one ``send`` with UDP_SEGMENT takes.
        """
        cdef bytes head = _bytes_of(prefix)
        cdef Py_ssize_t i = 0, end, more = len(head), n = self.n
        cdef object ends = new_bytes((n + 1) * sizeof(int64_t))
        cdef object data = new_bytes(self.nbytes + n * len(head))
        cdef int64_t *off = <int64_t *>address(ends)
        cdef char *out = address(data)
        off[0] = 0
        while i < n:
            end = piece_end(self.off, i, n)
            for i in range(i, end):
                memcpy(out + off[i], PyBytes_AS_STRING(head), more)
                off[i + 1] = self.off[i + 1] + (i + 1) * more
                memcpy(out + off[i] + more, self.buf + self.off[i], self.off[i + 1] - self.off[i])
            i = end
            check_signals()
        cdef Frames result = Frames.__new__(Frames)
        result.adopt(data, ends, n)
        return result

    @staticmethod
    def concat(batches):
        """Copy the frames of several batches, or lists of buffers, into one batch."""
        cdef list parts = [as_frames(batch) for batch in batches]
        cdef Frames part, self = Frames.__new__(Frames)
        cdef Py_ssize_t i, k = 0, n = sum(map(len, parts))
        cdef int64_t at = 0, total = 0
        for part in parts:
            total += part.off[part.n] if part.n else 0
        cdef object ends = new_bytes((n + 1) * sizeof(int64_t)), data = new_bytes(total)
        cdef int64_t *off = <int64_t *>address(ends)
        off[0] = 0
        for part in parts:
            for i in range(part.n):
                off[k + i + 1] = at + part.off[i + 1]
            if part.n:
                memcpy(address(data) + at, part.buf, part.off[part.n])
                at += part.off[part.n]
            k += part.n
            check_signals()
        self.adopt(data, ends, n)
        return self

    @staticmethod
    def from_arrow(array):
        """Take an Arrow array of (large) binary, zero-copy where it is large.

        Args:
            array: of pyarrow, chunked or not, or anything with ``__arrow_c_array__`` or
                ``__arrow_c_stream__``.

        Raises ValueError if there are nulls, TypeError if it is not binary.
        """
        import pyarrow as pa

        if not isinstance(array, (pa.Array, pa.ChunkedArray)):
            if not hasattr(array, "__arrow_c_array__") and hasattr(array, "__arrow_c_stream__"):
                array = pa.chunked_array(array)
            elif hasattr(array, "__arrow_c_array__"):
                array = pa.array(array)
            else:
                raise TypeError(f"expected an Arrow array, not {type(array).__name__}")
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # older pyarrow keeps zero or one chunk
            array = array.chunk(0) if array.num_chunks else pa.array([], pa.large_binary())
        kinds = ("is_binary", "is_large_binary", "is_fixed_size_binary", "is_binary_view")
        if not any(getattr(pa.types, kind, _no)(array.type) for kind in kinds):
            raise TypeError(f"expected an Arrow array of binary, not of {array.type}")
        if array.null_count:
            raise ValueError(f"{array.null_count} of {len(array)} Arrow values are null")
        array = array.cast(pa.large_binary())
        if not len(array):
            return Frames()
        _, offsets, data = array.buffers()
        window = np.frombuffer(offsets, np.int64)[array.offset:array.offset + len(array) + 1]
        return Frames(b"" if data is None else data, window)

    def to_arrow(self):
        """A pyarrow LargeBinaryArray of the same memory (pyarrow is not a dependency)."""
        import pyarrow as pa

        buffers = [None, pa.py_buffer(self.offsets), pa.py_buffer(self.data)]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), self.n, buffers)

    def __arrow_c_schema__(self):
        """The type, large binary, as a capsule of Arrow's C data interface."""
        return large_binary_schema()

    def __arrow_c_array__(self, requested_schema=None):
        """The same memory as capsules of Arrow's C data interface; no other type is made of it."""
        cdef const void *offsets = self.off
        if offsets is NULL:
            offsets = PyBytes_AS_STRING(_EMPTY_INDEX)
        return large_binary_schema(), large_binary_array(self, offsets, self.buf, self.n)

    @property
    def data(self):
        """All bytes: read-only uint8 array of shape (total,)."""
        return np.frombuffer(self.memory(), np.uint8)

    @property
    def offsets(self):
        """Where frames start and end in `data`: read-only int64 array of shape (n + 1,)."""
        return np.frombuffer(_EMPTY_INDEX if self.ends is None else self.ends, np.int64)

    @property
    def lengths(self):
        """Length of each frame: int64 array of shape (n,)."""
        cdef Py_ssize_t i
        lengths = np.empty(self.n, np.int64)
        cdef int64_t[::1] out = lengths
        for i in range(self.n):
            out[i] = self.off[i + 1] - self.off[i]
        return lengths

    @property
    def nbytes(self):
        """Total bytes of all frames."""
        return self.off[self.n] if self.n else 0

    def to_list(self):
        """Copies of the frames: a list of bytes."""
        cdef Py_ssize_t i = 0, end
        cdef list frames = []
        while i < self.n:
            end = piece_end(self.off, i, self.n)
            for i in range(i, end):
                frames.append(PyBytes_FromStringAndSize(
                    <const char *>self.buf + self.off[i], self.off[i + 1] - self.off[i]))
            i = end
            check_signals()
        return frames

    def __len__(self):
        return self.n

    def __getitem__(self, key):
        if isinstance(key, slice):
            start, stop, step = key.indices(self.n)
            if step == 1:
                return self.window(start, max(start, stop))
            return self.gather(np.arange(start, stop, step, np.int64))
        if not hasattr(key, "__len__"):
            return self.one(index(key))
        picked = np.asarray(key)
        if picked.dtype == bool:
            if picked.shape != (self.n,):
                raise IndexError(f"mask of shape {picked.shape} for a batch of {self.n}")
            return self.gather(np.flatnonzero(picked))
        if picked.ndim != 1 or (picked.size and picked.dtype.kind not in "iu"):
            raise TypeError("a frame is indexed by an integer, a slice, a mask or integers")
        return self.gather(picked)

    def take(self, indices):
        """Copies of the frames with these numbers, in this order; negative ones from the end.

        Raises TypeError for what are no integers, such as a mask, which ``frames[mask]`` takes.
        """
        return self.gather(as_numbers(indices))

    cdef object one(self, object key):
        if not -self.n <= key < self.n:
            raise IndexError(f"frame {key} of a batch of {self.n}")
        cdef Py_ssize_t i = key if key >= 0 else key + self.n
        return self.memory()[self.off[i]:self.off[i + 1]]

    def __iter__(self):
        cdef Py_ssize_t i
        view = self.memory()
        for i in range(self.n):
            yield view[self.off[i]:self.off[i + 1]]

    cdef Frames window(self, Py_ssize_t start, Py_ssize_t stop):
        """Frames start to stop of the same memory."""
        cdef Py_ssize_t i
        cdef object ends = new_bytes((stop - start + 1) * sizeof(int64_t))
        cdef int64_t *off = <int64_t *>address(ends)
        cdef int64_t first = self.off[start] if self.n else 0
        for i in range(stop - start + 1):
            off[i] = self.off[start + i] - first if self.n else 0
        cdef Frames part = Frames.__new__(Frames)
        part.adopt(self.memory()[first:first + off[stop - start]], ends, stop - start)
        return part

    cdef Frames gather(self, object indices):
        """Copies of the frames with these numbers, in this order."""
        cdef int64_t[::1] picked = np.array(indices, np.int64)
        cdef Py_ssize_t i, end, n = picked.shape[0]
        cdef int64_t k, at = 0
        cdef object ends = new_bytes((n + 1) * sizeof(int64_t))
        cdef int64_t *off = <int64_t *>address(ends)
        off[0] = 0
        for i in range(n):
            k = picked[i]
            if not -self.n <= k < self.n:
                raise IndexError(f"frame {k} of a batch of {self.n}")
            if k < 0:
                picked[i] = k = k + self.n
            at += self.off[k + 1] - self.off[k]
            off[i + 1] = at
        cdef object data = new_bytes(at)
        cdef char *out = address(data)
        i = 0
        while i < n:
            end = piece_end(off, i, n)
            for i in range(i, end):
                memcpy(out + off[i], self.buf + self.off[picked[i]], off[i + 1] - off[i])
            i = end
            check_signals()
        cdef Frames part = Frames.__new__(Frames)
        part.adopt(data, ends, n)
        return part

    def __eq__(self, other):
        if not isinstance(other, Frames):
            return NotImplemented
        cdef Frames that = other
        if self.n != that.n:
            return False
        if self.n == 0:
            return True
        return (
            memcmp(self.off, that.off, (self.n + 1) * sizeof(int64_t)) == 0
            and memcmp(self.buf, that.buf, self.off[self.n]) == 0
        )

    __hash__ = None

    def __repr__(self):
        return f"<gso.{type(self).__name__}: {self.n} frames, {self.nbytes} bytes>"

    def _repr_html_(self):
        """For notebooks: the first frames."""
        first = enumerate(self[:MOST_ROWS])
        rows = ((i, len(frame), _start(frame)) for i, frame in first)
        return html_table(repr(self), ("frame", "bytes", "starts with"), rows, self.n)

    def __reduce__(self):
        return Frames, (self.data, self.offsets)


cdef class Segments(Frames):
    """Frames that know which input frame each came from."""

    def __init__(self, data=b"", offsets=(0,), parent=()):
        Frames.__init__(self, data, offsets)
        numbers = np.ascontiguousarray(parent, np.int64)
        if numbers.shape != (self.n,):
            raise ValueError(f"{self.n} frames but parents of shape {numbers.shape}")
        self.parents = _frozen(numbers.copy())

    cdef Frames window(self, Py_ssize_t start, Py_ssize_t stop):
        return self.with_parents(Frames.window(self, start, stop), self.parent[start:stop].copy())

    cdef Frames gather(self, object indices):
        return self.with_parents(Frames.gather(self, indices), self.parent[indices])

    cdef Segments with_parents(self, Frames part, object parents):
        """The same frames as Segments."""
        cdef Segments segments = Segments.__new__(Segments)
        segments.adopt(part.base, part.ends, part.n)
        segments.parents = _frozen(parents)
        return segments

    @property
    def parent(self):
        """Which input each segment came from: read-only int64 array of shape (n,)."""
        if self.parents is None:
            counts = np.frombuffer(b"" if self.counts is None else self.counts, np.int64)
            self.parents = _frozen(np.repeat(np.arange(len(counts)), counts))
        return self.parents

    def __reduce__(self):
        return Segments, (self.data, self.offsets, self.parent)


def _no(kind):
    """Older pyarrow knows fewer types."""
    return False


def _start(frame):
    return bytes(frame[:_SHOWN]).hex(" ", 2) + " ..." * (len(frame) > _SHOWN)


_SHOWN = 32  # bytes of a frame, in notebooks


cdef object _frozen(object array):
    array.flags.writeable = False
    return array


cdef object _flat(object data):
    """Read-only memoryview of the bytes of `data`, shared if they lie in one run."""
    view = memoryview(data).toreadonly()
    if view.c_contiguous:
        try:
            return view.cast("B")
        except TypeError:  # memoryview.cast knows no structured or foreign-endian items
            pass
    return memoryview(packed(data))


cdef object _without(
    const char *source, const int64_t *off, Py_ssize_t n, Py_ssize_t size, Py_ssize_t skip
):
    """The bytes of n pieces of `size` bytes without the first `skip`; `off` is where they go."""
    cdef object data = new_bytes(off[n])
    cdef char *out = address(data)
    cdef Py_ssize_t i = 0, end
    while i < n:
        end = piece_end(off, i, n)
        for i in range(i, end):
            memcpy(out + off[i], source + i * size + skip, off[i + 1] - off[i])
        i = end
        check_signals()
    return data


_EMPTY_INDEX = bytes(sizeof(int64_t))


cdef int64_t[::1] _checked_offsets(object offsets, Py_ssize_t size):
    """A private copy of `offsets` that never decreases and stays within 0 and `size`."""
    array = np.asarray(offsets)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"offsets need one dimension and at least one number, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"offsets are integers, not {array.dtype}")
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"offset {array.max()} is beyond the {size} bytes of data")
    cdef int64_t[::1] copy = np.array(array, np.int64)
    cdef int64_t before = 0
    cdef Py_ssize_t i
    for i in range(copy.shape[0]):
        if copy[i] < before:
            raise ValueError(f"offset {i} is {copy[i]}, less than the {before} before it")
        before = copy[i]
    if before > size:
        raise ValueError(f"the last offset is {before}, but data has {size} bytes")
    return copy
