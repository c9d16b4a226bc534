from gso.headers._walk cimport headers


cdef class Layout:
    cdef headers h
    cdef object link
    cdef bint restored      # from a pickle: of `h` only what is in LAYOUT_DTYPE
