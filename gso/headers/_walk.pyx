# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""The walk along the chain of a frame's headers, of whatever kinds they are.

Each step reads one header, notes its fields that the operations need, moves on to its end and says
which kind of header comes next. Every tunnel is one step that can follow any other.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from gso.buffers._bytes cimport get16
from gso.headers._numbers cimport (
    CISCO_MULTICAST, CISCO_UNICAST, ETH_HLEN, ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6,
    ETH_P_MPLS_MC, ETH_P_MPLS_UC, ETH_P_NSH, ETH_P_PPP_SES, ETH_P_TEB, GRE_BASE_HLEN, GRE_CSUM,
    GRE_FIELD_LEN, GRE_KEY, GRE_PROTOCOL, GRE_ROUTING, GRE_SEQ, GRE_VERSION, GRO_LEGACY_MAX_SIZE,
    GUE_CONTROL, GUE_FLAGS, GUE_FLAG_PRIV, GUE_HLEN, GUE_HLEN_MASK, GUE_PFLAG_REMCSUM,
    GUE_PRIVATE_FLAGS, GUE_PROTO_CTYPE, GUE_REMCSUM_HLEN, GUE_VERSION_SHIFT, IPPROTO_DSTOPTS,
    IPPROTO_GRE, IPPROTO_HOPOPTS, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_ROUTING, IPPROTO_TCP,
    IPPROTO_UDP, IPV4_FRAG_OFF, IPV4_HLEN, IPV4_PROTOCOL, IPV6_EXT_HDRLEN, IPV6_EXT_HLEN,
    IPV6_EXT_NEXTHDR, IPV6_HLEN, IPV6_NEXTHDR, IPV6_RT_SEGMENTS_LEFT, IPV6_TLV_AT, IPV6_TLV_JUMBO,
    IP_MF, IP_OFFSET, IP_TUNNEL_RECURSION_LIMIT, MPLS_BOTTOM, MPLS_HLEN, MPLS_LS_S, NSH_BASE_HLEN,
    NSH_LENGTH, NSH_LENGTH_MASK, NSH_NEXT_PROTOCOL, PPPOE_PROTOCOL, PPPOE_SES_HLEN, PPP_ADDRESS_LEN,
    PPP_ALLSTATIONS_UI, PPP_IP, PPP_IPV6, PPP_LEAST, SKB_GSO_IPXIP4, SKB_GSO_IPXIP6, TCP_DOFF,
    TCP_HLEN, TCP_MIN_DOFF, TUN_P_ETHERNET, TUN_P_IPV4, TUN_P_IPV6, TUN_P_MPLS_UC, TUN_P_NSH,
    UDP_DEST, UDP_HLEN, VLAN_HLEN, VLAN_MAX_DEPTH,
)

from gso.headers.links import AF_INET, AF_INET6

# The state of a walk: where it is, and how far it may read
cdef struct cursor:
    const uint8_t *p
    Py_ssize_t have
    Py_ssize_t size
    Py_ssize_t off
    headers *h
    fault *why
    const port_list *ports
    const link_layer *link
    int ip_levels
    int tunnels             # entered so far
    bint new_packet         # the packet inside the last tunnel header has not begun yet
    bint later_fragment     # the bytes after the IP header need not be a transport header
    bint in_udp             # inside a UDP tunnel, since the last IP header
    bint stacked            # an IP header came since the last UDP or GRE tunnel


cdef int refuse(
    fault *why, int reason, const char *field, const char *text, int64_t offset, int64_t limit,
    int64_t value
) noexcept nogil:
    why[0] = fault(<reason_t>reason, field, text, offset, limit, value)
    return -1


cdef step fail(
    cursor *c, reason_t why, const char *field, const char *text, Py_ssize_t offset,
    int64_t limit, int64_t value
) noexcept nogil:
    c.why[0] = fault(why, field, text, offset, limit, value)
    return STEP_FAILED


cdef void note_refusal(
    cursor *c, const char *field, const char *text, Py_ssize_t offset, int64_t limit,
    int64_t value
) noexcept nogil:
    """Note that this frame has a layout but cannot be segmented. The outermost cause counts."""
    if c.h.refusal.field is NULL:
        c.h.refusal = fault(REASON_UNSUPPORTED, field, text, offset, limit, value)


cdef inline step need(cursor *c, Py_ssize_t n, const char *field) noexcept nogil:
    """DONE if the next `n` bytes can be read."""
    return STEP_DONE if c.off + n <= c.have else lacking(c, n, field)


cdef step lacking(cursor *c, Py_ssize_t n, const char *field) noexcept nogil:
    """Say why the next `n` bytes cannot be read."""
    cdef Py_ssize_t end = c.off + n
    if end > c.size:
        return fail(
            c, REASON_TRUNCATED, field, "{field} at byte {offset} ends at byte {value}, but the "
            "frame has {limit} bytes", c.off, c.size, end)
    if end > MAX_HEADER:
        return fail(
            c, REASON_TOO_LONG, field, "{field} at byte {offset} ends at byte {value}, beyond "
            "header offset {limit}", c.off, MAX_HEADER, end)
    return STEP_BEYOND


cdef void enter(cursor *c, int kind) noexcept nogil:
    """Note that a tunnel header starts here or, for IP in IP, the packet in the tunnel."""
    if c.ports.inner >= 0 and kind != TUNNEL_FOU and kind != TUNNEL_NSH:
        # nsh_gso_segment alone needs to know nothing from the sk_buff
        note_refusal(
            c, "gso_type", "the virtio header does not tell of the tunnel (gso.Tunnel {value}) at "
            "byte {offset}", c.off, 0, kind)
    if c.tunnels == 0:
        c.h.tunnel = kind
    c.tunnels += 1
    c.new_packet = True


cdef void inner_mac(cursor *c) noexcept nogil:
    """Note that the packet in the tunnel starts here."""
    if c.new_packet:
        c.h.inner_mac_header = <int32_t>c.off
        c.new_packet = False


cdef void network(cursor *c) noexcept nogil:
    """Note that a network header starts here."""
    if c.tunnels == 0:
        c.h.network_header = <int32_t>c.off
    else:
        inner_mac(c)
        c.h.inner_network_header = <int32_t>c.off


cdef layer *add_layer(cursor *c, layer_kind kind) noexcept nogil:
    cdef layer *one = &c.h.layers[c.h.n]
    c.h.n += 1  # cannot exceed MAX_LAYERS, as the IP levels are counted
    one.kind = kind
    one.offset = <uint16_t>c.off
    one.hlen = 0
    one.inner = False
    one.stacked = c.stacked
    return one


cdef step by_ethertype(cursor *c, unsigned int proto, Py_ssize_t field) noexcept nogil:
    """The step that an Ethernet type announces; `field` is the offset of the type."""
    if proto == ETH_P_IP:
        return STEP_IPV4
    if proto == ETH_P_IPV6:
        return STEP_IPV6
    if proto == ETH_P_TEB:
        return STEP_ETHERNET
    if proto == ETH_P_MPLS_UC or proto == ETH_P_MPLS_MC:
        return STEP_MPLS
    if proto == ETH_P_NSH:
        return STEP_NSH
    if proto == ETH_P_PPP_SES:
        return STEP_PPPOE
    note_refusal(
        c, "h_proto", "no segmentation of protocol {value:#06x} (byte {offset})", field, proto,
        proto)
    network(c)
    return STEP_DONE


cdef step by_protocol(cursor *c, unsigned int proto, Py_ssize_t field) noexcept nogil:
    """The step that an IP protocol number in a tunnel header announces."""
    if proto == IPPROTO_IPIP:
        return STEP_IPV4
    if proto == IPPROTO_IPV6:
        return STEP_IPV6
    if proto == IPPROTO_GRE:
        return STEP_GRE
    return unknown(c, "protocol", proto, field)


cdef step by_next_protocol(cursor *c, unsigned int proto, Py_ssize_t field) noexcept nogil:
    """The step that a next protocol of NSH or VXLAN-GPE announces (RFC 8300, section 2.2)."""
    if proto == TUN_P_IPV4:
        return STEP_IPV4
    if proto == TUN_P_IPV6:
        return STEP_IPV6
    if proto == TUN_P_ETHERNET:
        return STEP_ETHERNET
    if proto == TUN_P_NSH:
        return STEP_NSH
    if proto == TUN_P_MPLS_UC:
        return STEP_MPLS
    return unknown(c, "next_protocol", proto, field)


cdef step by_nibble(cursor *c, const char *field) noexcept nogil:
    """The step of IPv4 or IPv6, by the version in the first four bits."""
    cdef step state = need(c, 1, field)
    if state != STEP_DONE:
        return state
    cdef unsigned int version = c.p[c.off] >> 4
    if version == 4:
        return STEP_IPV4
    if version == 6:
        return STEP_IPV6
    return unknown(c, "version", version, c.off)


cdef step unknown(
    cursor *c, const char *field, unsigned int value, Py_ssize_t where
) noexcept nogil:
    note_refusal(
        c, field, "no segmentation of {field} {value} (byte {offset})", where, value, value)
    return STEP_DONE


cdef inline bint is_vlan(unsigned int proto) noexcept nogil:
    return proto == ETH_P_8021Q or proto == ETH_P_8021AD


cdef step ethernet(cursor *c) noexcept nogil:
    """Read an Ethernet header and its tags; at the frame's start, a header with such a type."""
    cdef Py_ssize_t length = ETH_HLEN, type_at = c.off + ETH_HLEN - 2
    cdef const char *header = "ethhdr"
    if c.off == 0:
        length, type_at, header = c.link.length, c.link.type_at, c.link.header
    cdef step state = need(c, length, header)
    cdef unsigned int proto, tags = 0
    if state != STEP_DONE:
        return state
    if c.tunnels:
        c.new_packet = True
        inner_mac(c)
    c.h.ethernet = <int32_t>c.off
    c.off += length
    proto = get16(c.p + type_at)
    while is_vlan(proto):
        tags += 1
        if tags == VLAN_MAX_DEPTH:
            note_refusal(
                c, "vlan_hdr", "VLAN tag {value} at byte {offset}, the kernel follows fewer than "
                "{limit}", c.off, VLAN_MAX_DEPTH, tags)
            network(c)
            return STEP_DONE
        state = need(c, VLAN_HLEN, "vlan_hdr")
        if state != STEP_DONE:
            return state
        c.off += VLAN_HLEN
        type_at = c.off - 2
        proto = get16(c.p + type_at)
    return by_ethertype(c, proto, type_at)


cdef step untyped_link(cursor *c) noexcept nogil:
    """Read the start of a frame in which no Ethernet type precedes the IP packet.

    An address family that is not that of the packet's version tells that this is no such packet.
    """
    cdef step state = need(c, c.link.length, c.link.header)
    if state != STEP_DONE:
        return state
    c.off += c.link.length
    state = by_nibble(c, "iphdr")
    if c.link.type_at == LINK_FAMILY and (state == STEP_IPV4 or state == STEP_IPV6) \
            and not is_family(c.p, 4 if state == STEP_IPV4 else 6):
        state = unknown(c, "family", get16(c.p) | get16(c.p + 2), 0)
    if state == STEP_DONE:
        network(c)
    return state


cdef step first_step(cursor *c) noexcept nogil:
    """The step after the start of a frame that has no Ethernet type there."""
    if c.link.type_at == LINK_PPP:
        return ppp_link(c)
    return STEP_PPPOE if c.link.type_at == LINK_PPPOE else untyped_link(c)


cdef step ppp_link(cursor *c) noexcept nogil:
    """Read PPP's header, or Cisco's HDLC, which has an Ethernet type.

    RFC 1661, sections 2 and 6: address and control may be left out, and the first byte of the
    protocol if it is 0. The last byte of a protocol is odd, any before it is even.
    """
    cdef bint directed = c.link.length > 0, cisco = False
    cdef unsigned int proto
    cdef step state = need(c, c.link.length + PPP_LEAST, c.link.header)
    if state != STEP_DONE:
        return state
    c.off += c.link.length
    proto = get16(c.p + c.off)
    if not directed:
        cisco = proto == CISCO_UNICAST or proto == CISCO_MULTICAST
    if cisco or proto == PPP_ALLSTATIONS_UI:
        c.off += PPP_ADDRESS_LEN
        state = need(c, PPP_LEAST, c.link.header)
        if state != STEP_DONE:
            return state
    proto = get16(c.p + c.off)
    if cisco:
        c.off += PPP_LEAST
        return by_ethertype(c, proto, c.off - PPP_LEAST)
    return by_ppp(c, proto)


cdef step by_ppp(cursor *c, unsigned int proto) noexcept nogil:
    """The step that a PPP protocol of one or two bytes announces."""
    cdef Py_ssize_t field = c.off
    cdef bint short = c.p[field] & 1
    if short:
        proto >>= 8
    c.off += 1 if short else 2
    if proto == PPP_IP:
        return STEP_IPV4
    if proto == PPP_IPV6:
        return STEP_IPV6
    network(c)
    return unknown(c, "ppp_proto", proto, field)


cdef uint8_t[256] version_of_family = bytes(
    4 if one == AF_INET else 6 if one in AF_INET6 else 0xff for one in range(256)
)


cdef bint is_family(const uint8_t *p, unsigned int version) noexcept nogil:
    if p[1] or p[2] or (p[0] and p[3]):
        return False
    return version_of_family[p[0] | p[3]] == version


cdef bint too_deep(cursor *c) noexcept nogil:
    """Whether this IP header is the sixth, which the kernel refuses (gso_recursion_inc_test)."""
    c.ip_levels += 1
    if c.ip_levels <= IP_TUNNEL_RECURSION_LIMIT:
        return False
    note_refusal(
        c, "encapsulation", "IP header {value} at byte {offset}, the kernel follows {limit}", c.off,
        IP_TUNNEL_RECURSION_LIMIT, c.ip_levels)
    return True


cdef void end_of_ip(cursor *c, int version) noexcept nogil:
    """Note that the IP header and its extension headers end here."""
    if c.tunnels == 0:
        c.h.transport_header = <int32_t>c.off
    else:
        c.h.inner_transport_header = <int32_t>c.off
    if c.h.outer_version == 0:
        c.h.outer_version = version
    c.h.inner_version = version
    c.in_udp = False
    c.stacked = True


cdef step after_ip(cursor *c, unsigned int proto, Py_ssize_t field, int version) noexcept nogil:
    """The step that the protocol of an IP header announces."""
    end_of_ip(c, version)
    if proto == IPPROTO_TCP:
        return STEP_TCP
    if proto == IPPROTO_UDP:
        return STEP_UDP
    if proto == IPPROTO_GRE:
        enter(c, TUNNEL_GRE)
        return STEP_GRE
    if proto == IPPROTO_IPIP:
        enter(c, TUNNEL_IPIP if version == 4 else TUNNEL_IP6TNL)
        note_ip_in_ip(c)
        return STEP_IPV4
    if proto == IPPROTO_IPV6:
        enter(c, TUNNEL_SIT if version == 4 else TUNNEL_IP6TNL)
        note_ip_in_ip(c)
        return STEP_IPV6
    return unknown(c, "protocol" if version == 4 else "nexthdr", proto, field)


cdef inline void note_ip_in_ip(cursor *c) noexcept nogil:
    """Note the bit of gso_type that an IP packet right in this IP header, or in FOU or GUE, has."""
    c.h.ip_in_ip |= SKB_GSO_IPXIP4 if c.h.inner_version == 4 else SKB_GSO_IPXIP6


cdef step ipv4(cursor *c) noexcept nogil:
    cdef step state = need(c, IPV4_HLEN, "iphdr")
    cdef Py_ssize_t start = c.off
    cdef const uint8_t *iph = c.p + start
    cdef layer *one
    cdef unsigned int hlen, frag_off
    if state != STEP_DONE:
        return state
    network(c)
    if too_deep(c):
        return STEP_DONE
    hlen = (iph[0] & 15) * 4
    if hlen < IPV4_HLEN:
        return fail(
            c, REASON_BAD_HEADER, "ihl", "ihl at byte {offset} is {value}, less than {limit}",
            start, IPV4_HLEN // 4, hlen // 4)
    state = need(c, hlen, "ihl")
    if state != STEP_DONE:
        return state
    one = add_layer(c, LAYER_IPV4)
    one.hlen = hlen
    c.h.ip_header = <int32_t>start
    frag_off = get16(iph + IPV4_FRAG_OFF)
    c.h.fragment = frag_off & (IP_MF | IP_OFFSET) != 0
    c.later_fragment = frag_off & IP_OFFSET != 0
    c.h.fragment_at = c.h.jumbo = c.h.routing = -1
    c.off += hlen
    return after_ip(c, iph[IPV4_PROTOCOL], start + IPV4_PROTOCOL, 4)


cdef step ipv6(cursor *c) noexcept nogil:
    cdef step state = need(c, IPV6_HLEN, "ipv6hdr")
    cdef Py_ssize_t start = c.off, field = start + IPV6_NEXTHDR
    cdef unsigned int proto, length
    cdef bint unfragmentable = True, routed = False
    if state != STEP_DONE:
        return state
    network(c)
    if too_deep(c):
        return STEP_DONE
    add_layer(c, LAYER_IPV6)
    c.h.ip_header = <int32_t>start
    c.h.fragment = c.later_fragment = False
    c.h.jumbo = c.h.routing = -1
    c.off += IPV6_HLEN
    c.h.fragment_at = <int32_t>c.off
    c.h.fragment_next = <int32_t>field
    proto = c.p[field]
    # The kernel follows these three, in any order and number (ipv6_gso_pull_exthdrs).
    while proto == IPPROTO_HOPOPTS or proto == IPPROTO_ROUTING or proto == IPPROTO_DSTOPTS:
        state = need(c, IPV6_EXT_HLEN, "ipv6_opt_hdr")
        if state != STEP_DONE:
            return state
        length = (c.p[c.off + IPV6_EXT_HDRLEN] + 1) * 8
        state = need(c, length, "hdrlen")
        if state != STEP_DONE:
            return state
        if proto == IPPROTO_HOPOPTS and is_jumbo(c, start):
            c.h.jumbo = <int32_t>c.off
        if proto == IPPROTO_ROUTING:
            routed = True
            if c.p[c.off + IPV6_RT_SEGMENTS_LEFT]:
                c.h.routing = <int32_t>c.off
        # ip6_find_1stfragopt: destination options after a routing header can be fragmented
        if proto == IPPROTO_DSTOPTS and routed:
            unfragmentable = False
        field = c.off + IPV6_EXT_NEXTHDR
        proto = c.p[field]
        c.off += length
        if unfragmentable:
            c.h.fragment_at = <int32_t>c.off
            c.h.fragment_next = <int32_t>field
    return after_ip(c, proto, field, 6)


cdef bint is_jumbo(cursor *c, Py_ssize_t ip_header) noexcept nogil:
    """Whether this is the header of BIG TCP, which segmentation removes (ipv6_has_hopopt_jumbo)."""
    cdef const uint8_t *opt = c.p + c.off
    # After a VLAN tag or an inner Ethernet header skb->protocol does not say IPv6.
    cdef bint told = ip_header == c.link.length
    if c.tunnels:
        told = c.h.inner_mac_header == ip_header
    return (
        told and c.off == ip_header + IPV6_HLEN and c.size - ip_header > GRO_LEGACY_MAX_SIZE
        and opt[IPV6_EXT_NEXTHDR] == IPPROTO_TCP and opt[IPV6_EXT_HDRLEN] == 0
        and opt[IPV6_TLV_AT] == IPV6_TLV_JUMBO
    )


cdef step bad_transport(cursor *c, step state) noexcept nogil:
    """Accept a fragment that holds no whole transport header, as it is a packet like any other."""
    cdef Py_ssize_t field = c.h.ip_header + IPV4_FRAG_OFF
    if state == STEP_FAILED and c.h.fragment:
        return unknown(c, "frag_off", get16(c.p + field), field)
    return state


cdef step transport_tcp(cursor *c) noexcept nogil:
    cdef Py_ssize_t start = c.off
    cdef unsigned int doff
    cdef step state = need(c, TCP_HLEN, "tcphdr")
    if state != STEP_DONE:
        return bad_transport(c, state)
    doff = c.p[start + TCP_DOFF] >> 4
    if doff < TCP_MIN_DOFF:
        return bad_transport(c, fail(
            c, REASON_BAD_HEADER, "doff", "doff at byte {offset} is {value}, less than {limit}",
            start + TCP_DOFF, TCP_MIN_DOFF, doff))
    state = need(c, doff * 4, "doff")
    if state != STEP_DONE:
        return bad_transport(c, state)
    c.h.l4 = IPPROTO_TCP
    c.h.l4_header = <int32_t>start
    c.off += doff * 4
    return STEP_DONE


cdef const port *find_port(const port_list *ports, uint16_t dest) noexcept nogil:
    cdef const port_table *known = ports.known
    cdef Py_ssize_t i
    if ports.guess is not NULL and ports.guess.number == dest:
        return ports.guess
    if ports.inner >= 0:
        return NULL
    for i in range(ports.n):
        if ports.ports[i].number == dest:
            return &ports.ports[i]
    if known.modulo >> (dest & 63) & 1:
        for i in range(known.n):
            if known.ports[i].number == dest:
                return &known.ports[i]
    return NULL


cdef step announced_tunnel(cursor *c, Py_ssize_t start) noexcept nogil:
    """Enter a UDP tunnel of which only the offset of the packet inside is known."""
    enter(c, TUNNEL_FOU)
    add_layer(c, LAYER_UDP)
    if c.ports.inner < start + UDP_HLEN:
        return fail(
            c, REASON_BAD_HEADER, "inner_nh_offset", "inner_nh_offset is {offset}, inside the UDP "
            "header, which ends at byte {limit}", c.ports.inner, start + UDP_HLEN, c.ports.inner)
    c.off = c.ports.inner
    c.in_udp = True
    c.stacked = False
    return STEP_IPV6 if c.ports.inner_version == 6 else STEP_IPV4


cdef step transport_udp(cursor *c) noexcept nogil:
    cdef Py_ssize_t start = c.off
    cdef const port *found
    cdef const udp_tunnel *row
    cdef step state = need(c, UDP_HLEN, "udphdr")
    if state != STEP_DONE:
        return bad_transport(c, state)
    if c.ports.inner > 0 and c.tunnels == 0:
        return announced_tunnel(c, start)
    found = find_port(c.ports, get16(c.p + start + UDP_DEST))
    row = NULL
    if found is not NULL:
        row = found.row
    if row is NULL or row.carries == CARRIES_OPAQUE or c.later_fragment:
        c.off += UDP_HLEN
        c.h.l4 = IPPROTO_UDP
        c.h.l4_header = <int32_t>start
        c.h.plain = found is not NULL and row is NULL
        if row is not NULL and row.carries == CARRIES_OPAQUE and not c.later_fragment:
            c.h.opaque = row
        return STEP_DONE
    c.h.udp = row
    enter(c, row.tunnel)
    add_layer(c, LAYER_UDP)
    c.off += UDP_HLEN
    c.in_udp = True
    c.stacked = False
    if found.protocol:
        return ip_in_udp(c, by_protocol(c, found.protocol, start + UDP_DEST))
    if row.tunnel == TUNNEL_GUE:
        return gue(c)
    return udp_tunnel_header(c, row)


cdef step gre(cursor *c) noexcept nogil:
    """Read a GRE header (RFC 2784), with the key and sequence number of RFC 2890.

    gre_gso_segment repeats the sequence number in every segment.
    """
    cdef Py_ssize_t start = c.off
    cdef unsigned int flags, length = GRE_BASE_HLEN
    cdef step state = need(c, GRE_BASE_HLEN, "gre_base_hdr")
    if state != STEP_DONE:
        return state
    flags = get16(c.p + start)
    if flags & (GRE_ROUTING | GRE_VERSION):
        note_refusal(
            c, "flags", "GRE flags {value:#06x} at byte {offset}: source routing or version other "
            "than 0", start, flags & (GRE_ROUTING | GRE_VERSION), flags)
        return STEP_DONE
    length += GRE_FIELD_LEN * (flags & GRE_CSUM != 0)
    length += GRE_FIELD_LEN * (flags & GRE_KEY != 0)
    length += GRE_FIELD_LEN * (flags & GRE_SEQ != 0)
    state = need(c, length, "gre_base_hdr")
    if state != STEP_DONE:
        return state
    if flags & GRE_CSUM:
        if c.in_udp:
            # To the kernel this GRE header is a part of the UDP tunnel's, left as it is.
            note_refusal(
                c, "flags", "GRE flags {value:#06x} at byte {offset}: a checksum ({limit:#06x}) "
                "inside a UDP tunnel", start, GRE_CSUM, flags)
        add_layer(c, LAYER_GRE)
    if flags & GRE_SEQ:
        c.h.numbered = True
    c.stacked = False
    c.off += length
    c.new_packet = True
    return by_ethertype(c, get16(c.p + start + GRE_PROTOCOL), start + GRE_PROTOCOL)


cdef step udp_tunnel_header(cursor *c, const udp_tunnel *row) noexcept nogil:
    """Read the header of a tunnel in UDP as its row says."""
    cdef Py_ssize_t start = c.off, length = row.length, field = start + row.field
    cdef step state
    if row.carries == CARRIES_IP:
        return ip_in_udp(c, by_nibble(c, row.header))
    state = need(c, length, row.header)
    if state != STEP_DONE:
        return state
    if row.options:
        length += (c.p[start] & row.options) * 4
        state = need(c, length, "opt_len")
        if state != STEP_DONE:
            return state
    if c.p[start + row.remcsum_at] & row.remcsum:
        c.h.remcsum = True
    c.off += length
    if row.carries == CARRIES_ETHERNET or (row.field_if and not c.p[start] & row.field_if):
        return STEP_ETHERNET
    if row.carries == CARRIES_ETHERTYPE:
        return by_ethertype(c, get16(c.p + field), field)
    if row.carries == CARRIES_NEXT_PROTOCOL:
        return by_next_protocol(c, c.p[field], field)
    return by_protocol(c, c.p[field], field)


cdef step gue(cursor *c) noexcept nogil:
    """Read a GUE header (draft-ietf-intarea-gue). Version 1 has none, it is an IP packet itself."""
    cdef Py_ssize_t start = c.off
    cdef const uint8_t *p = c.p + start
    cdef unsigned int length
    cdef step state = need(c, GUE_HLEN, "guehdr")
    if state != STEP_DONE:
        return state
    if p[0] >> GUE_VERSION_SHIFT == 1:
        return ip_in_udp(c, by_nibble(c, "guehdr"))
    if p[0] >> GUE_VERSION_SHIFT:
        return unknown(c, "version", p[0] >> GUE_VERSION_SHIFT, start)
    length = GUE_HLEN + (p[0] & GUE_HLEN_MASK) * 4
    state = need(c, length, "hlen")
    if state != STEP_DONE:
        return state
    # GUE_FLAG_PRIV alone, so that the private flags are the first field; GUE_PFLAG_REMCSUM
    if length >= GUE_REMCSUM_HLEN and get16(p + GUE_FLAGS) == GUE_FLAG_PRIV \
            and p[GUE_PRIVATE_FLAGS] & GUE_PFLAG_REMCSUM:
        c.h.remcsum = True
    c.off += length
    if p[0] & GUE_CONTROL:
        return unknown(c, "control", p[GUE_PROTO_CTYPE], start + GUE_PROTO_CTYPE)
    return ip_in_udp(c, by_protocol(c, p[GUE_PROTO_CTYPE], start + GUE_PROTO_CTYPE))


cdef step ip_in_udp(cursor *c, step kind) noexcept nogil:
    """Note what the kernel makes of an IP packet right in FOU or GUE, or of what else follows.

    skb_udp_tunnel_segment leaves the Ethernet type outside in skb->protocol. Where that is a VLAN
    tag's, skb_network_protocol looks for the type that follows the tag in the inner IP packet,
    which begins where it takes an Ethernet header to begin; finding 0 there it gives up.
    """
    cdef Py_ssize_t at = c.off + ETH_HLEN
    cdef unsigned int proto = 0
    cdef int _tags
    if kind != STEP_IPV4 and kind != STEP_IPV6:
        return kind
    note_ip_in_ip(c)
    if c.tunnels > 1 or c.h.ethernet != 0 or not is_vlan(get16(c.p + c.link.type_at)):
        return kind
    for _tags in range(VLAN_MAX_DEPTH - 1):
        if at + VLAN_HLEN > c.have:
            if c.have < c.size and c.have < MAX_HEADER:
                return STEP_BEYOND
            break
        proto = get16(c.p + at + 2)
        if not is_vlan(proto):
            break
        at += VLAN_HLEN
        proto = 0
    if proto == 0:
        note_refusal(
            c, "vlan_hdr", "with a VLAN tag outside, the kernel takes bytes {offset} and on, of "
            "the packet in the UDP tunnel, for the Ethernet type of the tag and finds {value}",
            at + 2, 0, 0)
    return kind


cdef void enter_below_ip(cursor *c, tunnel kind) noexcept nogil:
    """Enter MPLS or NSH, which start at the network header: no transport header precedes them."""
    network(c)
    if c.tunnels == 0:
        c.h.transport_header = <int32_t>c.off
    enter(c, kind)


cdef step mpls(cursor *c) noexcept nogil:
    """Read MPLS labels (RFC 3032) down to the bottom of the stack; IP follows."""
    cdef const uint8_t *label
    cdef step state
    enter_below_ip(c, TUNNEL_MPLS)
    while True:
        state = need(c, MPLS_HLEN, "mpls_shim_hdr")
        if state != STEP_DONE:
            return state
        label = c.p + c.off
        c.off += MPLS_HLEN
        if label[MPLS_BOTTOM] & MPLS_LS_S:
            return by_nibble(c, "mpls_shim_hdr")


cdef step nsh(cursor *c) noexcept nogil:
    """Read a network service header (RFC 8300)."""
    cdef Py_ssize_t start = c.off
    cdef unsigned int length
    cdef step state = need(c, NSH_BASE_HLEN, "nshhdr")
    if state != STEP_DONE:
        return state
    length = (c.p[start + NSH_LENGTH] & NSH_LENGTH_MASK) * 4
    if length < NSH_BASE_HLEN:
        return fail(
            c, REASON_BAD_HEADER, "length", "NSH length at byte {offset} is {value} bytes, less "
            "than {limit}", start + NSH_LENGTH, NSH_BASE_HLEN, length)
    state = need(c, length, "length")
    if state != STEP_DONE:
        return state
    enter_below_ip(c, TUNNEL_NSH)
    c.off += length
    return by_next_protocol(c, c.p[start + NSH_NEXT_PROTOCOL], start + NSH_NEXT_PROTOCOL)


cdef step pppoe(cursor *c) noexcept nogil:
    """Read a PPPoE session header (RFC 2516) and the PPP protocol (pppoe_gso_segment).

    Only the PPP protocol is looked at. The header is no tunnel: the IP header after it is the
    network header.
    """
    cdef Py_ssize_t start = c.off, field = start + PPPOE_PROTOCOL
    cdef unsigned int proto
    cdef step state = need(c, PPPOE_SES_HLEN, "pppoe_hdr")
    if state != STEP_DONE:
        return state
    if c.tunnels:
        inner_mac(c)
    proto = get16(c.p + field)
    c.off += PPPOE_SES_HLEN
    if proto != PPP_IP and proto != PPP_IPV6:
        network(c)
        return unknown(c, "ppp_proto", proto, field)
    add_layer(c, LAYER_PPPOE).offset = <uint16_t>start
    return STEP_IPV4 if proto == PPP_IP else STEP_IPV6


cdef step follow(cursor *c, step kind) noexcept nogil:
    if kind == STEP_ETHERNET:
        return ethernet(c)
    elif kind == STEP_IPV4:
        return ipv4(c)
    elif kind == STEP_IPV6:
        return ipv6(c)
    elif kind == STEP_TCP:
        return transport_tcp(c)
    elif kind == STEP_UDP:
        return transport_udp(c)
    elif kind == STEP_GRE:
        return gre(c)
    elif kind == STEP_MPLS:
        return mpls(c)
    elif kind == STEP_NSH:
        return nsh(c)
    return pppoe(c)


cdef void mark_inner(headers *h) noexcept nogil:
    """Mark the IP headers that GSO_TCP_FIXEDID and UFO are about.

    inet_gso_segment: those below the first in a stack of IP headers, and all below a UDP or GRE
    tunnel, which clears skb->encapsulation; all if there is no tunnel. A transport header right in
    UDP has none.
    """
    cdef int i, levels = 0
    cdef bint tunnelled = False
    for i in range(h.n):
        levels += h.layers[i].kind == LAYER_IPV4 or h.layers[i].kind == LAYER_IPV6
        tunnelled |= h.layers[i].kind == LAYER_UDP
    cdef bint inner = levels == 1 and not tunnelled
    for i in range(h.n):
        h.layers[i].inner = inner
        inner |= h.layers[i].kind == LAYER_IPV4 or h.layers[i].kind == LAYER_IPV6


cdef int walk(
    headers *h, fault *why, const uint8_t *p, Py_ssize_t have, Py_ssize_t size,
    const link_layer *link, const port_list *ports
) noexcept nogil:
    cdef cursor c
    cdef step kind
    c.p = p
    c.have = have
    c.size = size
    c.off = 0
    c.h = h
    c.why = why
    c.link = link
    c.ports = ports
    c.ip_levels = c.tunnels = 0
    c.new_packet = c.later_fragment = c.in_udp = c.stacked = False
    h.mac_header = h.tnl_hlen = 0
    h.network_header = h.transport_header = -1
    h.inner_mac_header = h.inner_network_header = h.inner_transport_header = -1
    h.tunnel = h.l4 = h.inner_version = h.outer_version = 0
    h.ethernet = h.ip_header = h.l4_header = -1
    h.jumbo = h.routing = h.fragment_at = h.fragment_next = -1
    h.fragment = h.remcsum = h.numbered = h.plain = False
    h.ip_in_ip = 0
    h.n = h.steps = 0
    h.udp = h.opaque = NULL
    h.refusal.field = NULL
    kind = STEP_ETHERNET if link.type_at >= 0 else first_step(&c)
    while kind != STEP_DONE:
        if kind == STEP_FAILED:
            return -1
        if kind == STEP_BEYOND:
            return 1
        h.steps |= 1 << kind
        kind = follow(&c, kind)
    h.payload = <int32_t>c.off
    if h.transport_header >= 0 and h.inner_mac_header >= 0:
        h.tnl_hlen = h.inner_mac_header - h.transport_header
    mark_inner(h)
    return 0


cdef void drop_copy(header_copy *copy) noexcept nogil:
    if copy.p != copy.few:
        free(copy.p)
        copy.p = copy.few


cdef int read_headers(
    headers *h, fault *why, header_copy *copy, const uint8_t *frame, Py_ssize_t size,
    const link_layer *link, const port_list *ports
) noexcept nogil:
    """Walk a private copy of the headers, as another thread may change the frame's memory.

    Returns 0, or -1 with `why` filled in. The caller frees the copy with drop_copy() either way.
    """
    cdef Py_ssize_t have
    cdef int more
    copy.p = copy.few
    if size > MAX_FRAME:
        why[0] = fault(
            REASON_TOO_LONG, "len", "a frame of {offset} bytes, the limit is {limit}", size,
            MAX_FRAME, size)
        return -1
    if size >= FEW_BYTES:
        have = FEW_BYTES
        memcpy(copy.p, frame, FEW_BYTES)  # a length known beforehand is copied without a call
    else:
        have = size
        memcpy(copy.p, frame, have)
    more = walk(h, why, copy.p, have, size, link, ports)
    if more <= 0:
        return more
    have = min(size, MAX_HEADER)
    copy.p = <uint8_t *>malloc(have + HEADER_ROOM)
    if copy.p is NULL:
        copy.p = copy.few
        why[0] = fault(REASON_TOO_LONG, "len", "no memory for {offset} header bytes", have, 0, 0)
        return -1
    memcpy(copy.p, frame, have)
    return walk(h, why, copy.p, have, size, link, ports)
