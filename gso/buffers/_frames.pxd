from libc.stdint cimport int64_t, uint8_t


cdef class Frames:
    # Both are kept alive by the objects below and never change once set.
    cdef const uint8_t *buf
    cdef const int64_t *off
    cdef Py_ssize_t n
    cdef object base        # the bytes: a bytes object, Memory, or a read-only memoryview
    cdef object ends        # the n + 1 offsets, likewise
    cdef object view        # read-only memoryview of the bytes, made when first asked for

    cdef int adopt(self, object base, object ends, Py_ssize_t n) except -1
    cdef object memory(self)
    cdef object one(self, object key)
    cdef Frames window(self, Py_ssize_t start, Py_ssize_t stop)
    cdef Frames gather(self, object indices)


cdef class Segments(Frames):
    cdef object parents     # int64 array with one number per frame, made when first asked for
    cdef object counts      # from this: how many frames in a row each input became

    cdef Segments with_parents(self, Frames part, object parents)

cdef Frames as_frames(object frames)
