from gso.headers._walk cimport headers


cdef class Layout:
    cdef headers h
    cdef object link
