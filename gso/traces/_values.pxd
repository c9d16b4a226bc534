from gso.traces._columns cimport EventColumns
from gso.traces._dumped_bytes cimport DumpedBytes
from gso.traces._row cimport Key


cdef class EventValues(EventColumns):
    cdef bint hex_proto
    cdef DumpedBytes bytes      # those that the log has of the event's packet, from skb->data on

    cdef void _flow(self, const char *p, const char *end) noexcept nogil
    cdef void _data(self, const char *p, const char *end) noexcept nogil
    cdef void _tell_tunnel(self) noexcept nogil
    cdef int _store(self, const Key *key, const char *value, const char *stop,
                    bint *hex_offsets) noexcept nogil
    cdef void _forget(self, const Key *key) noexcept nogil
    cdef const char *_symbol_end(self, const char *p, const char *end) noexcept nogil
