# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""From a plan to segments, or to their headers alone.

The template is set for the length of the full segments. Each segment is a copy of it into which
the fields that count up are written (and, in the last one, the lengths), and a piece of the payload
that is copied and summed in one pass. Where the inner checksum is complete its payload cancels out
of the checksums around it (local checksum offload), so those are part of the template and cost
nothing per segment.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport get16, load16, put16, store16
from gso.buffers._checksum cimport (
    GSO_TRAIN_IDS, fold, gso_train, htons, length_sum, not_zero, short_sum, simd,
)
from gso.buffers._signals cimport PIECE, SEGMENT_WORK, add_sum, check_signals
from gso.headers._kernel cimport KERNEL_PIECES_BY_COUNT, KERNEL_TWO_FIXED_IDS
from gso.headers._numbers cimport (
    GRE_CHECK, GRE_RESERVED1, IP6_MF, IPPROTO_TCP, IPPROTO_UDP, IPV4_CHECK, IPV4_FRAG_OFF, IPV4_ID,
    IPV4_TOT_LEN, IPV6_FRAG_HLEN, IPV6_FRAG_OFF, IPV6_HLEN, IPV6_PAYLOAD_LEN, IP_MF,
    PPPOE_BASE_HLEN, PPPOE_LENGTH, SKB_GSO_TCP_FIXEDID, SKB_GSO_TCP_FIXEDID_INNER,
    SKB_GSO_TCP_FIXEDID_OUTER, TCPHDR_CWR, TCPHDR_FIN, TCPHDR_PSH, TCP_CHECK, TCP_DOFF, TCP_SEQ,
    UDP_CHECK, UDP_HLEN, UDP_LEN,
)
from gso.headers._pseudo_header cimport pseudo_sum, routed_sum
from gso.headers._walk cimport FEW_BYTES, LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP, layer
from gso.segmentation._plan cimport (
    INNER_ABSENT, INNER_COMPLETE, INNER_REMOTE, length_sums, plan, stamped_ip,
)

# ---- sums that are the same in all segments -------------------------------------------------

cdef inline uint64_t less(const uint8_t *field) noexcept nogil:
    """The number that, added to a sum, takes the field out of it.

    Clearing the field first, in memory that is then read in larger units, would stall the
    processor.
    """
    return <uint16_t>~load16(field)


cdef void sum_layers(plan *p) noexcept nogil:
    """Sum the header bytes that are the same in all segments."""
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
        if one.kind == LAYER_IPV4:
            p.gap[k] = short_sum(head + one.hlen, hlen - one.hlen)
            total = short_sum(head, one.hlen) + less(head + IPV4_TOT_LEN)
            total += less(head + IPV4_CHECK) + add_stamp(p, one, head)
        elif one.kind == LAYER_IPV6:
            total = short_sum(head, hlen) + less(head + IPV6_PAYLOAD_LEN)
        elif one.kind == LAYER_UDP:
            total = short_sum(head, hlen) + less(head + UDP_LEN)
            if p.sealed[k]:
                total += less(head + UDP_CHECK)
            one = &p.h.layers[k - 1]
            p.pseudo[k] = pseudo_sum(t + one.offset, one.kind == LAYER_IPV4, IPPROTO_UDP)
            if p.sealed[k]:
                stored_pseudo(p, k, t + one.offset, head)
        elif one.kind == LAYER_PPPOE:
            total = short_sum(head, hlen) + less(head + PPPOE_LENGTH)
        else:
            total = short_sum(head, hlen)
            if p.sealed[k]:
                total += less(head + GRE_CHECK) + less(head + GRE_RESERVED1)
                put16(head + GRE_RESERVED1, 0)
        p.fixed[k] = total


cdef inline void stored_pseudo(
    plan *p, int k, const uint8_t *ip, const uint8_t *head
) noexcept nogil:
    """Start from the sum that the sender left in a UDP tunnel's checksum field.

    __skb_udp_tunnel_segment takes it, right or wrong. A frame alone does not say whether the field
    holds one: then it counts only if it is that of a routing header's final destination.
    """
    cdef uint64_t length, routed
    if not p.believe and (p.h.layers[k - 1].kind == LAYER_IPV4 or head - ip == IPV6_HLEN):
        return
    # Of the frame as it came: the template may have lost a jumbo header, or got one for fragments
    length = length_sum(
        p.h.payload + p.length - (UDP_HLEN if p.ufo else 0) - (head - p.template.p))
    if p.believe:
        p.pseudo[k] = <uint16_t>~fold(length) + load16(head + UDP_CHECK)
        return
    routed = routed_sum(ip, head, IPPROTO_UDP)
    if routed and fold(routed + length) == load16(head + UDP_CHECK):
        p.pseudo[k] = routed


cdef inline bint keeps_id(const plan *p, const layer *one) noexcept nogil:
    """Whether the ID of an IPv4 header is the same in all segments (inet_gso_segment)."""
    cdef unsigned int bit = SKB_GSO_TCP_FIXEDID if one.inner else 0
    if p.kernel & KERNEL_TWO_FIXED_IDS:
        bit = SKB_GSO_TCP_FIXEDID_INNER if one.stacked else SKB_GSO_TCP_FIXEDID_OUTER
    return p.gso_type & bit != 0


cdef uint64_t add_stamp(plan *p, const layer *one, const uint8_t *head) noexcept nogil:
    """Note an IPv4 header whose ID or fragment offset counts; returns less() of that field."""
    cdef stamped_ip *s = &p.stamp[p.stamps]
    s.fragment = p.ufo and one.inner
    if keeps_id(p, one) and not s.fragment:
        return 0
    s.offset = one.offset
    s.ident = get16(head + IPV4_ID)
    p.stamps += 1
    return less(head + (IPV4_FRAG_OFF if s.fragment else IPV4_ID))


cdef uint64_t transport_pseudo(const plan *p, const uint8_t *th) noexcept nogil:
    """Sum of the innermost pseudo header without the length.

    The kernel starts from the sum that CHECKSUM_PARTIAL left in the checksum field. A frame alone
    does not say whether it is CHECKSUM_PARTIAL: without a virtio header that says it, the field is
    believed only if it holds the sum of a pseudo header.
    """
    cdef uint64_t pseudo = p.addresses
    cdef Py_ssize_t length = p.hlen - p.h.l4_header + p.length
    cdef uint16_t field = load16(th + (TCP_CHECK if p.h.l4 == IPPROTO_TCP else UDP_CHECK))
    if p.believe:
        pseudo = field + <uint64_t><uint16_t>~fold(length_sum(length))
    elif p.routed and fold(p.routed + length_sum(length)) == field:
        pseudo = p.routed
    elif fold(pseudo + length_sum(length)) != field:
        return pseudo
    if p.h.l4 == IPPROTO_UDP and get16(th + UDP_LEN) != <uint16_t>length:
        # __udp_gso_segment takes the old length from the header, even where it is wrong
        pseudo += length_sum(length) + <uint16_t>~load16(th + UDP_LEN)
    return pseudo


cdef void sum_transport(plan *p) noexcept nogil:
    """Note the fields of the innermost header that change, and sum the rest."""
    cdef const uint8_t *th = p.template.p + p.h.l4_header
    cdef uint64_t total = short_sum(th, p.hlen - p.h.l4_header)
    p.l4_pseudo = transport_pseudo(p, th)
    if p.h.l4 == IPPROTO_TCP:
        p.seq = <uint32_t>get16(th + TCP_SEQ) << 16 | get16(th + TCP_SEQ + 2)
        p.flags = get16(th + TCP_DOFF)
        total += less(th + TCP_SEQ) + less(th + TCP_SEQ + 2) + less(th + TCP_DOFF)
        total += less(th + TCP_CHECK)
    else:
        total += less(th + UDP_LEN) + less(th + UDP_CHECK)
    p.l4_fixed = total


# ---- sums that are the same in segments of one length ---------------------------------------

cdef void set_length(plan *p, length_sums *sums, uint8_t *t, Py_ssize_t n) noexcept nogil:
    """Make the headers at `t`, a copy of the template or itself, those of `n` payload bytes.

    Goes from the innermost header outwards with the sum of all bytes inside. A right checksum
    makes the sum of all bytes that it covers, pseudo header included, 0 (0xffff): the bytes inside
    a sealed layer need not be known for the sum of the layers around it.
    """
    # GSO_PARTIAL: a device will make segments of gso_size, and expects their lengths
    cdef Py_ssize_t each = min(n, p.gso_size) if p.partial else n
    cdef uint8_t *head
    cdef Py_ssize_t length
    cdef uint64_t inside, total
    cdef bint open_inside = True
    cdef layer *one
    cdef int k, stamps = p.stamps
    sums.outer = -1
    inside = set_transport(p, sums, t, n, each)
    open_inside = p.inner == INNER_REMOTE or p.inner == INNER_ABSENT
    for k in range(p.h.n - 1, -1, -1):
        one = &p.h.layers[k]
        head = t + one.offset
        length = p.hlen + each - one.offset
        if one.kind == LAYER_IPV4:
            put16(head + IPV4_TOT_LEN, length)
            if stamps and p.stamp[stamps - 1].offset == one.offset:
                stamps -= 1
                sums.ip[stamps] = p.fixed[k] + htons(length)
            else:
                store16(head + IPV4_CHECK, <uint16_t>~fold(p.fixed[k] + htons(length)))
            inside += p.gap[k] + 0xffff
        elif one.kind == LAYER_IPV6:
            put16(head + IPV6_PAYLOAD_LEN, length - IPV6_HLEN)
            inside += p.fixed[k] + htons(length - IPV6_HLEN)
        elif one.kind == LAYER_UDP:
            put16(head + UDP_LEN, length)
            inside += p.fixed[k] + htons(length)
            if p.sealed[k]:
                total = inside + p.pseudo[k] + length_sum(length)
                seal(sums, k, open_inside, total, head + UDP_CHECK)
                store16(head + UDP_CHECK, not_zero(load16(head + UDP_CHECK)))
                inside = <uint16_t>~fold(p.pseudo[k] + length_sum(length))
                open_inside = False
        elif one.kind == LAYER_PPPOE:
            # pppoe_gso_segment counts the whole segment, with GSO_PARTIAL too
            length += n - each - PPPOE_BASE_HLEN
            put16(head + PPPOE_LENGTH, length)
            inside += p.fixed[k] + htons(<uint16_t>length)
        else:
            inside += p.fixed[k]
            if p.sealed[k]:
                seal(sums, k, open_inside, inside, head + GRE_CHECK)
                inside = 0xffff
                open_inside = False


cdef inline void seal(
    length_sums *sums, int k, bint open_inside, uint64_t total, uint8_t *check
) noexcept nogil:
    """Write the checksum of an outer layer, or leave it to stamp() if it covers payload bytes."""
    if open_inside:
        sums.outer = k
        sums.outer_sum = total
    store16(check, <uint16_t>~fold(total))


cdef uint64_t set_transport(
    plan *p, length_sums *sums, uint8_t *t, Py_ssize_t n, Py_ssize_t each
) noexcept nogil:
    """Set the innermost header; returns the sum of it and the payload, as far as known here."""
    cdef uint64_t inside
    if p.inner == INNER_ABSENT:
        return 0
    inside = <uint16_t>~fold(p.l4_pseudo + length_sum(p.hlen - p.h.l4_header + each))
    if p.kernel & KERNEL_PIECES_BY_COUNT and p.h.l4 == IPPROTO_UDP:
        # The checksums around a piece still count its whole length
        inside += length_sum(n - each)
        n = each
    sums.l4 = set_inner(p, t, n)
    return sums.l4 if p.inner == INNER_REMOTE else inside


cdef inline uint64_t set_inner(const plan *p, uint8_t *t, Py_ssize_t n) noexcept nogil:
    """Set the innermost header; returns the sum of it and the pseudo header."""
    cdef uint8_t *th = t + p.h.l4_header
    cdef Py_ssize_t length = p.hlen - p.h.l4_header + n
    cdef uint64_t pseudo = p.l4_pseudo + length_sum(length), fixed = p.l4_fixed
    if p.h.l4 == IPPROTO_UDP:
        put16(th + UDP_LEN, length)
        fixed += htons(<uint16_t>length)
    if p.inner != INNER_COMPLETE:
        store16(th + (TCP_CHECK if p.h.l4 == IPPROTO_TCP else UDP_CHECK), fold(pseudo))
    return pseudo + fixed


cdef void prepare(plan *p) noexcept nogil:
    """Sum the headers and set the template: emit() needs that, the size of the output does not."""
    cdef uint64_t pseudo
    if p.prepared:
        # A plan used again: only the transport header is new
        pseudo = p.l4_pseudo
        sum_transport(p)
        if p.l4_pseudo == pseudo:
            p.full.l4 = set_inner(p, p.template.p, p.step)
            return
    else:
        sum_layers(p)
        if p.inner != INNER_ABSENT:
            p.addresses = pseudo_sum(
                p.template.p + p.h.ip_header, p.h.inner_version == 4, p.h.l4)
            if p.h.routing >= 0:
                p.routed = routed_sum(
                    p.template.p + p.h.ip_header, p.template.p + p.h.l4_header, p.h.l4)
            else:
                p.routed = 0
            sum_transport(p)
    set_length(p, &p.full, p.template.p, min(p.step, p.length))
    begin_trains(p)
    p.prepared = True


# ---- segment by segment ---------------------------------------------------------------------

cdef uint64_t stamp_tcp(plan *p, uint8_t *th, Py_ssize_t i) noexcept nogil:
    """Write sequence number and flags (tcp_gso_segment); returns their sum."""
    cdef uint32_t seq = p.seq + <uint32_t>(i * p.step)
    cdef uint16_t flags = p.flags
    if i + 1 < p.count:
        flags &= ~(TCPHDR_FIN | TCPHDR_PSH)
    if i and not p.accecn:
        flags &= ~TCPHDR_CWR
    put16(th + TCP_SEQ, seq >> 16)
    put16(th + TCP_SEQ + 2, seq)
    put16(th + TCP_DOFF, flags)
    return htons(seq >> 16) + <uint64_t>htons(<uint16_t>seq) + htons(flags)


cdef uint64_t stamp_fragment(plan *p, uint8_t *out, Py_ssize_t i) noexcept nogil:
    """Write the offset into the IPv6 fragment header; returns its sum."""
    # ipv6_gso_segment counts in lengths of the whole IPv6 payload, extension headers included
    cdef Py_ssize_t each = p.hlen + p.step - p.h.ip_header - IPV6_HLEN - IPV6_FRAG_HLEN
    cdef unsigned int offset = <uint16_t>(i * each)
    if p.h.inner_version == 4:
        return 0
    if i + 1 < p.count:
        offset |= IP6_MF
    put16(out + p.h.fragment_at + IPV6_FRAG_OFF, offset)
    return htons(offset)


cdef void stamp_ip(
    const plan *p, const length_sums *sums, uint8_t *out, Py_ssize_t i
) noexcept nogil:
    """Write IDs or fragment offsets, and checksums, into the IPv4 headers."""
    cdef const stamped_ip *s
    cdef unsigned int field
    cdef uint8_t *head
    cdef int k
    for k in range(p.stamps):
        s = &p.stamp[k]
        head = out + s.offset
        if s.fragment:
            field = <uint16_t>((i * p.step) >> 3) | (IP_MF if i + 1 < p.count else 0)
            put16(head + IPV4_FRAG_OFF, field)
        else:
            # GSO_PARTIAL: one ID for each segment that the device will make
            field = <uint16_t>(s.ident + i * (p.step // p.gso_size if p.partial else 1))
            put16(head + IPV4_ID, field)
        store16(head + IPV4_CHECK, <uint16_t>~fold(sums.ip[k] + htons(field)))


cdef void stamp(
    plan *p, const length_sums *sums, uint8_t *out, Py_ssize_t i, uint64_t payload
) noexcept nogil:
    """Turn a copy of the template into the headers of segment `i` whose payload has this sum."""
    cdef uint8_t *th = out + p.h.l4_header
    cdef uint8_t *check
    cdef uint16_t value
    stamp_ip(p, sums, out, i)
    if p.ufo:
        payload += stamp_fragment(p, out, i)
    elif p.h.l4 == IPPROTO_TCP:
        payload += stamp_tcp(p, th, i)
        if p.inner == INNER_COMPLETE:
            store16(th + TCP_CHECK, <uint16_t>~fold(sums.l4 + payload))
    elif p.inner == INNER_COMPLETE:
        store16(th + UDP_CHECK, not_zero(<uint16_t>~fold(sums.l4 + payload)))
    if sums.outer >= 0:
        value = <uint16_t>~fold(sums.outer_sum + payload)
        check = out + p.h.layers[sums.outer].offset
        if p.h.layers[sums.outer].kind == LAYER_UDP:
            store16(check + UDP_CHECK, not_zero(value))
        else:
            store16(check + GRE_CHECK, value)


cdef int datagram_checksum(const plan *p) except -1 nogil:
    """UFO: the UDP checksum over all fragments (udp4_ufo_fragment)."""
    cdef const uint8_t *ip = p.template.p + p.h.ip_header
    cdef uint64_t total = pseudo_sum(ip, p.h.inner_version == 4, IPPROTO_UDP)
    total += length_sum(p.length) + short_sum(p.payload, UDP_CHECK)
    add_sum(&total, simd.sum, p.payload + UDP_HLEN, p.length - UDP_HLEN, p.stop)
    return not_zero(<uint16_t>~fold(total))


cdef void patch_datagram(
    const plan *p, uint8_t *piece, Py_ssize_t start, Py_ssize_t n, uint16_t check
) noexcept nogil:
    """Write the UDP checksum into the piece of the datagram that holds its field."""
    cdef const uint8_t *byte = <const uint8_t *>&check
    cdef int i
    for i in range(2):
        if start <= UDP_CHECK + i < start + n:
            piece[UDP_CHECK + i - start] = byte[i]


cdef uint64_t copy_payload(
    const plan *p, uint8_t *out, Py_ssize_t start, Py_ssize_t n, uint16_t check, bint stream
) noexcept nogil:
    """Copy a segment's payload; returns its sum, or anything where nothing needs it."""
    cdef const uint8_t *src = p.payload + start
    cdef uint64_t total = 0
    if stream:
        total = simd.stream_sum(out, src, n)
    elif p.inner == INNER_COMPLETE or p.full.outer >= 0:
        total = simd.copy_sum(out, src, n)
    else:
        memcpy(out, src, n)
    if p.ufo and start < UDP_HLEN:
        patch_datagram(p, out, start, n, check)
        total = simd.sum(out, n)
    return total


cdef uint64_t leave_payload(
    const plan *p, uint8_t *out, Py_ssize_t start, Py_ssize_t n, uint16_t check
) noexcept nogil:
    """Sum a segment's payload without copying it."""
    if p.ufo and start == 0:
        # The datagram's checksum is in the payload: its header goes with ours.
        memcpy(out, p.payload, UDP_HLEN)
        patch_datagram(p, out, 0, UDP_HLEN, check)
        return simd.sum(out, UDP_HLEN) + simd.sum(p.payload + UDP_HLEN, n - UDP_HLEN)
    if p.inner == INNER_COMPLETE or p.full.outer >= 0:
        return simd.sum(p.payload + start, n)
    return 0


# ---- trains ---------------------------------------------------------------------------------

cdef enum:
    LONG = PIECE // 200     # bytes of payload that may be work for longer than some milliseconds

ctypedef void (*train_writer)(
    const gso_train *train, uint8_t *out, const uint8_t *src, size_t begin,
    size_t end) noexcept nogil


cdef void begin_trains(plan *p) noexcept nogil:
    """Set the fields of the trains that are the same for all packets of a flow."""
    cdef gso_train *t = &p.train
    cdef int k
    p.regular = (p.inner == INNER_COMPLETE and not p.ufo and not p.partial and p.full.outer < 0
                 and p.stamps <= GSO_TRAIN_IDS and p.hlen <= FEW_BYTES)
    if not p.regular:
        return
    t.header = p.template.p
    t.hlen = p.hlen
    t.step = p.step
    t.ids = p.stamps
    for k in range(p.stamps):
        t.id[k].offset = p.stamp[k].offset
        t.id[k].base = fold(p.full.ip[k])
    t.l4_header = p.h.l4_header
    t.tcp = p.h.l4 == IPPROTO_TCP
    p.last = p.train
    p.last.header = p.last_header
    p.last.step = 0


cdef uint64_t set_flags(const plan *p, uint8_t *th, uint16_t flags) noexcept nogil:
    """Write the flags into a TCP header; returns their sum, or 0 for UDP."""
    if p.h.l4 != IPPROTO_TCP:
        return 0
    put16(th + TCP_DOFF, flags)
    return htons(flags)


cdef void set_trains(plan *p, Py_ssize_t n) noexcept nogil:
    """Set the fields of the trains for this packet, whose last segment has `n` payload bytes."""
    cdef uint8_t *th = p.template.p + p.h.l4_header
    cdef uint8_t *last = p.last_header + p.h.l4_header
    cdef length_sums sums
    cdef int k
    for k in range(p.stamps):
        p.train.id[k].ident = p.last.id[k].ident = p.stamp[k].ident
    if p.last.step == <size_t>n:
        memcpy(last, th, p.hlen - p.h.l4_header)
    else:
        memcpy(p.last_header, p.template.p, p.hlen)
        set_length(p, &sums, p.last_header, n)
        for k in range(p.stamps):
            p.last.id[k].base = fold(sums.ip[k])
        p.last.step = n
    p.last.base = set_inner(p, p.last_header, n) + set_flags(p, last, p.flags)
    p.train.base = p.full.l4 + set_flags(p, th, p.flags & ~(TCPHDR_FIN | TCPHDR_PSH))
    p.train.seq = p.seq
    # A train of one, whose sequence number is to count in steps of its own
    p.last.seq = p.seq + <uint32_t>((p.count - 1) * (p.step - n))


cdef int emit_trains(plan *p, uint8_t *out, bint headers_only, bint stream) except -1 nogil:
    """Write all segments, or their headers alone. A plan of make_plan() has two or more."""
    cdef Py_ssize_t others = p.count - 1, start = others * p.step
    cdef uint8_t *last = out + others * p.hlen
    set_trains(p, p.length - start)
    if headers_only:
        if p.length <= LONG:
            simd.train_headers(&p.train, out, p.payload, 0, others)
        else:
            emit_pieces(p, simd.train_headers, out, p.hlen)
        simd.train_headers(&p.last, last, p.payload + start, others, p.count)
    elif stream:
        emit_pieces(p, simd.stream_train, out, p.hlen + p.step)
        simd.stream_train(&p.last, last + start, p.payload + start, others, p.count)
    else:
        if p.length <= LONG:
            simd.train(&p.train, out, p.payload, 0, others)
        else:
            emit_pieces(p, simd.train, out, p.hlen + p.step)
        simd.train(&p.last, last + start, p.payload + start, others, p.count)
    return 0


cdef int emit_pieces(
    const plan *p, train_writer write, uint8_t *out, Py_ssize_t each
) except -1 nogil:
    """Write all segments but the last, `each` bytes of output, and look for signals meanwhile."""
    cdef Py_ssize_t begin = 0, some
    while True:
        some = min(in_piece(p), p.count - 1 - begin)
        write(&p.train, out + begin * each, p.payload + begin * p.step, begin, begin + some)
        begin += some
        if begin == p.count - 1:
            return 0
        check_signals(p.stop)


cdef inline Py_ssize_t in_piece(const plan *p) noexcept nogil:
    """How many segments are work for some milliseconds."""
    return PIECE // (p.hlen + p.step + SEGMENT_WORK)


cdef int emit(plan *p, uint8_t *out, bint headers_only, bint stream) except -1 nogil:
    """Write all segments, or their headers alone."""
    cdef Py_ssize_t i, n, start, look
    cdef uint64_t payload
    cdef uint16_t check = 0
    cdef length_sums shorter
    cdef const length_sums *sums = &p.full
    prepare(p)
    if p.regular and (p.accecn or p.h.l4 != IPPROTO_TCP or not p.flags & TCPHDR_CWR):
        return emit_trains(p, out, headers_only, stream)
    look = in_piece(p)
    if p.ufo:
        check = datagram_checksum(p)
    for i in range(p.count):
        start = i * p.step
        n = min(p.step, p.length - start)
        if headers_only:
            payload = leave_payload(p, out + p.hlen, start, n, check)
        else:
            payload = copy_payload(p, out + p.hlen, start, n, check, stream)
        # The template is copied as it is and changed in the copy: writing to memory that is read in
        # larger units right afterwards stalls the processor.
        memcpy(out, p.template.p, p.hlen)
        if n < p.step:
            set_length(p, &shorter, out, n)
            sums = &shorter
        stamp(p, sums, out, i, payload)
        out += p.hlen
        if not headers_only:
            out += n
        elif p.ufo and i == 0:
            out += UDP_HLEN
        if i == look:
            look += in_piece(p)
            check_signals(p.stop)
    return 0


cdef void put_headers(
    plan *p, uint8_t *out, Py_ssize_t i, Py_ssize_t n, uint64_t payload
) noexcept nogil:
    cdef length_sums other
    cdef const length_sums *sums = &p.full
    memcpy(out, p.template.p, p.hlen)
    if n != p.step:
        set_length(p, &other, out, n)
        sums = &other
    stamp(p, sums, out, i, payload)
