# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Layouts used again for frames of the same shape.

Most frames of a batch have the headers of one before, in the same places. Then no header has to be
walked: it is enough that the bits are equal that told the walk where to go.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy, memset

from gso.buffers._bytes cimport get16
from gso.headers._numbers cimport (
    ETH_HLEN, GRO_LEGACY_MAX_SIZE, IPPROTO_TCP, IPV4_CHECK, IPV4_FRAG_OFF, IPV4_PROTOCOL,
    IPV4_TOS, IPV6_HLEN, IPV6_HOP_LIMIT, IPV6_NEXTHDR, IP_MF, IP_OFFSET, L4_PORTS_LEN,
    PPPOE_LENGTH, TCP_DOFF, TCP_DOFF_MASK, UDP_DEST, UDP_HLEN, UDP_LEN,
    UDP_TUNNEL_HLEN, UDP_TUNNEL_VNI,
)
from gso.headers._walk cimport (
    LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP, find_port, layer, link_layer, udp_tunnel,
)

cdef extern from "alike.h" nogil:
    bint gso_alike(const uint8_t *a, const uint8_t *b, const uint8_t *same, size_t n)

cdef enum:
    ADDRESSES_LEN = ETH_HLEN - 2    # of Ethernet, without the type
    FIRST = 1                       # two words that tell most shapes apart
    SECOND = 2
    # To look for shapes that never come again takes more time than to walk
    TRUST = 64
    NEW_SHAPE = 4                   # what one takes more, in times of what a known one saves
    SHORT_REST = 64
    LONG_REST = 4096


cdef inline bint has_shape(
    const shape *one, const port_list *ports, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    if size < one.least or size >= GRO_LEGACY_MAX_SIZE:
        return False
    # Another thread may change the frame meanwhile: then the row is that of a frame it could be
    if not gso_alike(
        frame, <const uint8_t *>one.bits, <const uint8_t *>one.same, one.words * 8
    ):
        return False
    return one.plain_dest < 0 or find_port(ports, get16(frame + one.plain_dest)) is NULL


cdef inline bint begins_so(const shape *one, uint64_t first, uint64_t second) noexcept nogil:
    return not (
        (first ^ one.bits[FIRST]) & one.same[FIRST]
        | (second ^ one.bits[SECOND]) & one.same[SECOND]
    )


cdef void no_shapes(shape_list *known) noexcept nogil:
    known.n = known.next = known.last = known.rest = 0
    known.trust = TRUST
    known.next_rest = SHORT_REST


cdef const uint8_t *known_row(
    shape_list *known, const port_list *ports, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    cdef const shape *one = &known.shapes[known.last]
    cdef uint64_t first, second
    cdef int i
    if not known.n or known.rest:
        return NULL
    if has_shape(one, ports, frame, size):
        known.trust += known.trust < TRUST
        return one.row
    if size < (SECOND + 1) * 8:
        return NULL
    memcpy(&first, frame + FIRST * 8, 8)
    memcpy(&second, frame + SECOND * 8, 8)
    for i in range(known.n):
        one = &known.shapes[i]
        if begins_so(one, first, second) and has_shape(one, ports, frame, size):
            known.last = i
            known.trust += known.trust < TRUST
            return one.row
    return NULL


cdef void spend_trust(shape_list *known) noexcept nogil:
    if known.trust == TRUST:
        known.next_rest = SHORT_REST
    known.trust -= NEW_SHAPE
    if known.trust <= 0:
        known.rest = known.next_rest
        known.next_rest = min(2 * known.next_rest, LONG_REST)
        known.trust = 4 * NEW_SHAPE


cdef inline void free_bytes(uint8_t *same, Py_ssize_t offset, Py_ssize_t n) noexcept nogil:
    """Allow bytes to differ."""
    memset(same + offset, 0, n)


cdef void free_ipv4(uint8_t *same, const layer *one) noexcept nogil:
    free_bytes(same, one.offset + IPV4_TOS, IPV4_FRAG_OFF - IPV4_TOS)
    same[one.offset + IPV4_FRAG_OFF] = (IP_MF | IP_OFFSET) >> 8
    free_bytes(same, one.offset + IPV4_FRAG_OFF + 2, IPV4_PROTOCOL - IPV4_FRAG_OFF - 2)
    free_bytes(same, one.offset + IPV4_CHECK, one.hlen - IPV4_CHECK)


cdef void free_ipv6(uint8_t *same, const layer *one) noexcept nogil:
    same[one.offset] = 0xf0     # the version
    free_bytes(same, one.offset + 1, IPV6_NEXTHDR - 1)
    free_bytes(same, one.offset + IPV6_HOP_LIMIT, IPV6_HLEN - IPV6_HOP_LIMIT)


cdef void free_udp(uint8_t *same, const layer *one, const udp_tunnel *row) noexcept nogil:
    free_bytes(same, one.offset, UDP_DEST)
    free_bytes(same, one.offset + UDP_LEN, UDP_HLEN - UDP_LEN)
    if row is not NULL and row.length == UDP_TUNNEL_HLEN:
        free_bytes(
            same, one.offset + UDP_HLEN + UDP_TUNNEL_VNI, UDP_TUNNEL_HLEN - UDP_TUNNEL_VNI)


cdef void free_layer(uint8_t *same, const layer *one, const udp_tunnel *row) noexcept nogil:
    """Allow what does not tell which header comes next, or where, to differ."""
    if one.kind == LAYER_IPV4:
        free_ipv4(same, one)
    elif one.kind == LAYER_IPV6:
        free_ipv6(same, one)
    elif one.kind == LAYER_UDP:
        free_udp(same, one, row)
    elif one.kind == LAYER_PPPOE:
        free_bytes(same, one.offset + PPPOE_LENGTH, 2)


cdef int udp_tunnels(const headers *h) noexcept nogil:
    cdef int i, n = 0
    for i in range(h.n):
        n += h.layers[i].kind == LAYER_UDP
    return n


cdef void keep_transport(shape *one, uint8_t *same, const headers *h) noexcept nogil:
    """Of the transport header only what tells its length, or that it is no tunnel's, must be equal.
    """
    free_bytes(same, h.l4_header, FEW_BYTES - h.l4_header)
    one.plain_dest = -1
    if h.l4 == IPPROTO_TCP:
        same[h.l4_header + TCP_DOFF] = TCP_DOFF_MASK
    elif h.plain or h.opaque is not NULL:
        memset(same + h.l4_header + UDP_DEST, 0xff, 2)
    else:
        one.plain_dest = h.l4_header + UDP_DEST


cdef void learn_shape(
    shape_list *known, const headers *h, const uint8_t *copy, Py_ssize_t size,
    const link_layer *link
) noexcept nogil:
    cdef shape *one = &known.shapes[known.next]
    cdef uint8_t *same = <uint8_t *>one.same
    cdef const udp_tunnel *row
    cdef Py_ssize_t end = h.l4_header
    cdef int i
    if known.rest:
        known.rest -= 1
        return
    end += TCP_DOFF + 1 if h.l4 == IPPROTO_TCP else L4_PORTS_LEN
    # Without a transport header it depends on a frame's length where the walk ends
    if h.l4_header < 0 or end > FEW_BYTES or size >= GRO_LEGACY_MAX_SIZE:
        return
    spend_trust(known)
    one.words = (end + 7) // 8
    one.least = max(<Py_ssize_t>h.payload, one.words * 8)
    memset(same, 0xff, FEW_BYTES)
    if link.type_at >= 0:
        free_bytes(same, 0, link.type_at)
        free_bytes(same, link.type_at + 2, link.length - link.type_at - 2)
    if h.ethernet > 0:
        free_bytes(same, h.ethernet, ADDRESSES_LEN)
    # Of several tunnels in UDP only the last one's row is known
    row = h.udp if udp_tunnels(h) == 1 else NULL
    for i in range(h.n):
        free_layer(same, &h.layers[i], row)
    keep_transport(one, same, h)
    memcpy(one.bits, copy, one.words * 8)
    memcpy(one.row, h, ROW_SIZE)
    known.last = known.next
    known.n = max(known.n, known.next + 1)
    known.next = (known.next + 1) % MOST_SHAPES
