# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Segmentation of a list of whole frames, which GRO left as they came (SKB_GSO_FRAGLIST).

The frames have headers of their own. Those up to the IP header are the first frame's, lengths and
IPv4 IDs are made anew, and where the first frame's addresses or ports have changed since (NAT) the
others take them over.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t
from libc.string cimport memcmp, memcpy

from gso.buffers._bytes cimport get16, load16, put16, store16
from gso.buffers._checksum cimport fold, not_zero, short_sum
from gso.buffers._frames cimport Frames
from gso.buffers._memory cimport address, new_bytes
from gso.headers._arguments cimport (
    as_error, as_gso_size, as_gso_type, as_kernel, as_link, drop_ports, take_ports,
)
from gso.headers._kernel cimport KERNEL_LISTS_KEEP_TCP6_SUM
from gso.headers._numbers cimport (
    IPPROTO_TCP, IPPROTO_UDP, IPV4_CHECK, IPV4_ID, IPV4_SADDR, IPV4_TOT_LEN,
    IPV6_ADDRESS_LEN, IPV6_HLEN, IPV6_PAYLOAD_LEN, IPV6_SADDR, L4_PORTS_LEN, SKB_GSO_FRAGLIST,
    SKB_GSO_TCPV4, SKB_GSO_TCPV6, SKB_GSO_UDP_L4, TCP_CHECK, UDP_CHECK, UDP_LEN,
)
from gso.headers._walk cimport (
    REASON_GSO_SIZE, REASON_GSO_TYPE, REASON_LAYOUT, REASON_NOT_GSO, REASON_TOO_LONG,
    REASON_UNSUPPORTED, STEP_MPLS, STEP_NSH, drop_copy, fault, header_copy, headers, link_layer,
    port_list, read_headers, refuse,
)

cdef enum:
    IPV4_ADDRESS_LEN = 4
    PORT_LEN = 2

# The arguments of a call, and what is known of the first frame
cdef struct frame_list:
    const link_layer *link
    const port_list *ports
    unsigned int kernel
    int64_t gso_size
    unsigned int gso_type
    headers first
    bint rewritten      # the second frame has other addresses or ports than the first
    uint16_t ident


# ---- what is refused ------------------------------------------------------------------------

cdef int check_headers(const headers *h, fault *why) noexcept nogil:
    """Refuse all but TCP and UDP right in an IP packet."""
    if h.refusal.field is not NULL:
        why[0] = h.refusal
        return -1
    if (
        h.n == 1 and h.l4 and not h.fragment and h.jumbo < 0 and h.routing < 0
        and not h.steps & (1 << STEP_MPLS | 1 << STEP_NSH)
    ):
        return 0
    return refuse(
        why, REASON_UNSUPPORTED, "frame", "in a list of frames only TCP and UDP are known that no "
        "tunnel carries, nor a fragment; the headers end at byte {offset}", h.payload, 0, 0)


cdef int check_type(const frame_list *a, fault *why) noexcept nogil:
    """Refuse a gso_type that is not that of such a list."""
    cdef unsigned int wanted = SKB_GSO_UDP_L4
    if a.first.l4 == IPPROTO_TCP:
        wanted = SKB_GSO_TCPV4 if a.first.inner_version == 4 else SKB_GSO_TCPV6
    wanted |= SKB_GSO_FRAGLIST
    if a.gso_type & SKB_GSO_FRAGLIST and not a.gso_type & ~wanted:
        return 0
    return refuse(
        why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} is not that of a list of frames, "
        "{limit:#x}", a.gso_type, wanted, 0)


cdef int check_first(const frame_list *a, fault *why, Py_ssize_t size) noexcept nogil:
    """Refuse a first frame that the kernel would not take for that of a list."""
    cdef Py_ssize_t payload = size - a.first.payload
    if check_headers(&a.first, why) < 0 or check_type(a, why) < 0:
        return -1
    if a.gso_size > 0 and payload == a.gso_size:
        return 0
    return refuse(
        why, REASON_GSO_SIZE, "gso_size", "the first frame has {limit} bytes of payload, not "
        "gso_size {offset}; such a list is cut otherwise", a.gso_size, payload, 0)


cdef int check_other(
    const frame_list *a, const headers *h, fault *why, Py_ssize_t size
) noexcept nogil:
    """Refuse a frame that cannot be in one list with the first."""
    if check_headers(h, why) < 0:
        return -1
    if h.l4 != a.first.l4 or h.inner_version != a.first.inner_version:
        return refuse(
            why, REASON_LAYOUT, "protocol", "a frame with protocol {offset} in IPv{value} is in a "
            "list whose first one has {limit}", h.l4, a.first.l4, h.inner_version)
    if size - h.network_header <= 0xffff:
        return 0
    return refuse(
        why, REASON_TOO_LONG, "tot_len", "a frame's IP packet has {offset} bytes, the field ends "
        "at {limit}", size - h.network_header, 0xffff, 0)


# ---- what is written ------------------------------------------------------------------------

cdef void replace(
    uint8_t *check, const uint8_t *old, const uint8_t *new, Py_ssize_t n
) noexcept nogil:
    """Bring a checksum over `n` bytes up to date (RFC 1624; inet_proto_csum_replace4)."""
    cdef uint64_t total = <uint16_t>~load16(check) + short_sum(new, n)
    cdef Py_ssize_t k
    for k in range(0, n, 2):
        total += <uint16_t>~load16(old + k)
    store16(check, <uint16_t>~fold(total))


cdef void take_over(
    const frame_list *a, uint8_t *ip, uint8_t *th, const uint8_t *first_ip, const uint8_t *first_th,
    int side
) noexcept nogil:
    """Take the first frame's source (side 0) or destination (1) over: address and port.

    (__udpv4_gso_segment_csum, __udpv6_gso_segment_csum, __tcpv4_gso_segment_csum and so on)
    """
    cdef bint tcp = a.first.l4 == IPPROTO_TCP, v4 = a.first.inner_version == 4
    cdef Py_ssize_t n = IPV4_ADDRESS_LEN if v4 else IPV6_ADDRESS_LEN
    cdef Py_ssize_t at = (IPV4_SADDR if v4 else IPV6_SADDR) + side * n, port = side * PORT_LEN
    cdef uint8_t *check = th + (TCP_CHECK if tcp else UDP_CHECK)
    cdef bint same_port = memcmp(th + port, first_th + port, PORT_LEN) == 0
    cdef bint same = same_port and memcmp(ip + at, first_ip + at, n) == 0
    cdef bint stale = tcp and not v4 and a.kernel & KERNEL_LISTS_KEEP_TCP6_SUM
    if not same and (tcp or load16(check)):
        if not stale:
            replace(check, ip + at, first_ip + at, n)
        if not (stale and same_port):
            replace(check, th + port, first_th + port, PORT_LEN)
        if not tcp:
            store16(check, not_zero(load16(check)))
    memcpy(ip + at, first_ip + at, n)
    memcpy(th + port, first_th + port, PORT_LEN)


cdef bint differs(
    const frame_list *a, const headers *h, const uint8_t *first, const uint8_t *frame
) noexcept nogil:
    """Whether addresses or ports differ, by which the kernel knows of NAT."""
    cdef Py_ssize_t at = IPV4_SADDR, n = 2 * IPV4_ADDRESS_LEN
    if a.first.inner_version == 6:
        at, n = IPV6_SADDR, 2 * IPV6_ADDRESS_LEN
    return (
        memcmp(first + a.first.ip_header + at, frame + h.ip_header + at, n) != 0
        or memcmp(first + a.first.l4_header, frame + h.l4_header, L4_PORTS_LEN) != 0
    )


cdef void finish(
    const frame_list *a, uint8_t *ip, Py_ssize_t hlen, Py_ssize_t length, Py_ssize_t number
) noexcept nogil:
    """Set length and ID of an IP header (inet_gso_segment, ipv6_gso_segment)."""
    if a.first.inner_version == 6:
        put16(ip + IPV6_PAYLOAD_LEN, length - IPV6_HLEN)
        return
    put16(ip + IPV4_TOT_LEN, length)
    put16(ip + IPV4_ID, a.ident + number)
    store16(ip + IPV4_CHECK, 0)
    store16(ip + IPV4_CHECK, <uint16_t>~fold(short_sum(ip, hlen)))


cdef Py_ssize_t write_frame(
    frame_list *a, uint8_t *out, const uint8_t *first, const uint8_t *frame, const headers *h,
    Py_ssize_t size, Py_ssize_t number
) noexcept nogil:
    """Write a frame of the list; returns its length."""
    cdef Py_ssize_t link = a.first.network_header, length = size - h.network_header
    # Not the header's own length: the frame may be in memory that others write to
    cdef Py_ssize_t hlen = h.l4_header - h.network_header
    cdef uint8_t *ip = out + link
    cdef uint8_t *th = ip + hlen
    memcpy(out, first, link)
    memcpy(ip, frame + h.network_header, length)
    if number == 0:
        a.ident = get16(ip + IPV4_ID)
        if h.l4 == IPPROTO_UDP:
            put16(th + UDP_LEN, length - hlen)
    elif a.rewritten:
        take_over(a, ip, th, first + a.first.ip_header, first + a.first.l4_header, 0)
        take_over(a, ip, th, first + a.first.ip_header, first + a.first.l4_header, 1)
    finish(a, ip, hlen, length, number)
    return link + length


cdef int read_one(
    const frame_list *a, headers *h, fault *why, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    cdef header_copy copy
    cdef int failed = read_headers(h, why, &copy, frame, size, a.link, a.ports)
    drop_copy(&copy)
    return failed


cdef Frames segments_of(frame_list *a, Frames frames):
    """Write the frames of a list as they are sent."""
    cdef Py_ssize_t i, size = frames.off[1] - frames.off[0], total
    cdef const uint8_t *first = frames.buf + frames.off[0]
    cdef fault why
    cdef headers h
    if read_one(a, &a.first, &why, first, size) < 0 or check_first(a, &why, size) < 0:
        raise as_error(&why, 0)
    total = frames.off[frames.n] - frames.off[0] + frames.n * a.first.network_header
    cdef object data = new_bytes(total), ends = new_bytes((frames.n + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    off[0] = 0
    for i in range(frames.n):
        size = frames.off[i + 1] - frames.off[i]
        if (
            read_one(a, &h, &why, frames.buf + frames.off[i], size) < 0
            or check_other(a, &h, &why, size) < 0
        ):
            raise as_error(&why, i)
        if i == 1:
            a.rewritten = differs(a, &h, first, frames.buf + frames.off[1])
        off[i + 1] = off[i] + write_frame(
            a, out + off[i], first, frames.buf + frames.off[i], &h, size, i)
    cdef Frames segments = Frames.__new__(Frames)
    segments.adopt(data, ends, frames.n)
    return segments


def segment_list(Frames frames not None, gso_size, gso_type, link_type, tunnel_ports, kernel):
    """Segment a list of frames, the first of which may have been changed, as the kernel does.

    Kernel: skb_segment_list, __udp_gso_segment_list, __tcp4_gso_segment_list,
    __tcp6_gso_segment_list.
    """
    cdef frame_list a
    cdef port_list ports
    cdef fault why
    a.gso_size, a.gso_type = as_gso_size(gso_size), as_gso_type(gso_type)
    a.kernel, a.link = as_kernel(kernel), as_link(link_type)
    a.rewritten, a.ident = False, 0
    a.ports = &ports
    if frames.n < 2:
        refuse(&why, REASON_NOT_GSO, "frame", "a list of {offset} frames is no list: it has two or "
               "more", frames.n, 2, 0)
        raise as_error(&why)
    take_ports(&ports, tunnel_ports)
    try:
        return segments_of(&a, frames)
    finally:
        drop_ports(&ports)
