# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Which checksums a super-packet can have, by who made it.

A sender's stack leaves the sum of the pseudo header to the device: with the packet's length (Linux,
BSD), or without any where segments are to come of it (NDIS large send offload, of Windows). Others
leave 0. A receiver that merges segments has no use for the checksum any more: GRO puts the sum of
the pseudo header there, some drivers of LRO a right one, and others keep that of the first segment,
as GRO does with lists of fragments (SKB_GSO_FRAGLIST). Any other is damaged, or no super-packet's.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t

from gso.buffers._bytes cimport load16
from gso.buffers._checksum cimport fold, htons, length_sum, short_sum, simd
from gso.headers._numbers cimport (
    IPPROTO_TCP, IPPROTO_UDP, TCPHDR_FIN, TCPHDR_PSH, TCP_CHECK, TCP_FLAGS, TCP_HLEN, UDP_CHECK,
    UDP_HLEN, UDP_LEN,
)
from gso.rewriting._packet_info cimport PacketInfo

cdef enum:
    RIGHT = 0xffff          # the sum of what a right checksum covers, and of itself


cdef bint sum_can_be_cut(const uint8_t *frame, int64_t captured, const PacketInfo *packet,
                         int64_t size) noexcept nogil:
    """Whether the checksum is one that a super-packet of such segments can have.

    `size` is the payload bytes of a segment, `captured` what there is of the frame.
    """
    cdef int64_t hlen = UDP_HLEN if packet.protocol == IPPROTO_UDP else packet.tcp_hlen
    cdef int64_t start = packet.hlen - hlen
    cdef int64_t payload = min(packet.payload, captured - packet.hlen)
    cdef int64_t width = 4 if packet.version == 4 else 16
    cdef const uint8_t *l4 = frame + start
    cdef uint16_t field
    cdef uint64_t pseudo
    if packet.partial:
        return True
    if packet.protocol not in (IPPROTO_TCP, IPPROTO_UDP) or start < 0 or payload < 0 or size < 0:
        return False
    if packet.protocol == IPPROTO_TCP and hlen < TCP_HLEN:
        return False
    field = load16(l4 + (TCP_CHECK if packet.protocol == IPPROTO_TCP else UDP_CHECK))
    pseudo = short_sum(packet.source, width) + short_sum(packet.final, width)
    pseudo += htons(packet.protocol)
    if field == 0 or (packet.protocol == IPPROTO_TCP and field == fold(pseudo)):
        return True
    return (fold(pseudo + length_sum(hlen + payload) + simd.sum(l4, hlen + payload)) == RIGHT
            or _is_of_first(l4, hlen + min(payload, size), packet.protocol, pseudo))


cdef bint _is_of_first(const uint8_t *l4, int64_t length, uint8_t protocol,
                       uint64_t pseudo) noexcept nogil:
    """Whether the checksum is that of the first segment, of `length` bytes, as it may have been."""
    cdef uint64_t total = pseudo + length_sum(length) + simd.sum(l4, length)
    cdef uint8_t flags
    if protocol == IPPROTO_UDP:
        # Its own length stood where that of all is now.
        return fold(total + htons(<uint16_t>length) + (0xffff ^ load16(l4 + UDP_LEN))) == RIGHT
    # A merged packet has FIN and PSH if its last segment has (tcp_gro_receive).
    flags = l4[TCP_FLAGS]
    return (fold(total) == RIGHT
            or fold(total + (0xffff ^ htons(flags & TCPHDR_FIN))) == RIGHT
            or fold(total + (0xffff ^ htons(flags & TCPHDR_PSH))) == RIGHT
            or fold(total + (0xffff ^ htons(flags & (TCPHDR_FIN | TCPHDR_PSH)))) == RIGHT)
