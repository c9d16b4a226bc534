"""Borrow the bytes of any object with the buffer protocol, or that makes bytes of itself."""

from cpython.buffer cimport (
    PyBUF_FULL_RO, PyBUF_SIMPLE, PyBuffer_IsContiguous, PyBuffer_Release, PyBuffer_ToContiguous,
    PyObject_GetBuffer,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize


cdef inline int borrow(object source, Py_buffer *view) except -1:
    """Fill `view` with the bytes of `source`; PyBuffer_Release it afterwards.

    A buffer that is not C-contiguous is copied, as its bytes have no single address. Packets of
    scapy are no buffers, but make bytes of themselves.
    """
    try:
        PyObject_GetBuffer(source, view, PyBUF_SIMPLE)
    except (BufferError, ValueError):  # NumPy raises the latter
        PyObject_GetBuffer(packed(source), view, PyBUF_SIMPLE)
    except TypeError:
        if not hasattr(type(source), "__bytes__"):
            raise
        PyObject_GetBuffer(bytes(source), view, PyBUF_SIMPLE)
    return 0


cdef inline bytes packed(object source):
    """Copy of any buffer's bytes in C order."""
    cdef Py_buffer view
    cdef bytes copy
    PyObject_GetBuffer(source, &view, PyBUF_FULL_RO)
    try:
        copy = PyBytes_FromStringAndSize(NULL, view.len)
        PyBuffer_ToContiguous(PyBytes_AS_STRING(copy), &view, view.len, b'C')
    finally:
        PyBuffer_Release(&view)
    return copy
