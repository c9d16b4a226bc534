# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Frames in which all is right, told at memory speed from those to look at with care.

A frame is fine here if it is one of the usual kinds and every length and checksum in it is right.
`gso.rules.frames` finds nothing in such a frame, and `gso.headers.followed` nothing that is not
followed. Where all but checksums is right, and those are left to a device, or where all is right up
to what is not followed, it is told which these are: what is said of one such frame is said of all.
Of any other frame nothing is said: those functions judge it.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from gso.buffers._bytes cimport get16, load16
from gso.buffers._checksum cimport fold, length_sum, short_sum, simd
from gso.buffers._crc32c cimport crc, store_crc
from gso.buffers._frames cimport Frames
from gso.headers._ambiguous cimport guess, guess_tunnel
from gso.headers._arguments cimport as_link, drop_ports, ethernet_or_raw, take_ports
from gso.headers._numbers cimport (
    ETH_HLEN, ETH_P_IP, ETH_P_IPV6, GRE_CHECK_HLEN, IPPROTO_FRAGMENT, IPPROTO_GRE, IPPROTO_IPIP,
    IPPROTO_IPV6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPV4_CHECK, IPV4_FRAG_OFF, IPV4_HLEN,
    IPV4_NO_OPTIONS, IPV4_PROTOCOL, IPV4_TOT_LEN, IPV6_HLEN, IPV6_NEXTHDR, IPV6_PAYLOAD_LEN, IP_MF,
    IP_OFFSET, PPPOE_BASE_HLEN, PPPOE_LENGTH, SCTP_CHECK, SCTP_HLEN, TCP_CHECK, UDP_CHECK, UDP_DEST,
    UDP_LEN,
)
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._walk cimport (
    LAYER_GRE, LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP, LINK_FAMILY, LINK_UNTYPED,
    STEP_ETHERNET, STEP_MPLS, STEP_NSH, drop_copy, fault, header_copy, headers, is_family, layer,
    link_layer, port_list, read_headers,
)

import numpy as np

from gso.headers.links import LINKS, PPP, PPPOE
from gso.headers.protocols import BY_ETHERTYPE, BY_IP_PROTOCOL
from gso.headers.tunnels import UDP_TUNNELS

cdef enum:
    ETH_P_ARP = 0x0806
    ETH_FCS_LEN = 4
    ARP_HLEN = 28           # for IPv4 in Ethernet
    ICMP_HLEN = 4           # type, code and checksum
    IPPROTO_NONE = 59       # no next header
    IPV6_FRAGMENT_HLEN = 8
    IPV6_FRAG_OFF = 2
    IPV6_OFFSET = 0xfff8
    TRAILER = 64            # longest trailer that is believed without a checksum
    SNAP = 0xaaaa           # the first bytes of a header that follows a length
    MOST_TYPES = 16
    IPOPT_END = 0
    IPOPT_NOOP = 1
    IPOPT_LSRR = 131
    IPOPT_SSRR = 137
    IPPROTO_ICMP = 1
    IPPROTO_ICMPV6 = 58
    PADDED = 64             # longest Ethernet frame that may have been padded, with its FCS
    # The findings on a frame, a bit each
    IS_FINE = 1
    IS_WHOLE = 2            # nothing in it is a fragment of an IP packet
    # Which checksums are left to a device: the offsets of four in one number, 16 bits each
    LEFT_IP = 0
    LEFT_OUTER_UDP = 16
    LEFT_INNER_IP = 32
    LEFT_TRANSPORT = 48
    LEFT_MOST = 1 << 14     # offsets are less, so that two bits of each field are free
    MOST_LEVELS = 2         # of IP
    OPAQUE_ROWS = 15        # rows of UDP_TUNNELS that the free bits of two fields can tell
    # What is not followed, where nothing is left to a device, in bits above its number
    BY_PROTOCOL = 1 << 16
    BY_TYPE = 2 << 16
    BEHIND_VLAN = 4 << 16
# In these bits is what else the names of the fields depend on.
cdef uint64_t IN_TUNNEL = 1 << 14
cdef uint64_t TWO_LEVELS = 1 << 15
cdef uint64_t IS_UDP = <uint64_t>1 << 63
cdef uint64_t NOT_FOLLOWED = <uint64_t>1 << 62
if len(UDP_TUNNELS) > OPAQUE_ROWS or len(BY_ETHERTYPE) > MOST_TYPES:
    raise ImportError("gso.headers._fine has no room for so many tunnels or types")

# The IP protocols and Ethernet types behind which headers are read
cdef uint8_t[256] read_protocols = bytes(one in BY_IP_PROTOCOL for one in range(256))
cdef uint16_t[MOST_TYPES] read_types
cdef int n_types = 0
for one in BY_ETHERTYPE:
    read_types[n_types] = one
    n_types += 1

# A frame: `before` bytes of it precede what the walk reads.
cdef struct whole:
    const uint8_t *p
    Py_ssize_t size
    Py_ssize_t before
    int64_t mtu             # the longest outermost IP packet, or 0
    uint64_t left           # which checksums are left to a device
    uint64_t unread         # what is not followed


def fine_frames(
    Frames frames not None, link_type, *, tunnel_ports=None, mtu=None, tunnels=None, fragments=None,
    alike=None
):
    """Which whole frames are fine: array of bool, shape (n,).

    The arguments are those of `gso.rules.frames.validate_frame`. Into `tunnels`, a Counter, goes
    how many frames may be in a tunnel on an unknown port: by the port and the tunnel's name, as
    `gso.headers._ambiguous.guess_tunnels` has them. `fragments`, an array of bool, shape (n,), is
    filled with which frames may be fragments of an IP packet; those that are fine or not. `alike`,
    an array of uint64, shape (n,), is filled with a number for each frame in which all is right but
    for checksums that are left to a device, and up to what is not followed, and 0 for the others.
    Frames of one number are alike: what is found in them has the same rules, severities, names of
    fields and offsets, and the same is not followed.
    """
    cdef port_list ports
    cdef const link_layer *link
    cdef Py_ssize_t before, type_at, i, n = frames.n
    cdef int64_t most = 0 if mtu is None else mtu
    told, waiting = np.zeros(n, np.uint8), np.zeros(n, np.uint64)
    if fragments is not None:
        fragments[:] = True
    if link_type not in LINKS:  # nothing can be said of any frame
        if fragments is not None:
            fragments[:] = False
        if alike is not None:
            alike[:] = NOT_FOLLOWED
        return told.view(np.bool_)
    if LINKS[link_type].type_at in (PPP, PPPOE) or not n:
        return told.view(np.bool_)
    cdef uint8_t[::1] out = told
    cdef uint64_t[::1] out_left = waiting
    link = as_link(link_type)
    before, type_at = link.length, link.type_at
    if link_type == "ethernet":
        before, type_at = 0, LINK_UNTYPED
    else:  # its header is looked at here, and the walk begins with the IP packet
        link = ethernet_or_raw(True)
    guesses = np.zeros(n if tunnels is not None else 0, np.uint32)
    cdef uint32_t[::1] guessed = guesses
    take_ports(&ports, tunnel_ports)
    with nogil:
        for i in range(n):
            out[i] = told_of_frame(
                whole(frames.buf + frames.off[i], frames.off[i + 1] - frames.off[i], before, most,
                      0, 0),
                link, type_at, &ports, &guessed[i] if guessed.shape[0] else NULL, &out_left[i])
    count_guesses(guesses, tunnels)
    drop_ports(&ports)
    if fragments is not None:
        fragments[:] = told & IS_WHOLE == 0
    if alike is not None:
        alike[:] = waiting
    return told & IS_FINE != 0


def count_guesses(guesses, tunnels):
    """Add guesses, as `guessed_tunnel` makes them, to a Counter of ports and names of tunnels."""
    for number, count in zip(*np.unique(guesses[guesses != 0], return_counts=True)):
        row, protocol = UDP_TUNNELS[int(number) >> 8 & 0xff], int(number) & 0xff
        name = f"{row.name}:{protocol}" if protocol else row.name
        tunnels[int(number) >> 16, name] += int(count)


cdef uint32_t guessed_tunnel(
    const headers *h, const whole *f, const link_layer *link, const port_list *ports
) noexcept nogil:
    """The tunnel that the UDP payload may be: port, row and IP protocol in one number; 0: none."""
    cdef guess found = guess_tunnel(h, f.p, f.size, link, ports)
    if found.row is NULL:
        return 0
    return (<uint32_t>get16(f.p + h.l4_header + UDP_DEST) << 16
            | <uint32_t>(found.row - ports.known.rows) << 8 | found.protocol)


cdef uint8_t told_of_frame(
    whole f, const link_layer *link, Py_ssize_t type_at, const port_list *ports, uint32_t *guessed,
    uint64_t *alike
) noexcept nogil:
    """IS_FINE and IS_WHOLE, as far as they are sure; and a number for frames that are alike."""
    cdef bint fragment
    cdef headers h
    cdef header_copy copy
    cdef fault why
    cdef int failed
    if f.size <= f.before or (type_at != LINK_UNTYPED and not is_typed(&f, type_at)):
        return 0
    f.p += f.before
    f.size -= f.before
    failed = read_headers(&h, &why, &copy, f.p, f.size, link, ports)
    drop_copy(&copy)
    if failed:
        return 0
    if guessed is not NULL and h.l4 == IPPROTO_UDP:
        guessed[0] = guessed_tunnel(&h, &f, link, ports)
    if not is_usual(&h):
        return 0
    if is_right(&f, &h):
        fragment = has_fragment(&f, &h)
        if h.opaque is not NULL and not fragment and f.size > h.payload:
            f.unread |= opaque_row(&h, ports)
        if f.left and f.unread & NOT_FOLLOWED:  # both in one number have no room
            return 0 if fragment else IS_WHOLE
        alike[0] = (f.left and f.left | names_of(&h)) | f.unread
        return (0 if alike[0] else IS_FINE) | (0 if fragment else IS_WHOLE)
    if h.steps & 1 << STEP_MPLS:  # what follows labels is sure only where it is right
        return 0
    if h.refusal.field is NULL and is_direct(&f, &h) and not has_fragment(&f, &h):
        return IS_WHOLE
    return 0


cdef uint64_t names_of(const headers *h) noexcept nogil:
    """The things that name the fields: levels of IP, a tunnel, the innermost protocol."""
    cdef int k, levels = 0
    for k in range(h.n):
        levels += h.layers[k].kind == LAYER_IPV4 or h.layers[k].kind == LAYER_IPV6
    return ((TWO_LEVELS if levels == MOST_LEVELS else 0) | (IN_TUNNEL if h.tunnel else 0)
            | (IS_UDP if h.l4 == IPPROTO_UDP else 0))


cdef uint64_t opaque_row(const headers *h, const port_list *ports) noexcept nogil:
    """The row of what UDP carries and is not followed, from 1, in the free bits of two fields."""
    cdef uint64_t number = <uint64_t>(h.opaque - ports.known.rows) + 1
    return (number & 3) << LEFT_OUTER_UDP + 14 | (number >> 2) << LEFT_INNER_IP + 14


cdef bint leave(whole *f, Py_ssize_t at, int place) noexcept nogil:
    """Note that the checksum at `at` is left to a device; whether that can be noted."""
    f.left |= <uint64_t>at << place
    return at < LEFT_MOST


cdef bint is_direct(const whole *f, const headers *h) noexcept nogil:
    """Whether the walk came to TCP or UDP without extension headers of IPv6."""
    cdef int k
    for k in range(h.n):
        if h.layers[k].kind != LAYER_IPV6:
            continue
        if not is_followed(f.p[h.layers[k].offset + IPV6_NEXTHDR]):
            return False
    return h.n > 0 and (h.l4 == IPPROTO_TCP or h.l4 == IPPROTO_UDP)


cdef bint has_fragment(const whole *f, const headers *h) noexcept nogil:
    cdef int k
    for k in range(h.n):
        if is_fragment(f, &h.layers[k]):
            return True
    return h.l4 == 0 and is_ipv6_fragment(f, h)


cdef bint is_typed(const whole *f, Py_ssize_t type_at) noexcept nogil:
    """Whether the link's header announces the IP version of what follows."""
    cdef unsigned int version = f.p[f.before] >> 4
    if type_at == LINK_FAMILY:
        return is_family(f.p, version)
    return get16(f.p + type_at) == (ETH_P_IP if version == 4 else ETH_P_IPV6)


cdef bint is_usual(const headers *h) noexcept nogil:
    """Whether the walk, and what is judged here, are all that there is to the headers."""
    cdef int k, tunnels = 0
    for k in range(h.n):
        tunnels += h.layers[k].kind == LAYER_UDP
    if tunnels > 1 or (h.udp is not NULL and h.udp.field_if):
        return False
    return not (h.steps & 1 << STEP_NSH or h.remcsum or h.jumbo >= 0)


cdef bint is_right(whole *f, const headers *h) noexcept nogil:
    """Whether every length and checksum is right, each level ending where the one around it does.

    Checksums that are left to a device count as right, and are noted.
    """
    cdef Py_ssize_t end = f.size
    cdef int k, levels = 0
    if h.n == 0:
        return is_arp(f, h) or is_unread_type(f, h)
    if h.l4 == 0 and is_ipv6_fragment(f, h):
        return ip_end(f, h, &h.layers[0], end, 0) >= h.payload + IPV6_FRAGMENT_HLEN
    for k in range(h.n):
        if h.layers[k].kind == LAYER_IPV4 or h.layers[k].kind == LAYER_IPV6:
            end = ip_end(f, h, &h.layers[k], end, levels)
            levels += 1
            if end < h.payload or (k < h.n - 1 and is_fragment(f, &h.layers[k])):
                return False
        elif not is_right_layer(f, h, k, end):
            return False
    if levels == 0 or not is_right_transport(f, h, end):
        return False
    if f.left and (h.steps & 1 << STEP_MPLS or is_trailer(f, end)):
        return False  # the names depend on labels, and the checksums tell whether it is a trailer
    return f.left == 0 or levels <= MOST_LEVELS


cdef bint is_fragment(const whole *f, const layer *one) noexcept nogil:
    return (one.kind == LAYER_IPV4
            and get16(f.p + one.offset + IPV4_FRAG_OFF) & (IP_MF | IP_OFFSET) != 0)


cdef bint is_arp(const whole *f, const headers *h) noexcept nogil:
    return (h.refusal.field is not NULL and h.refusal.value == ETH_P_ARP
            and h.network_header >= 2 and get16(f.p + h.network_header - 2) == ETH_P_ARP
            and f.size - h.network_header >= ARP_HLEN)


cdef bint is_unread_type(whole *f, const headers *h) noexcept nogil:
    """Whether the type of Ethernet, or of the tag before, announces what is not followed."""
    cdef Py_ssize_t at = h.network_header
    cdef int i
    if f.before or h.refusal.field is NULL or h.steps != 1 << STEP_ETHERNET or at < ETH_HLEN:
        return False
    if h.refusal.offset != at - 2 or h.refusal.value != get16(f.p + at - 2):
        return False
    if at + 2 > f.size or get16(f.p + at) == SNAP:
        return False
    for i in range(n_types):
        if h.refusal.value == read_types[i]:
            return False
    f.unread = NOT_FOLLOWED | BY_TYPE | (BEHIND_VLAN if at > ETH_HLEN else 0) | <uint64_t>get16(
        f.p + at - 2)
    return True


cdef Py_ssize_t ip_end(
    whole *f, const headers *h, const layer *one, Py_ssize_t around, int level
) noexcept nogil:
    """Where the IP packet of this header ends, `level` others around it; -1: it is not as usual."""
    cdef const uint8_t *ip = f.p + one.offset
    cdef Py_ssize_t end = one.offset
    cdef uint8_t proto
    if one.kind == LAYER_IPV4:
        if ip[0] != IPV4_NO_OPTIONS and not (ip[0] >> 4 == 4 and is_straight(ip, one.hlen)):
            return -1
        if fold(short_sum(ip, one.hlen)) != 0xffff and (
            load16(ip + IPV4_CHECK) != 0 or h.steps & 1 << STEP_MPLS
            or not leave(f, one.offset + IPV4_CHECK, LEFT_INNER_IP if level else LEFT_IP)
        ):
            return -1
        end += get16(ip + IPV4_TOT_LEN)
    else:
        # No checksum tells IPv6 behind labels.
        if ip[0] >> 4 != 6 or h.steps & 1 << STEP_MPLS:
            return -1
        proto = ip[IPV6_NEXTHDR]
        if proto == IPPROTO_FRAGMENT and h.n > 1:
            return -1
        if not (is_followed(proto) or is_unread(proto) or proto == IPPROTO_FRAGMENT):
            return -1
        end += IPV6_HLEN + get16(ip + IPV6_PAYLOAD_LEN)
    if level == 0 and f.mtu and end - one.offset > f.mtu:
        return -1
    if end == around or (h.n == 1 and h.tunnel == 0 and may_follow(f, end)):
        return end
    return -1


cdef bint is_followed(uint8_t proto) noexcept nogil:
    """Whether what an IPv6 header announces is no extension header, and is known here."""
    return (proto == IPPROTO_TCP or proto == IPPROTO_UDP or proto == IPPROTO_ICMPV6
            or proto == IPPROTO_SCTP or proto == IPPROTO_GRE or proto == IPPROTO_IPIP
            or proto == IPPROTO_IPV6)


cdef bint is_unread(uint8_t proto) noexcept nogil:
    """Whether nothing is known of what an IP header announces."""
    return not read_protocols[proto] and proto != IPPROTO_NONE


cdef bint is_straight(const uint8_t *ip, Py_ssize_t hlen) noexcept nogil:
    """Whether the options of an IPv4 header can be read, and have no source route."""
    cdef Py_ssize_t at = IPV4_HLEN
    while at < hlen and ip[at] != IPOPT_END:
        if ip[at] == IPOPT_NOOP:
            at += 1
            continue
        if at + 1 >= hlen or ip[at + 1] < 2 or at + ip[at + 1] > hlen:
            return False
        if ip[at] == IPOPT_LSRR or ip[at] == IPOPT_SSRR:
            return False
        at += ip[at + 1]
    return True


cdef bint may_follow(const whole *f, Py_ssize_t end) noexcept nogil:
    """Whether the bytes after the only IP packet can be padding or a trailer."""
    return end < f.size <= end + TRAILER


cdef bint is_trailer(const whole *f, Py_ssize_t end) noexcept nogil:
    """Whether what follows is neither padding nor a frame check sequence."""
    return f.size + f.before > PADDED and f.size - end != ETH_FCS_LEN and f.size > end


cdef bint is_right_layer(whole *f, const headers *h, int k, Py_ssize_t end) noexcept nogil:
    """Whether the header of a UDP tunnel, GRE or PPPoE fits what ends at `end`."""
    cdef const layer *one = &h.layers[k]
    cdef const uint8_t *p = f.p + one.offset
    cdef Py_ssize_t length = end - one.offset
    if one.kind == LAYER_PPPOE:
        return get16(p + PPPOE_LENGTH) == length - PPPOE_BASE_HLEN
    if one.kind == LAYER_GRE:
        return length >= GRE_CHECK_HLEN and fold(simd.sum(p, length)) == 0xffff
    if k == 0 or get16(p + UDP_LEN) != length:
        return False
    if load16(p + UDP_CHECK) == 0:
        return True
    if sum_is_right(f, &h.layers[k - 1], one.offset, end, IPPROTO_UDP):
        return True
    return is_left(f, &h.layers[k - 1], one.offset, end, IPPROTO_UDP, LEFT_OUTER_UDP)


cdef bint is_left(
    whole *f, const layer *ip, Py_ssize_t start, Py_ssize_t end, unsigned int proto, int place
) noexcept nogil:
    """Whether a wrong checksum is left to a device: the sum of the pseudo header, or of TCP, 0.

    That sum is never 0, and 0xffff, which might stand for 0, is left in doubt.
    """
    cdef Py_ssize_t at = start + (TCP_CHECK if proto == IPPROTO_TCP else UDP_CHECK)
    cdef unsigned int value = load16(f.p + at)
    cdef uint64_t total = pseudo_sum(f.p + ip.offset, ip.kind == LAYER_IPV4, proto)
    if value == 0xffff or (value and fold(total + length_sum(end - start)) != value):
        return False
    return leave(f, at, place)


cdef bint sum_is_right(
    const whole *f, const layer *ip, Py_ssize_t start, Py_ssize_t end, unsigned int proto
) noexcept nogil:
    """Whether a checksum is right that covers a pseudo header and these bytes."""
    cdef uint64_t total = pseudo_sum(f.p + ip.offset, ip.kind == LAYER_IPV4, proto)
    return fold(total + length_sum(end - start) + simd.sum(f.p + start, end - start)) == 0xffff


cdef bint is_right_transport(whole *f, const headers *h, Py_ssize_t end) noexcept nogil:
    cdef const layer *ip = &h.layers[h.n - 1]
    if not (ip.kind == LAYER_IPV4 or ip.kind == LAYER_IPV6):
        return False
    if is_fragment(f, ip):
        return is_right_fragment(f, h, ip)
    if h.l4 == 0:
        return is_right_icmp(f, h, ip, end)
    if h.refusal.field is not NULL:
        return False
    if h.l4 == IPPROTO_UDP:
        if get16(f.p + h.l4_header + UDP_LEN) != end - h.l4_header:
            return False
        if load16(f.p + h.l4_header + UDP_CHECK) == 0:
            return ip.kind == LAYER_IPV4
    if sum_is_right(f, ip, h.l4_header, end, h.l4):
        return True
    return is_left(f, ip, h.l4_header, end, h.l4, LEFT_TRANSPORT)


cdef bint is_ipv6_fragment(const whole *f, const headers *h) noexcept nogil:
    """Whether this is a later fragment of IPv6, in no tunnel: nothing behind its header is judged.
    """
    cdef const uint8_t *p = f.p + h.payload
    if h.n != 1 or h.tunnel or h.layers[0].kind != LAYER_IPV6:
        return False
    if f.p[h.layers[0].offset + IPV6_NEXTHDR] != IPPROTO_FRAGMENT:
        return False
    if f.size < h.payload + IPV6_FRAGMENT_HLEN:
        return False
    return get16(p + IPV6_FRAG_OFF) & IPV6_OFFSET != 0


cdef bint is_right_fragment(const whole *f, const headers *h, const layer *ip) noexcept nogil:
    """Whether this is a fragment of TCP, UDP, SCTP or ICMP in no tunnel: no sum is judged."""
    cdef uint8_t proto = f.p[ip.offset + IPV4_PROTOCOL]
    if h.n != 1 or h.tunnel:
        return False
    if proto == IPPROTO_TCP and not get16(f.p + ip.offset + IPV4_FRAG_OFF) & IP_OFFSET:
        return h.l4 == IPPROTO_TCP
    return (proto == IPPROTO_TCP or proto == IPPROTO_UDP or proto == IPPROTO_SCTP
            or proto == IPPROTO_ICMP)


cdef bint crc_is_right(const uint8_t *p, Py_ssize_t size) noexcept nogil:
    """Whether the CRC32c of an SCTP packet is right; one that is left to a device is not."""
    cdef uint8_t header[SCTP_HLEN]
    if size < SCTP_HLEN:
        return False
    memcpy(header, p, SCTP_CHECK)
    memset(header + SCTP_CHECK, 0, SCTP_HLEN - SCTP_CHECK)
    cdef uint32_t value = crc.update(~0, header, SCTP_HLEN)
    store_crc(header + SCTP_CHECK, ~crc.update(value, p + SCTP_HLEN, size - SCTP_HLEN))
    return memcmp(header + SCTP_CHECK, p + SCTP_CHECK, SCTP_HLEN - SCTP_CHECK) == 0


cdef bint is_right_icmp(
    whole *f, const headers *h, const layer *ip, Py_ssize_t end
) noexcept nogil:
    """Whether this is ICMP or SCTP, and right, or of a protocol that is not followed.

    The walk refuses to segment the protocol for nothing else.
    """
    cdef bint v4 = ip.kind == LAYER_IPV4
    cdef Py_ssize_t field = ip.offset + (IPV4_PROTOCOL if v4 else IPV6_NEXTHDR)
    cdef Py_ssize_t start = ip.offset + (ip.hlen if v4 else IPV6_HLEN)
    if h.refusal.field is NULL or h.refusal.offset != field:
        return False
    if is_unread(f.p[field]):
        f.unread = NOT_FOLLOWED | BY_PROTOCOL | <uint64_t>f.p[field]
        return True
    if f.p[field] == IPPROTO_SCTP:
        return crc_is_right(f.p + start, end - start)
    if end - start < ICMP_HLEN:
        return False
    if f.p[field] != (IPPROTO_ICMP if v4 else IPPROTO_ICMPV6):
        return False
    if v4:
        return fold(simd.sum(f.p + start, end - start)) == 0xffff
    return sum_is_right(f, ip, start, end, IPPROTO_ICMPV6)
