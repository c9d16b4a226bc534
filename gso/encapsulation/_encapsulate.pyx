# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Packets put into tunnels as the kernel's devices do (iptunnel_xmit, udp_tunnel_xmit_skb)."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport get16, load16, put16, store16
from gso.buffers._checksum cimport (
    fold, htonl, length_sum, not_zero, short_sum, simd, sum_at,
)
from gso.buffers._frames cimport Frames, as_frames
from gso.buffers._memory cimport address, new_bytes
from gso.buffers._signals cimport check_signals, piece_end
from gso.encapsulation._inner cimport (
    INET_ECN_CE, INET_ECN_ECT_0, INET_ECN_MASK, ecn_inside, find_inner, flow_hash, inner_packet,
)
from gso.encapsulation._link cimport link_header, take_link, write_link
from gso.headers._arguments cimport (
    as_error, as_kernel, drop_ports, ethernet_or_raw, is_raw, take_ports,
)
from gso.headers._kernel cimport KERNEL_NO_JUMBO
from gso.headers._numbers cimport (
    ETH_HLEN, ETH_P_IP, ETH_P_IPV6, GRE_CHECK, IPPROTO_IPIP, IPPROTO_IPV6, IPPROTO_TCP,
    IPPROTO_UDP, IPV4_CHECK, IPV4_FRAG_OFF, IPV4_HLEN, IPV4_ID, IPV4_PROTOCOL, IPV4_TOS,
    IPV4_TOT_LEN, IPV4_TTL, IPV6_HLEN, IPV6_HOP_LIMIT, IPV6_NEXTHDR, IPV6_PAYLOAD_LEN, IP_DF,
    TCP_CHECK, TUN_P_IPV4, TUN_P_IPV6, UDP_CHECK, UDP_LEN, VXLAN_MAX_REMCSUM_START, VXLAN_RCO_UDP,
)
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._walk cimport (
    CARRIES_ETHERTYPE, CARRIES_NEXT_PROTOCOL, REASON_BAD_HEADER,
    REASON_TOO_LONG, REASON_UNSUPPORTED, drop_copy, fault, header_copy, headers, link_layer,
    port_list, read_headers, refuse,
)

from dataclasses import replace

import numpy as np

from gso.encapsulation.outer import Given, in_range, outer_header
from gso.versions import REFERENCE

cdef enum:
    OUTER_ROOM = 384            # IPv6, an encapsulation limit, UDP, Geneve with all its options
    MAX_LENGTH = 65535          # a length field has 16 bits
    GUE_REMCSUM_LEN = 4
    GTP_HLEN = 8                # what comes after it is what its length counts
    # net.ipv4.ip_local_port_range: where udp_flow_src_port takes the source port from
    PORT_LOW = 32768
    PORT_HIGH = 60999

cdef enum sealing:
    SEAL_COMPLETE, SEAL_PARTIAL

# gso.encapsulation.outer.Outer
cdef struct template:
    uint8_t data[OUTER_ROOM]
    int32_t size
    int32_t version
    int32_t udp
    int32_t gre_check
    int32_t protocol
    int32_t carries
    int32_t length
    int32_t sequence
    int32_t remcsum
    bint own_ecn

cdef struct recipe:
    template plain
    template remote             # with remote checksum offload, for packets that can have it
    bint with_remote
    bint ethernet               # what is inside
    bint v4_inside
    bint v6_inside
    bint raw
    bint big                    # lengths that do not fit are 0 (iph_set_totlen, udp_set_len)
    bint sealed                 # the UDP or GRE header has a checksum
    sealing seal
    bint inherit_ttl
    bint inherit_tos
    bint inherit_df
    link_header link
    const int64_t *source_ports     # NULL: from the flow's hash
    const int64_t *ids
    const int64_t *labels
    int64_t sequence


cdef inline unsigned int length_field(Py_ssize_t length) noexcept nogil:
    """A length as its field has it: 0 says that it does not fit, of BIG TCP."""
    return <unsigned int>length if length <= MAX_LENGTH else 0


# --- stamps --------------------------------------------------------------------------------------


cdef void stamp_ip(
    const recipe *r, const template *t, uint8_t *ip, const inner_packet *packet, Py_ssize_t total,
    Py_ssize_t i
) noexcept nogil:
    """Fill in what differs in the outer IP header; `total` counts from its first byte."""
    cdef unsigned int tos, ttl_at = IPV4_TTL if t.version == 4 else IPV6_HOP_LIMIT
    cdef uint32_t word
    if t.version == 4:
        tos = ip[IPV4_TOS]
    else:
        tos = get16(ip) >> 4 & 0xff
    if r.inherit_tos:
        tos = packet.tos
    if not t.own_ecn or r.inherit_tos:
        tos = tos & ~<unsigned int>INET_ECN_MASK | ecn_inside(packet)
    elif tos & INET_ECN_MASK == INET_ECN_CE:
        tos = tos & ~<unsigned int>INET_ECN_MASK | INET_ECN_ECT_0
    if r.inherit_ttl and packet.version:
        ip[ttl_at] = packet.ttl
    if t.version == 4:
        ip[IPV4_TOS] = <uint8_t>tos
        put16(ip + IPV4_TOT_LEN, length_field(total))
        put16(ip + IPV4_ID, <unsigned int>r.ids[i])
        if r.inherit_df:
            put16(ip + IPV4_FRAG_OFF, IP_DF if packet.df else 0)
        store16(ip + IPV4_CHECK, 0)
        store16(ip + IPV4_CHECK, <uint16_t>~fold(short_sum(ip, IPV4_HLEN)))
    else:
        word = htonl(<uint32_t>(6 << 28 | tos << 20 | <uint32_t>r.labels[i]))
        memcpy(ip, &word, 4)
        put16(ip + IPV6_PAYLOAD_LEN, length_field(total - IPV6_HLEN))


cdef void stamp_protocol(const template *t, uint8_t *at, int version) noexcept nogil:
    """Say in the field at `at` which IP version is inside."""
    if t.carries == CARRIES_ETHERTYPE:
        put16(at, ETH_P_IP if version == 4 else ETH_P_IPV6)
    elif t.carries == CARRIES_NEXT_PROTOCOL:
        at[0] = TUN_P_IPV4 if version == 4 else TUN_P_IPV6
    else:
        at[0] = IPPROTO_IPIP if version == 4 else IPPROTO_IPV6


cdef uint64_t copy_in(
    const recipe *r, const template *t, uint8_t *to, const inner_packet *packet
) noexcept nogil:
    """Copy the packet; returns the sum of its bytes where a checksum is to be completed."""
    if r.sealed and r.seal == SEAL_COMPLETE:
        return simd.copy_sum(to, packet.p, packet.size)
    memcpy(to, packet.p, packet.size)
    return 0


cdef void seal(
    const recipe *r, const template *t, uint8_t *ip, Py_ssize_t total, uint64_t inside
) noexcept nogil:
    """Fill in the UDP or GRE header's checksum; `inside` is the sum of the packet's bytes."""
    cdef uint8_t *at
    cdef uint64_t pseudo
    cdef Py_ssize_t start = t.udp if t.udp >= 0 else t.gre_check - GRE_CHECK
    cdef Py_ssize_t hlen = t.size - start
    if t.udp >= 0:
        at = ip + t.udp
        pseudo = pseudo_sum(ip, t.version == 4, IPPROTO_UDP) + length_sum(total - t.udp)
        if r.seal == SEAL_PARTIAL:
            store16(at + UDP_CHECK, fold(pseudo))
        else:
            pseudo += short_sum(at, hlen) + inside
            store16(at + UDP_CHECK, not_zero(<uint16_t>~fold(pseudo)))
    elif r.seal == SEAL_COMPLETE:
        at = ip + t.gre_check
        store16(at, <uint16_t>~fold(short_sum(ip + start, hlen) + inside))


# --- remote checksum offload ---------------------------------------------------------------------

cdef struct remote:
    Py_ssize_t start            # of the transport header, in the packet
    Py_ssize_t check            # of its checksum
    uint16_t partial            # the sum of the pseudo header, which goes there


cdef bint is_vxlan(const template *t) noexcept nogil:
    """Whether the header is VXLAN's, whose last byte is about the remote checksum."""
    return t.remcsum == t.size - 1


cdef bint find_remote(
    const recipe *r, const inner_packet *packet, const port_list *ports, remote *found
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
    const recipe *r, const template *t, uint8_t *ip, const remote *found
) noexcept nogil:
    """Say where the receiver finds the checksum, and leave it the sum of the pseudo header."""
    store16(ip + t.size + found.check, found.partial)
    cdef Py_ssize_t before
    if is_vxlan(t):
        ip[t.remcsum] = <uint8_t>(found.start >> 1)
        if found.check - found.start == UDP_CHECK:
            ip[t.remcsum] |= VXLAN_RCO_UDP
    else:
        before = t.size - t.remcsum - GUE_REMCSUM_LEN  # GRE between GUE and the packet counts
        put16(ip + t.remcsum, <unsigned int>(before + found.start))
        put16(ip + t.remcsum + 2, <unsigned int>(before + found.check))


# --- a frame, and all of them --------------------------------------------------------------------


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


cdef Py_ssize_t write_one(
    const recipe *r, const uint8_t *frame, Py_ssize_t size, Py_ssize_t i, uint8_t *out,
    const port_list *ports, fault *why
) noexcept nogil:
    """Write a frame in its tunnel; returns its length, or -1."""
    cdef inner_packet packet
    cdef remote found
    cdef const template *t = &r.plain
    cdef uint8_t *ip
    cdef Py_ssize_t total, link
    cdef uint64_t inside
    cdef uint32_t number
    find_inner(&packet, frame, size, r.raw, r.ethernet)
    if check_inside(r, &packet, why) < 0:
        return -1
    if r.with_remote and find_remote(r, &packet, ports, &found):
        t = &r.remote
    total = t.size + packet.size
    if check_length(r, t, &packet, total, why) < 0:
        return -1
    link = write_link(&r.link, out, frame, t.version)
    ip = out + link
    memcpy(ip, t.data, t.size)
    inside = copy_in(r, t, ip + t.size, &packet)
    if t == &r.remote:
        # The sum of what was copied no longer holds where the checksum was.
        inside += sum_at(<uint16_t>~load16(ip + t.size + found.check), found.check)
        inside += sum_at(found.partial, found.check)
        stamp_remote(r, t, ip, &found)
    if t.protocol >= 0:
        stamp_protocol(t, ip + t.protocol, packet.version)
    stamp_ip(r, t, ip, &packet, total, i)
    if t.length >= 0:
        put16(ip + t.length, <unsigned int>(total - t.length + 2 - GTP_HLEN))
    if t.sequence >= 0:
        number = htonl(<uint32_t>(r.sequence + i))
        memcpy(ip + t.sequence, &number, 4)
    if t.udp >= 0:
        put16(ip + t.udp, source_port(r, &packet, i))
        put16(ip + t.udp + UDP_LEN, length_field(total - t.udp))
    if r.sealed:
        seal(r, t, ip, total, inside)
    return link + total


cdef unsigned int source_port(
    const recipe *r, const inner_packet *packet, Py_ssize_t i
) noexcept nogil:
    """The UDP source port: of the caller, or from the flow's hash as udp_flow_src_port does."""
    if r.source_ports is not NULL:
        return <unsigned int>r.source_ports[i]
    return PORT_LOW + <unsigned int>(<uint64_t>flow_hash(packet) * (PORT_HIGH - PORT_LOW) >> 32)


cdef Py_ssize_t write_some(
    const recipe *r, const uint8_t *data, const int64_t *off, Py_ssize_t begin, Py_ssize_t end,
    uint8_t *out, int64_t *ends, const port_list *ports, fault *why
) noexcept nogil:
    """Write some frames; returns -1, or the number of the frame that `why` is about."""
    cdef Py_ssize_t i, size
    for i in range(begin, end):
        size = write_one(
            r, data + off[i], off[i + 1] - off[i], i, out + ends[i], ports, why)
        if size < 0:
            return i
        ends[i + 1] = ends[i] + size
    return -1


# --- arguments -----------------------------------------------------------------------------------


cdef int fill(template *t, object made) except -1:
    cdef bytes data = made.data
    if len(data) > OUTER_ROOM:
        raise ValueError(f"the outer headers have {len(data)} bytes, more than {OUTER_ROOM}")
    memcpy(t.data, <const char *>data, len(data))
    t.size, t.version = len(data), made.version
    t.udp, t.gre_check, t.protocol = made.udp, made.gre_check, made.protocol
    t.carries, t.length = int(made.carries), made.length
    t.sequence, t.remcsum, t.own_ecn = made.sequence, made.remcsum, made.own_ecn
    return 0


cdef bint is_inherited(object value):
    return isinstance(value, str) and value == "inherit"


cdef object per_frame(str name, object value, Py_ssize_t n, Py_ssize_t high):
    """An int64 array of shape (n,), from an integer or an array of them."""
    numbers = np.asarray(value)
    if numbers.dtype.kind not in "iu" or numbers.dtype.kind == "b":
        raise TypeError(f"{name} is an integer or an array of them, not {value!r:.100}")
    if numbers.ndim and numbers.shape != (n,):
        raise ValueError(f"{name} has shape {numbers.shape}, but there are {n} frames")
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) <= high:
        raise ValueError(
            f"{name} is from {int(numbers.min())} to {int(numbers.max())}, not from 0 to {high}")
    return np.ascontiguousarray(np.broadcast_to(numbers, (n,)), np.int64)


cdef int64_t *numbers_of(object array) except? NULL:
    cdef const int64_t[::1] view = array
    return <int64_t *>&view[0] if view.shape[0] else NULL


def encapsulate(frames, tunnel, *, source, destination, port=None, source_port=None, key=None,
                checksum=False, remcsum=False, sequence=None, options=b"", policy=None, inner=None,
                ttl=64, tos=0, df=None, ip_id=0, flow_label=0, encap_limit=None, encap=None,
                link=None, link_type="ethernet", kernel=REFERENCE):
    """Put packets into a tunnel as the Linux kernel's device of that kind does.

    Super-packets become super-packets in a tunnel: :func:`segment` of the result is what the device
    puts on the wire.

    Args:
        frames: :class:`Frames`, or a list of buffers.
        tunnel: a :class:`Tunnel` or its name; "bareudp" and "gtp-u", too.
        source, destination: outer IP addresses: strings, or those of `ipaddress`.
        port: UDP destination port; None: the one that IANA registered for the tunnel.
        source_port: UDP source port, or one for each frame; None: from a hash of the packet's
            flow, in the range that udp_flow_src_port uses (32768 to 60998).
        key: VNI of VXLAN and Geneve, key of GRE, TEID of GTP-U.
        checksum: of the UDP or GRE header: False is none (0), True a complete one, "partial" the
            sum of UDP's pseudo header, as a super-packet on its way to :func:`segment` has it, and
            0 for GRE.
        remcsum: remote checksum offload of GUE or VXLAN: packets whose TCP or UDP checksum can be
            left to the receiver get the sum of their pseudo header there.
        sequence: GRE's sequence number of the first frame; the next ones count up.
        options: Geneve's options.
        policy: the group policy ID of VXLAN (GBP).
        inner: "ip" or "ethernet", for tunnels that carry either: GRE ("ip" unless said),
            Geneve ("ethernet").
        ttl: of the outer header, or "inherit" from the packet.
        tos: TOS or traffic class, or "inherit". The two bits of ECN always come from the packet,
            with ECT(0) for CE, as INET_ECN_encapsulate does; but those of GRE over IPv6 are those
            of `tos`, with ECT(0) for CE, unless it is inherited (ip6gre_xmit_ipv4).
        df: whether the outer IPv4 header says "don't fragment", or "inherit"; None: what the
            kernel's device does unless it is told otherwise (not for VXLAN, Geneve, bareudp and
            GTP-U, else yes).
        ip_id: outer IPv4 ID, or one for each frame.
        flow_label: outer IPv6 flow label, or one for each frame.
        encap_limit: tunnel encapsulation limit of an outer IPv6 header (RFC 2473).
        encap: "fou" or "gue": GRE in such a UDP tunnel (``ip link add type gre ... encap gue``).
            Then `port` is that of the UDP header, which FOU has none of its own for, and `checksum`
            is of the UDP header; GRE has none.
        link: link-layer header of the result, an Ethernet header whose last two bytes are filled
            in; b"": results start with the outer IP header. None: the MAC addresses of the frame,
            or b"" for link type "raw".
        link_type: of `frames`: "ethernet" or "raw". For tunnels that carry IP the link-layer
            header is left out, and bytes after the end of the IP packet, too.
        kernel: "6.12", "6.1" or "7.3". 7.3 carries BIG TCP, TCP super-packets of more than 65,535
            bytes, in tunnels: outer lengths that do not fit are 0 (not in GTP-U, which has a length
            of its own).

    Returns :class:`Frames`.

    Raises GsoError with the number of the frame: UNSUPPORTED for a packet that the tunnel does not
    carry, BAD_HEADER for less than an Ethernet header, TOO_LONG where a length field does not
    suffice. ValueError for parameters that do not belong to the tunnel.

    Kernel: ip_tunnel_xmit, ip6_tnl_xmit, gre_build_header, __gue_build_header, vxlan_build_skb,
    fou_build_header, geneve_build_skb, bareudp_xmit_skb, udp_tunnel_xmit_skb.
    """
    cdef Frames batch = as_frames(frames)
    cdef recipe r
    cdef port_list ports
    cdef fault why
    cdef Py_ssize_t failed, end, i = 0
    # These keep the memory alive that the recipe points to.
    source_ports = None if source_port is None else per_frame(
        "source_port", source_port, batch.n, MAX_LENGTH)
    ids = per_frame("ip_id", ip_id, batch.n, MAX_LENGTH)
    labels = per_frame("flow_label", flow_label, batch.n, 0xfffff)
    r.source_ports = NULL if source_ports is None else numbers_of(source_ports)
    r.ids, r.labels = numbers_of(ids), numbers_of(labels)
    given = Given(
        port=port,
        key=key,
        checksum=checksum_kind(checksum) != 0,
        remcsum=bool(remcsum),
        sequence=None if sequence is None else in_range("sequence", sequence, 0, 0xffffffff),
        options=bytes(options),
        policy=policy,
        inner=inner,
        ttl=64 if is_inherited(ttl) else in_range("ttl", ttl, 1, 255),
        tos=0 if is_inherited(tos) else in_range("tos", tos, 0, 255),
        df=None if is_inherited(df) or df is None else bool(df),
        encap_limit=None if encap_limit is None else in_range("encap_limit", encap_limit, 0, 255),
        encap=encap,
    )
    r.inherit_ttl, r.inherit_tos, r.inherit_df = map(is_inherited, (ttl, tos, df))
    r.sealed, r.seal = given.checksum, SEAL_PARTIAL if checksum == "partial" else SEAL_COMPLETE
    r.sequence = given.sequence or 0
    r.with_remote = given.remcsum
    made = outer_header(tunnel, source, destination, given)
    fill(&r.remote, made)
    if given.remcsum:
        made = outer_header(tunnel, source, destination, replace(given, remcsum=False))
    fill(&r.plain, made)
    r.ethernet = made.ethernet
    r.v4_inside, r.v6_inside = 4 in made.versions, 6 in made.versions
    r.raw = is_raw(link_type)
    r.big = as_kernel(kernel) & KERNEL_NO_JUMBO != 0
    take_link(&r.link, link, r.raw)
    cdef Py_ssize_t room = batch.off[batch.n] + batch.n * (r.remote.size + r.link.size)
    cdef object data = new_bytes(room), ends = new_bytes((batch.n + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    off[0] = 0
    take_ports(&ports, None)
    try:
        while i < batch.n:
            end = piece_end(batch.off, i, batch.n)
            with nogil:
                failed = write_some(&r, batch.buf, batch.off, i, end, out, off, &ports, &why)
            if failed >= 0:
                raise as_error(&why, failed)
            i = end
            check_signals()
    finally:
        drop_ports(&ports)
    cdef Frames result = Frames.__new__(Frames)
    result.adopt(data, ends, batch.n)
    return result


cdef int checksum_kind(object checksum) except -1:
    if checksum is True or checksum is False:
        return 1 if checksum else 0
    if isinstance(checksum, str) and checksum == "partial":
        return 1
    raise ValueError(f'checksum is True, False or "partial", not {checksum!r}')
