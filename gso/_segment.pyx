# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Segmentation as the Linux kernel's software GSO does it (net/ipv4/*_offload.c, skb_segment).

A frame becomes a *plan*: a template of its headers, and what in it depends on the length of a
segment, and what on its number. The template is set for the length of the full segments; each
segment is a copy of it with its number stamped in (the last one with its length, too), and a piece
of the payload that is copied and summed in one go. Where the inner checksum is
complete its payload cancels out of the checksums around it (local checksum offload), so those are
part of the template and cost nothing per segment.
"""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.long cimport PyLong_CheckExact
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from gso._buffer cimport borrow
from gso._checksum cimport (
    behind, fold, get16, htonl, htons, length_sum, load16, not_zero, pseudo_sum, put16, short_sum,
    simd, store16,
)
from gso._frames cimport Frames, new_bytes
from gso._layout cimport (
    COPY_BLOCK, FEW_BYTES, GRE, GSO_SIZE, GSO_TYPE, HEADER_ROOM, IP4, IP6, LAYOUT, MAX_LAYERS,
    NOT_GSO, TOO_LONG, UDP, Layout, as_error, drop_copy, drop_ports, fault, is_raw, layer,
    port_list, read_headers, reason_t, take_ports,
)

from operator import index

import numpy as np

from gso.constants import Reason
from gso.errors import GsoError

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object, int *overflow) except? -1

cdef enum:
    # What is inside: SKB_GSO_FCOE, SCTP and ESP too, which nothing here segments
    TRANSPORT_TYPES = (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP | SKB_GSO_UDP_L4
                       | 1 << 5 | 1 << 14 | 1 << 15)
    UDP_TUNNEL_TYPES = SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM
    GRE_TYPES = SKB_GSO_GRE | SKB_GSO_GRE_CSUM
    ALL_TYPES = (1 << 20) - 1

    GSO_BY_FRAGS = 0xffff  # include/linux/skbuff.h: not a size

    REGULAR_IDS = 2  # counting IPv4 headers of the usual packet at most

    IPPROTO_TCP = 6
    IPPROTO_UDP = 17
    IPPROTO_FRAGMENT = 44
    IP_DF = 0x4000
    IP_MF = 0x2000
    IP6_MF = 1
    FRAG_HLEN = 8
    UDP_HLEN = 8
    JUMBO_HLEN = 8

    # TCP flags as they stand in the 16 bits with doff
    TCP_FIN = 0x01
    TCP_PSH = 0x08
    TCP_CWR = 0x80

# ---- from a frame to a plan -----------------------------------------------------------------

cdef int refuse(
    fault *why, int reason, const char *field, const char *text, int64_t offset, int64_t limit,
    int64_t value
) noexcept nogil:
    why[0] = fault(<reason_t>reason, field, text, offset, limit, value)
    return -1


cdef int settle_type(plan *p, fault *why, unsigned int gso_type) noexcept nogil:
    """Check gso_type against the headers, and let them say what it leaves open."""
    cdef unsigned int wanted, given = gso_type & TRANSPORT_TYPES
    if gso_type > ALL_TYPES:
        return refuse(why, GSO_TYPE, "gso_type", "gso_type {offset:#x} has bits that mean nothing, "
                      "those that do are {limit:#x}", gso_type, ALL_TYPES, gso_type)
    if p.h.l4 == IPPROTO_TCP:
        wanted = SKB_GSO_TCPV4 if p.h.inner_version == 4 else SKB_GSO_TCPV6
    elif p.h.l4 == IPPROTO_UDP:
        wanted = SKB_GSO_UDP | SKB_GSO_UDP_L4
    else:
        wanted = given
    if given and not given & wanted:
        return refuse(why, GSO_TYPE, "gso_type", "gso_type {offset:#x} has none of {limit:#x}, "
                      "which the transport header at byte {value} needs",
                      gso_type, wanted, p.h.l4_header)
    p.ufo = p.gso_size and wanted & given & SKB_GSO_UDP
    if p.ufo and gso_type & (SKB_GSO_UDP_L4 | SKB_GSO_PARTIAL):
        return refuse(why, GSO_TYPE, "gso_type", "gso_type {offset:#x} asks for fragments "
                      "({limit:#x}) and for segments", gso_type, SKB_GSO_UDP, 0)
    p.gso_type = gso_type
    p.accecn = gso_type & SKB_GSO_TCP_ACCECN
    p.partial = p.gso_size and gso_type & SKB_GSO_PARTIAL
    return settle_tunnels(p, why)


cdef int settle_tunnels(plan *p, fault *why) noexcept nogil:
    """Which outer checksums are in use, and is the inner one left to the receiver?"""
    cdef unsigned int udp = p.gso_type & UDP_TUNNEL_TYPES, gre = p.gso_type & GRE_TYPES
    cdef bint remcsum = p.gso_type & SKB_GSO_TUNNEL_REMCSUM, gre_csum = False
    cdef const uint8_t *head
    cdef int k
    for k in range(p.h.n):
        head = p.template.p + p.h.layers[k].offset
        if p.h.layers[k].kind == UDP:
            p.sealed[k] = udp & SKB_GSO_UDP_TUNNEL_CSUM if udp else load16(head + 6) != 0
            if not udp:
                remcsum = p.h.remcsum
        elif p.h.layers[k].kind == GRE:
            p.sealed[k] = gre & SKB_GSO_GRE_CSUM if gre else True
            gre_csum = True
        else:
            p.sealed[k] = False
    if gre & SKB_GSO_GRE_CSUM and not gre_csum:
        return refuse(why, GSO_TYPE, "gso_type", "gso_type {offset:#x} has GRE_CSUM ({limit:#x}), "
                      "but no GRE header has a checksum", p.gso_type, SKB_GSO_GRE_CSUM, 0)
    if p.partial and remcsum:
        return refuse(why, GSO_TYPE, "gso_type", "gso_type {offset:#x} is PARTIAL, whose segments "
                      "a device completes, with remote checksums ({limit:#x})",
                      p.gso_type, SKB_GSO_TUNNEL_REMCSUM, 0)
    if p.h.l4 == 0 or p.ufo:
        p.inner = ABSENT
    elif remcsum:
        p.inner = REMOTE
    elif p.partial:
        p.inner = PARTIAL  # skb_segment: only where a device completes checksums
    return 0


cdef int check_fixed_ids(plan *p, fault *why) noexcept nogil:
    """inet_gso_segment: an ID that does not count is valid only where DF is set."""
    cdef layer *one
    cdef unsigned int frag_off
    cdef int k
    if not p.gso_type & SKB_GSO_TCP_FIXEDID:
        return 0
    for k in range(p.h.n):
        one = &p.h.layers[k]
        if one.kind != IP4 or not one.inner:
            continue
        frag_off = get16(p.template.p + one.offset + 6)
        if not frag_off & IP_DF:
            return refuse(why, GSO_TYPE, "frag_off", "gso_type has TCP_FIXEDID, but frag_off at "
                          "byte {offset} is {value:#06x}, without DF ({limit:#06x})",
                          one.offset + 6, IP_DF, frag_off)
    return 0


cdef int check_lengths(plan *p, fault *why) noexcept nogil:
    """A segment's lengths must fit in their 16-bit fields."""
    cdef Py_ssize_t length
    cdef layer *one
    cdef int k
    if p.hlen + p.gso_size <= 0xffff:
        return 0
    for k in range(p.h.n):
        one = &p.h.layers[k]
        length = p.hlen + p.gso_size - one.offset - (40 if one.kind == IP6 else 0)
        if length > 0xffff and one.kind != GRE:
            return refuse(
                why, TOO_LONG, "payload_len" if one.kind == IP6 else "tot_len",
                "a segment of gso_size {value} has a length of {offset}, the field ends at {limit}",
                length, 0xffff, p.gso_size)
    return 0


cdef void remove_jumbo(plan *p) noexcept nogil:
    """Take the hop-by-hop header of BIG TCP out (ipv6_hopopt_jumbo_remove)."""
    cdef uint8_t *jumbo = p.template.p + p.h.jumbo
    memmove(jumbo, jumbo + JUMBO_HLEN, p.h.payload - p.h.jumbo - JUMBO_HLEN)
    p.template.p[p.h.ip_header + 6] = IPPROTO_TCP
    p.h.l4_header -= JUMBO_HLEN
    p.hlen -= JUMBO_HLEN


cdef void insert_fragment_header(plan *p) noexcept nogil:
    """UFO over IPv6 (udp6_ufo_fragment). The ID is the only thing that is not the kernel's."""
    cdef uint8_t *frag = p.template.p + p.h.fragment_at
    memmove(frag + FRAG_HLEN, frag, p.h.l4_header - p.h.fragment_at)
    frag[0] = p.template.p[p.h.fragment_next]
    frag[1] = frag[2] = frag[3] = 0
    # A number that differs from datagram to datagram; the kernel's is random.
    memcpy(frag + 4, p.payload + 6, 2)
    memcpy(frag + 6, p.payload + 4, 2)
    p.template.p[p.h.fragment_next] = IPPROTO_FRAGMENT
    p.h.l4_header += FRAG_HLEN
    p.hlen += FRAG_HLEN


cdef inline uint64_t less(const uint8_t *field) noexcept nogil:
    """Added to a sum, takes the field out of it. (Clearing the field first, in memory that is then
    read in larger units, would stall the processor.)"""
    return <uint16_t>~load16(field)


cdef void sum_layers(plan *p) noexcept nogil:
    """Sum what is the same in all segments."""
    cdef uint8_t *t = p.template.p
    cdef uint8_t *head
    cdef Py_ssize_t hlen
    cdef uint64_t total
    cdef layer *one
    cdef int k
    p.stamps = 0
    for k in range(p.h.n):
        one = &p.h.layers[k]
        head = t + one.offset
        hlen = (p.h.layers[k + 1].offset if k + 1 < p.h.n else p.h.l4_header) - one.offset
        if one.kind == IP4:
            p.gap[k] = short_sum(head + one.hlen, hlen - one.hlen)
            total = short_sum(head, one.hlen) + less(head + 2) + less(head + 10)
            total += add_stamp(p, one, head)
        elif one.kind == IP6:
            total = short_sum(head, hlen) + less(head + 4)
        elif one.kind == UDP:
            total = short_sum(head, hlen) + less(head + 4)
            if p.sealed[k]:
                total += less(head + 6)
            one = &p.h.layers[k - 1]
            p.pseudo[k] = pseudo_sum(t + one.offset, one.kind == IP4, IPPROTO_UDP)
        else:
            total = short_sum(head, hlen)
            if p.sealed[k]:
                total += less(head + 4) + less(head + 6)
                put16(head + 6, 0)
        p.fixed[k] = total


cdef uint64_t add_stamp(plan *p, const layer *one, const uint8_t *head) noexcept nogil:
    """Note an IPv4 header with an ID that counts, or a fragment offset, and what to take off."""
    cdef stamped_ip *s = &p.stamp[p.stamps]
    s.fragment = p.ufo and one.inner
    if one.inner and p.gso_type & SKB_GSO_TCP_FIXEDID and not s.fragment:
        return 0
    s.offset = one.offset
    s.ident = get16(head + 4)
    p.stamps += 1
    return less(head + (6 if s.fragment else 4))


cdef uint64_t routed_pseudo(const plan *p) noexcept nogil:
    """Pseudo header towards the final destination that a routing header names (RFC 8200, 8.1)."""
    cdef const uint8_t *ip = p.template.p + p.h.ip_header
    cdef const uint8_t *routing = p.template.p + p.h.routing
    cdef const uint8_t *last
    if p.h.routing < 0 or routing[1] < 2:
        return 0
    if routing[2] == 4:  # segment routing lists the addresses backwards (RFC 8754)
        last = routing + 8
    elif routing[2] == 0 or routing[2] == 2:
        last = routing + 8 + (routing[1] // 2 - 1) * 16
    else:
        return 0
    return short_sum(ip + 8, 16) + short_sum(last, 16) + htons(p.h.l4)


cdef uint64_t transport_pseudo(const plan *p, const uint8_t *th) noexcept nogil:
    """The innermost pseudo header without the length.

    The kernel starts from what CHECKSUM_PARTIAL left in the field, which a frame does not say
    whether it has. So without a virtio header that says it, the field is believed only if it holds
    a pseudo header's sum.
    """
    cdef uint64_t pseudo = pseudo_sum(
        p.template.p + p.h.ip_header, p.h.inner_version == 4, p.h.l4)
    cdef uint64_t routed = routed_pseudo(p)
    cdef Py_ssize_t length = p.hlen - p.h.l4_header + p.length
    cdef uint16_t field = load16(th + (16 if p.h.l4 == IPPROTO_TCP else 6))
    if p.believe:
        pseudo = field + <uint64_t><uint16_t>~fold(length_sum(length))
    elif routed and fold(routed + length_sum(length)) == field:
        pseudo = routed
    elif fold(pseudo + length_sum(length)) != field:
        return pseudo
    if p.h.l4 == IPPROTO_UDP and get16(th + 4) != <uint16_t>length:
        # __udp_gso_segment takes the old length from the header, even where it is wrong
        pseudo += length_sum(length) + <uint16_t>~load16(th + 4)
    return pseudo


cdef void sum_transport(plan *p) noexcept nogil:
    """The innermost header: note what changes and sum the rest."""
    cdef const uint8_t *th = p.template.p + p.h.l4_header
    cdef uint64_t total = short_sum(th, p.hlen - p.h.l4_header)
    p.l4_pseudo = transport_pseudo(p, th)
    if p.h.l4 == IPPROTO_TCP:
        p.seq = <uint32_t>get16(th + 4) << 16 | get16(th + 6)
        p.flags = get16(th + 12)
        total += less(th + 4) + less(th + 6) + less(th + 12) + less(th + 16)
    else:
        total += less(th + 4) + less(th + 6)
    p.l4_fixed = total


cdef int read_plan(
    plan *p, fault *why, const job *j, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Headers of the frame, into the template."""
    if j.layout is NULL:
        return read_headers(&p.h, why, &p.template, frame, size, j.raw, j.ports)
    p.h = j.layout[0]
    p.template.p = p.template.few
    if p.h.payload > size:
        return refuse(why, LAYOUT, "payload", "the layout's headers end at byte {offset}, but the "
                      "frame has {limit} bytes", p.h.payload, size, 0)
    if p.h.payload > FEW_BYTES:
        p.template.p = <uint8_t *>malloc(p.h.payload + HEADER_ROOM)
        if p.template.p is NULL:
            p.template.p = p.template.few
            return refuse(why, TOO_LONG, "len", "no memory for {offset} header bytes",
                          p.h.payload, 0, 0)
    memcpy(p.template.p, frame, p.h.payload)
    return 0


cdef int make_plan(
    plan *p, fault *why, const job *j, const uint8_t *frame, Py_ssize_t size, int64_t gso_size,
    unsigned int gso_type
) noexcept nogil:
    """Everything about a frame but its payload. drop_copy(&p.template) afterwards.

    Returns 0, or -1 with `why` filled in.
    """
    cdef Py_ssize_t whole
    p.template.p = p.template.few
    if gso_size < 0 or gso_size >= GSO_BY_FRAGS:
        return refuse(why, GSO_SIZE, "gso_size", "gso_size {offset} is not between 0 and {limit}",
                      gso_size, GSO_BY_FRAGS - 1, gso_size)
    if read_plan(p, why, j, frame, size) < 0:
        return -1
    if gso_size and p.h.refusal.field is not NULL:
        why[0] = p.h.refusal
        return -1
    p.gso_size = gso_size
    p.inner = PARTIAL if j.partial else COMPLETE
    p.believe = j.believe
    if settle_type(p, why, gso_type) < 0:
        return -1
    p.hlen = p.h.payload
    p.payload = frame + p.h.payload
    p.length = p.step = size - p.h.payload
    p.count = 1
    if gso_size == 0:
        return 0
    if check_fixed_ids(p, why) < 0:
        return -1
    if p.ufo:
        p.payload = frame + p.h.l4_header
        p.length = size - p.h.l4_header
        p.hlen = p.h.l4_header
    if p.length <= gso_size:
        return refuse(why, NOT_GSO, "gso_size", "a payload of {offset} bytes is not larger than "
                      "gso_size {limit}", p.length, gso_size, 0)
    if p.h.jumbo >= 0:
        remove_jumbo(p)
    if p.ufo and p.h.inner_version == 6:
        insert_fragment_header(p)
    if check_lengths(p, why) < 0:
        return -1
    p.step = gso_size
    if p.partial:
        # skb_segment: as many whole pieces as fit under GSO_BY_FRAGS; a single one is no GSO packet
        whole = min(p.length, GSO_BY_FRAGS - 1) // gso_size
        p.partial = whole > 1
        p.step = gso_size * max(whole, 1)
    p.count = (p.length + p.step - 1) // p.step
    return 0


cdef void prepare(plan *p) noexcept nogil:
    """The sums that emit() needs; make_plan() alone tells the size of the output."""
    sum_layers(p)
    if not p.ufo:
        sum_transport(p)


cdef Py_ssize_t plan_size(const plan *p) noexcept nogil:
    """Bytes of output."""
    return p.length + p.count * p.hlen


# ---- from a plan to segments ----------------------------------------------------------------

cdef void set_length(plan *p, uint8_t *t, Py_ssize_t n) noexcept nogil:
    """Make the headers at `t`, a copy of the template or itself, those of `n` payload bytes.

    Goes from the innermost header outwards with the sum of everything inside. A right checksum
    makes the sum of all it covers, pseudo header included, 0 (0xffff): what is inside a sealed
    layer is not needed to know what that layer adds to those around it.
    """
    # GSO_PARTIAL: a device will make segments of gso_size, and expects their lengths
    cdef Py_ssize_t each = min(n, p.gso_size) if p.partial else n
    cdef uint8_t *head
    cdef Py_ssize_t length
    cdef uint64_t inside
    cdef bint open_inside = True
    cdef layer *one
    cdef int k, stamps = p.stamps
    p.outer = -1
    inside = set_transport(p, t, n, each)
    open_inside = p.inner == REMOTE or p.inner == ABSENT
    for k in range(p.h.n - 1, -1, -1):
        one = &p.h.layers[k]
        head = t + one.offset
        length = p.hlen + each - one.offset
        if one.kind == IP4:
            put16(head + 2, length)
            if stamps and p.stamp[stamps - 1].offset == one.offset:
                stamps -= 1
                p.stamp[stamps].base = p.fixed[k] + htons(length)
            else:
                store16(head + 10, <uint16_t>~fold(p.fixed[k] + htons(length)))
            inside += p.gap[k] + 0xffff
        elif one.kind == IP6:
            put16(head + 4, length - 40)
            inside += p.fixed[k] + htons(length - 40)
        elif one.kind == UDP:
            put16(head + 4, length)
            inside += p.fixed[k] + htons(length)
            if p.sealed[k]:
                seal(p, k, open_inside, inside + p.pseudo[k] + length_sum(length), head + 6)
                store16(head + 6, not_zero(load16(head + 6)))
                inside = <uint16_t>~fold(p.pseudo[k] + length_sum(length))
                open_inside = False
        else:
            inside += p.fixed[k]
            if p.sealed[k]:
                seal(p, k, open_inside, inside, head + 4)
                inside = 0xffff
                open_inside = False


cdef inline void seal(
    plan *p, int k, bint open_inside, uint64_t total, uint8_t *check
) noexcept nogil:
    """Put the checksum of an outer layer in, or leave it to stamp() if it sums payload bytes."""
    if open_inside:
        p.outer = k
        p.outer_base = total
    store16(check, <uint16_t>~fold(total))


cdef uint64_t set_transport(
    plan *p, uint8_t *t, Py_ssize_t n, Py_ssize_t each
) noexcept nogil:
    """The innermost header; returns the sum of it and the payload, as far as known here."""
    cdef uint8_t *th = t + p.h.l4_header
    cdef Py_ssize_t thlen = p.hlen - p.h.l4_header
    cdef uint8_t *check = th + (16 if p.h.l4 == IPPROTO_TCP else 6)
    cdef uint64_t pseudo, fixed = p.l4_fixed
    if p.ufo:
        return 0
    pseudo = p.l4_pseudo + length_sum(thlen + n)
    if p.h.l4 == IPPROTO_UDP:
        put16(th + 4, thlen + n)
        fixed += htons(<uint16_t>(thlen + n))
    p.l4_base = pseudo + fixed
    if p.inner != COMPLETE:
        store16(check, fold(pseudo))
    if p.inner == REMOTE:
        return fixed + fold(pseudo)
    return <uint16_t>~fold(p.l4_pseudo + length_sum(thlen + each))


cdef uint64_t stamp_tcp(plan *p, uint8_t *th, Py_ssize_t i) noexcept nogil:
    """Sequence number and flags (tcp_gso_segment); returns their sum."""
    cdef uint32_t seq = p.seq + <uint32_t>(i * p.step)
    cdef uint16_t flags = p.flags
    if i + 1 < p.count:
        flags &= ~(TCP_FIN | TCP_PSH)
    if i and not p.accecn:
        flags &= ~TCP_CWR
    put16(th + 4, seq >> 16)
    put16(th + 6, seq)
    put16(th + 12, flags)
    return htons(seq >> 16) + <uint64_t>htons(<uint16_t>seq) + htons(flags)


cdef uint64_t stamp_fragment(plan *p, uint8_t *out, Py_ssize_t i) noexcept nogil:
    """IPv6 fragment header; returns the sum of what is put in."""
    # ipv6_gso_segment counts in lengths of the whole IPv6 payload, extension headers included
    cdef Py_ssize_t each = p.hlen + p.step - p.h.ip_header - 40 - FRAG_HLEN
    cdef unsigned int offset = <uint16_t>(i * each)
    if p.h.inner_version == 4:
        return 0
    if i + 1 < p.count:
        offset |= IP6_MF
    put16(out + p.h.fragment_at + 2, offset)
    return htons(offset)


cdef void stamp_ip(const plan *p, uint8_t *out, Py_ssize_t i) noexcept nogil:
    """What changes in the IPv4 headers."""
    cdef const stamped_ip *s
    cdef unsigned int field
    cdef uint8_t *head
    cdef int k
    for k in range(p.stamps):
        s = &p.stamp[k]
        head = out + s.offset
        if s.fragment:
            field = <uint16_t>((i * p.step) >> 3) | (IP_MF if i + 1 < p.count else 0)
            put16(head + 6, field)
        else:
            # GSO_PARTIAL: one ID for each segment that the device will make
            field = <uint16_t>(s.ident + i * (p.step // p.gso_size if p.partial else 1))
            put16(head + 4, field)
        store16(head + 10, <uint16_t>~fold(s.base + htons(field)))


cdef void stamp(plan *p, uint8_t *out, Py_ssize_t i, uint64_t payload) noexcept nogil:
    """Turn a copy of the template into the headers of segment `i` whose payload has this sum."""
    cdef uint8_t *th = out + p.h.l4_header
    cdef uint8_t *check
    cdef uint16_t value
    stamp_ip(p, out, i)
    if p.ufo:
        payload += stamp_fragment(p, out, i)
    elif p.h.l4 == IPPROTO_TCP:
        payload += stamp_tcp(p, th, i)
        if p.inner == COMPLETE:
            store16(th + 16, <uint16_t>~fold(p.l4_base + payload))
    elif p.inner == COMPLETE:
        store16(th + 6, not_zero(<uint16_t>~fold(p.l4_base + payload)))
    if p.outer >= 0:
        value = <uint16_t>~fold(p.outer_base + payload)
        check = out + p.h.layers[p.outer].offset
        if p.h.layers[p.outer].kind == UDP:
            store16(check + 6, not_zero(value))
        else:
            store16(check + 4, value)


cdef uint16_t datagram_checksum(const plan *p) noexcept nogil:
    """UFO: the UDP checksum over all fragments (udp4_ufo_fragment)."""
    cdef const uint8_t *ip = p.template.p + p.h.ip_header
    cdef uint64_t total = pseudo_sum(ip, p.h.inner_version == 4, IPPROTO_UDP)
    total += length_sum(p.length) + short_sum(p.payload, 6)
    return not_zero(<uint16_t>~fold(total + simd.sum(p.payload + 8, p.length - 8)))


cdef void patch_datagram(
    const plan *p, uint8_t *piece, Py_ssize_t start, Py_ssize_t n, uint16_t check
) noexcept nogil:
    """Put the UDP checksum where it lies in this piece of the datagram."""
    cdef const uint8_t *byte = <const uint8_t *>&check
    cdef int i
    for i in range(2):
        if start <= 6 + i < start + n:
            piece[6 + i - start] = byte[i]


cdef uint64_t copy_payload(
    const plan *p, uint8_t *out, Py_ssize_t start, Py_ssize_t n, uint16_t check, bint stream
) noexcept nogil:
    """Copy a segment's payload; returns its sum, or anything where nothing needs it."""
    cdef const uint8_t *src = p.payload + start
    cdef uint64_t total = 0
    if stream:
        total = simd.stream_sum(out, src, n)
    elif p.inner == COMPLETE or p.outer >= 0:
        total = simd.copy_sum(out, src, n)
    else:
        memcpy(out, src, n)
    if p.ufo and start < 8:
        patch_datagram(p, out, start, n, check)
        total = simd.sum(out, n)
    return total


cdef uint64_t note_payload(
    const plan *p, uint8_t *out, Py_ssize_t start, Py_ssize_t n, uint16_t check, int64_t *piece
) noexcept nogil:
    """Note where a segment's payload is instead of copying it; returns its sum."""
    piece[0] = start
    piece[1] = n
    if p.ufo and start == 0:
        # The datagram's checksum is in the payload: its header goes with ours.
        memcpy(out, p.payload, UDP_HLEN)
        patch_datagram(p, out, 0, UDP_HLEN, check)
        piece[0] += UDP_HLEN
        piece[1] -= UDP_HLEN
        return simd.sum(out, UDP_HLEN) + simd.sum(p.payload + UDP_HLEN, n - UDP_HLEN)
    if p.inner == COMPLETE or p.outer >= 0:
        return simd.sum(p.payload + start, n)
    return 0


cdef inline void copy_header(uint8_t *out, const uint8_t *template, Py_ssize_t hlen) noexcept nogil:
    """Copy a header in whole blocks: up to COPY_BLOCK - 1 bytes behind it are overwritten."""
    cdef Py_ssize_t at = 0
    while at < hlen:
        memcpy(out + at, template + at, COPY_BLOCK)
        at += COPY_BLOCK


cdef bint is_regular(const plan *p) noexcept nogil:
    """Do a TCP packet's inner segments differ in IDs, sequence numbers and two checksums only?"""
    return (p.h.l4 == IPPROTO_TCP and p.inner == COMPLETE and p.outer < 0
            and p.stamps <= REGULAR_IDS and not p.partial and p.step >= COPY_BLOCK)


cdef struct regular:
    # What stamp_regular() needs. A copy of its own: what is stored through a pointer to bytes
    # might, for all that the compiler knows, change the plan.
    stamped_ip ids[REGULAR_IDS]
    int stamps
    Py_ssize_t l4_header
    uint32_t seq            # of segment 0
    uint32_t step
    uint16_t flags
    uint64_t base


cdef inline regular as_regular(const plan *p) noexcept nogil:
    cdef regular r
    cdef int k
    r.stamps = p.stamps
    for k in range(p.stamps):
        r.ids[k] = p.stamp[k]
        r.ids[k].base = fold(r.ids[k].base)
    r.l4_header = p.h.l4_header
    r.seq = p.seq
    r.step = <uint32_t>p.step
    r.flags = htons(p.flags & ~(TCP_FIN | TCP_PSH | (0 if p.accecn else TCP_CWR)))
    r.base = p.l4_base + r.flags
    return r


cdef inline void stamp_regular(
    uint8_t *out, const regular *r, Py_ssize_t i, uint64_t payload
) noexcept nogil:
    """:func:`stamp` for a segment of a regular plan that is neither the first nor the last."""
    cdef uint32_t seq = htonl(r.seq + <uint32_t>i * r.step)
    cdef uint16_t ident
    cdef int k
    for k in range(r.stamps):
        ident = htons(<uint16_t>(r.ids[k].ident + i))
        store16(out + r.ids[k].offset + 4, ident)
        store16(out + r.ids[k].offset + 10, <uint16_t>~fold(r.ids[k].base + ident))
    memcpy(out + r.l4_header + 4, &seq, 4)
    store16(out + r.l4_header + 12, r.flags)
    store16(out + r.l4_header + 16, <uint16_t>~fold(r.base + payload + seq))


cdef void emit_regular(
    const plan *p, uint8_t *out, int64_t *pieces, bint stream, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Write segments `begin` to `end`, without the first and the last, of a regular plan."""
    cdef regular r = as_regular(p)
    cdef const uint8_t *template = p.template.p
    cdef const uint8_t *src = p.payload + begin * p.step
    cdef Py_ssize_t i, hlen = p.hlen, step = p.step
    cdef uint64_t payload
    for i in range(begin, end):
        if stream:
            payload = simd.stream_sum(out + hlen, src, step)
            # Not in blocks: what streams past the caches must not lie in them too
            memcpy(out, template, hlen)
        elif pieces is NULL:
            copy_header(out, template, hlen)
            payload = simd.copy_sum(out + hlen, src, step)
        else:
            copy_header(out, template, hlen)
            payload = simd.sum(src, step)
            pieces[2 * i] = i * step
            pieces[2 * i + 1] = step
        stamp_regular(out, &r, i, payload)
        src += step
        out += hlen + step if pieces is NULL else hlen


cdef void emit(plan *p, uint8_t *out, int64_t *pieces, bint stream) noexcept nogil:
    """Write all segments; or, given `pieces`, headers alone and where in the payload they cut."""
    cdef Py_ssize_t i = 0, n = p.step, start = 0
    cdef uint64_t payload
    cdef uint16_t check = 0
    prepare(p)
    if p.ufo:
        check = datagram_checksum(p)
    set_length(p, p.template.p, min(n, p.length))
    while i < p.count:
        n = min(n, p.length - start)
        if pieces is NULL:
            payload = copy_payload(p, out + p.hlen, start, n, check, stream)
        else:
            payload = note_payload(p, out + p.hlen, start, n, check, pieces + 2 * i)
        # Only now, and without touching the template again: reading what was just written stalls.
        memcpy(out, p.template.p, p.hlen)
        if n < p.step:
            set_length(p, out, n)
        stamp(p, out, i, payload)
        out += p.hlen + n if pieces is NULL else p.hlen + n - pieces[2 * i + 1]
        start += n
        i += 1
        if i == 1 and p.count > 2 and is_regular(p):
            emit_regular(p, out, pieces, stream, 1, p.count - 1)
            out += (p.count - 2) * (p.hlen + (p.step if pieces is NULL else 0))
            start += (p.count - 2) * p.step
            i = p.count - 1


# ---- no segmentation: checksums only --------------------------------------------------------

cdef Py_ssize_t within(Py_ssize_t end, Py_ssize_t start, Py_ssize_t least) noexcept nogil:
    """The end that a length field gives, unless it cannot be."""
    return end if least <= end < start else start


cdef int find_ends(const plan *p, Py_ssize_t size, Py_ssize_t *ends) noexcept nogil:
    """Where each layer's packet ends: Ethernet padding belongs to no packet.

    Returns how many layers are whole. The one behind them, if any, is an IPv4 fragment, whose
    checksums cover more than itself.
    """
    cdef const uint8_t *head
    cdef const layer *one
    cdef Py_ssize_t end = size
    cdef int k
    for k in range(p.h.n):
        one = &p.h.layers[k]
        head = p.template.p + one.offset
        if one.kind == IP4:
            end = within(one.offset + get16(head + 2), end, p.h.payload)
        elif one.kind == IP6:
            end = within(one.offset + 40 + get16(head + 4), end, p.h.payload)
        elif one.kind == UDP:
            end = within(one.offset + get16(head + 4), end, p.h.payload)
        ends[k] = end
        if one.kind == IP4 and get16(head + 6) & 0x3fff:
            return k
    ends[p.h.n] = end
    return p.h.n


cdef uint64_t complete_transport(
    plan *p, uint8_t *out, Py_ssize_t start, Py_ssize_t end
) noexcept nogil:
    """Complete the innermost checksum; returns the sum of out[start:end]."""
    cdef uint8_t *check = out + start + (16 if p.h.l4 == IPPROTO_TCP else 6)
    cdef uint64_t pseudo
    cdef uint16_t given, value
    if p.h.l4 == 0 or (p.h.l4 == IPPROTO_UDP and load16(check) == 0):
        return simd.sum(out + start, end - start)
    pseudo = pseudo_sum(out + p.h.ip_header, p.h.inner_version == 4, p.h.l4)
    pseudo += length_sum(end - start)
    if p.inner != COMPLETE:
        store16(check, fold(pseudo))
        if p.inner == REMOTE:
            return simd.sum(out + start, end - start)
    else:
        given = load16(check)
        store16(check, 0)
        value = <uint16_t>~fold(pseudo + simd.sum(out + start, end - start))
        # skb_checksum_help sends 0 as 0xffff, for TCP too; a field that is right stays as it is
        store16(check, not_zero(value) if given else value)
    return <uint16_t>~fold(pseudo)


cdef void complete_layer(
    plan *p, int k, uint8_t *out, Py_ssize_t next_offset, Py_ssize_t end, uint64_t *inside
) noexcept nogil:
    """Complete the checksum of an outer header; adds the header to the sum of what is inside."""
    cdef const layer *one = &p.h.layers[k]
    cdef uint8_t *head = out + one.offset
    cdef Py_ssize_t hlen = next_offset - one.offset
    cdef uint64_t pseudo
    if one.kind == UDP and p.sealed[k]:
        one = &p.h.layers[k - 1]
        pseudo = pseudo_sum(out + one.offset, one.kind == IP4, IPPROTO_UDP)
        pseudo += length_sum(out + end - head)
        store16(head + 6, 0)
        inside[0] += pseudo + short_sum(head, hlen)
        store16(head + 6, not_zero(<uint16_t>~fold(inside[0])))
        inside[0] = <uint16_t>~fold(pseudo)
        return
    elif one.kind == GRE and p.sealed[k] and p.inner != REMOTE:
        # With remote checksum offload it is right already: of what the receiver makes of the packet
        store16(head + 4, 0)
        inside[0] += short_sum(head, hlen)
        store16(head + 4, <uint16_t>~fold(inside[0]))
        inside[0] = 0xffff
        return
    inside[0] += short_sum(head, hlen)


cdef void complete(plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out) noexcept nogil:
    """gso_size 0: copy the frame and complete its checksums (skb_checksum_help).

    IPv4 headers stay as they are: no kernel leaves their checksum to be completed.
    """
    cdef Py_ssize_t ends[MAX_LAYERS + 1]
    cdef Py_ssize_t start = p.h.l4_header if p.h.l4 else p.h.payload
    cdef Py_ssize_t end, covered, next_offset
    cdef uint64_t inside
    cdef int k, whole
    memcpy(out, p.template.p, p.h.payload)
    memcpy(out + p.h.payload, frame + p.h.payload, size - p.h.payload)
    whole = find_ends(p, size, ends)
    covered = end = ends[whole]
    if whole < p.h.n:
        start = p.h.layers[whole].offset
        inside = simd.sum(out + start, end - start)
    else:
        if p.h.l4 == IPPROTO_UDP:
            covered = within(start + get16(out + start + 4), end, p.h.payload)
        inside = complete_transport(p, out, start, covered)
    next_offset = start
    for k in range(whole - 1, -1, -1):
        if ends[k] > covered:
            inside += behind(simd.sum(out + covered, ends[k] - covered), covered - start)
            covered = ends[k]
        complete_layer(p, k, out, next_offset, covered, &inside)
        next_offset = p.h.layers[k].offset


cdef void write_plan(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out, bint stream
) noexcept nogil:
    if p.gso_size:
        emit(p, out, NULL, stream)
    else:
        complete(p, frame, size, out)


cdef int complete_headers(
    plan *p, const uint8_t *frame, Py_ssize_t size, uint8_t *out
) noexcept nogil:
    """gso_size 0 for segment_headers: complete a copy, and keep its headers."""
    cdef uint8_t *whole = <uint8_t *>malloc(size + 1)
    if whole is NULL:
        return -1
    complete(p, frame, size, whole)
    memcpy(out, whole, p.h.payload)
    free(whole)
    return 0


# ---- the door -------------------------------------------------------------------------------

cdef unsigned int as_gso_type(object gso_type) except? 0xffff:
    cdef object number
    if gso_type is None:
        return 0
    number = index(gso_type)
    if not 0 <= number < 1 << 32:
        raise ValueError(f"gso_type {number} is not a set of SKB_GSO_* bits")
    return number


cdef int64_t as_gso_size(object gso_size) except? -1:
    """-1, which make_plan refuses, would not name a number too large for an int64."""
    cdef int overflow
    cdef long long size
    if not PyLong_CheckExact(gso_size):
        gso_size = index(gso_size)
    size = PyLong_AsLongLongAndOverflow(gso_size, &overflow)
    if overflow:
        raise GsoError(
            f"gso_size {gso_size} is not between 0 and {GSO_BY_FRAGS - 1}", reason=Reason.GSO_SIZE,
            field="gso_size", offset=gso_size, limit=GSO_BY_FRAGS - 1)
    return size


cdef bint is_partial(object checksum) except -1:
    if checksum == "complete":
        return False
    if checksum == "partial":
        return True
    raise ValueError(f'checksum is "complete" or "partial", not {checksum!r}')


cdef Frames segments_of(plan *p, const uint8_t *frame, Py_ssize_t size):
    """The segments of a plan as Frames."""
    cdef Py_ssize_t i, length = plan_size(p)
    cdef bytes data = new_bytes(length), ends = new_bytes((p.count + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(data)
    cdef int64_t *off = <int64_t *>PyBytes_AS_STRING(ends)
    if length < RELEASE_GIL:
        write_plan(p, frame, size, out, False)
    else:
        with nogil:
            write_plan(p, frame, size, out, length >= STREAM)
            if length >= STREAM:
                simd.stream_end()
    for i in range(p.count):
        off[i] = i * (p.hlen + p.step)
    off[p.count] = length
    cdef Frames segments = Frames.__new__(Frames)
    segments.adopt(data, ends)
    return segments


cdef SegmentHeaders headers_of(plan *p, const uint8_t *frame, Py_ssize_t size):
    """The headers of a plan's segments."""
    cdef fault why
    cdef Py_ssize_t i, extra = UDP_HLEN if p.ufo else 0, length = p.count * p.hlen + extra
    if p.ufo and p.gso_size < UDP_HLEN:
        refuse(&why, GSO_SIZE, "gso_size", "gso_size {offset} cuts the UDP header ({limit} bytes)",
               p.gso_size, UDP_HLEN, p.gso_size)
        raise as_error(&why)
    cdef bytes data = new_bytes(length), ends = new_bytes((p.count + 1) * sizeof(int64_t))
    cdef bytes pieces = new_bytes(p.count * 2 * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(data)
    cdef int64_t *off = <int64_t *>PyBytes_AS_STRING(ends)
    cdef int64_t *piece = <int64_t *>PyBytes_AS_STRING(pieces)
    if p.gso_size == 0:
        if complete_headers(p, frame, size, out) < 0:
            raise MemoryError
        piece[0] = 0
        piece[1] = p.length
    elif p.length < RELEASE_GIL:
        emit(p, out, piece, False)
    else:
        with nogil:
            emit(p, out, piece, False)
    off[0] = 0
    for i in range(p.count):
        off[i + 1] = (i + 1) * p.hlen + extra
        piece[2 * i] += p.payload - frame
    cdef SegmentHeaders result = SegmentHeaders.__new__(SegmentHeaders)
    result.headers = Frames.__new__(Frames)
    result.headers.adopt(data, ends)
    result.pieces = pieces
    return result


cdef object run(
    object frame, object gso_size, object gso_type, object layout, object link_type,
    object tunnel_ports, object checksum, bint headers_only, bint believe=False
):
    """Borrow the frame, plan, write, and give everything back."""
    cdef plan p
    cdef job j
    cdef port_list ports
    cdef fault why
    cdef Py_buffer view
    cdef int64_t size = as_gso_size(gso_size)
    cdef unsigned int bits = as_gso_type(gso_type)
    j.partial = is_partial(checksum)
    j.believe = believe
    j.raw = is_raw(link_type)
    j.layout = NULL
    j.ports = &ports
    if layout is not None:
        j.layout = &(<Layout?>layout).h
    take_ports(&ports, tunnel_ports)
    p.template.p = p.template.few
    try:
        borrow(frame, &view)
        try:
            if make_plan(&p, &why, &j, <const uint8_t *>view.buf, view.len, size, bits):
                raise as_error(&why)
            if headers_only:
                return headers_of(&p, <const uint8_t *>view.buf, view.len)
            return segments_of(&p, <const uint8_t *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
    finally:
        drop_copy(&p.template)
        drop_ports(&ports)


def segment(frame, gso_size, *, gso_type=None, layout=None, link_type="ethernet",
            tunnel_ports=None, checksum="complete"):
    """Segment a super-packet exactly as the Linux kernel's software GSO does (6.12).

    Args:
        frame: the super-packet, any buffer. Length and checksum fields, IPv4 header checksums
            included, may hold anything: all are computed anew.
        gso_size: payload bytes per segment, headers not counted (for UFO: bytes of IP payload per
            fragment). 0: no segmentation; transport and tunnel checksums are completed, the frame
            else unchanged.
        gso_type: :class:`GsoType`. Of the groups transport (TCPV4, TCPV6, UDP, UDP_L4), UDP tunnel
            and GRE, one that has no bit set is taken from the frame: segments for a UDP packet, an
            outer checksum where the field is not 0, remote checksum offload where the header says
            so. None is 0.
        layout: from :func:`parse` of this frame or one with the same headers, to save parsing.
        link_type, tunnel_ports: as for :func:`parse`.
        checksum: "complete", or "partial": the innermost checksum field holds the sum of the
            pseudo header for hardware to complete (CHECKSUM_PARTIAL).

    Returns :class:`Frames`: the segments in transmit order.

    Raises GsoError for what the kernel refuses: see :class:`Reason`.

    Kernel: __skb_gso_segment, inet_gso_segment, ipv6_gso_segment, tcp_gso_segment,
    __udp_gso_segment, udp4_ufo_fragment, __skb_udp_tunnel_segment, gre_gso_segment.
    """
    return run(
        frame, gso_size, gso_type, layout, link_type, tunnel_ports, checksum, False)


def segment_vouched(frame, gso_size, *, gso_type, layout, link_type, checksum):
    """:func:`segment` of a frame whose virtio header says that it is CHECKSUM_PARTIAL.

    What the checksum field holds is believed, as the kernel does, even if it is wrong.
    """
    return run(frame, gso_size, gso_type, layout, link_type, None, checksum, False, True)


cdef class SegmentHeaders:
    """Headers of segments, and where each one's payload is; see :func:`segment_headers`.

    Unpacks into the two: ``headers, payload = segment_headers(...)``.
    """

    cdef readonly Frames headers
    cdef bytes pieces

    def __init__(self):
        raise TypeError("SegmentHeaders come from gso.segment_headers")

    @property
    def payload(self):
        """Offset in the frame and length of each payload: int64 array of shape (n, 2)."""
        return np.frombuffer(self.pieces, np.int64).reshape(-1, 2)

    def __len__(self):
        return 2

    def __iter__(self):
        return iter((self.headers, self.payload))

    def __getitem__(self, i):
        return (self.headers, self.payload)[i]

    def __repr__(self):
        return f"<gso.SegmentHeaders: {len(self.headers)} segments>"


def segment_headers(frame, gso_size, *, gso_type=None, layout=None, link_type="ethernet",
                    tunnel_ports=None, checksum="complete"):
    """The headers of the segments that :func:`segment` makes, without copying the payload.

    Header `i` followed by ``frame[offset:offset + length]``, with ``(offset, length)`` being
    ``payload[i]``, is segment `i`: give both to ``socket.sendmsg``. Checksums are complete.
    For UFO the first header includes the UDP header, as its checksum is not in the frame.

    Args and errors as for :func:`segment`; UFO needs a gso_size of at least 8 here.

    Returns :class:`SegmentHeaders`.
    """
    return run(
        frame, gso_size, gso_type, layout, link_type, tunnel_ports, checksum, True)
