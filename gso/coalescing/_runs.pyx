# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Runs: most frames are like the one before them, and only what changes in them is judged."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from gso.buffers._bytes cimport get16, load16
from gso.buffers._checksum cimport fold, length_sum, ntohl, ntohs, short_sum, simd
from gso.coalescing._held cimport (
    NO_SLOT, RUN_HEADERS, fits, frame, gro_state, held_packet, is_listed, packet, run_id,
    same_interface, sequence, take, too_late,
)
from gso.headers._numbers cimport (
    IPPROTO_TCP, IPV4_CHECK, IPV4_HLEN, IPV4_ID, TCPHDR_CWR, TCP_CHECK, TCP_FLAGS, TCP_SEQ,
)
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._walk cimport LAYER_IPV4, headers

cdef extern from "alike.h" nogil:
    bint gso_alike(const uint8_t *a, const uint8_t *b, const uint8_t *same, size_t n)


cdef void begin_run(
    const gro_state *j, held_packet *one, const frame *f, const packet *to
) noexcept nogil:
    """Note what the headers of the frames that may follow share with this one's.

    It is the second of its packet, and as long as the first.
    """
    cdef const headers *h = &one.h
    cdef uint8_t *head = one.head
    cdef uint8_t *same = one.same
    cdef run_id *counting
    cdef int k
    if h.l4 != IPPROTO_TCP or h.payload > RUN_HEADERS or is_listed(j, h):
        return
    if one.fixed_id or h.remcsum or f.copy.p[h.l4_header + TCP_FLAGS] & TCPHDR_CWR:
        return
    memcpy(head, f.copy.p, h.payload)
    memset(same, 0xff, h.payload)
    one.ids = 0
    for k in range(h.n):
        if h.layers[k].kind == LAYER_IPV4:
            counting = &one.id[one.ids]
            counting.at = h.layers[k].offset
            counting.base = <uint16_t>(get16(head + counting.at + IPV4_ID) - (to.count - 1))
            changes(one, counting.at + IPV4_ID, 2)
            changes(one, counting.at + IPV4_CHECK, 2)
            counting.sum = short_sum(head + counting.at, IPV4_HLEN)
            one.ids += 1
    one.seq = sequence(head + h.l4_header) - <uint32_t>(to.length - to.gso_size)
    changes(one, h.l4_header + TCP_SEQ, 4)
    changes(one, h.l4_header + TCP_CHECK, 2)
    one.sum = (
        pseudo_sum(head + h.ip_header, h.inner_version == 4, IPPROTO_TCP)
        + length_sum(f.size - h.l4_header) + short_sum(head + h.l4_header, h.payload - h.l4_header))
    one.run = h.payload


cdef inline void changes(held_packet *one, Py_ssize_t at, Py_ssize_t n) noexcept nogil:
    """Note a field that is not the same in each frame of a run."""
    memset(one.head + at, 0, n)
    memset(one.same + at, 0, n)


cdef inline bint counts_up(const held_packet *one, const uint8_t *p, int64_t count) noexcept nogil:
    """Whether each IPv4 ID is the next one, and each IPv4 header's checksum right."""
    cdef const uint8_t *head
    cdef uint16_t ident, check
    cdef int k
    for k in range(one.ids):
        head = p + one.id[k].at
        ident = load16(head + IPV4_ID)
        if ntohs(ident) != <uint16_t>(one.id[k].base + count):
            return False
        # Never 0xffff, which segmentation does not write either
        check = ~fold(one.id[k].sum + ident)
        if load16(head + IPV4_CHECK) != check:
            return False
    return True


cdef bint continues_run(
    gro_state *j, const uint8_t *p, Py_ssize_t size, int64_t i
) noexcept nogil:
    """Append the frame to the packet that took up the last one, where it is like that one.

    What is appended here would be by `assign_frame`, too, which judges all other frames. With the
    same length, and with right checksums of TCP and IPv4, what changes adds up to the same: the
    checksums of UDP and GRE around it are right if they are as before.
    """
    cdef held_packet *one
    cdef packet *to
    cdef const uint8_t *th
    cdef uint64_t total
    cdef uint32_t seq
    cdef uint16_t check
    if j.last == NO_SLOT:
        return False
    one = &j.slots[j.last]
    to = &j.packets[one.packet]
    if one.run == 0 or size != one.run + to.gso_size or not fits(one, to, to.gso_size):
        return False
    # The first of its bucket, so that `find` would have come to no other before
    if j.buckets[one.hash & j.mask] != j.last or not same_interface(j, to.first, i):
        return False
    if j.times is not NULL and too_late(j, to.first, i):
        return False
    # Each byte of the headers is read once: it may be shared memory
    th = p + one.h.l4_header
    memcpy(&seq, th + TCP_SEQ, 4)
    check = load16(th + TCP_CHECK)
    if ntohl(seq) != <uint32_t>(one.seq + to.length) or check == 0xffff:
        return False
    if not gso_alike(p, one.head, one.same, one.run) or not counts_up(one, p, to.count):
        return False
    if one.packet != j.begun:
        j.out = NULL
    if j.out is NULL:
        total = simd.sum(p + one.run, to.gso_size)
    else:
        total = simd.copy_sum(j.out + j.filled, p + one.run, to.gso_size)
    if fold(one.sum + (seq & 0xffff) + (seq >> 16) + check + fold(total)) != 0xffff:
        return False
    if j.out is not NULL:
        take(j, to, total, to.gso_size)
    to.count += 1
    to.length += to.gso_size
    j.into[i] = one.packet
    return True
