# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""UDP payloads on ports that are not known, which are a tunnel by all their fields.

To cut such a payload into datagrams would destroy it. It is taken for a tunnel where the bits that
no header of the tunnel has otherwise (`fixed` in gso.headers.tunnels) are so, and the headers after
it can be followed to an IP packet whose length or header checksum is right, or to one of ARP. A
bare IP packet, which nothing announces, must have a plausible TCP or UDP header as well.

How often random bytes pass: one payload in 10**8 for a bare IP packet, fewer for the others.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gso.buffers._bytes cimport get16
from gso.buffers._spans cimport Spans, as_spans
from gso.headers._arguments cimport drop_ports, as_link, take_ports
from gso.headers._numbers cimport (
    ETH_P_IP, ETH_P_IPV6, ETH_P_TEB, GRE_CSUM, GRE_KEY, GRE_SEQ, IPPROTO_GRE, IPPROTO_TCP,
    IPPROTO_UDP, IPV4_FRAG_OFF, IPV4_HLEN, IPV4_PROTOCOL, IPV4_TOT_LEN, IPV4_TTL, IPV6_HLEN,
    IPV6_HOP_LIMIT, IPV6_NEXTHDR, IPV6_PAYLOAD_LEN, IPV6_SADDR, TCP_DOFF, TCP_HLEN, TCP_MIN_DOFF,
    UDP_DEST, UDP_HLEN, UDP_LEN,
)
from gso.headers._walk cimport (
    CARRIES_IP, CARRIES_OPAQUE, LAYER_IPV4, LAYER_IPV6, drop_copy, fault, header_copy, headers,
    link_layer, port, port_list, read_headers, udp_tunnel,
)

from gso.headers.tunnels import UDP_TUNNELS

cdef enum:
    IP_RESERVED = 0x8000    # of frag_off: must be zero (RFC 791)
    MAX_IP_LEN = 0xffff
    MULTICAST6 = 0xff       # the first byte of an address that is no source
    ETH_P_ARP = 0x0806
    ARPHRD_ETHER = 1
    ARP_PROTOCOL = 2
    ARP_HLEN = 28


cdef inline uint64_t first_word(const uint8_t *p) noexcept nogil:
    cdef uint64_t word = 0
    cdef int i
    for i in range(0, 8, 2):
        word = word << 16 | get16(p + i)
    return word


cdef bint header_sum_is_right(const uint8_t *ip, Py_ssize_t hlen) noexcept nogil:
    cdef uint32_t total = 0
    cdef Py_ssize_t i
    for i in range(0, hlen, 2):
        total += get16(ip + i)
    total = (total & 0xffff) + (total >> 16)
    return (total & 0xffff) + (total >> 16) == 0xffff


cdef bint is_length(Py_ssize_t field, Py_ssize_t size, Py_ssize_t uncounted) noexcept nogil:
    """Whether a packet of `size` bytes has this length; one that the field cannot hold is 0."""
    return field + uncounted == size or (field == 0 and size > MAX_IP_LEN)


cdef bint fits_ipv4(const uint8_t *ip, Py_ssize_t size, bint exactly) noexcept nogil:
    """Whether this can be an IPv4 packet of `size` bytes; not `exactly`: or have other lengths.

    A super-packet may have the length of one segment, or none.
    """
    cdef Py_ssize_t hlen, length
    if size < IPV4_HLEN or ip[0] >> 4 != 4:
        return False
    hlen, length = (ip[0] & 15) * 4, get16(ip + IPV4_TOT_LEN)
    if not IPV4_HLEN <= hlen <= size:
        return False
    if ip[IPV4_TTL] == 0 or get16(ip + IPV4_FRAG_OFF) & IP_RESERVED:
        return False
    if is_length(length, size, 0):
        return True
    return (not exactly and (length == 0 or hlen <= length < size)
            and header_sum_is_right(ip, hlen))


cdef bint fits_ipv6(const uint8_t *ip, Py_ssize_t size, bint exactly) noexcept nogil:
    """Whether this can be an IPv6 packet; as for IPv4."""
    cdef Py_ssize_t length
    if size < IPV6_HLEN or ip[0] >> 4 != 6:
        return False
    length = get16(ip + IPV6_PAYLOAD_LEN)
    if ip[IPV6_HOP_LIMIT] == 0 or ip[IPV6_SADDR] == MULTICAST6:
        return False
    return is_length(length, size, IPV6_HLEN) or (not exactly and length + IPV6_HLEN <= size)


cdef bint fits_arp(const uint8_t *arp, Py_ssize_t size) noexcept nogil:
    """Whether this is an ARP packet for IPv4 in Ethernet (RFC 826), after its type."""
    return (size >= ARP_HLEN and get16(arp - 2) == ETH_P_ARP and get16(arp) == ARPHRD_ETHER
            and get16(arp + ARP_PROTOCOL) == ETH_P_IP)


cdef bint is_bare_ip(const uint8_t *ip, Py_ssize_t size) noexcept nogil:
    """Whether this is an IP packet with TCP or UDP, though nothing before it says so."""
    cdef Py_ssize_t hlen = IPV6_HLEN
    cdef uint8_t protocol = 0
    cdef const uint8_t *l4
    if fits_ipv4(ip, size, False):
        hlen, protocol = (ip[0] & 15) * 4, ip[IPV4_PROTOCOL]
    elif fits_ipv6(ip, size, True):
        protocol = ip[IPV6_NEXTHDR]
    l4 = ip + hlen
    if protocol == IPPROTO_TCP:
        return (size - hlen >= TCP_HLEN
                and TCP_MIN_DOFF * 4 <= (l4[TCP_DOFF] >> 4) * 4 <= size - hlen)
    if protocol == IPPROTO_UDP:
        return size - hlen >= UDP_HLEN and (
            get16(l4 + UDP_LEN) == 0 or UDP_HLEN <= get16(l4 + UDP_LEN) <= size - hlen)
    return False


cdef bint is_gre(uint64_t word) noexcept nogil:
    """Whether these first bytes are a GRE header in front of an IP packet or an Ethernet frame."""
    cdef uint64_t kind = word >> 32 & 0xffff
    return word >> 48 & ~<uint64_t>(GRE_CSUM | GRE_KEY | GRE_SEQ) == 0 and (
        kind == ETH_P_IP or kind == ETH_P_IPV6 or kind == ETH_P_TEB)


cdef bint may_be_tunnel(
    const port_list *ports, const uint8_t *payload, Py_ssize_t size
) noexcept nogil:
    cdef Py_ssize_t i
    cdef const udp_tunnel *row
    cdef uint64_t word
    if size < IPV4_HLEN:
        return False
    word = first_word(payload)
    for i in range(ports.known.n_rows):
        row = &ports.known.rows[i]
        if row.carries != CARRIES_OPAQUE and word & row.fixed_mask == row.fixed:
            if row.carries != CARRIES_IP or is_bare_ip(payload, size):
                return True
    return is_gre(word)


cdef Py_ssize_t inner_ip(
    const headers *h, const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports, const udp_tunnel *row, uint8_t protocol
) noexcept nogil:
    """Where the IP or ARP packet is that the UDP payload carries in this tunnel; -1: nowhere."""
    cdef port_list told = ports[0]
    cdef port one = port(get16(frame + h.l4_header + UDP_DEST), protocol, row)
    cdef headers found
    cdef header_copy copy
    cdef fault why
    cdef Py_ssize_t at
    cdef int k
    told.guess = &one
    # A fault further inside does not matter.
    read_headers(&found, &why, &copy, frame, size, link, &told)
    drop_copy(&copy)
    for k in range(found.n):
        at = found.layers[k].offset
        if at > h.l4_header and found.layers[k].kind == LAYER_IPV4:
            return at if fits_ipv4(frame + at, size - at, False) else -1
        if at > h.l4_header and found.layers[k].kind == LAYER_IPV6:
            return at if fits_ipv6(frame + at, size - at, False) else -1
    at = found.inner_network_header
    return at if at > h.l4_header and fits_arp(frame + at, size - at) else -1


cdef guess guess_tunnel(
    const headers *h, const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports
) noexcept nogil:
    cdef guess found = guess(NULL, 0, h.payload)
    cdef const uint8_t *payload = frame + h.payload
    cdef const udp_tunnel *row
    cdef const udp_tunnel *fou = NULL
    cdef uint64_t word
    cdef Py_ssize_t i
    if h.l4 != IPPROTO_UDP or h.plain or h.opaque is not NULL or h.fragment:
        return found
    if not may_be_tunnel(ports, payload, size - h.payload):
        return found
    word = first_word(payload)
    for i in range(ports.known.n_rows):
        row = &ports.known.rows[i]
        if row.carries == CARRIES_OPAQUE or word & row.fixed_mask != row.fixed:
            continue
        if row.carries == CARRIES_IP:
            fou = row
            found.inside = h.payload if is_bare_ip(payload, size - h.payload) else -1
        else:
            found.inside = inner_ip(h, frame, size, link, ports, row, 0)
        if found.inside >= 0:
            found.row = row
            return found
    if fou is not NULL and is_gre(word):
        found.protocol = IPPROTO_GRE
        found.inside = inner_ip(h, frame, size, link, ports, fou, IPPROTO_GRE)
        if found.inside >= 0:
            found.row = fou
    return found


cdef bint is_train(
    const guess *found, const headers *h, const uint8_t *frame, Py_ssize_t size, Py_ssize_t gso_size
) noexcept nogil:
    cdef Py_ssize_t first = found.inside, second = found.inside + gso_size
    cdef Py_ssize_t end = min(h.payload + 2 * gso_size, size)
    if h.payload + gso_size <= first or end <= second:
        return False
    if fits_ipv4(frame + first, h.payload + gso_size - first, True):
        return fits_ipv4(frame + second, end - second, True)
    return (fits_ipv6(frame + first, h.payload + gso_size - first, True)
            and fits_ipv6(frame + second, end - second, True))


cdef const char *ambiguity(const guess *found) noexcept nogil:
    if found.protocol == IPPROTO_GRE:
        return ("UDP port {limit} (byte {offset}) is not known, and its payload is GRE by all its "
                "fields: say tunnel_ports={{{limit}: ('fou', 47)}}, or {{{limit}: None}} for plain "
                "UDP")
    return found.row.ambiguity


def guess_tunnels(frames, *, link_type="ethernet", tunnel_ports=None):
    """Find out which tunnels UDP payloads on unknown ports are, by all their fields.

    Returns for each frame whose payload is a tunnel: its index, the UDP destination port, and the
    value to give for it in `tunnel_ports`, as commands take it (``"vxlan"``, ``"fou:47"``).
    """
    cdef port_list ports
    cdef const link_layer *link = as_link(link_type)
    cdef const uint8_t *frame
    cdef Py_ssize_t i, size
    cdef guess found
    cdef Spans batch = as_spans(frames)
    result = []
    take_ports(&ports, tunnel_ports)
    try:
        for i in range(batch.n):
            frame, size = batch.buf + batch.starts[i], batch.ends[i] - batch.starts[i]
            dest = _guess(frame, size, link, &ports, &found)
            if found.row is not NULL:
                name = UDP_TUNNELS[found.row - ports.known.rows].name
                kind = f"{name}:{found.protocol}" if found.protocol else name
                result.append((i, dest, kind))
    finally:
        drop_ports(&ports)
    return result


cdef int _guess(
    const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports, guess *found
) noexcept nogil:
    """Find the kind of the frame's UDP payload; return its destination port."""
    cdef headers h
    cdef header_copy copy
    cdef fault why
    cdef int failed = read_headers(&h, &why, &copy, frame, size, link, ports)
    drop_copy(&copy)
    found.row = NULL
    if failed or h.l4 != IPPROTO_UDP:
        return 0
    found[0] = guess_tunnel(&h, frame, size, link, ports)
    return get16(frame + h.l4_header + UDP_DEST)
