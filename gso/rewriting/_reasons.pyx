# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Why packets of a capture may have to stay as they are, found for all of a batch at once."""

from libc.stdint cimport int64_t, uint16_t

from gso.buffers._frames cimport Frames
from gso.headers._numbers cimport IPPROTO_HOPOPTS, IPPROTO_UDP
from gso.rewriting._packet_info cimport PacketInfo
from gso.rewriting._sums cimport sum_can_be_cut

import numpy as np

from gso.rewriting._packet_info import PACKET_INFO_DTYPE

cdef enum:
    IPV6_NEXTHDR = 6


cpdef enum:
    # Of super-packets:
    CUT = 0x01          # the capture has not got all of it
    UNSURE = 0x02       # the length in its IP header contradicts the frame's
    HOP_OPTIONS = 0x04  # it has hop-by-hop options, of which one may be of jumbo payload
    IMPLAUSIBLE = 0x08  # the checksum of its IP header is wrong
    TRAILED = 0x10      # bytes follow its IP packet
    WRONG_SUM = 0x20    # its checksum is none that a super-packet can have
    DATAGRAM = 0x40     # it is of UDP, and may be in a tunnel on a port that is not known
    # Of packets that are none:
    OTHER = 0x80        # it is too long, and of a protocol that is not segmented
    OPAQUE = 0x100      # no IP packet was found in it, or one that has little of a long frame


def reasons(Frames frames not None, info, sizes, cut, *, int64_t mtu, int64_t longest):
    """Which reasons hold for each packet, a bit each: uint16 array of shape (n,).

    `info` is what `packet_info` has of the frames, `sizes` the payload bytes of their segments, 0
    for packets that stay whole. `cut` are those that the capture has in part. An IP packet has no
    more than `mtu` bytes on a wire, a frame no more than `longest`.
    """
    cdef Py_ssize_t i, n = frames.n
    if info.dtype != PACKET_INFO_DTYPE:
        raise TypeError(f"the packets are of PACKET_INFO_DTYPE, not of {info.dtype}")
    if not info.shape == sizes.shape == cut.shape == (n,):
        raise ValueError(f"{n} frames, but {info.shape} of packets, {sizes.shape} of sizes and "
                         f"{cut.shape} that are cut or not")
    cdef const PacketInfo[::1] packets = info
    cdef const int64_t[::1] each = sizes
    cdef const unsigned char[::1] partly = cut.view(np.uint8)
    found = np.zeros(n, np.uint16)
    cdef uint16_t[::1] out = found
    cdef int64_t length
    with nogil:
        for i in range(n):
            length = frames.off[i + 1] - frames.off[i]
            if each[i] > 0:
                out[i] = _of_super_packet(frames, i, &packets[i], each[i], partly[i])
            if packets[i].length > mtu and not packets[i].protocol and not packets[i].fragment:
                out[i] |= OTHER
            if not packets[i].length or (length > longest and packets[i].length <= mtu
                                         and not packets[i].protocol):
                out[i] |= OPAQUE
    return found


cdef uint16_t _of_super_packet(Frames frames, Py_ssize_t i, const PacketInfo *packet,
                               int64_t size, bint cut) noexcept nogil:
    cdef int64_t captured = frames.off[i + 1] - frames.off[i]
    cdef int64_t options = packet.network + IPV6_NEXTHDR
    cdef uint16_t found = 0
    if cut:
        found |= CUT
    if not packet.sure:
        found |= UNSURE
    if (packet.version == 6 and 0 <= options < captured
            and frames.buf[frames.off[i] + options] == IPPROTO_HOPOPTS):
        found |= HOP_OPTIONS
    if not packet.plausible:
        found |= IMPLAUSIBLE
    if packet.payload < captured - packet.hlen:
        found |= TRAILED
    if packet.protocol == IPPROTO_UDP:
        found |= DATAGRAM
    if not cut and not sum_can_be_cut(frames.buf + frames.off[i], captured, packet, size):
        found |= WRONG_SUM
    return found
