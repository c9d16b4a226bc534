# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The rules for sk_buff fields, row by row over a structured array.

What each rule means, and what the kernel does, is told once: in `gso.rules`. Here is only the
arithmetic. A rule is judged when the fields it compares are known and it applies to such a packet.
"""

from libc.stdint cimport INT32_MIN, int16_t, int32_t, int64_t, uint64_t

import numpy as np

SKB_DTYPE = np.dtype([
    ("mac_header", np.int32), ("network_header", np.int32), ("transport_header", np.int32),
    ("inner_mac_header", np.int32), ("inner_network_header", np.int32),
    ("inner_transport_header", np.int32), ("len", np.int32), ("data_len", np.int32),
    ("gso_size", np.int32), ("gso_type", np.int32), ("csum_start", np.int32),
    ("csum_offset", np.int32), ("protocol", np.int32), ("inner_protocol", np.int32),
    ("payload", np.int32), ("tnl_hlen", np.int32), ("inner_ipproto", np.int16),
    ("inner_protocol_type", np.int16), ("encapsulation", np.int16), ("ip_summed", np.int16),
    ("tunnel", np.int16), ("l4", np.int16), ("ihl", np.int16), ("doff", np.int16),
    ("zero_known", np.int16),
], align=True)
FIELDS = SKB_DTYPE.names[:-1]

# The lowest number of a field's type stands for "unknown": no kernel prints it. Rows of plain
# zeros (numpy.zeros) must not pass for packets in which everything is known to be zero: there,
# as `zero_known` is zero too, zero is unknown as well.
cdef int32_t UNKNOWN = INT32_MIN
cdef int16_t UNKNOWN16 = -32768

# In the order of the bits.
RULES = (
    "tunnel-header-negative",
    "tunnel-header-short",
    "tunnel-header-wrong",
    "tunnel-header-long",
    "inner-mac-length",
    "outer-header-order",
    "inner-header-order",
    "transport-header-unset",
    "inner-header-unset",
    "encapsulation-unmarked",
    "encapsulation-missing",
    "gso-type-contradictory",
    "gso-type-protocol",
    "inner-ipproto-handler",
    "inner-protocol-handler",
    "csum-start",
    "csum-offset",
    "uso-checksum",
    "ihl-small",
    "doff-small",
    "payload-not-larger",
    "data-len",
    "gso-by-frags",
    "uso-segments",
)

cdef enum:
    TUNNEL_NEGATIVE
    TUNNEL_SHORT
    TUNNEL_WRONG
    TUNNEL_LONG
    INNER_MAC_LENGTH
    OUTER_ORDER
    INNER_ORDER
    TRANSPORT_UNSET
    INNER_UNSET
    ENCAP_UNMARKED
    ENCAP_MISSING
    TYPE_CONTRADICTORY
    TYPE_PROTOCOL
    INNER_IPPROTO
    INNER_PROTOCOL
    CSUM_START
    CSUM_OFFSET
    USO_CHECKSUM
    IHL_SMALL
    DOFF_SMALL
    PAYLOAD
    DATA_LEN
    BY_FRAGS
    USO_SEGMENTS

cdef enum:
    UNSET = 0xffff
    # include/linux/skbuff.h
    TCPV4 = 1 << 0
    DODGY = 1 << 1
    TCP_ECN = 1 << 2
    FIXEDID = 1 << 3
    TCPV6 = 1 << 4
    FCOE = 1 << 5
    GRE = 1 << 6
    GRE_CSUM = 1 << 7
    IPXIP4 = 1 << 8
    IPXIP6 = 1 << 9
    UDP_TUNNEL = 1 << 10
    UDP_TUNNEL_CSUM = 1 << 11
    REMCSUM = 1 << 13
    SCTP = 1 << 14
    ESP = 1 << 15
    UFO = 1 << 16
    USO = 1 << 17
    FRAGLIST = 1 << 18
    ACCECN = 1 << 19
    ANY_TCP = TCPV4 | TCPV6
    ANY_UDP = UFO | USO
    ANY_GRE = GRE | GRE_CSUM
    ANY_UDP_TUNNEL = UDP_TUNNEL | UDP_TUNNEL_CSUM
    ANY_TUNNEL = ANY_GRE | IPXIP4 | IPXIP6 | ANY_UDP_TUNNEL
    ENCAP_ETHER = 0
    ENCAP_IPPROTO = 1
    CHECKSUM_PARTIAL = 3
    # gso.Tunnel
    T_NONE = 0
    T_IP6TNL = 3
    T_GRE = 4
    T_FOU = 5
    T_GUE = 6
    T_VXLAN = 7
    T_VXLAN_GPE = 8
    T_GENEVE = 9
    BY_FRAGS_SIZE = 0xffff
    USO_MOST = 128          # UDP_MAX_SEGMENTS
    IPV4 = 0x0800
    IPV6 = 0x86dd
    TEB = 0x6558


cdef struct Verdict:
    uint64_t violated
    uint64_t judged


cdef inline bint known(int32_t value) noexcept nogil:
    return value != UNKNOWN


cdef inline bint known16(int16_t value) noexcept nogil:
    return value != UNKNOWN16


cdef inline int32_t u16(int32_t value) noexcept nogil:
    """The offset as the kernel holds it, however it was printed: -2 and 4294967294 are 65534."""
    return value if value == UNKNOWN else value & 0xffff


cdef inline int32_t signed16(int32_t value) noexcept nogil:
    """The difference of two offsets, however it was printed: 65534 is -2."""
    return value - 0x10000 if 0x8000 <= value <= 0xffff else value


cdef inline void rule(Verdict *verdict, int bit, bint violated) noexcept nogil:
    verdict.judged |= <uint64_t>1 << bit
    verdict.violated |= <uint64_t>violated << bit


cdef inline bint is_set(int32_t offset) noexcept nogil:
    return known(offset) and offset != UNSET


cdef inline int32_t shortest(const Skb *skb) noexcept nogil:
    """Least bytes from the outer transport header to the inner frame; 0 if there is no telling.

    FOU and GUE carry an IP packet right behind their header (GRE in them only makes it longer).
    """
    cdef int32_t gso = skb.gso_type if known(skb.gso_type) else 0
    cdef int32_t remcsum = 8 if gso & REMCSUM else 0
    if skb.tunnel == T_GUE:
        return 12 + remcsum
    if skb.tunnel in (T_VXLAN, T_VXLAN_GPE, T_GENEVE):
        return 16
    if skb.tunnel == T_FOU or gso & ANY_UDP_TUNNEL:
        return 8
    if skb.tunnel == T_GRE or gso & ANY_GRE:
        return 8 if gso & GRE_CSUM else 4
    return 0


cdef inline bint has_tunnel_header(const Skb *skb, int32_t transport,
                                   int32_t inner_network) noexcept nogil:
    """Whether the kernel will take a header from between the outer IP header and the inner frame.

    IP in IP has none: there the transport header may stand anywhere.
    """
    if shortest(skb):
        return True
    if known16(skb.tunnel) and skb.tunnel != T_NONE:
        return False
    if known(skb.gso_type) and skb.gso_type & ANY_TUNNEL:
        return False
    return known(transport) and known(inner_network) and transport < inner_network


cdef inline void judge_mac_length(const Skb *skb, int32_t length, Verdict *verdict) noexcept nogil:
    """Inner Ethernet may have VLAN headers behind it; an IP packet has nothing in front of it."""
    cdef bint ethernet = 14 <= length <= 14 + 4 * 4 and (length - 14) % 4 == 0
    if length == 0:
        # Where Ethernet was promised it cannot be missing.
        rule(verdict, INNER_MAC_LENGTH,
             skb.inner_protocol_type == ENCAP_ETHER and skb.inner_protocol == TEB)
    elif not ethernet:
        rule(verdict, INNER_MAC_LENGTH, True)
    elif known16(skb.inner_protocol_type) or known(skb.inner_protocol):
        rule(verdict, INNER_MAC_LENGTH, skb.inner_protocol_type == ENCAP_IPPROTO
             or skb.inner_protocol in (IPV4, IPV6))


cdef void judge_tunnel(const Skb *skb, int32_t transport, int32_t inner_mac,
                       int32_t inner_network, Verdict *verdict) noexcept nogil:
    cdef int32_t least = shortest(skb)
    cdef int32_t size = UNKNOWN
    if known(inner_mac) and known(transport):
        size = inner_mac - transport
    elif known(skb.tnl_hlen):
        size = signed16(skb.tnl_hlen)
    if not known(size):
        return
    rule(verdict, TUNNEL_NEGATIVE, size < 0)
    if size < 0:
        return
    # Without a known tunnel, 4 bytes: no header is shorter than that of GRE.
    rule(verdict, TUNNEL_SHORT, size < (least if least else 4))
    # Every header of these protocols is a multiple of 4 bytes long, with all its options.
    rule(verdict, TUNNEL_WRONG, size % 4 != 0 or (skb.tunnel == T_VXLAN and size > 16))
    if known(skb.length):
        rule(verdict, TUNNEL_LONG, size > skb.length)


cdef void judge_inner(const Skb *skb, int32_t network, int32_t transport, int32_t inner_mac,
                      int32_t inner_network, int32_t inner_transport,
                      Verdict *verdict) noexcept nogil:
    cdef bint unset
    cdef bint tunnelled = has_tunnel_header(skb, transport, inner_network)
    if known(inner_network) or known(inner_mac):
        unset = tunnelled and inner_mac == UNSET
        if skb.encapsulation == 1:
            unset = unset or inner_network in (0, UNSET) or (tunnelled and inner_mac == 0)
            if skb.gso_size != 0:
                unset = unset or inner_transport in (0, UNSET)
        if unset or skb.encapsulation == 1:
            rule(verdict, INNER_UNSET, unset)
        if unset:
            return
    if known(inner_network) and inner_network in (0, UNSET):
        return
    if known(inner_mac) and known(inner_network) and tunnelled and inner_mac != UNSET:
        judge_mac_length(skb, inner_network - inner_mac, verdict)
    if skb.encapsulation == 1 and known(inner_network):
        if known(network) and network != UNSET:
            rule(verdict, INNER_ORDER, network >= inner_network)
        if known(inner_transport) and skb.gso_size != 0:
            rule(verdict, INNER_ORDER, inner_network > inner_transport)
        if tunnelled and known(inner_mac):
            rule(verdict, INNER_ORDER, inner_mac > inner_network)
    if tunnelled:
        judge_tunnel(skb, transport, inner_mac, inner_network, verdict)


cdef inline bint is_active(const Skb *skb, int32_t network, int32_t inner_mac,
                           int32_t inner_network) noexcept nogil:
    """Whether the inner offsets mean anything.

    They stay behind when a tunnel header is removed. So where `encapsulation` is not known, an
    outer IP header in front of the inner one must show that there is a tunnel.
    """
    if known16(skb.encapsulation):
        return skb.encapsulation == 1
    if known(skb.gso_type) and skb.gso_type & ANY_TUNNEL:
        return True
    if skb.tunnel > T_NONE:
        return True
    if known(network) and known(inner_network):
        return network < inner_network and inner_network != UNSET
    # A recorded tnl_hlen comes from the very function that uses it.
    return known(skb.tnl_hlen)


cdef void judge_gso(const Skb *skb, Verdict *verdict) noexcept nogil:
    cdef int32_t gso = skb.gso_type
    cdef int32_t kinds
    cdef bint segmented = known(skb.gso_size) and skb.gso_size > 0
    cdef bint encapsulated
    if not known(gso):
        return
    if known16(skb.encapsulation):
        encapsulated = skb.encapsulation == 1
        if segmented and encapsulated:
            rule(verdict, ENCAP_UNMARKED, not gso & (ANY_TUNNEL | ESP))
        if gso & (ANY_TUNNEL & ~(IPXIP4 | IPXIP6)) and segmented:
            rule(verdict, ENCAP_MISSING, not encapsulated)
    if not segmented:
        return
    kinds = ((gso & TCPV4 != 0) + (gso & TCPV6 != 0) + (gso & UFO != 0) + (gso & USO != 0)
             + (gso & SCTP != 0) + (gso & FCOE != 0))
    rule(verdict, TYPE_CONTRADICTORY, kinds != 1)
    if not gso & ANY_TUNNEL and known(skb.protocol) and skb.encapsulation != 1:
        rule(verdict, TYPE_PROTOCOL, (gso & TCPV4 and skb.protocol == IPV6)
             or (gso & TCPV6 and skb.protocol == IPV4))
    if known16(skb.l4) and skb.l4 > 0:
        rule(verdict, TYPE_PROTOCOL, (gso & ANY_TCP and skb.l4 != 6)
             or (gso & ANY_UDP and skb.l4 != 17))
    if known(skb.payload):
        rule(verdict, PAYLOAD, skb.payload <= skb.gso_size)
        if gso & USO and gso & DODGY:
            rule(verdict, USO_SEGMENTS, skb.payload > <int64_t>skb.gso_size * USO_MOST)
    if gso & DODGY:
        rule(verdict, BY_FRAGS, skb.gso_size == BY_FRAGS_SIZE)


cdef void judge_handlers(const Skb *skb, Verdict *verdict) noexcept nogil:
    """Whether skb_udp_tunnel_segment finds somebody to segment what is inside."""
    cdef int16_t proto = skb.inner_ipproto
    cdef bint found
    if not (known(skb.gso_type) and skb.gso_type & ANY_UDP_TUNNEL):
        if skb.tunnel < T_FOU:
            return
    if skb.inner_protocol_type == ENCAP_IPPROTO and known16(proto):
        # inet_offloads and inet6_offloads: those with a gso_segment of their own.
        found = proto in (4, 6, 17, 41, 47, 50, 132)
        rule(verdict, INNER_IPPROTO, not found)
    elif skb.inner_protocol_type == ENCAP_ETHER and known(skb.inner_protocol):
        found = skb.inner_protocol in (IPV4, IPV6, TEB, 0x8100, 0x88a8, 0x8847, 0x8848, 0x894f)
        rule(verdict, INNER_PROTOCOL, not found)
    elif known16(skb.inner_protocol_type) and skb.inner_protocol_type not in (0, 1):
        rule(verdict, INNER_PROTOCOL, True)


cdef void judge_checksum(const Skb *skb, int32_t transport, int32_t inner_transport,
                         Verdict *verdict) noexcept nogil:
    cdef int32_t start = u16(skb.csum_start)
    cdef bint segmented = known(skb.gso_size) and skb.gso_size > 0
    cdef int32_t gso = skb.gso_type if known(skb.gso_type) else 0
    cdef bint tcp = skb.l4 == 6 or gso & ANY_TCP
    cdef bint udp = skb.l4 == 17 or gso & ANY_UDP
    if segmented and gso & USO and not gso & FRAGLIST and known16(skb.ip_summed):
        rule(verdict, USO_CHECKSUM, skb.ip_summed != CHECKSUM_PARTIAL)
    if skb.ip_summed != CHECKSUM_PARTIAL:
        return
    if known(start) and known16(skb.encapsulation):
        if skb.encapsulation == 0 and is_set(transport):
            rule(verdict, CSUM_START, start != transport)
        elif skb.encapsulation == 1 and is_set(inner_transport) and segmented:
            rule(verdict, CSUM_START, start != inner_transport)
        elif skb.encapsulation == 1 and is_set(inner_transport) and is_set(transport):
            # udp_set_csum points it at the outer header of a packet that is not segmented.
            rule(verdict, CSUM_START, start != inner_transport and start != transport)
    if known(skb.csum_offset) and segmented and tcp != udp:
        rule(verdict, CSUM_OFFSET, skb.csum_offset != (16 if tcp else 6))


cdef Verdict judge_row(const Skb *skb) noexcept nogil:
    cdef Verdict verdict
    cdef int32_t mac = u16(skb.mac_header)
    cdef int32_t network = u16(skb.network_header)
    cdef int32_t transport = u16(skb.transport_header)
    cdef int32_t inner_mac = u16(skb.inner_mac_header)
    cdef int32_t inner_network = u16(skb.inner_network_header)
    cdef int32_t inner_transport = u16(skb.inner_transport_header)
    cdef bint segmented = known(skb.gso_size) and skb.gso_size > 0
    verdict.violated = verdict.judged = 0
    if is_active(skb, network, inner_mac, inner_network):
        judge_inner(skb, network, transport, inner_mac, inner_network, inner_transport, &verdict)
    if segmented and known(transport):
        rule(&verdict, TRANSPORT_UNSET, transport == UNSET)
    # Where a packet is received its headers are found one by one: no order before they all are.
    if (segmented or skb.encapsulation == 1) and is_set(network):
        if is_set(transport):
            rule(&verdict, OUTER_ORDER, network > transport)
        if is_set(mac) and segmented:
            rule(&verdict, OUTER_ORDER, mac > network)
    judge_gso(skb, &verdict)
    judge_handlers(skb, &verdict)
    judge_checksum(skb, transport, inner_transport, &verdict)
    if known16(skb.ihl):
        rule(&verdict, IHL_SMALL, skb.ihl < 5)
    if known16(skb.doff):
        rule(&verdict, DOFF_SMALL, skb.doff < 5)
    if known(skb.length) and known(skb.data_len):
        rule(&verdict, DATA_LEN, <int64_t>skb.data_len > skb.length)
    return verdict


def judge_batch(rows):
    """(violated, judged): two uint64 arrays of shape (n,), bit i for `gso.RULES[i]`."""
    rows = np.asarray(rows)
    if rows.dtype != SKB_DTYPE or rows.ndim != 1:
        raise TypeError(
            f"a 1-D array of gso.SKB_DTYPE is needed, this is {rows.ndim}-D of {rows.dtype}")
    rows = np.ascontiguousarray(rows)
    cdef const Skb *data
    cdef Py_ssize_t i, n = rows.shape[0]
    violated, judged = np.zeros(n, np.uint64), np.zeros(n, np.uint64)
    cdef uint64_t[::1] out = violated
    cdef uint64_t[::1] seen = judged
    cdef const unsigned char[::1] raw
    cdef Verdict verdict
    cdef Skb row
    if n:
        raw = rows.view(np.uint8)
        data = <const Skb *>&raw[0]
        with nogil:
            for i in range(n):
                row = data[i]
                if not row.zero_known:
                    forget_zeros(&row)
                verdict = judge_row(&row)
                out[i] = verdict.violated
                seen[i] = verdict.judged
    return violated, judged


def unknown_rows(Py_ssize_t n):
    """Array of `n` rows of SKB_DTYPE in which nothing is known yet, and a zero put in counts."""
    if n < 0:
        raise ValueError(f"there cannot be {n} rows")
    rows = np.empty(n, SKB_DTYPE)
    for name in FIELDS:
        rows[name] = np.iinfo(SKB_DTYPE[name]).min
    rows["zero_known"] = 1
    return rows


cdef void forget_zeros(Skb *row) noexcept nogil:
    """Make the zeros of a row unknown."""
    cdef int32_t *wide = <int32_t *>row
    cdef int16_t *narrow = <int16_t *>&row.inner_ipproto
    cdef int i
    for i in range(16):
        if wide[i] == 0:
            wide[i] = UNKNOWN
    for i in range(8):
        if narrow[i] == 0:
            narrow[i] = UNKNOWN16
