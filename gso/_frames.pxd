from libc.stdint cimport int64_t, uint8_t


cdef class Frames:
    # Both are kept alive by the objects below and never change once set.
    cdef const uint8_t *buf
    cdef const int64_t *off
    cdef Py_ssize_t n
    cdef object base        # exporter of the bytes: a bytes object, or a read-only memoryview
    cdef bytes ends         # the n + 1 offsets
    cdef object view        # read-only memoryview of the bytes, made when first asked for

    cdef int adopt(self, object base, bytes ends) except -1
    cdef object memory(self)
    cdef object one(self, object key)
    cdef Frames window(self, Py_ssize_t start, Py_ssize_t stop)
    cdef Frames gather(self, object indices)


cdef class Segments(Frames):
    cdef bytes parents      # one int64 per frame


cdef bytes new_bytes(Py_ssize_t size)
