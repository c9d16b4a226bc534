from libc.stdint cimport int64_t, uint8_t

from gso.rewriting._packet_info cimport PacketInfo


cdef bint sum_can_be_cut(const uint8_t *frame, int64_t captured, const PacketInfo *packet,
                         int64_t size) noexcept nogil
