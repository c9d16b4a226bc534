# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Packets put into tunnels as the kernel's devices do (iptunnel_xmit, udp_tunnel_xmit_skb)."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport load16, store16
from gso.buffers._checksum cimport STREAM, fold, htonl, htons, not_zero, simd, sum_at
from gso.buffers._frames cimport Frames, as_frames
from gso.buffers._memory cimport address, new_bytes
from gso.buffers._per_frame cimport number_at, take_one
from gso.buffers._signals cimport RELEASE_GIL, check_signals, piece_end
from gso.encapsulation._inner cimport MAC_ADDRESSES_LEN, flow_hash, inner_packet
from gso.encapsulation._link cimport take_link
from gso.encapsulation._plan cimport holds, make_plan, plan
from gso.encapsulation._recipe cimport (
    SEAL_COMPLETE, prepare, recipe, take_numbers, template,
)
from gso.headers._arguments cimport as_error, as_kernel, drop_ports, is_raw, take_ports
from gso.headers._kernel cimport KERNEL_NO_JUMBO
from gso.headers._numbers cimport IPV4_CHECK, IPV4_ID, UDP_CHECK
from gso.headers._walk cimport fault, port_list

from gso.encapsulation.outer import in_range
from gso.versions import REFERENCE

cdef enum:
    MAX_PORT = 65535
    MAX_ID = 65535
    MAX_FLOW_LABEL = 0xfffff
    # net.ipv4.ip_local_port_range: where udp_flow_src_port takes the source port from
    PORT_LOW = 32768
    PORT_HIGH = 60999
    FROM_FLOW = -1              # as the source port
    # Most headers are copied with so many bytes, whatever their length; the packet follows.
    USUAL_FRONT = 64


cdef unsigned int source_port(
    const recipe *r, const inner_packet *packet, Py_ssize_t i
) noexcept nogil:
    """The UDP source port: of the caller, or from the flow's hash as udp_flow_src_port does."""
    cdef int64_t given = number_at(&r.source_ports, i)
    if given != FROM_FLOW:
        return <unsigned int>given
    return PORT_LOW + <unsigned int>(<uint64_t>flow_hash(packet) * (PORT_HIGH - PORT_LOW) >> 32)


cdef void number_ip(const plan *p, const recipe *r, uint8_t *ip, Py_ssize_t i) noexcept nogil:
    """Fill in the outer IP header's ID and checksum, or its flow label."""
    cdef uint16_t ident
    cdef uint32_t word
    if p.t.version == 4:
        ident = htons(<uint16_t>number_at(&r.ids, i))
        store16(ip + IPV4_ID, ident)
        store16(ip + IPV4_CHECK, <uint16_t>~fold(p.ip_sum + ident))
    else:
        memcpy(&word, ip, 4)
        word |= htonl(<uint32_t>number_at(&r.labels, i))
        memcpy(ip, &word, 4)


cdef uint64_t number_tunnel(
    const plan *p, const recipe *r, uint8_t *ip, Py_ssize_t i
) noexcept nogil:
    """Fill in UDP's source port and GRE's sequence number; returns their sum."""
    cdef uint32_t sequence
    cdef uint64_t total = 0
    cdef uint16_t port
    if p.t.udp >= 0:
        port = htons(<uint16_t>source_port(r, &p.packet, i))
        store16(ip + p.t.udp, port)
        total = port
    if p.t.sequence >= 0:
        sequence = htonl(r.sequence + <uint32_t>i)
        memcpy(ip + p.t.sequence, &sequence, 4)
        total += sequence
    return total


cdef uint64_t copy_packet(const plan *p, const recipe *r, uint8_t *to) noexcept nogil:
    """Copy the packet; returns the sum of its bytes where a checksum is to be completed."""
    cdef uint64_t total
    if r.stream:
        total = simd.stream_sum(to, p.packet.p, p.packet.size)
    elif r.sealed and r.seal == SEAL_COMPLETE:
        total = simd.copy_sum(to, p.packet.p, p.packet.size)
    else:
        memcpy(to, p.packet.p, p.packet.size)
        return 0
    if p.remote:
        # The sum of what was copied does not hold where the checksum is left to the receiver.
        total += sum_at(<uint16_t>~load16(to + p.left.check), p.left.check)
        total += sum_at(p.left.partial, p.left.check)
    return total


cdef void seal(const template *t, uint8_t *ip, uint64_t total) noexcept nogil:
    """Complete the checksum of the UDP or GRE header."""
    cdef uint16_t check = <uint16_t>~fold(total)
    if t.udp >= 0:
        store16(ip + t.udp + UDP_CHECK, not_zero(check))
    else:
        store16(ip + t.gre_check, check)


cdef void take_frame(plan *p, const recipe *r, const uint8_t *frame) noexcept nogil:
    """Have a plan be about a frame that it holds for."""
    p.packet.ip = frame + p.packet.start
    p.packet.p = frame if r.ethernet else p.packet.ip


cdef Py_ssize_t write_frame(
    const plan *p, const recipe *r, const uint8_t *frame, Py_ssize_t i, uint8_t *out
) noexcept nogil:
    """Write a frame in its tunnel, and whatever in the bytes that follow; returns its length."""
    cdef uint8_t *ip = out + p.link
    cdef uint64_t total
    memcpy(out, p.data, USUAL_FRONT)
    if p.front > USUAL_FRONT:
        memcpy(out + USUAL_FRONT, p.data + USUAL_FRONT, p.front - USUAL_FRONT)
    if r.link.own:
        memcpy(out, frame, MAC_ADDRESSES_LEN)
    total = copy_packet(p, r, out + p.front)
    if p.remote:
        store16(out + p.front + p.left.check, p.left.partial)
    number_ip(p, r, ip, i)
    total += number_tunnel(p, r, ip, i)
    if r.sealed and r.seal == SEAL_COMPLETE:
        seal(p.t, ip, p.sealed + total)
    return p.front + p.packet.size


cdef Py_ssize_t write_some(
    plan *p, const recipe *r, const uint8_t *data, const int64_t *off, Py_ssize_t begin,
    Py_ssize_t end, uint8_t *out, int64_t *ends, const port_list *ports, fault *why
) noexcept nogil:
    """Write some frames; returns -1, or the number of the frame that `why` is about."""
    cdef const uint8_t *frame
    cdef Py_ssize_t i, size
    for i in range(begin, end):
        frame, size = data + off[i], off[i + 1] - off[i]
        if holds(p, r, frame, size):
            take_frame(p, r, frame)
        elif make_plan(p, r, frame, size, ports, why) < 0:
            return i
        ends[i + 1] = ends[i] + write_frame(p, r, frame, i, out + ends[i])
    return -1


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
    cdef recipe r = prepare((
        tunnel, source, destination, port, key, checksum, remcsum, sequence is not None,
        bytes(options), policy, inner, ttl, tos, df, encap_limit, encap)).r
    cdef plan p
    cdef port_list ports
    cdef fault why
    cdef Py_ssize_t failed, end, i = 0
    take_one(&r.source_ports, FROM_FLOW)
    # These keep the memory alive that the recipe points to.
    _kept = (
        source_port is None or take_numbers(
            &r.source_ports, "source_port", source_port, batch.n, MAX_PORT),
        take_numbers(&r.ids, "ip_id", ip_id, batch.n, MAX_ID),
        take_numbers(&r.labels, "flow_label", flow_label, batch.n, MAX_FLOW_LABEL),
    )
    r.sequence = 0 if sequence is None else in_range("sequence", sequence, 0, 0xffffffff)
    r.raw = is_raw(link_type)
    r.big = as_kernel(kernel) & KERNEL_NO_JUMBO != 0
    take_link(&r.link, link, r.raw)
    cdef Py_ssize_t room = batch.off[batch.n] + batch.n * (r.remote.size + r.link.size)
    r.stream = room >= STREAM
    cdef object data = new_bytes(room + USUAL_FRONT)
    cdef object ends = new_bytes((batch.n + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    off[0] = 0
    p.known = False
    take_ports(&ports, None)
    try:
        while i < batch.n:
            end = piece_end(batch.off, i, batch.n)
            if room < RELEASE_GIL:
                failed = write_some(
                    &p, &r, batch.buf, batch.off, i, end, out, off, &ports, &why)
            else:
                with nogil:
                    failed = write_some(
                        &p, &r, batch.buf, batch.off, i, end, out, off, &ports, &why)
            if failed >= 0:
                raise as_error(&why, failed)
            i = end
            check_signals()
        if r.stream:
            simd.stream_end()
    finally:
        drop_ports(&ports)
    cdef Frames result = Frames.__new__(Frames)
    result.adopt(data, ends, batch.n)
    return result
