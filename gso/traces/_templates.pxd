from libc.stdint cimport uint64_t

from gso.traces._line_template cimport LineTemplate, TemplateSlot
from gso.traces._stacks cimport StackedEvents


cdef class TemplateReader(StackedEvents):
    cdef bint bare_flows
    cdef const char *line_start     # of the line that is read
    cdef LineTemplate template

    cdef void _new(self) noexcept nogil
    cdef const char *_read_part(self, const TemplateSlot *slot, const char *p,
                                const char *end) noexcept nogil
    cdef bint _read_by_template(self, const char *p, const char *end) noexcept nogil
    cdef const char *_reread_slot(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil
    cdef const char *_reread_pair(self, const TemplateSlot *slot, const char *p,
                                  const char *end) noexcept nogil
    cdef const char *_take_part(self, int kind, uint64_t sets, const char *p,
                                const char *end) noexcept nogil
    cdef TemplateSlot *_note(self, int kind, uint64_t sets, const char *p,
                             const char *stop) noexcept nogil
    cdef void _keep_template(self) noexcept nogil
