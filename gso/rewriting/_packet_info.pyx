# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The facts that tell super-packets from other packets, read from frames in one pass."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from gso.buffers._bytes cimport get16, load16
from gso.buffers._checksum cimport (
    GSO_LINE, fold, gso_prefetch, htons, length_sum, short_sum, simd,
)
from gso.buffers._frames cimport Frames
from gso.capture._records cimport Record, check_records
from gso.headers._arguments cimport as_link, drop_ports, take_ports
from gso.headers._layout cimport read_row
from gso.headers._numbers cimport (
    ETH_P_8021AD, ETH_P_8021Q, ETH_P_IP, ETH_P_IPV6, ETH_P_MPLS_MC, ETH_P_MPLS_UC,
    IPPROTO_FRAGMENT, IPPROTO_TCP, IPPROTO_UDP, IPV4_CHECK, IPV4_FRAG_OFF, IPV4_HLEN,
    IPV4_PROTOCOL, IPV4_SADDR, IPV4_TOT_LEN, IPV6_ADDRESS_LEN, IPV6_EXT_HDRLEN, IPV6_EXT_HLEN,
    IPV6_HLEN, IPV6_NEXTHDR, IPV6_PAYLOAD_LEN, IPV6_SADDR, IP_MF, IP_OFFSET, MPLS_BOTTOM,
    MPLS_HLEN, MPLS_LS_S, TCPHDR_SYN, TCP_CHECK, TCP_FLAGS, TCP_HLEN, UDP_CHECK, UDP_DEST,
    UDP_HLEN, UDP_LEN,
)
from gso.headers._pseudo_header cimport final_destination
from gso.headers._shapes cimport no_shapes, shape_list
from gso.headers._walk cimport ROW_SIZE, fault, headers, link_layer, port_list

import numpy as np

from gso.headers._layout import LAYOUT_DTYPE

PACKET_INFO_DTYPE = np.dtype([
    ("payload", np.int64), ("length", np.int64), ("network", np.int32), ("hlen", np.int32),
    ("mss", np.uint16), ("flags", np.uint8), ("timestamps", np.uint8), ("partial", np.uint8),
    ("blank", np.uint8), ("sure", np.uint8), ("plausible", np.uint8), ("fragment", np.uint8),
    ("carried", np.uint8), ("tcp_hlen", np.uint8), ("version", np.uint8),
    ("source_port", np.uint16), ("destination_port", np.uint16), ("source", np.uint8, 16),
    ("destination", np.uint8, 16), ("protocol", np.uint8), ("final", np.uint8, 16),
])

cpdef enum:
    BLANK_OUTER = 1
    BLANK_INNER = 2

cdef enum:
    IPV4_ADDRESS_LEN = 4
    ETH_FCS_LEN = 4         # the frame check sequence
    PADDED = 64             # longest Ethernet frame that may have been padded, with its FCS
    AHEAD = 8               # packets whose headers are fetched into the caches
    ETH_TYPE = 12
    TRAILER = 64            # longest trailer that is told without a checksum
    MAX_IP_LEN = 0xffff
    PPP_IP = 0x0021
    PPP_IPV6 = 0x0057
    TCPOPT_EOL = 0
    TCPOPT_NOP = 1
    TCPOPT_MSS = 2
    TCPOPT_TIMESTAMP = 8
    TCPOLEN_MSS = 4


def packet_info(Frames frames not None, layouts):
    """Describe each frame: array of PACKET_INFO_DTYPE, shape (n,).

    `layouts` comes from `gso.parse_batch`, and is checked against the frames' lengths.
    """
    cdef Py_ssize_t i, n = frames.n
    cdef headers h
    if layouts.dtype != LAYOUT_DTYPE:
        raise TypeError(f"layouts are of LAYOUT_DTYPE, not of {layouts.dtype}")
    if layouts.shape != (n,):
        raise ValueError(f"{n} frames but layouts of shape {layouts.shape}")
    cdef const uint8_t[::1] places = layouts.view(np.uint8)
    info = np.zeros(n, PACKET_INFO_DTYPE)
    cdef PacketInfo[::1] out = info
    with nogil:
        for i in range(n):
            memcpy(&h, &places[i * ROW_SIZE], ROW_SIZE)
            _packet_info(frames.buf + frames.off[i], frames.off[i + 1] - frames.off[i], &h, &out[i])
    return info


def unremarkable(const uint8_t[::1] buffer, const Record[::1] records, uint32_t skip, *, link_type,
                 tunnel_ports, int64_t mtu, int64_t longest):
    """Which packets, where they lie in a buffer, are whole and complete and fit: bool array (n,).

    Such a packet is of IP, has no more than `mtu` bytes, in a frame of no more than `longest`, none
    that the capture cut off and no checksum that is left to a device. It is no SYN. The first
    `skip` bytes of each are not looked at; `link_type` is what follows them.
    """
    cdef Py_ssize_t i, n = records.shape[0]
    cdef const link_layer *link = as_link(link_type)
    cdef const Record *record
    cdef shape_list known
    cdef port_list ports
    cdef uint32_t skipped
    told = np.zeros(n, np.bool_)
    cdef uint8_t[::1] out = told.view(np.uint8)
    check_records(buffer, records)
    no_shapes(&known)
    take_ports(&ports, tunnel_ports)
    with nogil:
        for i in range(n):
            record = &records[i]
            if i + AHEAD < n:
                gso_prefetch(&buffer[records[i + AHEAD].data])
                gso_prefetch(&buffer[records[i + AHEAD].data] + GSO_LINE)
            skipped = min(skip, record.captured)
            if record.captured > skipped and record.captured >= record.original:
                out[i] = _is_unremarkable(
                    &buffer[record.data + skipped], record.captured - skipped, link, &ports, &known,
                    mtu, longest)
    drop_ports(&ports)
    return told


cdef bint _is_unremarkable(const uint8_t *frame, int64_t size, const link_layer *link,
                           const port_list *ports, shape_list *known, int64_t mtu,
                           int64_t longest) noexcept nogil:
    cdef uint8_t row[ROW_SIZE]
    cdef PacketInfo info
    cdef headers h
    cdef fault why
    if size > longest or read_row(row, known, frame, size, link, ports, &why) < 0:
        return False
    memcpy(&h, row, ROW_SIZE)
    memset(&info, 0, sizeof(info))
    _packet_info(frame, size, &h, &info)
    return (
        0 < info.length <= mtu and not info.partial and not info.blank
        and not (info.protocol == IPPROTO_TCP and info.flags & TCPHDR_SYN))


cdef void _packet_info(const uint8_t *frame, int64_t size, const headers *h,
                       PacketInfo *info) noexcept nogil:
    cdef bint tunnelled = h.inner_network_header >= 0
    cdef bint divided = tunnelled and _is_outer_fragment(frame, h)
    cdef int32_t outer = h.network_header, inner = h.inner_network_header
    cdef int32_t network = inner if tunnelled else outer
    cdef int32_t transport = h.inner_transport_header if tunnelled else h.transport_header
    info.network = network
    info.hlen = h.payload
    if _announces(frame, outer, ETH_P_IP, PPP_IP) \
            and _is_blank(frame, size, outer, h.transport_header):
        info.blank = BLANK_OUTER
    if tunnelled and h.inner_version == 4 and not divided \
            and _is_blank(frame, size, inner, transport):
        info.blank |= BLANK_INNER
    if network >= 0 and network < transport <= h.payload <= size:
        _read_network(frame, size, network, transport, h, info)
    info.fragment |= divided
    if network >= 0 and network < transport < h.payload <= size:
        _read_transport(frame, size, network, transport, h.payload, h.l4, h.inner_version, info)


cdef bint _announces(const uint8_t *frame, int32_t network, uint32_t by_ethernet,
                     uint32_t by_ppp) noexcept nogil:
    """Whether the outer IP header is announced: by a type before it, or as a frame's first."""
    cdef uint32_t kind
    if network < 2:
        return network == 0
    kind = get16(frame + network - 2)
    return kind == by_ethernet or kind == by_ppp


cdef bint _is_outer_fragment(const uint8_t *frame, const headers *h) noexcept nogil:
    """Whether what carries the tunnel is a fragment: the same number would be in each segment."""
    cdef int32_t outer = h.network_header
    if _announces(frame, outer, ETH_P_IP, PPP_IP) and frame[outer] >> 4 == 4:
        return _is_fragment(frame, outer, h.transport_header, 4)
    if _announces(frame, outer, ETH_P_IPV6, PPP_IPV6) and frame[outer] >> 4 == 6:
        return _is_fragment(frame, outer, h.transport_header, 6)
    return False


cdef bint _is_blank(const uint8_t *frame, int64_t size, int32_t network,
                    int32_t transport) noexcept nogil:
    """Whether an IPv4 header's checksum is left to a device: 0 where it should not be.

    A header is believed to be one where its version, its length and the packet's length fit.
    """
    cdef const uint8_t *ip = frame + network
    cdef int64_t hlen, length
    if network < 0 or size - network < IPV4_HLEN or get16(ip + IPV4_CHECK):
        return False
    hlen = <int64_t>(ip[0] & 15) * 4
    length = get16(ip + IPV4_TOT_LEN)
    if ip[0] >> 4 != 4 or hlen < IPV4_HLEN or transport != network + hlen:
        return False
    if not hlen <= length <= size - network:
        return False
    return fold(short_sum(ip, hlen)) != 0xffff


cdef void _read_network(const uint8_t *frame, int64_t size, int32_t network, int32_t transport,
                        const headers *h, PacketInfo *info) noexcept nogil:
    """Read the innermost IP header, which may carry anything."""
    cdef const uint8_t *ip = frame + network
    cdef uint8_t version = h.inner_version
    cdef int64_t length, most = size - network
    if most < (IPV4_HLEN if version == 4 else IPV6_HLEN) or ip[0] >> 4 != version:
        return
    if version == 4:
        length = get16(ip + IPV4_TOT_LEN)
        info.carried = ip[IPV4_PROTOCOL]
    else:
        length = get16(ip + IPV6_PAYLOAD_LEN)
        length += IPV6_HLEN if length else 0
        info.carried = ip[IPV6_NEXTHDR]
    info.plausible = (version == 6 or get16(ip + IPV4_CHECK) == 0
                      or fold(short_sum(ip, transport - network)) == 0xffff)
    if _is_labelled(frame, network, h.network_header) and not _may_follow_mpls(
        ip, version, length, most, info
    ):
        return
    # A length of 0, or one that overflowed, is left by segmentation offload.
    info.sure = most > MAX_IP_LEN or length == 0 or h.payload - network <= length <= most
    info.fragment = _is_fragment(frame, network, transport, version)
    info.length = length if 0 < length < most else most


cdef bint _is_labelled(const uint8_t *frame, int32_t network, int32_t first) noexcept nogil:
    """Whether MPLS labels precede the header at `network`, down to an Ethernet type of theirs."""
    cdef int32_t at = network - MPLS_HLEN
    cdef uint16_t kind
    if at < max(first, 2) or not frame[at + MPLS_BOTTOM] & MPLS_LS_S:
        return False
    while at >= max(first, 2):
        kind = get16(frame + at - 2)
        if kind == ETH_P_MPLS_UC or kind == ETH_P_MPLS_MC:
            return True
        at -= MPLS_HLEN
        if frame[at + MPLS_BOTTOM] & MPLS_LS_S:
            return False
    return False


cdef bint _may_follow_mpls(const uint8_t *ip, uint8_t version, int64_t length, int64_t most,
                           const PacketInfo *info) noexcept nogil:
    """Whether this is an IP packet, not the Ethernet frame of a pseudowire: no field says which."""
    cdef uint16_t kind
    if version == 4:
        return info.plausible and get16(ip + IPV4_CHECK) != 0
    kind = get16(ip + ETH_TYPE)
    if kind == ETH_P_IP or kind == ETH_P_IPV6 or kind == ETH_P_8021Q or kind == ETH_P_8021AD:
        return False
    return length == 0 or 0 <= most - length <= TRAILER


cdef void _read_transport(const uint8_t *frame, int64_t size, int32_t network, int32_t transport,
                          int32_t payload, uint8_t protocol, uint8_t version,
                          PacketInfo *info) noexcept nogil:
    cdef const uint8_t *ip = frame + network
    cdef const uint8_t *l4 = frame + transport
    cdef int32_t addresses = IPV4_SADDR if version == 4 else IPV6_SADDR
    cdef int32_t width = IPV4_ADDRESS_LEN if version == 4 else IPV6_ADDRESS_LEN
    cdef const uint8_t *last = NULL
    cdef int64_t end
    if version not in (4, 6) or protocol not in (IPPROTO_TCP, IPPROTO_UDP):
        return
    if info.fragment or not info.length:
        return
    if transport - network < addresses + 2 * width or payload - transport < UDP_HLEN:
        return
    if protocol == IPPROTO_TCP and payload - transport < TCP_HLEN:
        return
    info.protocol = protocol
    info.version = version
    info.source_port = get16(l4)
    info.destination_port = get16(l4 + UDP_DEST)
    if version == 4:
        memcpy(info.source, ip + IPV4_SADDR, IPV4_ADDRESS_LEN)
        memcpy(info.destination, ip + IPV4_SADDR + IPV4_ADDRESS_LEN, IPV4_ADDRESS_LEN)
        memcpy(info.final, info.destination, IPV4_ADDRESS_LEN)
    else:
        memcpy(info.source, ip + IPV6_SADDR, IPV6_ADDRESS_LEN)
        memcpy(info.destination, ip + IPV6_SADDR + IPV6_ADDRESS_LEN, IPV6_ADDRESS_LEN)
        last = final_destination(ip, l4)
        if last is NULL:
            last = &info.destination[0]
        memcpy(info.final, last, IPV6_ADDRESS_LEN)
    end = _end(frame, size, network, transport, payload, width, info)
    info.length = end - network
    info.payload = max(end - payload, 0)
    info.partial = _is_partial(info, l4, width, end - transport)
    if protocol == IPPROTO_TCP:
        info.tcp_hlen = <uint8_t>(payload - transport)
        info.flags = l4[TCP_FLAGS]
        _tcp_options(l4 + TCP_HLEN, payload - transport - TCP_HLEN, info)


cdef bint _is_fragment(const uint8_t *frame, int32_t network, int32_t transport,
                       uint8_t version) noexcept nogil:
    """Whether this is a fragment of an IP packet, which must not be cut further."""
    cdef int32_t at = network + IPV6_HLEN
    cdef uint8_t following
    if version == 4:
        return (transport - network >= IPV4_HLEN
                and get16(frame + network + IPV4_FRAG_OFF) & (IP_MF | IP_OFFSET) != 0)
    if transport < at:
        return False
    following = frame[network + IPV6_NEXTHDR]
    while at + IPV6_EXT_HLEN <= transport:
        if following == IPPROTO_FRAGMENT:
            return True
        following = frame[at]
        at += 8 * (frame[at + IPV6_EXT_HDRLEN] + 1)
    return False


cdef int64_t _end(const uint8_t *frame, int64_t size, int32_t network, int32_t transport,
                  int32_t payload, int32_t width, const PacketInfo *info) noexcept nogil:
    """Where the packet ends and a trailer may begin; see `gso.headers.ends`."""
    cdef const uint8_t *ip = frame + network
    cdef const uint8_t *l4 = frame + transport
    cdef int64_t end = network
    if info.version == 4:
        end += get16(ip + IPV4_TOT_LEN)
    else:
        end += IPV6_HLEN + get16(ip + IPV6_PAYLOAD_LEN)
    if not payload <= end < size:
        return size
    if size <= PADDED or size - end == ETH_FCS_LEN or _is_partial(info, l4, width, end - transport):
        return end
    if info.protocol == IPPROTO_UDP and get16(l4 + UDP_CHECK) == 0:
        return end if size - end <= TRAILER and get16(l4 + UDP_LEN) == end - transport else size
    if _is_summed(info, l4, width, end - transport):
        return end
    # Where no checksum is right, a short rest is a trailer: what is left of a super-packet is long.
    if size - end <= TRAILER and not (_is_partial(info, l4, width, size - transport)
                                      or _is_summed(info, l4, width, size - transport)):
        return end
    return size


cdef bint _is_summed(const PacketInfo *info, const uint8_t *l4, int32_t width,
                     int64_t length) noexcept nogil:
    """Whether the checksum is that of the packet if it ends `length` bytes after `l4`."""
    return fold(_pseudo(info, width, length) + simd.sum(l4, length)) == 0xffff


cdef uint64_t _pseudo(const PacketInfo *info, int32_t width, int64_t length) noexcept nogil:
    cdef uint64_t total = short_sum(info.source, width) + short_sum(info.final, width)
    return total + htons(info.protocol) + length_sum(length)


cdef bint _is_partial(const PacketInfo *info, const uint8_t *l4, int32_t width,
                      int64_t length) noexcept nogil:
    """Whether the checksum is still to be completed by an offload (CHECKSUM_PARTIAL)."""
    cdef const uint8_t *field = l4 + (TCP_CHECK if info.protocol == IPPROTO_TCP else UDP_CHECK)
    cdef uint16_t total = fold(_pseudo(info, width, length))
    # A UDP checksum of 0 is none at all.
    return load16(field) == total and (total != 0 or info.protocol == IPPROTO_TCP)


cdef void _tcp_options(const uint8_t *options, int32_t size, PacketInfo *info) noexcept nogil:
    cdef int32_t at = 0, length
    while at < size and options[at] != TCPOPT_EOL:
        if options[at] == TCPOPT_NOP:
            at += 1
            continue
        length = options[at + 1] if at + 1 < size else 0
        if length < 2 or length > size - at:
            return
        if options[at] == TCPOPT_MSS and length == TCPOLEN_MSS:
            info.mss = get16(options + at + 2)
        elif options[at] == TCPOPT_TIMESTAMP:
            info.timestamps = 1
        at += length
