from libc.stdint cimport int64_t, uint8_t


cdef class Spans:
    # All are kept alive by the objects below and never change once set.
    cdef const uint8_t *buf
    cdef const int64_t *starts
    cdef const int64_t *ends
    cdef readonly Py_ssize_t nbytes
    cdef Py_ssize_t n
    cdef object base        # the bytes: a memoryview, or Frames
    cdef object places      # the numbers, where they are not those of Frames

    cdef int lie_at(self, object places, Py_ssize_t size) except -1

cdef Spans as_spans(object frames)
