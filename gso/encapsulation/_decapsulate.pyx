# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Packets taken out of tunnels as the kernel's devices do (ip_tunnel_rcv, udp_queue_rcv_skb)."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcpy, memset

from gso.buffers._bytes cimport get16, load16, put16, store16
from gso.buffers._checksum cimport fold, length_sum, not_zero, short_sum, simd
from gso.buffers._frames cimport Frames, as_frames
from gso.buffers._memory cimport address, new_bytes
from gso.buffers._signals cimport check_signals, piece_end
from gso.encapsulation._inner cimport (
    INET_ECN_CE, INET_ECN_MASK, INET_ECN_NOT_ECT, find_inner, inner_packet,
)
from gso.encapsulation._link cimport link_header, take_link, write_link
from gso.headers._arguments cimport (
    as_error, as_kernel, drop_ports, ethernet_or_raw, is_raw, take_ports,
)
from gso.headers._kernel cimport KERNEL_NO_JUMBO
from gso.headers._layout cimport read_row
from gso.headers._numbers cimport (
    ETH_P_IP, ETH_P_IPV6, ETH_P_TEB, GRE_BASE_HLEN, GRE_CHECK, GRE_CSUM, GRE_FIELD_LEN, GRE_KEY,
    GRE_PROTOCOL, GRE_ROUTING, GRE_SEQ, GRE_VERSION, GUE_CONTROL, GUE_FLAGS, GUE_FLAG_PRIV,
    GUE_PFLAG_REMCSUM, GUE_PRIVATE_FLAGS, GUE_REMCSUM, GUE_REMCSUM_HLEN, GUE_VERSION_SHIFT,
    IPPROTO_GRE, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_UDP, IPV4_CHECK, IPV4_FRAG_OFF, IPV4_TOS,
    IPV4_TOT_LEN, IPV6_HLEN, IPV6_PAYLOAD_LEN, IP_MF, IP_OFFSET, TCP_CHECK, TUN_P_ETHERNET,
    TUN_P_IPV4, TUN_P_IPV6, UDP_CHECK, UDP_DEST, UDP_HLEN, UDP_LEN, VXLAN_RCO, VXLAN_RCO_UDP,
)
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._shapes cimport no_shapes, shape_list
from gso.headers._walk cimport (
    CARRIES_ETHERNET, CARRIES_ETHERTYPE, CARRIES_IP_PROTOCOL, REASON_BAD_HEADER, REASON_CHECKSUM,
    REASON_TRUNCATED, REASON_UNSUPPORTED, ROW_SIZE, TUNNEL_FOU, TUNNEL_GRE, TUNNEL_GUE,
    TUNNEL_IP6TNL, TUNNEL_IPIP, TUNNEL_SIT, drop_copy, fault, find_port, header_copy, headers, port,
    port_list, read_headers, refuse, udp_tunnel,
)

from gso.versions import REFERENCE

cdef enum:
    MAX_LENGTH = 65535          # a length field has 16 bits

# A frame whose outermost headers are taken off
cdef struct outermost:
    const uint8_t *frame
    Py_ssize_t size
    Py_ssize_t network          # the outer IP header,
    Py_ssize_t transport        # what it carries,
    Py_ssize_t inside           # and the packet in the tunnel
    Py_ssize_t end
    bint v4
    bint big                    # a length of 0 stands for all (iph_totlen)
    Py_ssize_t gre              # a GRE header; -1: there is none
    bint udp                    # there is a UDP header,
    const udp_tunnel *row       # and this is what it carries
    bint ethernet               # what is inside
    bint remcsum
    Py_ssize_t start            # of the checksum that was left to us, in the packet inside
    Py_ssize_t check


# --- where the packet is -------------------------------------------------------------------------


cdef const udp_tunnel *row_of(unsigned int tunnel, const port_list *ports) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(ports.known.n_rows):
        if ports.known.rows[i].tunnel == tunnel:
            return &ports.known.rows[i]
    return NULL


cdef int no_tunnel(const headers *h, fault *why) noexcept nogil:
    return refuse(
        why, REASON_UNSUPPORTED, "tunnel", "no tunnel is known that begins at byte {offset} "
        "(gso.Tunnel {value})", max(h.transport_header, 0), 0, h.tunnel)


cdef int find_outermost(
    outermost *o, const headers *h, const port_list *ports, fault *why
) noexcept nogil:
    """Find the packet in the outermost tunnel."""
    o.network, o.transport = h.network_header, h.transport_header
    o.udp = o.remcsum = False
    o.gre = -1
    o.row = NULL
    if h.refusal.field is not NULL and h.tunnel == 0:
        why[0] = h.refusal
        return -1
    if h.tunnel in (TUNNEL_IPIP, TUNNEL_SIT, TUNNEL_IP6TNL):
        o.inside, o.ethernet = o.transport, False
    elif h.tunnel == TUNNEL_GRE:
        if find_in_gre(o, o.transport, why) < 0:
            return -1
    else:
        o.row = row_of(h.tunnel, ports)
        if h.tunnel == 0 or o.row is NULL:
            return no_tunnel(h, why)
        o.udp = True
        if find_in_udp(o, ports, why) < 0:
            return -1
    return find_end(o, why)


cdef int by_ethertype(outermost *o, unsigned int proto, Py_ssize_t at, fault *why) noexcept nogil:
    o.ethernet = proto == ETH_P_TEB
    if o.ethernet or proto == ETH_P_IP or proto == ETH_P_IPV6:
        return 0
    return refuse(
        why, REASON_UNSUPPORTED, "protocol", "what is in the tunnel is neither IP nor Ethernet but "
        "{value:#06x} (byte {offset})", at, 0, proto)


cdef int find_in_gre(outermost *o, Py_ssize_t at, fault *why) noexcept nogil:
    """Find the packet after the GRE header at `at` (gre_parse_header)."""
    cdef const uint8_t *gre = o.frame + at
    cdef unsigned int flags
    cdef int fields
    if at + GRE_BASE_HLEN > o.size:
        return refuse(
            why, REASON_TRUNCATED, "gre_base_hdr", "gre_base_hdr at byte {offset} ends at byte "
            "{value}, but the frame has {limit} bytes", at, o.size, at + GRE_BASE_HLEN)
    flags = get16(gre)
    if flags & (GRE_ROUTING | GRE_VERSION):
        return refuse(
            why, REASON_UNSUPPORTED, "flags", "GRE flags {value:#06x} at byte {offset}: source "
            "routing or version other than 0", at, flags & (GRE_ROUTING | GRE_VERSION), flags)
    fields = (flags & GRE_CSUM != 0) + (flags & GRE_KEY != 0) + (flags & GRE_SEQ != 0)
    o.gre = at
    o.inside = at + GRE_BASE_HLEN + fields * GRE_FIELD_LEN
    return by_ethertype(o, get16(gre + GRE_PROTOCOL), at + GRE_PROTOCOL, why)


cdef int check_bare_ip(const outermost *o, uint8_t protocol, fault *why) noexcept nogil:
    """Refuse what follows UDP at once and is no IP packet, by `protocol` or its first four bits."""
    cdef unsigned int version
    if protocol and protocol != IPPROTO_IPIP and protocol != IPPROTO_IPV6:
        return refuse(
            why, REASON_UNSUPPORTED, "protocol", "what is in the tunnel is neither IP nor GRE but "
            "protocol {value} (UDP port at byte {offset})", o.transport + UDP_DEST, 0, protocol)
    if o.inside >= o.size:
        return 0  # the lengths will not allow it
    version = o.frame[o.inside] >> 4
    if version == 4 or version == 6:
        return 0
    return refuse(
        why, REASON_UNSUPPORTED, "version", "what is in the tunnel is no IP packet: its version "
        "(byte {offset}) is {value}", o.inside, 0, version)


cdef int find_in_udp(outermost *o, const port_list *ports, fault *why) noexcept nogil:
    cdef Py_ssize_t at = o.transport + UDP_HLEN
    cdef const port *told = find_port(ports, get16(o.frame + o.transport + UDP_DEST))
    cdef const uint8_t *p = o.frame + at
    cdef const udp_tunnel *row = o.row
    cdef unsigned int proto = 0
    o.ethernet = row.carries == CARRIES_ETHERNET
    o.inside = at
    if told is not NULL and told.protocol == IPPROTO_GRE:
        return find_in_gre(o, at, why)
    if row.tunnel == TUNNEL_FOU or row.tunnel == TUNNEL_GUE and p[0] >> GUE_VERSION_SHIFT == 1:
        return check_bare_ip(o, 0 if told is NULL else told.protocol, why)
    if row.tunnel == TUNNEL_GUE and p[0] >> GUE_VERSION_SHIFT:
        return refuse(
            why, REASON_UNSUPPORTED, "version", "the GUE header at byte {offset} is of version "
            "{value}, and {limit} is the highest known", at, 1, p[0] >> GUE_VERSION_SHIFT)
    o.inside += row.length + (p[0] & row.options) * 4
    if row.carries == CARRIES_ETHERNET:
        find_vxlan_remcsum(o, p)
        return 0
    if row.carries == CARRIES_ETHERTYPE:
        return by_ethertype(o, get16(p + row.field), at + row.field, why)
    proto = p[row.field]
    if row.carries == CARRIES_IP_PROTOCOL:
        if p[0] & GUE_CONTROL:
            return refuse(
                why, REASON_UNSUPPORTED, "control", "a GUE control message of type {value} (byte "
                "{offset}) carries no packet", at + row.field, 0, proto)
        find_gue_remcsum(o, p)
        if proto == IPPROTO_IPIP or proto == IPPROTO_IPV6:
            return 0
        if proto == IPPROTO_GRE:
            return find_in_gue_gre(o, why)
    else:
        o.ethernet = row.field_if and not p[0] & row.field_if or proto == TUN_P_ETHERNET
        if o.ethernet or proto == TUN_P_IPV4 or proto == TUN_P_IPV6:
            return 0
    return refuse(
        why, REASON_UNSUPPORTED, "protocol", "what is in the tunnel is neither IP nor Ethernet but "
        "protocol {value} (byte {offset})", at + row.field, 0, proto)


cdef int find_in_gue_gre(outermost *o, fault *why) noexcept nogil:
    """Find the packet in GRE in GUE, whose remote checksum counts from the GRE header."""
    cdef Py_ssize_t at = o.inside
    if find_in_gre(o, at, why) < 0:
        return -1
    o.start -= o.inside - at
    o.check -= o.inside - at
    if o.remcsum and has_gre_sum(o):
        return refuse(
            why, REASON_UNSUPPORTED, "flags", "GRE at byte {offset} has a checksum, of a packet "
            "whose own checksum is left to the receiver", at, GRE_CSUM, get16(o.frame + at))
    return 0


cdef inline Py_ssize_t counted(
    const outermost *o, unsigned int field, Py_ssize_t start
) noexcept nogil:
    """The bytes that a length field at an outer header counts.

    0 stands for all, of BIG TCP that a kernel carries so.
    """
    if field == 0 and o.big and o.size - start > MAX_LENGTH:
        return o.size - start
    return field


cdef int find_end(outermost *o, fault *why) noexcept nogil:
    """Find where the outer packet ends, by its lengths."""
    cdef const uint8_t *ip = o.frame + o.network
    cdef Py_ssize_t length
    o.v4 = ip[0] >> 4 == 4
    if o.v4:
        length = counted(o, get16(ip + IPV4_TOT_LEN), o.network)
        if get16(ip + IPV4_FRAG_OFF) & (IP_MF | IP_OFFSET):
            return refuse(
                why, REASON_UNSUPPORTED, "frag_off", "the outer packet is a fragment (byte "
                "{offset})", o.network + IPV4_FRAG_OFF, 0, get16(ip + IPV4_FRAG_OFF))
    else:
        length = IPV6_HLEN + counted(o, get16(ip + IPV6_PAYLOAD_LEN), o.network + IPV6_HLEN)
    if not o.inside - o.network < length <= o.size - o.network:
        return refuse(
            why, REASON_BAD_HEADER, "tot_len", "the outer IP packet has {value} bytes by its "
            "header, but it begins at byte {offset} of {limit}", o.network, o.size, length)
    o.end = o.network + length
    if o.udp:
        length = counted(o, get16(o.frame + o.transport + UDP_LEN), o.transport)
        if not o.inside - o.transport < length <= o.end - o.transport:
            return refuse(
                why, REASON_BAD_HEADER, "len", "the outer UDP datagram has {value} bytes by its "
                "header, but it begins at byte {offset} of {limit}", o.transport, o.end, length)
        o.end = o.transport + length
    return 0


# --- checksums -----------------------------------------------------------------------------------


cdef int bad_sum(fault *why, Py_ssize_t at, unsigned int value) noexcept nogil:
    return refuse(
        why, REASON_CHECKSUM, "check", "the outer checksum at byte {offset} is wrong: "
        "{value:#06x}", at, 0, value)


cdef int check_sums(const outermost *o, uint64_t inside, fault *why) noexcept nogil:
    """Refuse a wrong outer checksum; `inside` is the sum of the packet in the tunnel.

    One that is still to be completed, as in a super-packet, is right.
    """
    cdef const uint8_t *ip = o.frame + o.network
    cdef const uint8_t *l4 = o.frame + o.transport
    cdef uint64_t pseudo
    cdef uint16_t check
    if o.v4 and fold(short_sum(ip, (ip[0] & 15) * 4)) != 0xffff:
        return bad_sum(why, o.network + IPV4_CHECK, get16(ip + IPV4_CHECK))
    if o.udp:
        check = load16(l4 + UDP_CHECK)
        pseudo = pseudo_sum(ip, o.v4, IPPROTO_UDP) + length_sum(o.end - o.transport)
        if check != 0 and check != fold(pseudo) \
                and fold(pseudo + short_sum(l4, o.inside - o.transport) + inside) != 0xffff:
            return bad_sum(why, o.transport + UDP_CHECK, get16(l4 + UDP_CHECK))
    if has_gre_sum(o) and load16(o.frame + o.gre + GRE_CHECK):
        if fold(short_sum(o.frame + o.gre, o.inside - o.gre) + inside) != 0xffff:
            return bad_sum(why, o.gre + GRE_CHECK, get16(o.frame + o.gre + GRE_CHECK))
    return 0


cdef bint has_gre_sum(const outermost *o) noexcept nogil:
    return o.gre >= 0 and get16(o.frame + o.gre) & GRE_CSUM != 0


cdef bint is_summed(const outermost *o) noexcept nogil:
    """Whether the outer headers have a checksum of the packet inside."""
    return o.udp and load16(o.frame + o.transport + UDP_CHECK) != 0 or has_gre_sum(o)


# --- remote checksum offload ---------------------------------------------------------------------


cdef void find_vxlan_remcsum(outermost *o, const uint8_t *vxlan) noexcept nogil:
    """vxlan_remcsum"""
    if not vxlan[o.row.remcsum_at] & o.row.remcsum:
        return
    o.remcsum = True
    o.start = (vxlan[VXLAN_RCO] & ~VXLAN_RCO_UDP) << 1
    o.check = o.start + (UDP_CHECK if vxlan[VXLAN_RCO] & VXLAN_RCO_UDP else TCP_CHECK)


cdef void find_gue_remcsum(outermost *o, const uint8_t *gue) noexcept nogil:
    """gue_remcsum"""
    cdef const uint8_t *private = gue + GUE_PRIVATE_FLAGS
    if o.inside > o.size or o.inside - o.transport < UDP_HLEN + GUE_REMCSUM_HLEN \
            or not get16(gue + GUE_FLAGS) & GUE_FLAG_PRIV or not private[0] & GUE_PFLAG_REMCSUM:
        return
    o.remcsum = True
    o.start, o.check = get16(gue + GUE_REMCSUM), get16(gue + GUE_REMCSUM + 2)


cdef int complete_remote(const outermost *o, uint8_t *packet, fault *why) noexcept nogil:
    """Complete the checksum that the sender left to the receiver."""
    cdef Py_ssize_t size = o.end - o.inside
    cdef uint16_t value
    if not (0 <= o.start <= o.check and o.check + 2 <= size):
        return refuse(
            why, REASON_BAD_HEADER, "remcsum", "remote checksum offload has its checksum at byte "
            "{value} of the packet, which has {limit} bytes", o.inside + o.check, size, o.check)
    value = <uint16_t>~fold(simd.sum(packet + o.start, size - o.start))
    if (o.check - o.start) & 1:
        value = <uint16_t>(value << 8 | value >> 8)
    store16(packet + o.check, not_zero(value))
    return 0


# --- congestion ----------------------------------------------------------------------------------


cdef int take_ecn(const outermost *o, uint8_t *packet, Py_ssize_t size, fault *why) noexcept nogil:
    """Mark the packet if the outer header is marked (RFC 6040; INET_ECN_decapsulate)."""
    cdef const uint8_t *ip = o.frame + o.network
    cdef unsigned int outer = ip[IPV4_TOS] if o.v4 else get16(ip) >> 4 & 0xff
    cdef inner_packet found
    cdef uint8_t *inside
    cdef uint16_t before, after, check
    if outer & INET_ECN_MASK != INET_ECN_CE:
        return 0
    find_inner(&found, packet, size, not o.ethernet, o.ethernet)
    if found.version == 0 or found.tos & INET_ECN_MASK == INET_ECN_CE:
        return 0
    if found.tos & INET_ECN_MASK == INET_ECN_NOT_ECT:
        return refuse(
            why, REASON_UNSUPPORTED, "tos", "the outer header says that congestion was met, but "
            "the packet inside is not capable of that (byte {offset})", o.network + 1, 0, outer)
    inside = packet + (found.ip - packet)
    before = load16(inside)
    put16(inside, get16(inside) | (INET_ECN_CE if found.version == 4 else INET_ECN_CE << 4))
    after = load16(inside)
    if found.version == 4:
        check = load16(inside + IPV4_CHECK)
        store16(inside + IPV4_CHECK, <uint16_t>~fold(
            <uint64_t><uint16_t>~check + <uint16_t>~before + after))
    return 0


# --- a frame, and all of them --------------------------------------------------------------------


cdef int read_layout(
    headers *h, shape_list *known, const outermost *o, const port_list *ports, bint raw, fault *why
) noexcept nogil:
    """Find the headers, of which those of LAYOUT_DTYPE and the refusal are right.

    `known` are the shapes of the frames before, or NULL.
    """
    cdef uint8_t row[ROW_SIZE]
    cdef header_copy copy
    cdef int failed
    if known is not NULL:
        if read_row(row, known, o.frame, o.size, ethernet_or_raw(raw), ports, why) < 0:
            return -1
        memcpy(h, row, ROW_SIZE)
        h.refusal.field = NULL
        if h.tunnel:
            return 0
        # Why there is no tunnel is not in a row
    failed = read_headers(h, why, &copy, o.frame, o.size, ethernet_or_raw(raw), ports)
    drop_copy(&copy)
    return failed


cdef Py_ssize_t read_one(
    outermost *o, uint8_t *out, shape_list *known, const link_header *link, const port_list *ports,
    bint raw, fault *why
) noexcept nogil:
    """Write what is in the tunnel; returns its length, or -1."""
    cdef headers h
    cdef Py_ssize_t front = 0, size
    cdef uint64_t inside = 0
    if read_layout(&h, known, o, ports, raw, why) < 0 or find_outermost(o, &h, ports, why) < 0:
        return -1
    size = o.end - o.inside
    if not o.ethernet:
        front = write_link(
            link, out, o.frame, 4 if o.frame[o.inside] >> 4 == 4 else 6)
    if is_summed(o):
        inside = simd.copy_sum(out + front, o.frame + o.inside, size)
    else:
        memcpy(out + front, o.frame + o.inside, size)
    if check_sums(o, inside, why) < 0 or o.remcsum and complete_remote(o, out + front, why) < 0 \
            or take_ecn(o, out + front, size, why) < 0:
        return -1
    return front + size


cdef Py_ssize_t read_some(
    const uint8_t *data, const int64_t *off, Py_ssize_t begin, Py_ssize_t end, uint8_t *out,
    int64_t *ends, shape_list *known, const link_header *link, const port_list *ports, bint raw,
    bint big, fault *why
) noexcept nogil:
    """Take some packets out; returns -1, or the number of the frame that `why` is about."""
    cdef outermost o
    cdef Py_ssize_t i, size
    memset(&o, 0, sizeof(o))
    o.big = big
    for i in range(begin, end):
        o.frame, o.size = data + off[i], off[i + 1] - off[i]
        size = read_one(&o, out + ends[i], known, link, ports, raw, why)
        if size < 0:
            return i
        ends[i + 1] = ends[i] + size
    return -1


def decapsulate(frames, *, link=None, link_type="ethernet", tunnel_ports=None, kernel=REFERENCE):
    """Take packets out of their outermost tunnel as the Linux kernel's devices do.

    Outer lengths and checksums are checked; checksums that are still to be completed (super-packets
    on their way to a device) are right, too. A checksum that remote checksum offload left to the
    receiver is completed. A mark of congestion (CE) in the outer header is carried into the packet.

    Args:
        frames: :class:`Frames`, or a list of buffers.
        link: link-layer header of packets that have none inside, as for :func:`encapsulate`.
            None: the outer Ethernet header, or nothing for link type "raw".
        link_type, tunnel_ports: as for :func:`parse`.
        kernel: as for :func:`encapsulate`. With 7.3 outer lengths of 0 stand for all of a packet of
            more than 65,535 bytes.

    Returns :class:`Frames`: what was in the tunnels, which are Ethernet frames or IP packets. FOU
    or GUE and the GRE in it are one tunnel, as they are to a GRE device with ``encap gue``.

    Raises GsoError with the number of the frame: UNSUPPORTED without a tunnel, for an outer
    fragment, for what is neither IP nor Ethernet, and for a mark of congestion on a packet that
    does not know of it; BAD_HEADER for impossible lengths; CHECKSUM for a wrong outer checksum.

    Kernel: ip_tunnel_rcv, __iptunnel_pull_header, IP_ECN_decapsulate, gue_udp_recv, vxlan_rcv,
    geneve_udp_encap_recv.
    """
    cdef Frames batch = as_frames(frames)
    cdef link_header front
    cdef port_list ports
    cdef shape_list shapes
    cdef shape_list *known = &shapes if batch.n > 1 else NULL
    cdef fault why
    cdef Py_ssize_t failed, end, i = 0
    cdef bint raw = is_raw(link_type), big = as_kernel(kernel) & KERNEL_NO_JUMBO != 0
    take_link(&front, link, raw)
    cdef Py_ssize_t room = batch.off[batch.n] + batch.n * front.size
    cdef object data = new_bytes(room), ends = new_bytes((batch.n + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    off[0] = 0
    no_shapes(&shapes)
    take_ports(&ports, tunnel_ports)
    try:
        while i < batch.n:
            end = piece_end(batch.off, i, batch.n)
            with nogil:
                failed = read_some(
                    batch.buf, batch.off, i, end, out, off, known, &front, &ports, raw, big, &why)
            if failed >= 0:
                raise as_error(&why, failed)
            i = end
            check_signals()
    finally:
        drop_ports(&ports)
    cdef Frames result = Frames.__new__(Frames)
    result.adopt(data, ends, batch.n)
    return result
