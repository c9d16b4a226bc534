# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""How a frame is put into a tunnel, which holds for the next one of its kind, too.

Frames of one length that begin alike get the same headers, but for the source port, the ID and what
else is counted. So they are made once, and copied for the frames that follow.
"""

from libc.stdint cimport uint64_t, uint8_t
from libc.string cimport memcpy, memset

from gso.buffers._bytes cimport get16, put16, store16
from gso.buffers._checksum cimport fold, length_sum, short_sum
from gso.encapsulation._inner cimport (
    INET_ECN_CE, INET_ECN_ECT_0, INET_ECN_MASK, ecn_inside, find_inner, inner_packet,
)
from gso.encapsulation._link cimport write_link
from gso.encapsulation._recipe cimport SEAL_PARTIAL, recipe, template
from gso.headers._arguments cimport ethernet_or_raw
from gso.headers._numbers cimport (
    ETH_HLEN, ETH_P_IP, ETH_P_IPV6, GRE_CHECK, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP,
    IPV4_CHECK, IPV4_FRAG_OFF, IPV4_HLEN, IPV4_ID, IPV4_PROTOCOL, IPV4_TOS, IPV4_TOT_LEN, IPV4_TTL,
    IPV6_HLEN, IPV6_HOP_LIMIT, IPV6_NEXTHDR, IPV6_PAYLOAD_LEN, IP_DF, TCP_CHECK, TUN_P_IPV4,
    TUN_P_IPV6, UDP_CHECK, UDP_LEN, VXLAN_MAX_REMCSUM_START, VXLAN_RCO_UDP,
)
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._walk cimport (
    CARRIES_ETHERTYPE, CARRIES_NEXT_PROTOCOL, REASON_BAD_HEADER, REASON_TOO_LONG,
    REASON_UNSUPPORTED, drop_copy, fault, header_copy, headers, link_layer, port_list,
    read_headers, refuse,
)

cdef enum:
    MAX_LENGTH = 65535          # a length field has 16 bits
    GUE_REMCSUM_LEN = 4
    GTP_HLEN = 8                # what comes after it is what its length counts
    ETHERTYPE_LEN = 2


cdef inline unsigned int length_field(Py_ssize_t length) noexcept nogil:
    """A length as its field has it: 0 says that it does not fit, of BIG TCP."""
    return <unsigned int>length if length <= MAX_LENGTH else 0


# --- what a tunnel cannot carry ------------------------------------------------------------------


cdef int check_length(
    const recipe *r, const template *t, const inner_packet *packet, Py_ssize_t total, fault *why
) noexcept nogil:
    """Refuse what is too long for the length fields, but for BIG TCP that a kernel carries so."""
    cdef Py_ssize_t counted = total if t.version == 4 else total - IPV6_HLEN
    if counted <= MAX_LENGTH or r.big and t.length < 0 and is_tcp(packet):
        return 0
    return refuse(
        why, REASON_TOO_LONG, "tot_len" if t.version == 4 else "payload_len",
        "{field} of the outer IP header is {value}, more than {limit}", 0, MAX_LENGTH, counted)


cdef bint is_tcp(const inner_packet *packet) noexcept nogil:
    """Whether TCP follows the IP header at once."""
    if packet.version == 0:
        return False
    return IPPROTO_TCP == (
        packet.ip[IPV4_PROTOCOL] if packet.version == 4 else packet.ip[IPV6_NEXTHDR])


cdef int check_inside(const recipe *r, const inner_packet *packet, fault *why) noexcept nogil:
    """Refuse what the tunnel cannot carry."""
    if r.ethernet:
        if not r.raw and packet.size >= ETH_HLEN:
            return 0
        return refuse(
            why, REASON_BAD_HEADER, "ethhdr", "the tunnel carries Ethernet frames of {limit} bytes "
            "or more, and this frame has {value} and none", 0, ETH_HLEN, packet.size)
    if packet.version == 0:
        return refuse(
            why, REASON_UNSUPPORTED, "protocol", "the tunnel carries IP packets, and there is none "
            "at byte {offset}", packet.start, 0, 0)
    if not (r.v4_inside if packet.version == 4 else r.v6_inside):
        return refuse(
            why, REASON_UNSUPPORTED, "version", "the tunnel does not carry IPv{value} (byte "
            "{offset})", packet.start, packet.version, packet.version)
    return 0


# --- remote checksum offload ---------------------------------------------------------------------


cdef bint is_vxlan(const template *t) noexcept nogil:
    """Whether the header is VXLAN's, whose last byte is about the remote checksum."""
    return t.remcsum == t.size - 1


cdef bint find_remote(
    const recipe *r, const inner_packet *packet, const port_list *ports, remote_checksum *found
) noexcept nogil:
    """Whether the innermost checksum of the packet can be left to the receiver."""
    cdef headers h
    cdef header_copy copy
    cdef fault why
    cdef const uint8_t *ip
    cdef bint usable
    cdef Py_ssize_t end
    cdef const link_layer *link = ethernet_or_raw(not r.ethernet)
    usable = read_headers(
        &h, &why, &copy, packet.p, packet.size, link, ports) == 0 and h.l4 != 0 \
        and not h.fragment and h.tunnel == 0
    drop_copy(&copy)
    if not usable:
        return False
    ip = packet.p + h.ip_header
    found.start = h.l4_header
    found.check = h.l4_header + (TCP_CHECK if h.l4 == IPPROTO_TCP else UDP_CHECK)
    if h.l4 == IPPROTO_UDP and get16(packet.p + found.check) == 0:
        return False
    if is_vxlan(&r.remote) and (found.start > VXLAN_MAX_REMCSUM_START or found.start & 1):
        return False
    end = h.ip_header + packet.ip_length
    if end < found.check + 2:
        return False
    found.partial = fold(
        pseudo_sum(ip, h.inner_version == 4, h.l4) + length_sum(end - h.l4_header))
    return True


cdef void stamp_remote(
    const template *t, uint8_t *ip, const remote_checksum *found
) noexcept nogil:
    """Say where the receiver finds the checksum."""
    cdef Py_ssize_t before
    if is_vxlan(t):
        ip[t.remcsum] = <uint8_t>(found.start >> 1)
        if found.check - found.start == UDP_CHECK:
            ip[t.remcsum] |= VXLAN_RCO_UDP
    else:
        before = t.size - t.remcsum - GUE_REMCSUM_LEN  # GRE between GUE and the packet counts
        put16(ip + t.remcsum, <unsigned int>(before + found.start))
        put16(ip + t.remcsum + 2, <unsigned int>(before + found.check))


# --- headers -------------------------------------------------------------------------------------


cdef unsigned int outer_tos(
    const recipe *r, const template *t, unsigned int tos, const inner_packet *packet
) noexcept nogil:
    """The TOS or traffic class of the outer header; `tos` is the template's."""
    if r.inherit_tos:
        tos = packet.tos
    if not t.own_ecn or r.inherit_tos:
        return tos & ~<unsigned int>INET_ECN_MASK | ecn_inside(packet)
    if tos & INET_ECN_MASK == INET_ECN_CE:
        return tos & ~<unsigned int>INET_ECN_MASK | INET_ECN_ECT_0
    return tos


cdef void stamp_ip(plan *p, const recipe *r, uint8_t *ip) noexcept nogil:
    """Fill in the outer IP header but for the ID and its checksum, or the flow label."""
    cdef const inner_packet *packet = &p.packet
    cdef unsigned int first = get16(ip)
    if p.t.version == 4:
        ip[IPV4_TOS] = <uint8_t>outer_tos(r, p.t, first & 0xff, packet)
        put16(ip + IPV4_TOT_LEN, length_field(p.total))
        if r.inherit_df:
            put16(ip + IPV4_FRAG_OFF, IP_DF if packet.df else 0)
        if r.inherit_ttl and packet.version:
            ip[IPV4_TTL] = packet.ttl
        store16(ip + IPV4_ID, 0)
        store16(ip + IPV4_CHECK, 0)
        p.ip_sum = short_sum(ip, IPV4_HLEN)
    else:
        put16(ip, 6 << 12 | outer_tos(r, p.t, first >> 4 & 0xff, packet) << 4)
        put16(ip + IPV6_PAYLOAD_LEN, length_field(p.total - IPV6_HLEN))
        if r.inherit_ttl and packet.version:
            ip[IPV6_HOP_LIMIT] = packet.ttl


cdef void stamp_protocol(const template *t, uint8_t *at, int version) noexcept nogil:
    """Say in the field at `at` which IP version is inside."""
    if t.carries == CARRIES_ETHERTYPE:
        put16(at, ETH_P_IP if version == 4 else ETH_P_IPV6)
    elif t.carries == CARRIES_NEXT_PROTOCOL:
        at[0] = TUN_P_IPV4 if version == 4 else TUN_P_IPV6
    else:
        at[0] = IPPROTO_IPIP if version == 4 else IPPROTO_IPV6


cdef void stamp_seal(plan *p, const recipe *r, uint8_t *ip) noexcept nogil:
    """Fill in a partial checksum, or note what of a complete one holds for all frames."""
    cdef const template *t = p.t
    cdef Py_ssize_t start = t.udp if t.udp >= 0 else t.gre_check - GRE_CHECK
    cdef uint64_t pseudo = 0
    if t.udp >= 0:
        pseudo = pseudo_sum(ip, t.version == 4, IPPROTO_UDP) + length_sum(p.total - t.udp)
    if r.seal != SEAL_PARTIAL:
        p.sealed = pseudo + short_sum(ip + start, t.size - start)
    elif t.udp >= 0:
        store16(ip + t.udp + UDP_CHECK, fold(pseudo))


cdef void write_headers(plan *p, const recipe *r, const uint8_t *frame) noexcept nogil:
    """Write what all frames have alike for which this plan holds."""
    cdef const template *t = p.t
    cdef uint8_t *ip
    p.link = write_link(&r.link, p.data, frame, t.version)
    p.front = p.link + t.size
    ip = p.data + p.link
    memcpy(ip, t.data, t.size)
    if p.remote:
        stamp_remote(t, ip, &p.left)
    if t.protocol >= 0:
        stamp_protocol(t, ip + t.protocol, p.packet.version)
    stamp_ip(p, r, ip)
    if t.length >= 0:
        put16(ip + t.length, <unsigned int>(p.total - t.length + 2 - GTP_HLEN))
    if t.udp >= 0:
        put16(ip + t.udp + UDP_LEN, length_field(p.total - t.udp))
    if r.sealed:
        stamp_seal(p, r, ip)


# --- the plan ------------------------------------------------------------------------------------


cdef void remember(
    plan *p, const recipe *r, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Note what the next frame must have in common with this one, for the plan to hold for it.

    These are the Ethernet type and the IP header up to the addresses, without what the outer
    headers do not depend on. Frames with VLAN tags, and such without IP, are planned one by one.
    """
    cdef uint8_t same[DECIDING * 8]
    cdef Py_ssize_t ip = 0 if r.raw else ETHERTYPE_LEN
    p.known = (
        p.packet.version != 0 and not r.with_remote and p.packet.start == (0 if r.raw else ETH_HLEN)
    )
    if not p.known:
        return
    memset(same, 0xff, sizeof(same))
    if p.packet.version == 4:
        memset(same + ip + IPV4_ID, 0, 2)
        memset(same + ip + IPV4_CHECK, 0, sizeof(same) - ip - IPV4_CHECK)
    else:
        same[ip + 1] = 0xf0         # the rest of it, and what follows, is the flow label
        memset(same + ip + 2, 0, 2)
        memset(same + ip + IPV6_HOP_LIMIT + 1, 0, sizeof(same) - ip - IPV6_HOP_LIMIT - 1)
    p.size = size
    memcpy(p.word, frame + deciding_at(r), sizeof(p.word))
    memcpy(p.same, same, sizeof(p.same))


cdef int make_plan(
    plan *p, const recipe *r, const uint8_t *frame, Py_ssize_t size, const port_list *ports,
    fault *why
) noexcept nogil:
    """Plan how a frame is put into the tunnel."""
    p.known = False
    find_inner(&p.packet, frame, size, r.raw, r.ethernet)
    if check_inside(r, &p.packet, why) < 0:
        return -1
    p.remote = r.with_remote and find_remote(r, &p.packet, ports, &p.left)
    p.t = &r.remote if p.remote else &r.plain
    p.total = p.t.size + p.packet.size
    if check_length(r, p.t, &p.packet, p.total, why) < 0:
        return -1
    write_headers(p, r, frame)
    remember(p, r, frame, size)
    return 0
