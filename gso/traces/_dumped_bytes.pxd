"""The packet's bytes in a dump of the kernel, and what they tell of its sk_buff.

"skb linear:   00000010: 40 11 bd de" has the bytes from ``skb->data`` on, as "data={0x45...}" of a
tracer. What they tell is taken only where the sk_buff's offsets lead to an IP header that is right.
"""

from libc.stdint cimport INT16_MIN, INT32_MIN, int16_t, int32_t, int64_t, uint8_t, uint32_t

from gso.skb._skb cimport Skb
from gso.traces._text cimport hex_digit, is_blank, read_number, skip_blanks
from gso.traces._tuple cimport is_ipv4, is_ipv6, word

cdef enum:
    BYTES_KEPT = 512        # the kernel prints a header's longest, and 128 more
    UNSET = 0xffff
    IN_DISORDER = -1
    # IP protocols
    IN_IPV4 = 4
    IN_TCP = 6
    IN_UDP = 17
    IN_IPV6 = 41
    IN_GRE = 47
    IN_HOP_BY_HOP = 0
    IN_ROUTING = 43
    IN_FRAGMENT = 44
    IN_AH = 51
    IN_DESTINATION = 60
    MOST_OPTIONS = 8        # IPv6 extension headers that are passed over
    LONGEST_LINK = 44
    # members of gso.Tunnel
    TUNNEL_NONE = 0
    TUNNEL_IPIP = 1
    TUNNEL_SIT = 2
    TUNNEL_IP6TNL = 3
    TUNNEL_GRE = 4
    TUNNEL_GUE = 6
    TUNNEL_VXLAN = 7
    TUNNEL_GPE = 8
    TUNNEL_GENEVE = 9


cdef struct DumpedBytes:
    int64_t size            # of those that were read, IN_DISORDER where two dumps are mixed
    uint8_t[BYTES_KEPT] data


cdef inline bint keep_bytes(DumpedBytes *kept, const char *p, const char *end) noexcept nogil:
    """Keep the bytes of "00000010: 40 11"; False where it follows no line before it."""
    cdef int64_t offset = 0
    cdef const char *at
    p = at = skip_blanks(p, end)
    while at < end and hex_digit(at[0]) >= 0:
        at += 1
    if at == end or at[0] != c":" or not read_number(p, at, 16, &offset) or offset > kept.size:
        return False                    # a line between them was lost
    if offset < kept.size:
        kept.size = IN_DISORDER
        return True
    p = skip_blanks(at + 1, end)
    while end - p >= 2 and hex_digit(p[0]) >= 0 and hex_digit(p[1]) >= 0 \
            and kept.size < BYTES_KEPT and (end - p == 2 or is_blank(p[2])):
        kept.data[kept.size] = <uint8_t>(hex_digit(p[0]) << 4 | hex_digit(p[1]))
        kept.size += 1
        p = p + 3 if end - p > 2 else end
    return True


cdef inline void forget_told(Skb *row) noexcept nogil:
    row.payload = INT32_MIN
    row.l4 = row.tunnel = row.ihl = row.doff = row.gre_flags = INT16_MIN


cdef inline void tell(DumpedBytes *kept, Skb *row) noexcept nogil:
    """Set the fields of an sk_buff that its packet's bytes tell."""
    cdef bint inside = row.encapsulation == 1
    cdef int64_t network, transport
    forget_told(row)
    if kept.size < 20 or row.headroom < 0:
        return
    if inside:
        tell_of_tunnel(kept, row.headroom, row)
    network = (row.inner_network_header if inside else row.network_header) - row.headroom
    transport = (row.inner_transport_header if inside else row.transport_header) - row.headroom
    tell_of_ip(kept, network, transport, row)


cdef inline int ip_protocol(DumpedBytes *kept, int64_t at, int64_t transport) noexcept nogil:
    """Return the protocol of the IP header at `at` that ends where `transport` is; 0 for others."""
    cdef const uint8_t *data = kept.data
    cdef int64_t left = kept.size - at
    if at < 0 or left < 20:
        return 0
    if is_ipv4(data + at, left) and transport == at + (data[at] & 15) * 4:
        return data[at + 9]
    if is_ipv6(data + at, left) and transport == at + 40:
        return data[at + 6]
    return 0


cdef inline void tell_of_ip(DumpedBytes *kept, int64_t network, int64_t transport,
                            Skb *row) noexcept nogil:
    cdef int protocol = ip_protocol(kept, network, transport)
    cdef int64_t payload
    # Where nothing says whether there is an inner packet, that of UDP may be a tunnel's.
    if protocol != IN_TCP and (protocol != IN_UDP or row.encapsulation == INT16_MIN):
        return
    row.l4 = <int16_t>protocol
    if kept.data[network] >> 4 == 4:
        row.ihl = kept.data[network] & 15
    payload = transport + 8
    if protocol == IN_TCP:
        if transport + 13 > kept.size:
            return
        row.doff = kept.data[transport + 12] >> 4
        payload = transport + row.doff * 4
    if row.len >= payload:
        row.payload = <int32_t>(row.len - payload)


cdef inline void tell_tunnel(DumpedBytes *kept, Skb *row) noexcept nogil:
    """Set the tunnel of a packet whose bytes begin with its link or its outer IP header.

    Where skb->data is in its head is not known: both IP headers have to be as far from each other
    as the offsets say, and that of IPv6 has to be as long as the packet.
    """
    cdef int64_t network = row.network_header, inner = row.inner_network_header - network
    cdef int64_t at, length
    if row.encapsulation == 0 or not 0 <= network < UNSET or inner < 20 \
            or row.inner_network_header >= UNSET or network > row.transport_header:
        return
    for at in range(0, LONGEST_LINK + 1, 2):
        if not is_ip(kept, at) or not is_ip(kept, at + inner):
            continue
        length = word(kept.data, at + 4) + 40
        if kept.data[at] >> 4 == 4 or length == 40 or length == row.len - at:
            tell_of_tunnel(kept, network - at, row)
            return


cdef inline bint is_ip(DumpedBytes *kept, int64_t at) noexcept nogil:
    cdef int64_t left = kept.size - at
    if at < 0 or left < 20:
        return False
    return is_ipv4(kept.data + at, left) or (
        left >= 40 and kept.data[at] >> 4 == 6 and kept.data[at + 7] != 0)


cdef inline void tell_of_tunnel(DumpedBytes *kept, int64_t headroom, Skb *row) noexcept nogil:
    cdef int64_t transport = row.transport_header - headroom
    row.tunnel = tunnel_of(kept, row.network_header - headroom, transport,
                           row.inner_network_header - headroom)
    if row.tunnel == TUNNEL_GRE and transport + 2 <= kept.size:
        row.gre_flags = word(kept.data, transport) & 0x7fff


cdef inline int64_t options_end(DumpedBytes *kept, int64_t at, int *protocol) noexcept nogil:
    """Return where the extension headers at `at` end; -1 where the bytes end before.

    `protocol` is that of the first header, and becomes that of what follows them.
    """
    cdef int kind
    for _ in range(MOST_OPTIONS):
        if protocol[0] not in (IN_HOP_BY_HOP, IN_ROUTING, IN_FRAGMENT, IN_AH, IN_DESTINATION):
            return at
        if at + 2 > kept.size:
            return -1
        kind = protocol[0]
        protocol[0] = kept.data[at]
        at += (8 if kind == IN_FRAGMENT else (kept.data[at + 1] + 2) * 4 if kind == IN_AH
               else (kept.data[at + 1] + 1) * 8)
    return -1


cdef inline int16_t tunnel_of(DumpedBytes *kept, int64_t network, int64_t transport,
                              int64_t inner) noexcept nogil:
    """Return the gso.Tunnel that an outer IP header shows; INT16_MIN where it shows none.

    TUNNEL_NONE says that the header at `transport` is no tunnel's: an extension header, or another.
    """
    cdef int protocol
    cdef int64_t at
    cdef bint is_v6
    cdef uint32_t port
    if not is_ip(kept, network):
        return INT16_MIN
    is_v6 = kept.data[network] >> 4 == 6
    protocol = kept.data[network + (6 if is_v6 else 9)]
    at = network + (40 if is_v6 else (kept.data[network] & 15) * 4)
    if transport == at and protocol in (IN_HOP_BY_HOP, IN_ROUTING, IN_FRAGMENT, IN_AH,
                                        IN_DESTINATION) and (is_v6 or protocol == IN_AH):
        at = options_end(kept, at, &protocol)
        if at != inner or protocol not in (IN_IPV4, IN_IPV6):
            return TUNNEL_NONE
    if protocol == IN_IPV4 or protocol == IN_IPV6:
        if at != inner:
            return INT16_MIN
        return TUNNEL_IP6TNL if is_v6 else TUNNEL_IPIP if protocol == IN_IPV4 else TUNNEL_SIT
    if transport != at:
        return INT16_MIN
    if protocol == IN_GRE:
        return TUNNEL_GRE
    if protocol != IN_UDP:
        return TUNNEL_NONE
    if transport + 4 > kept.size:
        return INT16_MIN
    # The ports are those of gso.headers.tunnels.
    port = word(kept.data, transport + 2)
    return (TUNNEL_VXLAN if port == 4789 or port == 8472 else TUNNEL_GPE if port == 4790
            else TUNNEL_GENEVE if port == 6081 else TUNNEL_GUE if port == 6080 else INT16_MIN)
