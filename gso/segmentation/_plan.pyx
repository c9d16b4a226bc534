# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""From a super-packet to a *plan*: a template of its headers, and how the payload is cut.

What the kernel refuses is refused here; a plan can be carried out.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memmove

from gso.buffers._checksum cimport get16, load16
from gso.headers._walk cimport (
    FEW_BYTES, GRE, GSO_SIZE, GSO_TYPE, HEADER_ROOM, IP4, IP6, LAYOUT, NOT_GSO, TOO_LONG, UDP,
    fault, layer, read_headers, reason_t,
)

cdef enum:
    # What is inside: SKB_GSO_FCOE, SCTP and ESP too, which nothing here segments
    TRANSPORT_TYPES = (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP | SKB_GSO_UDP_L4
                       | 1 << 5 | 1 << 14 | 1 << 15)
    UDP_TUNNEL_TYPES = SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM
    GRE_TYPES = SKB_GSO_GRE | SKB_GSO_GRE_CSUM
    ALL_TYPES = (1 << 20) - 1

    IPPROTO_FRAGMENT = 44
    IP_DF = 0x4000
    JUMBO_HLEN = 8


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
    p.prepared = False
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


cdef Py_ssize_t plan_size(const plan *p) noexcept nogil:
    """Bytes of output."""
    return p.length + p.count * p.hlen
