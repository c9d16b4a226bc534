# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Which segments the Linux kernel's software GRO merges into super-packets.

Each frame is first judged alone: is it a segment, with every length and checksum right?
(inet_gro_receive and so on.) A packet that is *held* may take up those that follow; it is found by
a hash of the innermost addresses and ports, and must have the same headers except for fields that
count up from segment to segment (tcp_gro_receive, inet_gro_flush).

Beyond the kernel's rules, frames are not merged that segmentation would not give back byte for
byte.
"""

from libc.stdint cimport INT32_MAX, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from gso.buffers._bytes cimport get16, load16
from gso.buffers._checksum cimport fold, length_sum, short_sum, simd
from gso.buffers._signals cimport FRAME_WORK, PIECE
from gso.coalescing._held cimport (
    NO_SLOT, fits, frame, gro_state, held_packet, is_listed, packet, same_interface, sequence, take,
    too_late,
)
from gso.coalescing._runs cimport begin_run, continues_run
from gso.headers._kernel cimport (
    KERNEL_ACCECN_GRO, KERNEL_LISTS_OF_UDP, KERNEL_NO_JUMBO, KERNEL_SHORT_IPV4,
    KERNEL_TWO_FIXED_IDS,
)
from gso.headers._numbers cimport (
    GRE_CHECK, GRE_CHECK_HLEN, GRE_CSUM, GRE_KEY, GRE_RESERVED1, GRO_LEGACY_MAX_SIZE,
    GUE_FLAGS, GUE_FLAG_PRIV, GUE_HLEN_MASK, GUE_PFLAG_REMCSUM, GUE_PRIVATE_FLAGS,
    GUE_VERSION_SHIFT, IPPROTO_TCP, IPPROTO_UDP, IPV4_ADDRESSES_LEN, IPV4_CHECK, IPV4_FRAG_OFF,
    IPV4_HLEN, IPV4_ID, IPV4_NO_OPTIONS, IPV4_PROTOCOL, IPV4_SADDR, IPV4_TOS, IPV4_TOT_LEN,
    IPV4_TTL, IPV6_ADDRESSES_LEN, IPV6_FLOW_LBL, IPV6_HLEN, IPV6_HOP_LIMIT, IPV6_NEXTHDR,
    IPV6_PAYLOAD_LEN, IPV6_SADDR, IP_DF, JUMBO_HLEN, L4_PORTS_LEN, MAX_GRO_SKBS, PPPOE_BASE_HLEN,
    PPPOE_LENGTH, PPPOE_PROTOCOL, PPPOE_SESSION, PPPOE_SESSION_DATA, SKB_GSO_FRAGLIST,
    SKB_GSO_GRE, SKB_GSO_GRE_CSUM,
    SKB_GSO_IPXIP4, SKB_GSO_IPXIP6, SKB_GSO_TCPV4, SKB_GSO_TCPV6, SKB_GSO_TCP_ACCECN,
    SKB_GSO_TCP_ECN, SKB_GSO_TCP_FIXEDID, SKB_GSO_TCP_FIXEDID_INNER, SKB_GSO_TCP_FIXEDID_OUTER,
    SKB_GSO_TUNNEL_REMCSUM, SKB_GSO_UDP_L4, SKB_GSO_UDP_TUNNEL, SKB_GSO_UDP_TUNNEL_CSUM, TCPHDR_CWR,
    TCPHDR_FIN, TCPHDR_PSH, TCPHDR_RST, TCPHDR_SYN, TCPHDR_URG, TCP_ACK_SEQ, TCP_CHECK, TCP_DOFF,
    TCP_FLAGS, TCP_URG_PTR, TCP_WINDOW, UDP_CHECK, UDP_GRO_CNT_MAX, UDP_HLEN, UDP_LEN,
)
from gso.headers._ambiguous cimport guess_tunnel
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._walk cimport (
    CARRIES_IP, CARRIES_IP_PROTOCOL, LAYER_GRE, LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP,
    STEP_GRE, STEP_MPLS, STEP_NSH, TUNNEL_GRE, TUNNEL_GUE, drop_copy, fault,
    headers, layer, link_end, read_headers,
)

cdef extern from *:
    """
    #include <stdint.h>

    static inline uint64_t mix(uint64_t a, uint64_t b)
    {
        __uint128_t product = (__uint128_t)a * b;

        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    uint64_t mix(uint64_t a, uint64_t b) noexcept nogil

cdef enum:
    TCPHDR_LAST = TCPHDR_URG | TCPHDR_PSH | TCPHDR_RST | TCPHDR_SYN | TCPHDR_FIN


# ---- one frame ------------------------------------------------------------------------------

cdef uint64_t flow_hash(
    const gro_state *j, const headers *h, const uint8_t *p, Py_ssize_t i
) noexcept nogil:
    """Hash of the interface, the innermost addresses, protocol and ports; 0 if there are none."""
    cdef const uint8_t *address
    cdef uint64_t total = j.seed[0], word
    cdef int k, words
    if h.l4 == 0:
        return 0
    if j.interfaces is not NULL:
        total = mix(total ^ <uint64_t>j.interfaces[i], j.seed[1])
    words = 1 if h.inner_version == 4 else 4
    address = p + h.ip_header + (IPV4_SADDR if h.inner_version == 4 else IPV6_SADDR)
    for k in range(words):
        memcpy(&word, address + 8 * k, 8)
        total = mix(total ^ word, j.seed[1])
    word = 0
    memcpy(&word, p + h.l4_header, L4_PORTS_LEN)
    total = mix(total ^ word ^ <uint64_t>h.l4 << 32, j.seed[1])
    return total | 1


cdef bint is_segment(const gro_state *j, const frame *f) noexcept nogil:
    """Whether this frame can be part of a super-packet, by its headers."""
    cdef const headers *h = &f.h
    cdef int k, levels = 0
    if h.l4 == 0 or h.refusal.field is not NULL or h.jumbo >= 0 or h.routing >= 0:
        return False
    if h.opaque is not NULL or h.numbered:
        return False
    if h.steps & (1 << STEP_MPLS | 1 << STEP_NSH) or not usual_tunnel(f):
        return False
    for k in range(h.n):
        levels += h.layers[k].kind == LAYER_IPV4 or h.layers[k].kind == LAYER_IPV6
        if not right_layer(f, k):
            return False
    if levels > 2:  # encap_mark: one tunnel
        return False
    if h.n > 1 and is_listed(j, h):
        return False
    if h.remcsum and not j.vxlan_remcsum and h.udp is not NULL and h.udp.remcsum:
        return False  # vxlan_gro_prepare_receive: the checksum inside is wrong then
    if h.l4 == IPPROTO_UDP:
        if not (j.udp or j.fraglist) or f.payload == 0:
            return False
        if load16(f.copy.p + h.l4_header + UDP_CHECK) == 0:
            return False
        if get16(f.copy.p + h.l4_header + UDP_LEN) != f.size - h.l4_header:
            return False
        if guess_tunnel(h, f.p, f.size, j.link, j.ports).row is not NULL:
            return False
    return True


cdef bint usual_tunnel(const frame *f) noexcept nogil:
    """Whether GRO knows every field set in the tunnel header; segmentation repeats any."""
    cdef const headers *h = &f.h
    cdef const uint8_t *p = f.copy.p + h.transport_header
    cdef const uint8_t *inside = p + UDP_HLEN
    if h.tunnel == TUNNEL_GRE:
        return get16(p) & ~(GRE_KEY | GRE_CSUM) == 0
    if h.udp is NULL:
        return True
    if h.tunnel == TUNNEL_GUE and inside[0] >> GUE_VERSION_SHIFT == 0:
        return usual_gue(inside)
    if h.udp.field_if and not inside[0] & h.udp.field_if:
        return False
    return get16(inside) & h.udp.gro_zero == 0


cdef bint usual_gue(const uint8_t *gue) noexcept nogil:
    """Whether only private flags, and of those only REMCSUM, are set (validate_gue_flags)."""
    cdef unsigned int words = gue[0] & GUE_HLEN_MASK, flags = get16(gue + GUE_FLAGS)
    cdef const uint8_t *private = gue + GUE_PRIVATE_FLAGS
    if flags == 0:
        return True
    if flags != GUE_FLAG_PRIV or words < 1:
        return False
    if private[0] & ~GUE_PFLAG_REMCSUM or private[1] or get16(private + 2):
        return False
    return words >= 2 or not private[0] & GUE_PFLAG_REMCSUM


cdef bint right_layer(const frame *f, int k) noexcept nogil:
    """Whether a header is as segmentation writes it, except for UDP and GRE checksums."""
    cdef const layer *one = &f.h.layers[k]
    cdef const uint8_t *head = f.copy.p + one.offset
    cdef Py_ssize_t length = f.size - one.offset
    if one.kind == LAYER_IPV4:
        # ip_fast_csum; a header checksum of 0 is written as 0
        return (
            head[0] == IPV4_NO_OPTIONS and get16(head + IPV4_TOT_LEN) == length
            and get16(head + IPV4_FRAG_OFF) & ~IP_DF == 0
            and load16(head + IPV4_CHECK) != 0xffff and fold(short_sum(head, IPV4_HLEN)) == 0xffff
        )
    if one.kind == LAYER_IPV6:
        return get16(head + IPV6_PAYLOAD_LEN) == length - IPV6_HLEN
    if one.kind == LAYER_UDP:
        return get16(head + UDP_LEN) == length
    if one.kind == LAYER_PPPOE:
        return (
            get16(head) == PPPOE_SESSION_DATA
            and get16(head + PPPOE_LENGTH) == length - PPPOE_BASE_HLEN
        )
    return load16(head + GRE_RESERVED1) == 0


cdef bint right_checksums(
    const headers *h, const uint8_t *p, uint64_t payload_sum, Py_ssize_t size
) noexcept nogil:
    """Whether all checksums of a segment of `size` bytes with headers `p` are right.

    They must be written as segmentation writes them.
    """
    cdef const uint8_t *th = p + h.l4_header
    cdef Py_ssize_t length = size - h.l4_header, next_offset = h.l4_header
    cdef uint16_t check = load16(th + (TCP_CHECK if h.l4 == IPPROTO_TCP else UDP_CHECK))
    cdef uint64_t pseudo = pseudo_sum(p + h.ip_header, h.inner_version == 4, h.l4)
    cdef uint64_t inside = short_sum(th, h.payload - h.l4_header)
    cdef bint sealed = False
    cdef const layer *one
    cdef int k
    inside += payload_sum
    pseudo += length_sum(length)
    if h.remcsum:
        if check != fold(pseudo):
            return False
    elif fold(pseudo + inside) != 0xffff or (h.l4 == IPPROTO_TCP and check == 0xffff):
        return False
    for k in range(h.n - 1, -1, -1):
        one = &h.layers[k]
        inside += short_sum(p + one.offset, next_offset - one.offset)
        next_offset = one.offset
        if one.kind == LAYER_UDP and load16(p + one.offset + UDP_CHECK):
            sealed = True
            pseudo = pseudo_sum(
                p + h.layers[k - 1].offset, h.layers[k - 1].kind == LAYER_IPV4, IPPROTO_UDP)
            if fold(inside + pseudo + length_sum(size - one.offset)) != 0xffff:
                return False
        elif one.kind == LAYER_GRE:
            if load16(p + one.offset + GRE_CHECK) == 0xffff or fold(inside) != 0xffff:
                return False
    # gue_gro_remcsum, vxlan_gro_remcsum: csum_valid
    return sealed or not h.remcsum


cdef bint is_right(frame *f) noexcept nogil:
    """Whether all checksums of the segment are right; its payload is summed if it was not."""
    if f.summed:
        return True
    f.summed = True
    f.sum = simd.sum(f.p + f.h.payload, f.payload)
    return right_checksums(&f.h, f.copy.p, f.sum, f.size)


cdef bint is_held_right(gro_state *j, held_packet *one) noexcept nogil:
    """The same for the only frame of a held packet."""
    cdef packet *to = &j.packets[one.packet]
    cdef const uint8_t *p = j.data + j.starts[to.first]
    if one.judged:
        return True
    one.judged = True
    to.payload_sum = simd.sum(p + to.headers, to.length)
    return right_checksums(&one.h, p, to.payload_sum, to.headers + to.length)


# ---- a frame and a held packet --------------------------------------------------------------

cdef inline bint differs(
    const uint8_t *a, const uint8_t *b, Py_ssize_t start, Py_ssize_t stop
) noexcept nogil:
    return stop > start and memcmp(a + start, b + start, stop - start) != 0


cdef bint same_flow(
    const headers *h, const headers *g, const uint8_t *a, const uint8_t *b
) noexcept nogil:
    """Whether both are of one flow in one tunnel: NAPI_GRO_CB(p)->same_flow."""
    cdef const uint8_t *x
    cdef const uint8_t *y
    cdef Py_ssize_t at = 0, start
    cdef int k
    if h.n != g.n or h.l4 != g.l4 or h.l4_header != g.l4_header:
        return False
    for k in range(h.n):
        start = h.layers[k].offset
        if start != g.layers[k].offset or h.layers[k].kind != g.layers[k].kind:
            return False
        if differs(a, b, at, start):  # Ethernet, VLAN, tunnel and extension headers
            return False
        x = a + start
        y = b + start
        if h.layers[k].kind == LAYER_IPV4:
            if x[IPV4_PROTOCOL] != y[IPV4_PROTOCOL]:
                return False
            if differs(x, y, IPV4_SADDR, IPV4_SADDR + IPV4_ADDRESSES_LEN):
                return False
            at = start + IPV4_HLEN
        elif h.layers[k].kind == LAYER_IPV6:
            if (x[0] ^ y[0]) & 0xf0 or (x[IPV6_FLOW_LBL] ^ y[IPV6_FLOW_LBL]) & 0x0f:
                return False
            if differs(x, y, IPV6_FLOW_LBL + 1, IPV6_PAYLOAD_LEN):
                return False
            if x[IPV6_NEXTHDR] != y[IPV6_NEXTHDR]:
                return False
            if differs(x, y, IPV6_SADDR, IPV6_SADDR + IPV6_ADDRESSES_LEN):
                return False
            at = start + IPV6_HLEN
        elif h.layers[k].kind == LAYER_UDP:
            if differs(x, y, 0, L4_PORTS_LEN):
                return False
            if (load16(x + UDP_CHECK) == 0) != (load16(y + UDP_CHECK) == 0):
                return False
            at = start + UDP_HLEN
        elif h.layers[k].kind == LAYER_PPPOE:
            if differs(x, y, PPPOE_SESSION, PPPOE_LENGTH):
                return False
            at = start + PPPOE_PROTOCOL
        else:
            if differs(x, y, 0, GRE_CHECK):
                return False
            # gre_gro_receive takes the checksum, which comes first, for the key
            if get16(x) & GRE_KEY and differs(x, y, GRE_CHECK, GRE_CHECK_HLEN):
                return False
            at = start + GRE_CHECK_HLEN
    return not differs(a, b, at, h.l4_header + L4_PORTS_LEN)


cdef inline bint may_be_fixed(const gro_state *j, int l4) noexcept nogil:
    """Whether IPv4 IDs may stay the same: where gso_type has a bit for it, and keeps it."""
    return j.fixed_ids and l4 == IPPROTO_TCP and (
        not j.fraglist or j.kernel & KERNEL_LISTS_OF_UDP)


cdef bint id_continues(
    const gro_state *j, const layer *one, int l4, uint16_t step, int64_t count, uint32_t *fixed,
    uint32_t *counted
) noexcept nogil:
    """Whether an IPv4 ID counts up, or stays the same where segmentation has a bit for it (7.3).

    GRO has a bit each for the outer and the inner header; but with the first one segmentation
    keeps both if a UDP or GRE header is between them.
    """
    cdef uint32_t bit = SKB_GSO_TCP_FIXEDID_INNER if one.stacked else SKB_GSO_TCP_FIXEDID_OUTER
    if count == 1 and step == 0:
        fixed[0] |= bit
        return may_be_fixed(j, l4) and not counted[0] & bit
    if step != (0 if fixed[0] & bit else <uint16_t>count):
        return False
    counted[0] |= bit & ~fixed[0]
    return count > 1 or not fixed[0] & bit


cdef bint network_continues(
    const gro_state *j, held_packet *one, const uint8_t *a, const uint8_t *b, int64_t count
) noexcept nogil:
    """Whether the IP headers at `a` continue those of the first frame at `b` (inet_gro_flush)."""
    cdef const headers *h = &one.h
    cdef const uint8_t *x
    cdef const uint8_t *y
    cdef uint16_t step
    cdef uint32_t fixed = one.fixed_id, counted = 0
    cdef int k
    for k in range(h.n):
        x = a + h.layers[k].offset
        y = b + h.layers[k].offset
        if h.layers[k].kind == LAYER_IPV4:
            if x[IPV4_TOS] != y[IPV4_TOS] or x[IPV4_TTL] != y[IPV4_TTL]:
                return False
            if load16(x + IPV4_FRAG_OFF) != load16(y + IPV4_FRAG_OFF):
                return False
            step = <uint16_t>(get16(x + IPV4_ID) - get16(y + IPV4_ID))
            if j.kernel & KERNEL_TWO_FIXED_IDS:
                if not id_continues(j, &h.layers[k], h.l4, step, count, &fixed, &counted):
                    return False
            elif h.layers[k].inner and (fixed or count == 1) and step == 0:
                if not (may_be_fixed(j, h.l4) and get16(x + IPV4_FRAG_OFF) & IP_DF):
                    return False
                fixed = SKB_GSO_TCP_FIXEDID
            elif step != <uint16_t>count:
                # The kernel lets outer IDs be anything with DF, but segmentation counts
                return False
            elif fixed and (h.layers[k].inner or not get16(x + IPV4_FRAG_OFF) & IP_DF):
                # ip_fixedid is one for both: without DF, the outer ID would have to stay, too
                return False
        elif h.layers[k].kind == LAYER_IPV6:
            # The traffic class
            if (x[0] ^ y[0]) & 0x0f or (x[IPV6_FLOW_LBL] ^ y[IPV6_FLOW_LBL]) & 0xf0:
                return False
            if x[IPV6_HOP_LIMIT] != y[IPV6_HOP_LIMIT]:
                return False
    one.fixed_id = fixed
    return True


cdef bint transport_continues(
    const gro_state *j, const headers *h, const uint8_t *a, const uint8_t *b, const packet *to,
    int64_t payload
) noexcept nogil:
    """Whether the TCP or UDP header at `a` continues the one at `b` (tcp_gro_receive)."""
    cdef const uint8_t *x = a + h.l4_header
    cdef const uint8_t *y = b + h.l4_header
    cdef unsigned int may_differ = TCPHDR_CWR | TCPHDR_FIN | TCPHDR_PSH
    if payload == 0 or payload > to.gso_size:
        return False
    if h.l4 == IPPROTO_UDP:
        return True
    if x[TCP_DOFF] != y[TCP_DOFF]:
        return False
    if j.kernel & KERNEL_ACCECN_GRO:
        may_differ ^= TCPHDR_CWR
    elif x[TCP_FLAGS] & TCPHDR_CWR:
        return False
    if (x[TCP_FLAGS] ^ y[TCP_FLAGS]) & ~may_differ:
        return False
    if is_listed(j, h) and x[TCP_FLAGS] != y[TCP_FLAGS]:
        return False
    if differs(x, y, TCP_ACK_SEQ, TCP_DOFF) or differs(x, y, TCP_WINDOW, TCP_CHECK):
        return False
    if differs(x, y, TCP_URG_PTR, h.payload - h.l4_header):  # and the options
        return False
    return sequence(x) == <uint32_t>(sequence(y) + to.length)


cdef int64_t too_long(const gro_state *j, const headers *h) noexcept nogil:
    """The length, from the device's network header on, that no packet has (skb_gro_receive)."""
    cdef int64_t link = link_end(j.link, h), most = j.ipv4_max_size
    if h.outer_version == 6 and h.network_header == link:
        most = j.max_size
    if most <= GRO_LEGACY_MAX_SIZE or may_be_jumbo(j, h, h.network_header == link):
        return most
    return GRO_LEGACY_MAX_SIZE


cdef bint may_be_jumbo(const gro_state *j, const headers *h, bint on_link) noexcept nogil:
    """Whether a packet with these headers can be BIG TCP."""
    if j.kernel & KERNEL_NO_JUMBO:
        return h.l4 == IPPROTO_TCP
    if h.l4 != IPPROTO_TCP or h.n > 1 or h.steps & 1 << STEP_GRE or not on_link:
        return False
    if h.inner_version == 4:
        return not j.kernel & KERNEL_SHORT_IPV4
    # Segmentation takes the jumbo header out only right before TCP
    return h.l4_header == h.ip_header + IPV6_HLEN


# ---- the held packets -----------------------------------------------------------------------

cdef void release(gro_state *j, int32_t slot) noexcept nogil:
    """Stop holding a packet, which is complete."""
    cdef held_packet *one = &j.slots[slot]
    cdef int32_t *link = &j.buckets[one.hash & j.mask]
    if j.last == slot:
        j.last = NO_SLOT
    while link[0] != slot:
        link = &j.slots[link[0]].next_in_bucket
    link[0] = one.next_in_bucket
    if one.older != NO_SLOT:
        j.slots[one.older].newer = one.newer
    else:
        j.oldest = one.newer
    if one.newer != NO_SLOT:
        j.slots[one.newer].older = one.older
    else:
        j.newest = one.older
    one.next_in_bucket = j.free
    j.free = slot


cdef void release_flow(gro_state *j, uint64_t hash) noexcept nogil:
    """Complete every packet held of these addresses and ports, so that no frame overtakes it."""
    cdef int32_t slot = j.buckets[hash & j.mask], following
    while slot != NO_SLOT:
        following = j.slots[slot].next_in_bucket
        if j.slots[slot].hash == hash:
            release(j, slot)
        slot = following


cdef int32_t find(gro_state *j, const frame *f) noexcept nogil:
    """The slot of the held packet of the frame's flow, or NO_SLOT."""
    cdef int32_t slot = j.buckets[f.hash & j.mask], following
    cdef held_packet *one
    cdef int64_t first
    while slot != NO_SLOT:
        one = &j.slots[slot]
        following = one.next_in_bucket
        if one.hash == f.hash:
            first = j.packets[one.packet].first
            if j.times is not NULL and too_late(j, first, f.i):
                release(j, slot)
            elif same_interface(j, first, f.i) and same_flow(
                    &f.h, &one.h, f.copy.p, j.data + j.starts[first]):
                return slot
        slot = following
    return NO_SLOT


cdef bint is_only(const gro_state *j, uint64_t hash, int32_t found) noexcept nogil:
    """Whether no packet of these addresses and ports is held but the one in slot `found`."""
    cdef int32_t slot = j.buckets[hash & j.mask]
    while slot != NO_SLOT:
        if j.slots[slot].hash == hash and slot != found:
            return False
        slot = j.slots[slot].next_in_bucket
    return True


cdef void thin_out(gro_state *j, uint64_t hash) noexcept nogil:
    """Complete the oldest of many packets held with one hash (gro_flush_oldest).

    Otherwise the same addresses in ever more tunnels would take ever more time.
    """
    cdef int32_t slot = j.buckets[hash & j.mask], last = NO_SLOT
    cdef int alike = 0
    while slot != NO_SLOT:
        if j.slots[slot].hash == hash:
            alike += 1
            last = slot
        slot = j.slots[slot].next_in_bucket
    if alike >= MAX_GRO_SKBS:
        release(j, last)


cdef void hold(gro_state *j, const frame *f, int64_t number) noexcept nogil:
    """Hold packet `number`, whose first frame this is, so that it can take up others."""
    cdef int32_t slot
    cdef held_packet *one
    cdef int32_t *bucket = &j.buckets[f.hash & j.mask]
    thin_out(j, f.hash)
    if j.free == NO_SLOT and j.unused == j.max_held:
        release(j, j.oldest)
    slot = j.free
    if slot != NO_SLOT:
        j.free = j.slots[slot].next_in_bucket
    else:
        slot = j.unused
        j.unused += 1
    one = &j.slots[slot]
    one.h = f.h
    one.hash = f.hash
    one.packet = number
    set_limits(j, one)
    one.fixed_id = 0
    one.judged = f.summed
    one.run = 0
    one.next_in_bucket = bucket[0]
    bucket[0] = slot
    one.older = j.newest
    one.newer = NO_SLOT
    if j.newest != NO_SLOT:
        j.slots[j.newest].newer = slot
    else:
        j.oldest = slot
    j.newest = slot


cdef void set_limits(const gro_state *j, held_packet *one) noexcept nogil:
    """Note how much the packet can take up."""
    cdef int64_t before = one.h.payload - link_end(j.link, &one.h)
    if is_listed(j, &one.h):
        # skb_gro_receive_list counts the headers of the frame that comes too
        one.room = GRO_LEGACY_MAX_SIZE - 2 * before
        one.most = UDP_GRO_CNT_MAX
    else:
        one.room = too_long(j, &one.h) - before
        one.most = INT32_MAX


cdef void begin_output(gro_state *j, const packet *own, int64_t number) noexcept nogil:
    """Put the first frame of packet `number` to the end of the output, where it has its place."""
    cdef Py_ssize_t start = j.starts[own.first], size = j.ends[own.first] - start
    if j.out is NULL or number < j.begun:
        return
    memcpy(j.out + j.filled, j.data + start, size)
    j.filled += size
    j.begun = number


cdef bint join(gro_state *j, int32_t slot, frame *f) noexcept nogil:
    """Append the frame to a held packet of its flow, which is complete if that is impossible."""
    cdef held_packet *one = &j.slots[slot]
    cdef packet *to = &j.packets[one.packet]
    cdef const uint8_t *first = j.data + j.starts[to.first]
    cdef const uint8_t *th = f.copy.p + f.h.l4_header
    cdef bint last
    if (
        f.h.payload != one.h.payload or not fits(one, to, f.payload)
        or not transport_continues(j, &f.h, f.copy.p, first, to, f.payload)
        or not network_continues(j, one, f.copy.p, first, to.count)
    ):
        release(j, slot)
        return False
    f.segment = is_right(f)
    if not f.segment or not is_held_right(j, one):
        release(j, slot)
        return False
    last = f.payload < to.gso_size
    if to.count == 1 and j.apart:
        begin_output(j, to, one.packet)
    to.count += 1
    to.gso_type |= one.fixed_id
    if f.h.l4 == IPPROTO_TCP:
        to.flags |= th[TCP_FLAGS] & (TCPHDR_FIN | TCPHDR_PSH)
        last |= th[TCP_FLAGS] & TCPHDR_LAST != 0
    else:
        last |= to.count == UDP_GRO_CNT_MAX
    j.into[f.i] = one.packet
    if one.packet != j.begun:
        j.out = NULL
    elif j.out is not NULL:
        memcpy(j.out + j.filled, f.p + f.h.payload, f.payload)
        take(j, to, f.sum, f.payload)
    to.length += f.payload
    if last:
        release(j, slot)
    else:
        j.last = slot
        if to.count == 2:
            begin_run(j, one, f, to)
    return True


# ---- all frames ------------------------------------------------------------------------------

cdef bint is_ip_in_ip(const headers *h) noexcept nogil:
    """Whether the inner IP header follows the outer one directly, or in FOU or GUE.

    The other tunnels say by Ethernet type what they carry.
    """
    if h.steps & 1 << STEP_GRE:
        return False
    return h.udp is NULL or h.udp.carries == CARRIES_IP or h.udp.carries == CARRIES_IP_PROTOCOL


cdef uint32_t type_of(const gro_state *j, const headers *h, const uint8_t *p) noexcept nogil:
    """skb_shinfo(skb)->gso_type."""
    cdef uint32_t bits = SKB_GSO_UDP_L4
    cdef int k, levels = 0
    if h.l4 == IPPROTO_TCP:
        bits = SKB_GSO_TCPV4 if h.inner_version == 4 else SKB_GSO_TCPV6
    if is_listed(j, h):
        return bits | SKB_GSO_FRAGLIST
    if h.l4 == IPPROTO_TCP:
        if p[h.l4_header + TCP_FLAGS] & TCPHDR_CWR:
            bits |= (SKB_GSO_TCP_ACCECN if j.kernel & KERNEL_ACCECN_GRO else SKB_GSO_TCP_ECN)
    if h.steps & 1 << STEP_GRE:
        bits |= SKB_GSO_GRE
    for k in range(h.n):
        if h.layers[k].kind == LAYER_UDP:
            bits |= (SKB_GSO_UDP_TUNNEL_CSUM if load16(p + h.layers[k].offset + UDP_CHECK)
                     else SKB_GSO_UDP_TUNNEL)
        elif h.layers[k].kind == LAYER_GRE:
            bits ^= SKB_GSO_GRE | SKB_GSO_GRE_CSUM
        elif h.layers[k].kind != LAYER_PPPOE:
            levels += 1
    if h.remcsum:
        bits |= SKB_GSO_TUNNEL_REMCSUM
    if levels == 2 and is_ip_in_ip(h):
        bits |= SKB_GSO_IPXIP4 if h.outer_version == 4 else SKB_GSO_IPXIP6
    return bits


cdef bint may_lead(const frame *f) noexcept nogil:
    """Whether more may follow this frame (tcp_gro_receive, out_check_final)."""
    if f.h.l4 == IPPROTO_UDP:
        return True
    return f.payload > 0 and f.copy.p[f.h.l4_header + TCP_FLAGS] & TCPHDR_LAST == 0


cdef void assign_frame(gro_state *j, frame *f) noexcept nogil:
    """Assign one frame to a held packet, or to a packet of its own."""
    cdef packet *own
    cdef int32_t slot = NO_SLOT
    f.segment = is_segment(j, f)
    f.summed = False
    if f.segment:
        slot = find(j, f)
        # A wrong checksum completes what is held of the flow, as does a frame that cannot join.
        if not (j.late and is_only(j, f.hash, slot)):
            f.segment = is_right(f)
    if f.segment and slot != NO_SLOT and join(j, slot, f):
        return
    if not f.segment and f.hash:
        release_flow(j, f.hash)
    own = &j.packets[j.count]
    own.first = f.i
    own.count = 1
    own.gso_size = own.length = f.payload
    own.headers = f.h.payload
    own.link = <uint16_t>link_end(j.link, &f.h)
    own.jumbo = 0
    own.payload_sum = f.sum if f.summed else 0
    own.flags = 0
    own.gso_type = 0
    if not j.apart:
        begin_output(j, own, j.count)
    j.into[f.i] = j.count
    if f.segment and may_lead(f):
        own.gso_type = type_of(j, &f.h, f.copy.p)
        own.flags = f.copy.p[f.h.l4_header + TCP_FLAGS] if f.h.l4 == IPPROTO_TCP else 0
        if f.h.inner_version == 6 and not j.kernel & KERNEL_NO_JUMBO:
            own.jumbo = JUMBO_HLEN  # if it comes to that
        hold(j, f, j.count)
    j.count += 1


cdef void assign_frames(gro_state *j, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Assign frames `begin` to `end` to packets, after those before them."""
    cdef frame f
    cdef fault why
    cdef Py_ssize_t i
    for i in range(begin, end):
        f.i = i
        f.p = j.data + j.starts[i]
        f.size = j.ends[i] - j.starts[i]
        if continues_run(j, f.p, f.size, i):
            continue
        f.hash = 0
        if read_headers(&f.h, &why, &f.copy, f.p, f.size, j.link, j.ports):
            f.h.l4 = 0
            f.h.payload = 0
            j.unread += 1
        else:
            f.hash = flow_hash(j, &f.h, f.copy.p, i)
            j.unread += f.h.outer_version == 0
            j.datagrams += f.h.l4 == IPPROTO_UDP
        f.payload = f.size - f.h.payload
        assign_frame(j, &f)
        drop_copy(&f.copy)


cdef int32_t judge_held(gro_state *j, int32_t slot) noexcept nogil:
    """Stop holding frames whose checksums are wrong, from `slot` on; returns where to go on."""
    cdef Py_ssize_t work = 0
    cdef int32_t following
    while slot != NO_SLOT and work < PIECE:
        following = j.slots[slot].newer
        work += FRAME_WORK + j.packets[j.slots[slot].packet].length
        if not is_held_right(j, &j.slots[slot]):
            release(j, slot)
        slot = following
    return slot
