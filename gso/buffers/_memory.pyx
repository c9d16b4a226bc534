# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Memory of results: taken from arenas that stay, so that kept results cost no page faults.

What is exported or wrapped in an array keeps its :class:`Memory` alive, whatever becomes of the
result; the block goes back to its arena with the last of them.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.bytes cimport (
    PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize,
)
from cpython.memoryview cimport PyMemoryView_GET_BUFFER

import os
from operator import index

import numpy as np

cdef extern from "arena.h" nogil:
    cdef struct gso_memory:
        size_t mapped
        size_t used
        size_t kept

    void *gso_memory_take(size_t size)
    void *gso_memory_resize(void *p, size_t size)
    void gso_memory_give(void *p)
    void gso_memory_set_limit(size_t limit)
    size_t gso_memory_trim(size_t kept)
    gso_memory gso_memory_state()
    void gso_memory_start()

cdef Py_ssize_t _limit = 128 << 20


@cython.freelist(16)
@cython.no_gc
cdef class Memory:
    """Uninitialised memory of our own, or a caller's. Exports its bytes."""

    def __dealloc__(self):
        if self.borrowed:
            PyBuffer_Release(&self.lent)
        else:
            gso_memory_give(self.p)

    cdef int borrow(self, object out) except -1:
        """Use the memory of a writable buffer."""
        PyObject_GetBuffer(out, &self.lent, PyBUF_WRITABLE)
        self.borrowed = True
        self.p = <char *>self.lent.buf
        self.size = self.lent.len
        return 0

    cdef int resize(self, Py_ssize_t size) except -1:
        cdef void *p
        if self.borrowed:
            if size > self.lent.len:
                raise ValueError(
                    f"out has {self.lent.len} bytes, the segments need {size} or more")
            return 0
        p = gso_memory_resize(self.p, size)
        if p is NULL:
            raise MemoryError(f"no memory for {size} bytes")
        self.p = <char *>p
        self.size = size
        return 0

    def __getbuffer__(self, Py_buffer *view, int flags):
        # PyBuffer_FillInfo would lose the reference that Cython has put into view.obj.
        if flags & PyBUF_WRITABLE and not self.writable:
            raise BufferError("the memory of frames is read-only")
        view.obj = self
        view.buf = self.p
        view.len = self.size
        view.readonly = not self.writable
        view.itemsize = view.ndim = 1
        view.format = <char *>"B" if flags & PyBUF_FORMAT else NULL
        view.shape = &view.len if flags & PyBUF_ND else NULL
        view.strides = &view.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL


cdef object new_bytes(Py_ssize_t size):
    """Uninitialised bytes or Memory: the caller fills all of it before other code gets it."""
    cdef Memory memory
    if size < SMALL:
        return PyBytes_FromStringAndSize(NULL, size)
    memory = Memory.__new__(Memory)
    memory.resize(size)
    return memory


cdef char *address(object base) noexcept:
    """Where the bytes of a bytes object, Memory or memoryview are."""
    if PyBytes_CheckExact(base):
        return PyBytes_AS_STRING(base)
    if type(base) is Memory:
        return (<Memory>base).p
    return <char *>PyMemoryView_GET_BUFFER(base).buf


def new_array(Py_ssize_t n, dtype):
    """An array of `n` items for a result, which the caller fills: ``numpy.empty``."""
    kind = np.dtype(dtype)
    cdef Py_ssize_t size = n * <Py_ssize_t>kind.itemsize
    if size < SMALL:
        return np.empty(n, kind)
    cdef Memory memory = Memory.__new__(Memory)
    memory.resize(size)
    memory.writable = True
    return np.frombuffer(memory, kind)


def memory_limit(size=None):
    """How many bytes of freed results are kept for the next ones; with `size`, keep so many.

    Results (segments, merged packets, pieces of captures, columns of logs) take their memory from
    arenas of 32 MB with huge pages, where the system has them. What is freed stays there, up to
    this limit, as memory that is new from the system takes longer to map than to fill. Results
    that live do not count. With 0 nothing is kept, and results use the C library's memory.

    The limit is 128 MB at first, or the environment variable GSO_MEMORY_LIMIT, in bytes.

    Returns the limit as it was before the call. Raises ValueError for a negative `size`.
    """
    global _limit
    cdef Py_ssize_t before = _limit
    if size is not None:
        size = index(size)
        if size < 0:
            raise ValueError(f"a memory limit is 0 or more bytes, not {size}")
        _limit = min(size, 1 << 62)
        gso_memory_set_limit(_limit)
    return before


def trim_memory():
    """Give what is kept of freed results back to the system, in whole huge pages.

    Returns how many bytes that were.
    """
    return gso_memory_trim(0)


def memory_state():
    """Bytes of all arenas, of what is used of them, and of what is kept free."""
    return gso_memory_state()


def _start():
    """Take the limit from the environment."""
    wanted = os.environ.get("GSO_MEMORY_LIMIT", "").strip()
    gso_memory_start()
    if wanted and not wanted.isdecimal():
        raise ValueError(f"GSO_MEMORY_LIMIT is a number of bytes, not {wanted!r}")
    if wanted:
        memory_limit(int(wanted))


_start()
