"""Memory of results."""


# Bytes of our own, which can grow until they are exported, or a caller's, which cannot.
cdef class Memory:
    cdef char *p
    cdef Py_ssize_t size
    cdef bint writable          # what is exported can be written to
    cdef bint borrowed
    cdef Py_buffer lent

    cdef int borrow(self, object out) except -1
    cdef int resize(self, Py_ssize_t size) except -1

cdef enum:
    SMALL = 512     # bytes; Python's own allocator is made for what is smaller

cdef object new_bytes(Py_ssize_t size)
cdef char *address(object base) noexcept
