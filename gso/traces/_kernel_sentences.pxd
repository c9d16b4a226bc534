from gso.traces._kernel_words cimport Words
from gso.traces._skb_dump cimport SkbDumpReader

cdef enum:
    LONGEST_SAID = 240

# The lines that may still follow the last event.
cdef enum Report:
    REPORT_STACK        # its stack alone
    REPORT_DUMP         # lines of its dump, and then a warning
    REPORT_SUM          # the dump that it announced
    REPORT_PANIC        # the crash that it announced
    REPORT_LIST         # dumps of the packets in its frag_list, and then a warning


cdef class SentenceReader(SkbDumpReader):
    cdef int report             # what may follow the last event
    cdef int part               # the last line of its dump

    cdef void _function(self, const char *p, const char *end) noexcept nogil
    cdef void _complaint(self, const char *p, const char *end) noexcept nogil
    cdef void _sentence(self, const Words *words, const char *p, const char *at,
                        const char *end) noexcept nogil
    cdef void _device_before(self, const char *p, const char *at) noexcept nogil
    cdef void _addresses(self, const char *p, const char *end) noexcept nogil
    cdef void _keep_words(self, const char *p, const char *end) noexcept nogil
