# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Packets that need no segmentation: only their checksums are completed (skb_checksum_help)."""

from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from gso.buffers._bytes cimport get16, load16, store16
from gso.buffers._checksum cimport fold, length_sum, not_zero, short_sum, simd, sum_at
from gso.buffers._signals cimport add_sum, copy_bytes
from gso.headers._numbers cimport (
    GRE_CHECK, IPPROTO_TCP, IPPROTO_UDP, IPV4_FRAG_OFF, IPV4_TOT_LEN, IPV6_HLEN, IPV6_PAYLOAD_LEN,
    IP_MF, IP_OFFSET, TCP_CHECK, UDP_CHECK, UDP_LEN,
)
from gso.headers._pseudo_header cimport pseudo_sum, routed_sum
from gso.headers._walk cimport LAYER_GRE, LAYER_IPV4, LAYER_IPV6, LAYER_UDP, MAX_LAYERS, layer
from gso.segmentation._plan cimport INNER_COMPLETE, INNER_REMOTE, plan


cdef Py_ssize_t within(Py_ssize_t end, Py_ssize_t start, Py_ssize_t least) noexcept nogil:
    """The end that a length field gives, unless it cannot be."""
    return end if least <= end < start else start


cdef int find_ends(const plan *p, Py_ssize_t size, Py_ssize_t *ends) noexcept nogil:
    """Where each layer's packet ends: Ethernet padding belongs to no packet.

    Returns how many layers are whole. The next one, if there is one, is an IPv4 fragment, whose
    checksums cover more than the fragment.
    """
    cdef const uint8_t *head
    cdef const layer *one
    cdef Py_ssize_t end = size
    cdef int k
    for k in range(p.h.n):
        one = &p.h.layers[k]
        head = p.template.p + one.offset
        if one.kind == LAYER_IPV4:
            end = within(one.offset + get16(head + IPV4_TOT_LEN), end, p.h.payload)
        elif one.kind == LAYER_IPV6:
            end = within(
                one.offset + IPV6_HLEN + get16(head + IPV6_PAYLOAD_LEN), end, p.h.payload)
        elif one.kind == LAYER_UDP:
            end = within(one.offset + get16(head + UDP_LEN), end, p.h.payload)
        ends[k] = end
        if one.kind == LAYER_IPV4 and get16(head + IPV4_FRAG_OFF) & (IP_MF | IP_OFFSET):
            return k
    ends[p.h.n] = end
    return p.h.n


cdef inline bint is_right(uint64_t total, uint16_t given) noexcept nogil:
    """Whether a field held the checksum of this sum, the field itself counted as 0."""
    cdef uint16_t value = <uint16_t>~fold(total)
    return given == value or given == not_zero(value)


cdef int complete_transport(
    plan *p, uint8_t *out, Py_ssize_t start, Py_ssize_t end, uint64_t *inside
) except -1 nogil:
    """Complete the innermost checksum; `inside` becomes the sum of out[start:end]."""
    cdef uint8_t *check = out + start + (TCP_CHECK if p.h.l4 == IPPROTO_TCP else UDP_CHECK)
    cdef uint64_t pseudo, total, routed = 0
    cdef uint16_t given, value
    inside[0] = 0
    if p.h.l4 == 0 or (p.h.l4 == IPPROTO_UDP and load16(check) == 0):
        return add_sum(inside, simd.sum, out + start, end - start, p.stop)
    given = load16(check)
    pseudo = pseudo_sum(out + p.h.ip_header, p.h.inner_version == 4, p.h.l4)
    pseudo += length_sum(end - start)
    if p.h.routing >= 0:
        routed = routed_sum(out + p.h.ip_header, out + start, p.h.l4)
    if routed:
        routed += length_sum(end - start)
        if fold(routed) == given:
            pseudo = routed
    if p.inner != INNER_COMPLETE:
        store16(check, fold(pseudo))
        if p.inner == INNER_REMOTE:
            return add_sum(inside, simd.sum, out + start, end - start, p.stop)
    else:
        store16(check, 0)
        total = 0
        add_sum(&total, simd.sum, out + start, end - start, p.stop)
        if routed and is_right(routed + total, given):
            pseudo = routed
        value = <uint16_t>~fold(pseudo + total)
        # skb_checksum_help sends 0 as 0xffff, for TCP too; a field that is right stays as it is
        store16(check, not_zero(value) if given else value)
    inside[0] = <uint16_t>~fold(pseudo)
    return 0


cdef void complete_layer(
    plan *p, int k, uint8_t *out, Py_ssize_t next_offset, Py_ssize_t end, uint64_t *inside
) noexcept nogil:
    """Complete the checksum of an outer header; adds the header to the sum of the bytes inside."""
    cdef const layer *one = &p.h.layers[k]
    cdef uint8_t *head = out + one.offset
    cdef Py_ssize_t hlen = next_offset - one.offset
    cdef uint64_t pseudo, routed = 0
    cdef uint16_t given
    if one.kind == LAYER_UDP and p.sealed[k]:
        one = &p.h.layers[k - 1]
        given = load16(head + UDP_CHECK)
        pseudo = pseudo_sum(out + one.offset, one.kind == LAYER_IPV4, IPPROTO_UDP)
        pseudo += length_sum(out + end - head)
        store16(head + UDP_CHECK, 0)
        inside[0] += short_sum(head, hlen)
        if one.kind == LAYER_IPV6 and head - out - one.offset > IPV6_HLEN:
            routed = routed_sum(out + one.offset, head, IPPROTO_UDP)
        if routed:
            routed += length_sum(out + end - head)
            if fold(routed) == given or is_right(inside[0] + routed, given):
                pseudo = routed
        inside[0] += pseudo
        store16(head + UDP_CHECK, not_zero(<uint16_t>~fold(inside[0])))
        inside[0] = <uint16_t>~fold(pseudo)
        return
    elif one.kind == LAYER_GRE and p.sealed[k] and p.inner != INNER_REMOTE:
        # With remote checksum offload it is right already: it covers the packet as the receiver
        # completes it
        store16(head + GRE_CHECK, 0)
        inside[0] += short_sum(head, hlen)
        store16(head + GRE_CHECK, <uint16_t>~fold(inside[0]))
        inside[0] = 0xffff
        return
    inside[0] += short_sum(head, hlen)


cdef int complete(plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out) except -1 nogil:
    """gso_size 0: copy the frame and complete its checksums (skb_checksum_help).

    IPv4 headers stay as they are: no kernel leaves their checksum to be completed.
    """
    cdef Py_ssize_t ends[MAX_LAYERS + 1]
    cdef Py_ssize_t start = p.h.l4_header if p.h.l4 else p.h.payload
    cdef Py_ssize_t end, covered, next_offset
    cdef uint64_t inside = 0, rest
    cdef int k, whole
    memcpy(out, p.template.p, p.h.payload)
    copy_bytes(out + p.h.payload, frame + p.h.payload, size - p.h.payload, p.stop)
    whole = find_ends(p, size, ends)
    covered = end = ends[whole]
    if whole < p.h.n:
        start = p.h.layers[whole].offset
        add_sum(&inside, simd.sum, out + start, end - start, p.stop)
    else:
        if p.h.l4 == IPPROTO_UDP:
            covered = within(start + get16(out + start + UDP_LEN), end, p.h.payload)
        complete_transport(p, out, start, covered, &inside)
    next_offset = start
    for k in range(whole - 1, -1, -1):
        if ends[k] > covered:
            rest = 0
            add_sum(&rest, simd.sum, out + covered, ends[k] - covered, p.stop)
            inside += sum_at(rest, covered - start)
            covered = ends[k]
        complete_layer(p, k, out, next_offset, covered, &inside)
        next_offset = p.h.layers[k].offset
    return 0


cdef int complete_headers(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out
) except -1 nogil:
    """gso_size 0 for segment_headers: complete a copy, and keep its headers."""
    cdef uint8_t *whole = <uint8_t *>malloc(size + 1)
    if whole is NULL:
        with gil:
            raise MemoryError(f"no memory for a copy of {size} bytes")
    try:
        complete(p, frame, size, whole)
        memcpy(out, whole, p.h.payload)
    finally:
        free(whole)
    return 0
