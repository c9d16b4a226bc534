from libc.stdint cimport int32_t, int64_t

from gso.traces._templates cimport TemplateReader


cdef class PairReader(TemplateReader):
    # The event whose dump is read, the braces that are open in it, and how many were open at the
    # innermost struct that is no part of the sk_buff itself; 0 outside of those.
    cdef int64_t dump_of
    cdef int32_t depth, member_depth

    cdef int _pairs(self, const char *p, const char *end) noexcept nogil
    cdef void _forget_virtio(self) noexcept nogil
    cdef int _dump_line(self, const char *p, const char *end) noexcept nogil
