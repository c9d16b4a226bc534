# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Events and the stacks after them; one that is repeated is not read again."""

from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy

import os

from gso.traces._columns cimport OWNER_DAMAGED, OWNER_EVENT, STACK_BYTES
from gso.traces._row cimport EventRow
from gso.traces._text cimport shared


cdef class StackedEvents(EventValues):
    """Begins events, and reads the stacks after their lines."""

    def __cinit__(self, *_, **__):
        self.use_templates = os.environ.get("GSO_LINE_TEMPLATES") != "0"

    cdef void _begin(self) noexcept nogil:
        if self.stack_size and self.after_event != NULL and not self.stack.usable:
            self._keep_stack(self.last)
        if self.pending:
            self._store_event(self.last)
        self.row.line = self.line
        self.count += 1
        self.events += 1
        self.pending = True
        self.in_stack = False
        self.owner = OWNER_EVENT

    cdef void _undo(self) noexcept nogil:
        """Take back the event whose line turned out to be damaged."""
        self.count -= 1
        self.events -= 1
        self.pending = False
        self.owner = OWNER_DAMAGED

    cdef void _stack_line(self, const char *p, const char *end) noexcept nogil:
        """Add one function to the stack of the last event."""
        cdef int64_t size = end - p
        self.stack_lines += 1
        self.stack.usable = False
        if self.owner != OWNER_EVENT or size <= 0 or self.stack_size + size + 1 > STACK_BYTES:
            return
        if self.stack_size:
            self.stack_text[self.stack_size] = c"\n"
            self.stack_size += 1
        memcpy(&self.stack_text[self.stack_size], p, size)
        self.stack_size += <int32_t>size

    cdef void _keep_stack(self, const EventRow *event) noexcept nogil:
        """Keep the text of the lines after an event, which are its stack and nothing else."""
        self.stack.size = <int32_t>min(self.raw_start - self.after_event, STACK_BYTES + 1)
        if self.stack.size > STACK_BYTES:
            return
        memcpy(self.stack.text, self.after_event, self.stack.size)
        self.stack.lines = self.line - event.line - 1
        self.stack.functions_size = self.stack_size
        self.stack.usable = self.use_templates

    cdef int64_t _skip_stack(self, const char *p, const char *end) noexcept nogil:
        """Return how many bytes after an event repeat the last stack; 0 for another stack."""
        self.after_event = p
        if not self.stack.usable or end - p < self.stack.size:
            return 0
        if shared(p, self.stack.text, self.stack.size) < self.stack.size:
            return 0
        self.line += self.stack.lines
        self.stack_size = self.stack.functions_size     # stack_text still has the functions
        return self.stack.size
