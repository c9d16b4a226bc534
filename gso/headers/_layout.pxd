from gso.headers._walk cimport headers


cdef class Layout:
    cdef headers h
    cdef object link

cdef enum:
    ROW_SIZE = 36  # sizeof the members of `headers` that LAYOUT_DTYPE names
