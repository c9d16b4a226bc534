from libc.stdint cimport int64_t

from gso.traces._pairs cimport PairReader
from gso.traces._prefixes cimport Prefix

# The outcome of a line, or why there was none.
cdef enum LineStatus:
    LINE_ORPHAN = -4        # part of an event that is not known, or of several: unread for sure
    LINE_STRANGE = -3       # another reader claims it
    LINE_NO_MEMORY = -2
    LINE_DAMAGED = -1
    LINE_READ = 0
    LINE_EVENT
    LINE_AGAIN              # what stands before its text was learned
    BATCH_FULL


cdef class Scanner(PairReader):
    cdef int64_t damaged, lost
    cdef public bint relative
    cdef public Scanner next
    cdef readonly int stranger
    cdef int64_t given_line         # the line that another scanner gave to this one
    cdef int64_t wrapped            # the last line that went on with an event's
    cdef readonly list damaged_lines
    cdef Prefix prefix

    cdef bint _names_columns(self, const char *p, const char *end) noexcept nogil
    cdef bint _begins(self, const char *p, const char *end) noexcept nogil
    cdef bint _claims(self, const char *p, const char *end) noexcept nogil
    cdef int _claimed(self, const char *p, const char *end, int but) noexcept nogil
    cdef bint _goes_on(self, const char *p, const char *end) noexcept nogil
    cdef bint _is_strange(self, const char *p, const char *end) noexcept nogil
    cdef const char *_text_of(self, const char *p, const char *end) noexcept nogil
    cdef bint _may_be_otherwise(self, const char *text, const char *end) noexcept nogil
    cdef bint _is_whole(self, const char *p, const char *at, const char *end) noexcept nogil
    cdef bint _learn(self, const char *p, const char *end) noexcept nogil
    cdef int _within(self, const char *p, const char *at, const char *end) noexcept nogil
    cdef int _not_read(self, const char *p, const char *end) noexcept nogil
    cdef int _scan(self, const char *p, const char *end) noexcept nogil
    cdef int _too_long(self) noexcept nogil
    cdef int _cut(self) noexcept nogil
