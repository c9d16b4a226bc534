# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""The packet that goes into a tunnel: what the outer headers take over from it."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport get16
from gso.headers._numbers cimport (
    ETH_HLEN, ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, IPPROTO_SCTP, IPPROTO_TCP,
    IPPROTO_UDP, IPV4_ADDRESSES_LEN, IPV4_FRAG_OFF, IPV4_HLEN, IPV4_PROTOCOL, IPV4_SADDR, IPV4_TOS,
    IPV4_TOT_LEN, IPV4_TTL, IPV6_ADDRESSES_LEN, IPV6_HLEN, IPV6_HOP_LIMIT, IPV6_NEXTHDR,
    IPV6_PAYLOAD_LEN, IPV6_SADDR, IP_DF, IP_MF, IP_OFFSET, L4_PORTS_LEN, VLAN_HLEN, VLAN_MAX_DEPTH,
)

cdef Py_ssize_t network_header(
    const uint8_t *frame, Py_ssize_t size, int *version
) noexcept nogil:
    """Where an Ethernet frame's network header starts; `version` is set to what its type says."""
    cdef Py_ssize_t at = ETH_HLEN
    cdef unsigned int proto
    cdef int _tag
    version[0] = 0
    if size < ETH_HLEN:
        return size
    proto = get16(frame + at - 2)
    for _tag in range(VLAN_MAX_DEPTH):
        if proto != ETH_P_8021Q and proto != ETH_P_8021AD or at + VLAN_HLEN > size:
            break
        at += VLAN_HLEN
        proto = get16(frame + at - 2)
    if proto == ETH_P_IP:
        version[0] = 4
    elif proto == ETH_P_IPV6:
        version[0] = 6
    return at


cdef void read_ip(inner_packet *packet, Py_ssize_t have, int version) noexcept nogil:
    """Read an IP header that the bytes before it announce, unless it cannot be one."""
    cdef const uint8_t *ip = packet.ip
    cdef Py_ssize_t hlen = IPV4_HLEN if version == 4 else IPV6_HLEN, length
    packet.version = 0
    packet.ip_length = have
    packet.tos = packet.ttl = 0
    packet.df = False
    if version == 0 or have < hlen or ip[0] >> 4 != version:
        return
    if version == 4:
        hlen = (ip[0] & 15) * 4
        if hlen < IPV4_HLEN or hlen > have:
            return
        length = get16(ip + IPV4_TOT_LEN)
        packet.tos, packet.ttl = ip[IPV4_TOS], ip[IPV4_TTL]
        packet.df = get16(ip + IPV4_FRAG_OFF) & IP_DF != 0
    else:
        length = IPV6_HLEN + get16(ip + IPV6_PAYLOAD_LEN)
        packet.tos, packet.ttl = <uint8_t>(get16(ip) >> 4), ip[IPV6_HOP_LIMIT]
        packet.df = True
        if length == IPV6_HLEN:
            length = 0                  # of BIG TCP
    packet.version = version
    # A super-packet that left a segment's length, or none, is all that there is.
    if hlen < length <= have:
        packet.ip_length = length


cdef void find_inner(
    inner_packet *packet, const uint8_t *frame, Py_ssize_t size, bint raw, bint ethernet
) noexcept nogil:
    """Find the packet in a frame; `ethernet` says that the whole frame is to be carried."""
    cdef int version = 0
    if raw:
        packet.start = 0
        version = frame[0] >> 4 if size else 0
        if version != 4 and version != 6:
            version = 0
    else:
        packet.start = network_header(frame, size, &version)
    packet.ip = frame + packet.start
    read_ip(packet, size - packet.start, version)
    packet.p, packet.size = frame, size
    if not ethernet:
        packet.p, packet.size = packet.ip, packet.ip_length


cdef unsigned int ecn_inside(const inner_packet *packet) noexcept nogil:
    """The ECN bits of the outer header (INET_ECN_encapsulate)."""
    cdef unsigned int ecn = packet.tos & INET_ECN_MASK
    return INET_ECN_ECT_0 if ecn == INET_ECN_CE else ecn


# --- the flow's hash -----------------------------------------------------------------------------


cdef inline uint64_t mixed(uint64_t state, uint64_t word) noexcept nogil:
    state = (state ^ word) * <uint64_t>0x9E3779B97F4A7C15
    return state ^ state >> 32


cdef uint64_t hash_bytes(uint64_t state, const uint8_t *p, Py_ssize_t n) noexcept nogil:
    """Take in `n` bytes, a multiple of 4."""
    cdef uint32_t word
    cdef Py_ssize_t i
    for i in range(0, n, 4):
        memcpy(&word, p + i, 4)
        state = mixed(state, word)
    return state


cdef Py_ssize_t ports_at(const inner_packet *packet, unsigned int proto) noexcept nogil:
    """Where the transport header's ports are, from the IP header on; -1 if there are none."""
    cdef Py_ssize_t at = (packet.ip[0] & 15) * 4 if packet.version == 4 else IPV6_HLEN
    if proto != IPPROTO_TCP and proto != IPPROTO_UDP and proto != IPPROTO_SCTP:
        return -1
    if packet.version == 4 and get16(packet.ip + IPV4_FRAG_OFF) & (IP_MF | IP_OFFSET):
        return -1               # all fragments of a packet take one way
    return at if at + L4_PORTS_LEN <= packet.ip_length else -1


cdef uint32_t flow_hash(const inner_packet *packet) noexcept nogil:
    """A number for the packet's flow: equal for all its packets."""
    cdef unsigned int proto
    cdef Py_ssize_t ports
    cdef uint64_t state
    if packet.version == 0:     # as udp_flow_src_port does, from the MAC addresses
        return <uint32_t>hash_bytes(0, packet.p, min(packet.size, MAC_ADDRESSES_LEN) & ~3)
    if packet.version == 4:
        proto = packet.ip[IPV4_PROTOCOL]
        state = hash_bytes(proto, packet.ip + IPV4_SADDR, IPV4_ADDRESSES_LEN)
    else:
        proto = packet.ip[IPV6_NEXTHDR]
        state = hash_bytes(proto, packet.ip + IPV6_SADDR, IPV6_ADDRESSES_LEN)
    ports = ports_at(packet, proto)
    if ports >= 0:
        state = hash_bytes(state, packet.ip + ports, L4_PORTS_LEN)
    return <uint32_t>mixed(state, 0)
