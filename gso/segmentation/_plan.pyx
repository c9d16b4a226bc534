# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""From a super-packet to a *plan*: a template of its headers, and how the payload is cut.

Everything that the kernel refuses is refused here: every plan can be carried out.
"""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memmove

from gso.buffers._bytes cimport get16, load16
from gso.headers._kernel cimport KERNEL_NO_JUMBO, KERNEL_PIECES_BY_COUNT, known_types
from gso.headers._numbers cimport (
    GSO_BY_FRAGS, GSO_MAX_SEGS, IPPROTO_FRAGMENT, IPPROTO_TCP, IPPROTO_UDP, IPV4_FRAG_OFF,
    IPV6_EXT_HDRLEN, IPV6_FRAG_HLEN, IPV6_FRAG_ID, IPV6_HLEN, IPV6_NEXTHDR, IP_DF, JUMBO_HLEN,
    SKB_GSO_ALL, SKB_GSO_GRE, SKB_GSO_GRE_CSUM, SKB_GSO_IPXIP4, SKB_GSO_IPXIP6, SKB_GSO_PARTIAL,
    SKB_GSO_TCPV4, SKB_GSO_TCPV6, SKB_GSO_TCP_ACCECN, SKB_GSO_TCP_FIXEDID, SKB_GSO_TUNNEL_REMCSUM,
    SKB_GSO_UDP, SKB_GSO_UDP_L4, SKB_GSO_UDP_TUNNEL, SKB_GSO_UDP_TUNNEL_CSUM, UDP_CHECK, UDP_DEST,
    UDP_LEN,
)
from gso.headers._ambiguous cimport ambiguity, guess, guess_tunnel, is_train
from gso.headers._walk cimport (
    FEW_BYTES, HEADER_ROOM, LAYER_GRE, LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP,
    REASON_AMBIGUOUS, REASON_GSO_SIZE, REASON_GSO_TYPE, REASON_LAYOUT, REASON_NOT_GSO,
    REASON_TOO_LONG, REASON_UNSUPPORTED, STEP_NSH, fault, layer, read_headers, refuse,
)

cdef enum:
    UDP_TUNNEL_TYPES = SKB_GSO_UDP_TUNNEL | SKB_GSO_UDP_TUNNEL_CSUM
    GRE_TYPES = SKB_GSO_GRE | SKB_GSO_GRE_CSUM
    IPXIP_TYPES = SKB_GSO_IPXIP4 | SKB_GSO_IPXIP6


cdef int check_bits(const plan *p, fault *why, unsigned int gso_type) noexcept nogil:
    """Refuse bits that the kernel does not know."""
    cdef unsigned int known = known_types(p.kernel)
    if not gso_type & ~known:
        return 0
    return refuse(
        why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} has bits that mean nothing in this "
        "kernel, those that do are {limit:#x}", gso_type, known, gso_type)


cdef int settle_type(plan *p, fault *why, unsigned int gso_type) noexcept nogil:
    """Check gso_type against the headers, and take from them what it does not say."""
    cdef unsigned int wanted, given = gso_type & TRANSPORT_TYPES
    if gso_type > SKB_GSO_ALL or p.kernel:
        if check_bits(p, why, gso_type) < 0:
            return -1
    if p.h.l4 == IPPROTO_TCP:
        wanted = SKB_GSO_TCPV4 if p.h.inner_version == 4 else SKB_GSO_TCPV6
    elif p.h.l4 == IPPROTO_UDP:
        wanted = SKB_GSO_UDP | SKB_GSO_UDP_L4
    else:
        wanted = given
    if given and not given & wanted:
        return refuse(
            why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} has none of {limit:#x}, which "
            "the transport header at byte {value} needs", gso_type, wanted, p.h.l4_header)
    p.ufo = p.gso_size and wanted & given & SKB_GSO_UDP
    if p.ufo and gso_type & (SKB_GSO_UDP_L4 | SKB_GSO_PARTIAL):
        return refuse(
            why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} asks for fragments "
            "({limit:#x}) and for segments", gso_type, SKB_GSO_UDP, 0)
    p.gso_type = gso_type
    p.accecn = gso_type & SKB_GSO_TCP_ACCECN
    p.partial = p.gso_size and gso_type & SKB_GSO_PARTIAL
    if gso_type & IPXIP_TYPES and p.gso_size and check_ip_in_ip(p, why) < 0:
        return -1
    return settle_tunnels(p, why)


cdef int check_ip_in_ip(plan *p, fault *why) noexcept nogil:
    """Refuse bits that say of IP in IP, or of FOU and GUE, another outer version than theirs.

    (ipip_gso_segment, sit_gso_segment, ip4ip6_gso_segment, ip6ip6_gso_segment)
    """
    cdef unsigned int wanted = p.h.ip_in_ip, given = p.gso_type & IPXIP_TYPES
    if wanted & ~given == 0:
        return 0
    return refuse(
        why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} does not have {limit:#x}, which "
        "the IP headers around IP packets need (IPXIP4 for IPv4, IPXIP6 for IPv6)", p.gso_type,
        wanted, 0)


cdef int settle_tunnels(plan *p, fault *why) noexcept nogil:
    """Find out which outer checksums are in use, and what becomes of the innermost one."""
    cdef unsigned int udp = p.gso_type & UDP_TUNNEL_TYPES, gre = p.gso_type & GRE_TYPES
    cdef bint remcsum = p.gso_type & SKB_GSO_TUNNEL_REMCSUM, gre_csum = False
    cdef const uint8_t *head
    cdef int k
    for k in range(p.h.n):
        head = p.template.p + p.h.layers[k].offset
        if p.h.layers[k].kind == LAYER_UDP:
            p.sealed[k] = udp & SKB_GSO_UDP_TUNNEL_CSUM if udp else load16(head + UDP_CHECK) != 0
            if not udp:
                remcsum = p.h.remcsum
        elif p.h.layers[k].kind == LAYER_GRE:
            p.sealed[k] = gre & SKB_GSO_GRE_CSUM if gre else True
            gre_csum = True
        else:
            p.sealed[k] = False
    if gre & SKB_GSO_GRE_CSUM and not gre_csum:
        return refuse(
            why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} has GRE_CSUM ({limit:#x}), but "
            "no GRE header has a checksum", p.gso_type, SKB_GSO_GRE_CSUM, 0)
    if p.partial and remcsum:
        return refuse(
            why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} is PARTIAL, whose segments a "
            "device completes, with remote checksums ({limit:#x})", p.gso_type,
            SKB_GSO_TUNNEL_REMCSUM, 0)
    if p.h.l4 == 0 or p.ufo:
        p.inner = INNER_ABSENT
    elif p.gso_size and p.h.steps & 1 << STEP_NSH:
        # nsh_gso_segment leaves of a device's features only SG
        p.inner = INNER_COMPLETE
        p.partial = False
    elif remcsum:
        p.inner = INNER_REMOTE
    elif p.partial:
        p.inner = INNER_PARTIAL  # skb_segment: only where a device completes checksums
    return 0


cdef int check_fixed_ids(plan *p, fault *why) noexcept nogil:
    """Refuse an ID that stays the same without DF, as inet_gso_segment does."""
    cdef layer *one
    cdef unsigned int frag_off
    cdef int k
    if not p.gso_type & SKB_GSO_TCP_FIXEDID:
        return 0
    for k in range(p.h.n):
        one = &p.h.layers[k]
        if one.kind != LAYER_IPV4 or not one.inner:
            continue
        frag_off = get16(p.template.p + one.offset + IPV4_FRAG_OFF)
        if not frag_off & IP_DF:
            return refuse(
                why, REASON_GSO_TYPE, "frag_off", "gso_type has TCP_FIXEDID, but frag_off at byte "
                "{offset} is {value:#06x}, without DF ({limit:#06x})", one.offset + IPV4_FRAG_OFF,
                IP_DF, frag_off)
    return 0


cdef int check_lengths(
    const plan *p, fault *why, Py_ssize_t n, const char *text
) noexcept nogil:
    """Refuse segments of `n` payload bytes if their lengths do not fit in their 16-bit fields."""
    cdef Py_ssize_t length
    cdef const layer *one
    cdef int k
    if p.hlen + n <= 0xffff:
        return 0
    for k in range(p.h.n):
        one = &p.h.layers[k]
        length = p.hlen + n - one.offset
        if one.kind == LAYER_IPV6:
            length -= IPV6_HLEN
        if length > 0xffff and one.kind != LAYER_GRE and one.kind != LAYER_PPPOE:
            return refuse(
                why, REASON_TOO_LONG, "payload_len" if one.kind == LAYER_IPV6 else "tot_len", text,
                length, 0xffff, n)
    return 0


cdef void remove_jumbo(plan *p) noexcept nogil:
    """Take the hop-by-hop header of BIG TCP out (ipv6_hopopt_jumbo_remove)."""
    cdef uint8_t *jumbo = p.template.p + p.h.jumbo
    memmove(jumbo, jumbo + JUMBO_HLEN, p.h.payload - p.h.jumbo - JUMBO_HLEN)
    p.template.p[p.h.ip_header + IPV6_NEXTHDR] = IPPROTO_TCP
    p.h.l4_header -= JUMBO_HLEN
    p.hlen -= JUMBO_HLEN


cdef void insert_fragment_header(plan *p) noexcept nogil:
    """Insert the fragment header of UFO over IPv6 (udp6_ufo_fragment).

    Its ID is the only field that differs from the kernel's, which is random.
    """
    cdef uint8_t *frag = p.template.p + p.h.fragment_at
    memmove(frag + IPV6_FRAG_HLEN, frag, p.h.l4_header - p.h.fragment_at)
    frag[0] = p.template.p[p.h.fragment_next]
    frag[1] = frag[2] = frag[3] = 0
    # A number that differs from datagram to datagram
    memcpy(frag + IPV6_FRAG_ID, p.payload + UDP_CHECK, 2)
    memcpy(frag + IPV6_FRAG_ID + 2, p.payload + UDP_LEN, 2)
    p.template.p[p.h.fragment_next] = IPPROTO_FRAGMENT
    p.h.l4_header += IPV6_FRAG_HLEN
    p.hlen += IPV6_FRAG_HLEN


cdef int read_plan(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Copy the frame's headers into the template, and note where they are."""
    if options.layout is NULL:
        return read_headers(&p.h, why, &p.template, frame, size, options.link, options.ports)
    p.h = options.layout[0]
    p.template.p = p.template.few
    if p.h.payload > size:
        return refuse(
            why, REASON_LAYOUT, "payload", "the layout's headers end at byte {offset}, but the "
            "frame has {limit} bytes", p.h.payload, size, 0)
    if p.h.payload > FEW_BYTES:
        p.template.p = <uint8_t *>malloc(p.h.payload + HEADER_ROOM)
        if p.template.p is NULL:
            p.template.p = p.template.few
            return refuse(
                why, REASON_TOO_LONG, "len", "no memory for {offset} header bytes", p.h.payload, 0,
                0)
    memcpy(p.template.p, frame, p.h.payload)
    return check_routing(p, why)


cdef int check_routing(plan *p, fault *why) noexcept nogil:
    """Refuse a layout in which the frame's routing header is longer: addresses are read from it."""
    cdef Py_ssize_t end
    if p.h.routing < 0:
        return 0
    end = p.h.routing + 8 * (p.template.p[p.h.routing + IPV6_EXT_HDRLEN] + 1)
    if end <= p.h.payload:
        return 0
    return refuse(
        why, REASON_LAYOUT, "hdrlen", "the frame's routing header ends at byte {offset}, but the "
        "layout's headers at {limit}", end, p.h.payload, 0)


cdef int check_payload(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Refuse to cut a UDP payload into datagrams that is a tunnel's packet by all its fields."""
    cdef guess found = guess_tunnel(&p.h, frame, size, options.link, options.ports)
    cdef Py_ssize_t port_at = p.h.l4_header + UDP_DEST
    if found.row is NULL or is_train(&found, &p.h, frame, size, p.gso_size):
        return 0
    return refuse(
        why, REASON_AMBIGUOUS, "dest", ambiguity(&found), port_at, get16(p.template.p + port_at), 0)


cdef int make_plan(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size,
    int64_t gso_size, unsigned int gso_type
) noexcept nogil:
    """Plan the segmentation of a frame. The caller frees the template with drop_copy().

    Returns 0, or -1 with `why` filled in.
    """
    cdef Py_ssize_t whole, port_at
    p.template.p = p.template.few
    p.stop = options.stop
    if gso_size < 0 or gso_size >= GSO_BY_FRAGS:
        return refuse(
            why, REASON_GSO_SIZE, "gso_size", "gso_size {offset} is not between 0 and {limit}",
            gso_size, GSO_BY_FRAGS - 1, gso_size)
    if read_plan(p, why, options, frame, size) < 0:
        return -1
    if gso_size and p.h.refusal.field is not NULL:
        why[0] = p.h.refusal
        return -1
    if gso_size and p.h.opaque is not NULL and not gso_type & (SKB_GSO_UDP | SKB_GSO_UDP_L4):
        # The kernel knows the type, and cuts what it is told to cut; without it this is a guess.
        port_at = p.h.l4_header + UDP_DEST
        return refuse(
            why, REASON_UNSUPPORTED, "dest", p.h.opaque.refusal, port_at,
            get16(p.template.p + port_at), 0)
    p.gso_size = gso_size
    p.inner = INNER_PARTIAL if options.partial else INNER_COMPLETE
    p.believe = options.believe
    p.kernel = options.kernel
    p.prepared = p.guarded = False
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
        return refuse(
            why, REASON_NOT_GSO, "gso_size", "a payload of {offset} bytes is not larger than "
            "gso_size {limit}", p.length, gso_size, 0)
    p.guarded = p.h.l4 == IPPROTO_UDP and not (p.h.plain or p.ufo or gso_type & SKB_GSO_UDP_L4)
    if p.guarded and check_payload(p, why, options, frame, size) < 0:
        return -1
    if p.h.jumbo >= 0 and not p.kernel & KERNEL_NO_JUMBO:
        remove_jumbo(p)
    if p.ufo and p.h.inner_version == 6:
        insert_fragment_header(p)
    if check_lengths(
        p, why, gso_size, "a segment of gso_size {value} has a length of {offset}, the field ends "
        "at {limit}"
    ) < 0:
        return -1
    p.step = gso_size
    if p.partial:
        # skb_segment: as many whole pieces as fit under GSO_BY_FRAGS; a single one is no GSO packet
        if p.kernel & KERNEL_PIECES_BY_COUNT:
            whole = min(p.length // gso_size, <Py_ssize_t>GSO_MAX_SEGS)
        else:
            whole = min(p.length, GSO_BY_FRAGS - 1) // gso_size
        p.partial = whole > 1
        p.step = gso_size * max(whole, 1)
    p.count = (p.length + p.step - 1) // p.step
    return 0


cdef Py_ssize_t plan_size(const plan *p) noexcept nogil:
    """Bytes of output."""
    return p.length + p.count * p.hlen
