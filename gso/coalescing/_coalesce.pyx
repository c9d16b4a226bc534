# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Merging of segments into super-packets as the Linux kernel's software GRO does it.

One pass decides which frames are merged (_gro), and writes them while they come in the order of the
output; otherwise a second one copies. Of frames that lie in a caller's buffer (Spans), only those
that are merged are written.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from cpython.number cimport PyNumber_Index
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from gso.buffers._bytes cimport get16, load16, put16, store16
from gso.buffers._checksum cimport fold, length_sum, not_zero, short_sum, simd, sum_at
from gso.buffers._frames cimport Frames
from gso.buffers._memory cimport SMALL, Memory, address, new_bytes
from gso.buffers._signals cimport FRAME_WORK, PIECE, RELEASE_GIL, check_signals, span_piece_end
from gso.buffers._spans cimport Spans, as_spans
from gso.coalescing._gro cimport assign_frames, judge_held
from gso.coalescing._held cimport NO_SLOT, gro_state, held_packet, is_listed, packet
from gso.headers._arguments cimport as_kernel, as_link, drop_ports, is_partial, take_ports
from gso.headers._numbers cimport (
    ETH_P_8021AD, ETH_P_8021Q, ETH_P_PPP_SES, GRE_CHECK, GRO_LEGACY_MAX_SIZE, GRO_MAX_SIZE,
    IPPROTO_HOPOPTS, IPPROTO_TCP, IPPROTO_UDP, IPV4_CHECK, IPV4_HLEN, IPV4_TOT_LEN,
    IPV6_EXT_HDRLEN, IPV6_EXT_NEXTHDR, IPV6_HLEN, IPV6_NEXTHDR, IPV6_PAYLOAD_LEN, IPV6_TLV_AT,
    IPV6_TLV_JUMBO, IPV6_TLV_JUMBO_LEN, JUMBO_AT, JUMBO_HLEN, PPPOE_BASE_HLEN, PPPOE_LENGTH,
    TCPHDR_FIN, TCPHDR_PSH, TCP_CHECK, TCP_FLAGS, UDP_CHECK, UDP_LEN, VLAN_HLEN,
)
from gso.headers._pseudo_header cimport pseudo_sum
from gso.headers._walk cimport (
    LAYER_IPV4, LAYER_IPV6, LAYER_PPPOE, LAYER_UDP, drop_copy, fault, header_copy, headers,
    layer, link_layer, port_list, read_headers,
)

from os import urandom

import numpy as np

from gso.constants import GsoType, Reason
from gso.errors import GsoError
from gso.headers._layout import parse_batch
from gso.headers._vnet import describable, vnet_headers

cdef extern from "Python.h":
    long long PyLong_AsLongLongAndOverflow(object number, int *overflow) except? -1

# Of the hash of flows. Whoever sends packets does not know it, and cannot choose equal hashes.
cdef uint64_t SEED[2]
memcpy(SEED, PyBytes_AS_STRING(urandom(sizeof(SEED))), sizeof(SEED))
SEED[1] |= 1

# ---- output ---------------------------------------------------------------------------------

cdef Py_ssize_t lay_out(gro_state *j, int64_t *ends) noexcept nogil:
    """Set where each packet goes in the output; returns the size of the output."""
    cdef Py_ssize_t k, total = 0
    cdef packet *one
    ends[0] = 0
    for k in range(j.count):
        one = &j.packets[k]
        if one.count == 1 or one.headers - one.link - IPV6_HLEN + one.length <= 0xffff:
            one.jumbo = 0
        one.at = total
        if one.count > 1 or not j.apart:
            total += one.headers + one.jumbo + one.length
        ends[k + 1] = total
        if one.count == 1:
            one.gso_size = one.gso_type = 0
    return total


cdef void copy_frames(
    gro_state *j, uint8_t *out, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Copy frames to their places; of merged ones, only the first with its headers."""
    cdef const uint8_t *frame
    cdef packet *one
    cdef Py_ssize_t i, size, n
    for i in range(begin, end):
        one = &j.packets[j.into[i]]
        frame = j.data + j.starts[i]
        size = j.ends[i] - j.starts[i]
        if one.count == 1:
            if not j.apart:
                memcpy(out + one.at, frame, size)
            continue
        if one.first == i:
            memcpy(out + one.at, frame, one.headers)
            one.at += one.headers + one.jumbo
            one.length = one.payload_sum = 0  # they count again what is copied
        n = size - one.headers
        one.payload_sum += sum_at(
            simd.copy_sum(out + one.at, frame + one.headers, n), one.length)
        one.at += n
        one.length += n


cdef int finish(gro_state *j, packet *one, uint8_t *out) noexcept nogil:
    """Make the first frame's headers, at `out`, those of the whole packet. -1: they have changed.

    (tcp_gro_complete, inet_gro_complete and so on; other than there GRE's checksum is completed.)
    """
    cdef headers h
    cdef header_copy copy
    cdef fault why
    cdef uint64_t inside
    cdef int failed = read_headers(&h, &why, &copy, out, one.headers, j.link, j.ports)
    drop_copy(&copy)
    if failed or h.payload != one.headers or h.l4 == 0 or h.refusal.field is not NULL:
        return -1
    if one.jumbo and h.inner_version != 6:
        return -1
    if is_listed(j, &h):
        if h.l4 == IPPROTO_UDP:
            put16(out + h.l4_header + UDP_LEN, one.headers - h.l4_header + one.length)
        finish_layers(j, &h, out, one.headers + one.length, 0)
        return 0
    inside = finish_transport(j, one, &h, out)
    finish_layers(j, &h, out, one.headers + one.length, inside)
    if one.jumbo:
        insert_jumbo(&h, out, one.headers + one.length)
    return 0


cdef uint64_t finish_transport(
    const gro_state *j, const packet *one, const headers *h, uint8_t *out
) noexcept nogil:
    """Set the transport header; returns the sum of it and the payload."""
    cdef uint8_t *th = out + h.l4_header
    cdef uint8_t *check = th + (TCP_CHECK if h.l4 == IPPROTO_TCP else UDP_CHECK)
    cdef Py_ssize_t thlen = one.headers - h.l4_header
    cdef uint64_t inside, pseudo = pseudo_sum(out + h.ip_header, h.inner_version == 4, h.l4)
    pseudo += length_sum(thlen + one.length)
    if h.l4 == IPPROTO_TCP:
        th[TCP_FLAGS] |= one.flags & (TCPHDR_FIN | TCPHDR_PSH)
    else:
        put16(th + UDP_LEN, thlen + one.length)
    store16(check, fold(pseudo))
    if h.remcsum:
        return short_sum(th, thlen) + one.payload_sum
    if not j.partial:
        store16(check, 0)
        inside = short_sum(th, thlen) + one.payload_sum
        store16(check, <uint16_t>~fold(pseudo + inside))
        if h.l4 == IPPROTO_UDP:
            store16(check, not_zero(load16(check)))
    # Once complete, everything adds up to 0 with the pseudo header
    return <uint16_t>~fold(pseudo)


cdef void finish_layers(
    const gro_state *j, const headers *h, uint8_t *out, Py_ssize_t end, uint64_t inside
) noexcept nogil:
    cdef Py_ssize_t length, next_offset = h.l4_header
    cdef const layer *one
    cdef const layer *outer  # the IP header around it
    cdef uint8_t *head
    cdef uint64_t pseudo
    cdef int k
    for k in range(h.n - 1, -1, -1):
        one = &h.layers[k]
        head = out + one.offset
        length = end - one.offset
        if one.kind == LAYER_IPV4:
            put16(head + IPV4_TOT_LEN, length if length <= 0xffff else 0)  # iph_set_totlen
            store16(head + IPV4_CHECK, 0)
            store16(head + IPV4_CHECK, <uint16_t>~fold(short_sum(head, IPV4_HLEN)))
        elif one.kind == LAYER_IPV6:
            length -= IPV6_HLEN
            put16(head + IPV6_PAYLOAD_LEN, length if length <= 0xffff else 0)
        elif one.kind == LAYER_UDP:
            put16(head + UDP_LEN, length if length <= 0xffff else 0)  # udp_set_len
            if load16(head + UDP_CHECK):
                outer = &h.layers[k - 1]
                pseudo = pseudo_sum(out + outer.offset, outer.kind == LAYER_IPV4, IPPROTO_UDP)
                pseudo += length_sum(length)
                store16(head + UDP_CHECK, 0)
                inside += short_sum(head, next_offset - one.offset) + pseudo
                store16(head + UDP_CHECK, not_zero(<uint16_t>~fold(inside)))
                if j.partial:  # the segmenter starts from the pseudo header's (udp_gro_complete)
                    store16(head + UDP_CHECK, fold(pseudo))
                inside = <uint16_t>~fold(pseudo)
                next_offset = one.offset
                continue
        elif one.kind == LAYER_PPPOE:
            put16(head + PPPOE_LENGTH, min(length - PPPOE_BASE_HLEN, 0xffff))
        else:
            store16(head + GRE_CHECK, 0)
            inside += short_sum(head, next_offset - one.offset)
            store16(head + GRE_CHECK, <uint16_t>~fold(inside))
            inside = 0xffff
            next_offset = one.offset
            continue
        inside += short_sum(head, next_offset - one.offset)
        next_offset = one.offset


cdef void insert_jumbo(const headers *h, uint8_t *out, Py_ssize_t end) noexcept nogil:
    """Insert the hop-by-hop header of BIG TCP, whose length payload_len cannot hold."""
    cdef uint8_t *jumbo = out + h.ip_header + IPV6_HLEN
    cdef uint32_t length = <uint32_t>(end - h.ip_header - IPV6_HLEN + JUMBO_HLEN)
    memmove(jumbo + JUMBO_HLEN, jumbo, h.payload - h.ip_header - IPV6_HLEN)
    jumbo[IPV6_EXT_NEXTHDR] = out[h.ip_header + IPV6_NEXTHDR]
    jumbo[IPV6_EXT_HDRLEN] = 0
    jumbo[IPV6_TLV_AT] = IPV6_TLV_JUMBO
    jumbo[IPV6_TLV_AT + 1] = IPV6_TLV_JUMBO_LEN
    put16(jumbo + JUMBO_AT, length >> 16)
    put16(jumbo + JUMBO_AT + 2, length)
    out[h.ip_header + IPV6_NEXTHDR] = IPPROTO_HOPOPTS


cdef Py_ssize_t finish_some(
    gro_state *j, uint8_t *out, const int64_t *ends, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Finish packets; returns -1, or the number of a frame that has changed."""
    cdef Py_ssize_t k
    for k in range(begin, end):
        if j.packets[k].count > 1 and finish(j, &j.packets[k], out + ends[k]):
            return j.packets[k].first
    return -1


cdef bint is_little(const gro_state *j) noexcept:
    """Whether all the work is done sooner than the GIL is released and taken again."""
    return j.nbytes + j.n * FRAME_WORK < RELEASE_GIL


cdef int assign(gro_state *j) except -1:
    """Assign every frame to a packet."""
    cdef Py_ssize_t end, i = 0
    if is_little(j):
        assign_frames(j, 0, j.n)
    else:
        while i < j.n:
            end = span_piece_end(j.starts, j.ends, i, j.n)
            with nogil:
                assign_frames(j, i, end)
            i = end
            check_signals()
    if j.late:
        judge_all_held(j)
    return 0


cdef int judge_all_held(gro_state *j) except -1:
    """Stop holding frames whose checksums are wrong."""
    cdef int32_t slot = j.oldest
    while slot != NO_SLOT:
        with nogil:
            slot = judge_held(j, slot)
        check_signals()
    return 0


cdef Py_ssize_t write(gro_state *j, uint8_t *out, const int64_t *ends) except -2:
    """Write what is not yet there; returns -1, or the number of a frame that has changed."""
    cdef Py_ssize_t end, i = 0, failed = -1
    if is_little(j):
        if j.out is NULL:
            copy_frames(j, out, 0, j.n)
        return finish_some(j, out, ends, 0, j.count)
    while i < j.n and j.out is NULL:
        end = span_piece_end(j.starts, j.ends, i, j.n)
        with nogil:
            copy_frames(j, out, i, end)
        i = end
        check_signals()
    i = 0
    while i < j.count and failed < 0:
        end = min(i + PIECE // FRAME_WORK, j.count)
        with nogil:
            failed = finish_some(j, out, ends, i, end)
        i = end
        check_signals()
    return failed


# ---- coalesce() -----------------------------------------------------------------------------

cdef class Coalesced(Frames):
    """The frames of :func:`coalesce`: super-packets, and frames that were not merged.

    They are in the order of their first frames.
    """

    cdef object facts           # the numbers that the arrays have: see _result
    cdef Py_ssize_t inputs, open
    cdef Py_ssize_t unread, datagrams  # of the inputs
    cdef dict arrays            # made of them when first asked for
    cdef object asked           # link_type, tunnel_ports, and whether checksums are partial

    @property
    def gso_size(self):
        """Payload bytes of each but the last segment, 0 for a frame alone: int64 array (n,)."""
        return self.array("gso_size")

    @property
    def gso_segs(self):
        """How many frames went into each: int64 array of shape (n,)."""
        return self.array("gso_segs")

    @property
    def gso_type(self):
        """:class:`gso.GsoType` of each, 0 for a frame alone: uint32 array of shape (n,)."""
        return self.array("gso_type")

    @property
    def first(self):
        """Number of the first frame in each: int64 array of shape (n,)."""
        return self.array("first")

    @property
    def into(self):
        """Which output each input frame went into: int64 array with one number for each input."""
        return self.array("into")

    @property
    def held(self):
        """Numbers of the outputs that could take up more frames, were there any: int64 array."""
        return self.array("held")

    cdef object array(self, str name):
        if self.arrays is None:
            self.arrays = {} if self.facts is None else self.all_arrays()
        return self.arrays.get(name)

    cdef dict all_arrays(self):
        cdef Py_ssize_t start = 0, n
        cdef dict arrays = {}
        whole = np.frombuffer(self.facts, np.int64, 3 * self.n + self.inputs + self.open)
        for name, n in (("gso_size", self.n), ("gso_segs", self.n), ("first", self.n),
                        ("into", self.inputs), ("held", self.open)):
            arrays[name] = whole[start:start + n]
            start += n
        arrays["gso_type"] = np.frombuffer(
            self.facts, np.uint32, self.n, start * sizeof(int64_t))
        return arrays

    def vnet_headers(self, *, tunnels=True):
        """The virtio header of each, for a TUN device, a packet socket or a virtual machine.

        Args:
            tunnels: as for :meth:`describable`.

        Returns an array of :data:`gso.VNET_DTYPE` and shape (n,): zeros for a frame alone.

        Raises GsoError (UNSUPPORTED) for a super-packet that such a header has no words for (GRE,
        IPIP, FOU, GUE, remote checksums, fixed IPv4 IDs, PPPoE), ValueError if checksums are
        complete: the header would have the kernel add to them.
        """
        link_type, tunnel_ports, partial = self.asked
        if not partial:
            raise ValueError('virtio headers need coalesce(..., checksum="partial")')
        good = self.describable(tunnels=tunnels)
        if not good.all():
            bad = int(np.flatnonzero(~good)[0])
            raise GsoError(
                f"frame {bad}: a virtio header cannot describe a super-packet of type "
                f"{GsoType(int(self.gso_type[bad]))!r}", reason=Reason.UNSUPPORTED,
                field="gso_type", offset=bad, limit=self.n)
        layouts = parse_batch(self, link_type=link_type, tunnel_ports=tunnel_ports, errors="mark")
        return vnet_headers(layouts, self.gso_size, self.gso_type)

    def describable(self, *, tunnels=True):
        """Which of them a virtio header can describe: bool array of shape (n,).

        Args:
            tunnels: the reader knows the 24-byte header, with its words for tunnels in UDP.
        """
        cdef Py_ssize_t i
        good = describable(self.gso_type, tunnels=tunnels)
        cdef const link_layer *link = as_link(self.asked[0])
        if link.type_at >= 0:
            for i in np.flatnonzero(self.gso_size):
                good[i] &= not _has_pppoe(
                    link, self.buf + self.off[i], self.off[i + 1] - self.off[i])
        return good

    def __init__(self, *args):
        raise TypeError("Coalesced come from gso.coalesce")

    cdef Frames window(self, Py_ssize_t start, Py_ssize_t stop):
        return self.pick(Frames.window(self, start, stop), slice(start, stop))

    cdef Frames gather(self, object indices):
        return self.pick(Frames.gather(self, indices), indices)

    cdef Coalesced pick(self, Frames part, object key):
        """The same frames as Coalesced, without `into` and `held`: not all frames are in them."""
        cdef Coalesced some = Coalesced.__new__(Coalesced)
        some.adopt(part.base, part.ends, part.n)
        some.arrays = {
            name: self.array(name)[key] for name in ("gso_size", "gso_segs", "gso_type", "first")}
        some.asked = self.asked
        return some

    def __reduce__(self):
        return _restore, (self.data, self.offsets, self.gso_size, self.gso_segs, self.gso_type,
                          self.first, self.into, self.held, self.asked)


cdef bint _has_pppoe(
    const link_layer *link, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Tell whether a PPPoE session header follows the link's header and its VLAN tags."""
    cdef Py_ssize_t at = link.type_at, end = link.length
    while at + 2 <= size and get16(frame + at) in (ETH_P_8021Q, ETH_P_8021AD):
        end += VLAN_HLEN
        at = end - 2
    return at + 2 <= size and get16(frame + at) == ETH_P_PPP_SES


def _restore(data, offsets, gso_size, gso_segs, gso_type, first, into, waiting, asked):
    cdef Coalesced self = Coalesced.__new__(Coalesced)
    Frames.__init__(self, data, offsets)
    self.arrays = {"gso_size": gso_size, "gso_segs": gso_segs, "gso_type": gso_type,
                   "first": first, "into": into, "held": waiting}
    self.asked = asked
    return self


cdef class _Memory:
    """The memory of a call, freed when it ends."""

    cdef gro_state j
    cdef port_list ports
    cdef char *block

    def __cinit__(self):
        self.ports.ports = self.ports.few

    def __dealloc__(self):
        drop_ports(&self.ports)
        free(self.block)

    cdef int reserve(self, Py_ssize_t n, Py_ssize_t max_flows) except -1:
        cdef Py_ssize_t buckets = 16, rows = max(n, 1), k
        cdef gro_state *j = &self.j
        while buckets < 2 * min(n, max_flows):
            buckets *= 2
        j.max_held = <int32_t>max(min(n, max_flows), 1)
        self.block = <char *>malloc(
            j.max_held * sizeof(held_packet) + rows * (sizeof(packet) + sizeof(int64_t))
            + buckets * sizeof(int32_t))
        if self.block is NULL:
            raise MemoryError
        j.slots = <held_packet *>self.block
        j.packets = <packet *>(j.slots + j.max_held)
        j.into = <int64_t *>(j.packets + rows)
        j.buckets = <int32_t *>(j.into + rows)
        for k in range(buckets):
            j.buckets[k] = NO_SLOT
        j.mask = buckets - 1
        j.free = j.oldest = j.newest = j.last = NO_SLOT
        j.unused = 0
        j.count = j.unread = j.datagrams = 0
        return 0


def coalesce(frames, *, link_type="ethernet", tunnel_ports=None, udp_gro=True,
             fixed_ids=False, gro_max_size=65536, max_flows=65536, interfaces=None,
             timestamps=None, timeout=0, checksum="partial", kernel="6.12",
             gro_ipv4_max_size=None, fraglist=False, vxlan_remcsum=True):
    """Merge segments into super-packets as the Linux kernel's software GRO does.

    :func:`segment` of each super-packet, with its `gso_size` (and, with `fixed_ids`, its
    `gso_type`), gives its frames back byte for byte. Frames that cannot be merged, for whatever
    reason, pass unchanged. The order of frames within a flow is kept.

    A packet takes up frames of its flow while sequence numbers and IPv4 IDs count up and everything
    else in the headers, TCP options, window and acknowledgement included, is the same; it ends
    with a shorter segment, with PSH, FIN, URG, SYN or RST, or when the next frame does not fit.
    Wrong lengths or checksums, IP options, fragments, two tunnels inside each other and UDP ports
    that :func:`segment` refuses keep a frame from being merged. PPPoE sessions are merged as 7.3
    does; older kernels do not merge them.

    The kernel merges more only where segmentation would not give the frames back (outer IPv4 IDs
    that jump under DF, UDP with fixed IDs, urgent pointers, wrong outer UDP lengths, BIG TCP with
    extension headers), or where a damaged frame of the same flow would be overtaken. `gso_type` has
    every bit that segmentation needs; the kernel's GRO forgets the UDP tunnel around GRE, GRE_CSUM
    and TUNNEL_REMCSUM.

    Args:
        frames: segments, of whatever flows and kinds: :class:`Frames`, or a list of buffers.
        link_type, tunnel_ports: as for :func:`parse`.
        udp_gro: merge UDP datagrams too, up to 64 (the kernel: UDP_GRO, rx-udp-gro-forwarding).
        fixed_ids: merge TCP segments with DF whose IPv4 ID stays the same too, as the kernel does.
            They get TCP_FIXEDID in `gso_type`, which :func:`segment` cannot know from the packet.
        gro_max_size: a packet is shorter than this, not counting the Ethernet header; over 65536
            is BIG TCP, up to 524280.
        max_flows: packets that may wait for more at a time; beyond that the oldest is complete.
        interfaces: number of the device each frame came from, those of one are merged: int64 array
            of shape (len(frames),). None: all came from the same.
        timestamps: nanoseconds, one for each frame: int64 array of shape (len(frames),).
        timeout: with `timestamps`, how many nanoseconds a packet waits (gro_flush_timeout).
        checksum: "partial" as the kernel does, the innermost checksum field then holds the sum of
            the pseudo header (CHECKSUM_PARTIAL), and so does that of a UDP header around it; or
            "complete".
        kernel: "6.12", "6.1" or "7.3": the kernel that is followed where they differ (see
            `gso.versions`); give the same one to :func:`segment`. 7.3 merges segments that all
            have CWR (TCP_ACCECN) and BIG TCP in tunnels, without a jumbo header; with `fixed_ids`
            it needs no DF, and the IDs of an outer and an inner header may differ in this where
            nothing but IP is between them (TCP_FIXEDID_OUTER, TCP_FIXEDID_INNER). 6.1 has no BIG
            TCP over IPv4.
        fraglist: the device makes lists of frames instead (rx-gro-list), which a forwarding host
            sends on as they came. Each list is here as a packet socket shows it: the first frame's
            headers with the length of all, its checksum as it came, then all payload. `gso_type`
            has FRAGLIST, with which :func:`segment` takes the frames of the list,
            ``frames[made.into == i]``. TCP segments of a list have the same flags, and IPv4 IDs
            count up. A list has up to 64 frames, and is shorter than 65536 bytes. 6.1 makes lists
            of UDP frames only. Frames in tunnels stay apart, which the kernel puts into lists too.
        gro_ipv4_max_size: the same limit for packets other than IPv6 right on the link, VLAN tags
            included (a device has both, and 65536 for these unless told). None: `gro_max_size`.
        vxlan_remcsum: VXLAN devices are told to take remote checksum offload (``remcsumrx``), which
            they are not unless asked; False: frames that have it stay apart, as their innermost
            checksums are wrong without it. GUE and FOU always take it.

    Of 7.3, the option of Geneve that has GRO look into a second tunnel (GRO hint) is not followed:
    devices use it only if they are told to, and the lengths and IPv4 IDs of the second tunnel's
    headers would stay those of the first frame, which :func:`segment` does not give back.

    Returns :class:`Coalesced`.

    Kernel: dev_gro_receive, inet_gro_receive, ipv6_gro_receive, tcp_gro_receive,
    udp_gro_receive_segment, skb_gro_receive, skb_gro_receive_list, pppoe_gro_receive (7.3), and
    those of the tunnels.
    """
    cdef _Memory memory = _Memory()
    cdef gro_state *j = &memory.j
    cdef Spans batch = as_spans(frames)
    j.data, j.starts, j.ends = batch.buf, batch.starts, batch.ends
    j.n, j.nbytes = batch.n, batch.nbytes
    j.apart = batch is frames  # Spans, not Frames: their bytes stay where they are
    j.link = as_link(link_type)
    j.partial = is_partial(checksum)
    j.kernel = as_kernel(kernel)
    j.udp, j.fixed_ids, j.fraglist = udp_gro, fixed_ids, fraglist
    j.vxlan_remcsum = vxlan_remcsum
    j.max_size = j.ipv4_max_size = _within("gro_max_size", gro_max_size, 1, GRO_MAX_SIZE)
    if gro_ipv4_max_size is not None:
        j.ipv4_max_size = _within("gro_ipv4_max_size", gro_ipv4_max_size, 1, GRO_MAX_SIZE)
    j.timeout = _within("timeout", timeout, 0, (1 << 63) - 1)
    j.ports = &memory.ports
    j.seed = SEED
    take_ports(&memory.ports, tunnel_ports)
    memory.reserve(batch.n, _within("max_flows", max_flows, 1, 1 << 24))
    # Where all fit, none that is not judged takes the place of another.
    j.late = j.apart and j.max_held >= j.n
    stamps = _numbers("timestamps", timestamps, batch.n)
    devices = _numbers("interfaces", interfaces, batch.n)
    j.times = _first(stamps)
    j.interfaces = _first(devices)
    data = _room(j)
    assign(j)
    ports = None if tunnel_ports is None else dict(tunnel_ports)
    return _result(j, data, (link_type, ports, j.partial))


def seen(Coalesced made not None):
    """What :func:`coalesce` saw in the frames from which it made these.

    How many had no IP header that can be read, and how many were UDP datagrams, not of tunnels.
    """
    return made.unread, made.datagrams


cdef Memory _room(gro_state *j):
    """Memory into which frames are written as they come; None if a second pass has to do so.

    The jumbo header of BIG TCP moves what follows it.
    """
    cdef Memory memory
    j.out = NULL
    j.filled = 0
    j.begun = -1
    if j.nbytes < SMALL or max(j.max_size, j.ipv4_max_size) > GRO_LEGACY_MAX_SIZE:
        return None
    memory = Memory.__new__(Memory)
    memory.resize(j.nbytes)
    j.out = <uint8_t *>memory.p
    return memory


cdef Coalesced _result(gro_state *j, Memory memory, tuple asked):
    """The frames and all that is told of them; `memory` is that of :func:`_room`."""
    cdef object ends = new_bytes((j.count + 1) * sizeof(int64_t))
    cdef int64_t *off = <int64_t *>address(ends)
    cdef Py_ssize_t failed = -1, total = lay_out(j, off)
    cdef object data = memory
    if memory is None:
        data = new_bytes(total)
    else:
        memory.resize(total)
    cdef uint8_t *out = <uint8_t *>address(data)
    failed = write(j, out, off)
    if failed >= 0:
        raise GsoError(
            f"frame {failed}: changed while it was being merged", reason=Reason.LAYOUT,
            field="len", offset=failed, limit=j.n)
    cdef Coalesced self = Coalesced.__new__(Coalesced)
    self.adopt(data, ends, j.count)
    self.asked = asked
    self.inputs = j.n
    self.open = _count_held(j)
    self.unread, self.datagrams = j.unread, j.datagrams
    self.facts = new_bytes(
        (3 * j.count + j.n + self.open) * sizeof(int64_t) + j.count * sizeof(uint32_t))
    _tell(j, self.open, <int64_t *>address(self.facts))
    return self


cdef Py_ssize_t _count_held(const gro_state *j) noexcept:
    """How many packets still could take up frames."""
    cdef Py_ssize_t n = 0
    cdef int32_t slot = j.oldest
    while slot != NO_SLOT:
        n += 1
        slot = j.slots[slot].newer
    return n


cdef void _tell(const gro_state *j, Py_ssize_t held, int64_t *facts) noexcept:
    """Write gso_size, gso_segs and first of each, into, held, and gso_type of each."""
    cdef Py_ssize_t k, n = j.count
    cdef int64_t *last = facts + 3 * n + j.n
    cdef uint32_t *types = <uint32_t *>(last + held)
    cdef int32_t slot = j.oldest
    for k in range(n):
        facts[k] = j.packets[k].gso_size
        facts[n + k] = j.packets[k].count
        facts[2 * n + k] = j.packets[k].first
        types[k] = j.packets[k].gso_type
    memcpy(facts + 3 * n, j.into, j.n * sizeof(int64_t))
    while slot != NO_SLOT:
        last[0] = j.slots[slot].packet
        last += 1
        slot = j.slots[slot].newer


cdef object _numbers(object name, object values, Py_ssize_t n):
    """A copy of the caller's array, or None."""
    if values is None:
        return None
    array = np.array(values, np.int64)
    if array.shape != (n,):
        raise ValueError(f"{name} have shape {array.shape} for {n} frames")
    return array


cdef const int64_t *_first(object array) except? NULL:
    """Address of the numbers, valid while `array` lives."""
    cdef const int64_t[::1] view
    if array is None or not array.size:
        return NULL
    view = array
    return &view[0]


cdef int64_t _within(str name, object value, int64_t least, int64_t most) except? -1:
    cdef int overflow = 0
    cdef object number = PyNumber_Index(value)
    cdef int64_t found = PyLong_AsLongLongAndOverflow(number, &overflow)
    if overflow or not least <= found <= most:
        raise ValueError(f"{name} is between {least} and {most}, not {number}")
    return found
