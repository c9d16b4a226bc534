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
from gso.buffers._frames cimport Frames
from gso.headers._numbers cimport (
    IPPROTO_TCP, IPPROTO_UDP, TCPHDR_FIN, TCPHDR_PSH, TCP_CHECK, TCP_FLAGS, TCP_HLEN, UDP_CHECK,
    UDP_HLEN, UDP_LEN,
)
from gso.rewriting._packet_info cimport PacketInfo

import numpy as np

from gso.rewriting._packet_info import PACKET_INFO_DTYPE

cdef enum:
    RIGHT = 0xffff          # the sum of what a right checksum covers, and of itself


def can_be_cut(Frames frames not None, info, sizes):
    """Whether each checksum is one that a super-packet of such segments can have: bools, (n,).

    `info` is what `packet_info` has of the frames, `sizes` the payload bytes of their segments. A
    frame of size 0 stays whole, and its checksum is not looked at: True.
    """
    cdef Py_ssize_t i, n = frames.n
    if info.dtype != PACKET_INFO_DTYPE:
        raise TypeError(f"the packets are of PACKET_INFO_DTYPE, not of {info.dtype}")
    if info.shape != (n,) or sizes.shape != (n,):
        raise ValueError(f"{n} frames, but {info.shape} of packets and {sizes.shape} of sizes")
    cdef const PacketInfo[::1] packets = info
    cdef const int64_t[::1] each = sizes
    told = np.empty(n, np.bool_)
    cdef uint8_t[::1] out = told.view(np.uint8)
    with nogil:
        for i in range(n):
            out[i] = _can_be_cut(frames.buf + frames.off[i], frames.off[i + 1] - frames.off[i],
                                 &packets[i], each[i])
    return told


cdef bint _can_be_cut(const uint8_t *frame, int64_t captured, const PacketInfo *packet,
                      int64_t size) noexcept nogil:
    cdef int64_t hlen = UDP_HLEN if packet.protocol == IPPROTO_UDP else packet.tcp_hlen
    cdef int64_t start = packet.hlen - hlen
    cdef int64_t payload = min(packet.payload, captured - packet.hlen)
    cdef int64_t width = 4 if packet.version == 4 else 16
    cdef const uint8_t *l4 = frame + start
    cdef uint16_t field
    cdef uint64_t pseudo
    if not size or packet.partial:
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
