# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Segmentation of SCTP (SKB_GSO_SCTP): chunks, cut where the sender says (GSO_BY_FRAGS).

To a plan and to emit() the common header and its chunks are payload behind an IP header: headers
around it are those of other segments. A checksum of a tunnel covers the CRC32c, too.
"""

from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from gso.buffers._borrow cimport borrow
from gso.buffers._bytes cimport get16
from gso.buffers._checksum cimport simd
from gso.buffers._crc32c cimport crc, store_crc
from gso.buffers._frames cimport Frames
from gso.buffers._memory cimport address, new_bytes
from gso.buffers._signals cimport PIECE, SEGMENT_WORK, check_signals
from gso.headers._arguments cimport (
    as_error, as_gso_size, as_gso_type, as_kernel, as_link, drop_ports, is_partial, take_ports,
)
from gso.headers._numbers cimport (
    GSO_BY_FRAGS, GSO_MAX_SEGS, GUE_PROTO_CTYPE, IPPROTO_SCTP, SCTP_CHECK, SCTP_CHUNK_HLEN,
    SCTP_CHUNK_LEN, SCTP_HLEN, SCTP_PAD, SKB_GSO_FRAGLIST, SKB_GSO_PARTIAL, SKB_GSO_SCTP,
    SKB_GSO_UDP, UDP_DEST, UDP_HLEN,
)
from gso.headers._walk cimport (
    LAYER_IPV4, LAYER_IPV6, LAYER_UDP, MAX_FRAME, REASON_BAD_HEADER, REASON_GSO_SIZE,
    REASON_GSO_TYPE, REASON_LAYOUT, REASON_NOT_GSO, REASON_TOO_LONG, REASON_TRUNCATED,
    REASON_UNSUPPORTED, STEP_NSH, TUNNEL_FOU, TUNNEL_GUE, drop_copy, fault, headers, layer,
    port_list, refuse,
)
from gso.segmentation._emit cimport prepare, put_headers
from gso.segmentation._plan cimport (
    TRANSPORT_TYPES, check_fixed_ids, check_lengths, plan, plan_options, read_plan, settle_type,
)

from itertools import islice
from operator import index

cdef enum:
    RELEASE_GIL = 1 << 15   # bytes of output from which releasing the GIL pays: a CRC takes longer


# ---- what is refused ------------------------------------------------------------------------

cdef bint carries_sctp(const headers *h) noexcept nogil:
    """Whether what the walk did not follow is SCTP in an IP packet, or right in FOU or GUE."""
    cdef const layer *last
    if h.n == 0 or h.refusal.field is NULL or h.refusal.value != IPPROTO_SCTP:
        return False
    last = &h.layers[h.n - 1]
    if last.kind == LAYER_UDP:
        return h.refusal.offset == last.offset + announcing(h.tunnel)
    # In FOU and GUE the same number stands in front of the IP header, or is none of its fields
    return ((last.kind == LAYER_IPV4 or last.kind == LAYER_IPV6)
            and h.ip_header < h.refusal.offset < h.payload)


cdef Py_ssize_t announcing(int tunnel) noexcept nogil:
    """Where the IP protocol of what UDP carries is announced, from the UDP header on; -1: nowhere.

    In FOU that is the port, as in RFC 6951.
    """
    if tunnel == TUNNEL_FOU:
        return UDP_DEST
    return UDP_HLEN + GUE_PROTO_CTYPE if tunnel == TUNNEL_GUE else -1


cdef int check_headers(const headers *h, fault *why, Py_ssize_t size) noexcept nogil:
    """Refuse frames that are not SCTP, in whatever tunnel."""
    if not carries_sctp(h):
        if h.refusal.field is not NULL:
            why[0] = h.refusal
            return -1
        return refuse(
            why, REASON_UNSUPPORTED, "protocol", "pieces are for SCTP (protocol {limit}), but the "
            "IP header at byte {offset} announces {value}", h.ip_header, IPPROTO_SCTP, h.l4)
    if h.payload + SCTP_HLEN <= size:
        return 0
    return refuse(
        why, REASON_TRUNCATED, "sctphdr", "sctphdr at byte {offset} ends at byte {value}, but the "
        "frame has {limit} bytes", h.payload, size, h.payload + SCTP_HLEN)


cdef int check_type(fault *why, unsigned int gso_type) noexcept nogil:
    """Refuse a gso_type that is not SCTP's. Other transports' bits beside it mean nothing.

    But for UDP: inet_gso_segment would write the offsets of fragments.
    """
    cdef unsigned int given = gso_type & (TRANSPORT_TYPES | SKB_GSO_FRAGLIST)
    if given == 0 or (given & SKB_GSO_SCTP and not given & SKB_GSO_UDP):
        return 0
    return refuse(
        why, REASON_GSO_TYPE, "gso_type", "gso_type {offset:#x} says {value:#x} of the transport, "
        "which does not go with SCTP ({limit:#x})", gso_type, SKB_GSO_SCTP, given)


cdef int check_sum(
    fault *why, const int64_t *lengths, Py_ssize_t n, Py_ssize_t have
) noexcept nogil:
    """Refuse pieces that are not all of the chunks."""
    cdef int64_t total = 0
    cdef Py_ssize_t i
    for i in range(n):
        total += lengths[i]
    if total == have:
        return 0
    return refuse(
        why, REASON_LAYOUT, "pieces", "{value} pieces have {offset} bytes, but the chunks of the "
        "frame {limit}", total, have, n)


cdef int check_chunks(
    fault *why, const uint8_t *frame, Py_ssize_t at, const int64_t *lengths, Py_ssize_t n
) noexcept nogil:
    """Refuse pieces that do not begin and end with a chunk. `at`: where the first one begins."""
    cdef Py_ssize_t i, length, end = at
    for i in range(n):
        end += lengths[i]
        while at < end:
            # All are padded, so a chunk's header is whole
            length = get16(frame + at + SCTP_CHUNK_LEN)
            if length < SCTP_CHUNK_HLEN:
                return refuse(
                    why, REASON_BAD_HEADER, "length", "the chunk at byte {offset} has a length of "
                    "{value}, less than {limit}", at, SCTP_CHUNK_HLEN, length)
            length += -length & (SCTP_PAD - 1)
            if length > end - at:
                return refuse(
                    why, REASON_LAYOUT, "pieces", "piece {value} ends at byte {limit}, inside the "
                    "chunk that begins at byte {offset}", at, end, i)
            at += length
    return 0


# ---- plan and segments ----------------------------------------------------------------------

cdef int plan_pieces(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size,
    unsigned int gso_type, const int64_t *lengths, Py_ssize_t n
) noexcept nogil:
    """Plan the headers of the segments. Returns 0, or -1 with `why` filled in."""
    cdef int64_t longest = 0
    cdef Py_ssize_t i
    if read_plan(p, why, options, frame, size) < 0 or check_headers(&p.h, why, size) < 0:
        return -1
    p.gso_size = GSO_BY_FRAGS
    p.kernel = options.kernel
    p.stop = options.stop
    p.believe = p.prepared = p.guarded = False
    # skb_segment makes pieces of several segments only by size
    if check_type(why, gso_type) < 0 or settle_type(p, why, gso_type & ~SKB_GSO_PARTIAL) < 0 \
            or check_fixed_ids(p, why) < 0:
        return -1
    p.h.l4_header = p.h.payload
    p.hlen = p.h.payload
    p.payload = frame + p.h.payload
    p.length = size - p.h.payload
    p.count = n
    p.step = SCTP_HLEN + lengths[0]
    if check_sum(why, lengths, n, p.length - SCTP_HLEN) < 0:
        return -1
    for i in range(n):
        longest = max(longest, lengths[i])
    if check_lengths(
        p, why, SCTP_HLEN + longest, "a segment with {value} bytes of SCTP has a length of "
        "{offset}, the field ends at {limit}"
    ) < 0:
        return -1
    return check_chunks(why, frame, p.h.payload + SCTP_HLEN, lengths, n)


cdef bint is_left(const plan *p, bint partial) noexcept nogil:
    """Whether a device makes the CRC32c (NETIF_F_SCTP_CRC).

    It cannot where a checksum outside is made in software, which covers the CRC32c
    (__skb_udp_tunnel_segment, gre_gso_segment), nor behind a service header (nsh_gso_segment).
    """
    cdef int k
    if not partial or p.h.steps & 1 << STEP_NSH:
        return False
    for k in range(p.h.n):
        if p.sealed[k]:
            return False
    return True


cdef void put_segment(
    plan *p, uint8_t *out, const uint8_t *chunks, Py_ssize_t i, Py_ssize_t n, bint left
) noexcept nogil:
    """Write segment `i`, with `n` bytes of chunks."""
    cdef uint8_t *body = out + p.hlen
    cdef uint64_t total = 0
    memcpy(body, p.payload, SCTP_HLEN)
    memcpy(body + SCTP_HLEN, chunks, n)
    if not left:
        memset(body + SCTP_CHECK, 0, SCTP_HLEN - SCTP_CHECK)
        store_crc(body + SCTP_CHECK, ~crc.update(~0, body, SCTP_HLEN + n))
    if p.full.outer >= 0:
        total = simd.sum(body, SCTP_HLEN + n)
    put_headers(p, out, i, SCTP_HLEN + n, total)


cdef int put_segments(
    plan *p, uint8_t *out, int64_t *off, const int64_t *lengths, bint left
) except -1 nogil:
    """Write all segments, and where each begins."""
    cdef const uint8_t *chunks = p.payload + SCTP_HLEN
    cdef Py_ssize_t i, work = 0
    prepare(p)
    off[0] = 0
    for i in range(p.count):
        put_segment(p, out + off[i], chunks, i, lengths[i], left)
        off[i + 1] = off[i] + p.hlen + SCTP_HLEN + lengths[i]
        chunks += lengths[i]
        work += p.hlen + lengths[i] + SEGMENT_WORK
        if work >= PIECE:
            work = 0
            check_signals(p.stop)
    return 0


cdef Frames segments_of(plan *p, const int64_t *lengths, bint left):
    """Write the segments into new Frames."""
    cdef Py_ssize_t total = p.length - SCTP_HLEN + p.count * (p.hlen + SCTP_HLEN)
    cdef object data = new_bytes(total), ends = new_bytes((p.count + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    if total < RELEASE_GIL:
        put_segments(p, out, off, lengths, left)
    else:
        with nogil:
            put_segments(p, out, off, lengths, left)
    cdef Frames segments = Frames.__new__(Frames)
    segments.adopt(data, ends, p.count)
    return segments


# ---- the call -------------------------------------------------------------------------------

cdef int bad_pieces(
    int reason, const char *text, int64_t value, int64_t limit, int64_t i
) except -1:
    """Raise GsoError for the list of pieces."""
    cdef fault why
    refuse(&why, reason, "pieces", text, value, limit, i)
    raise as_error(&why)


cdef tuple as_lengths(object pieces):
    """The caller's list of pieces as int64, each of some whole words; and how many they are."""
    cdef list given = list(islice(pieces, GSO_MAX_SEGS + 1))
    cdef Py_ssize_t i, n = len(given)
    if n == 0:
        bad_pieces(REASON_NOT_GSO, "{offset} pieces: a super-packet has {limit} or more", 0, 1, 0)
    if n > GSO_MAX_SEGS:
        bad_pieces(
            REASON_TOO_LONG, "a list of {offset} or more pieces, the kernel counts to {limit}", n,
            GSO_MAX_SEGS, 0)
    cdef object kept = new_bytes(n * sizeof(int64_t))
    cdef int64_t *lengths = <int64_t *>address(kept)
    for i in range(n):
        lengths[i] = min(max(index(given[i]), -MAX_FRAME), MAX_FRAME)
        if lengths[i] <= 0 or lengths[i] % SCTP_PAD:
            bad_pieces(
                REASON_LAYOUT, "piece {value} has {offset} bytes; chunks are padded to a multiple "
                "of {limit}, and there is one or more", lengths[i], SCTP_PAD, i)
    return kept, n


cdef int check_size(object gso_size) except -1:
    """Refuse another gso_size than that of the kernel's SCTP."""
    cdef fault why
    cdef int64_t size = as_gso_size(gso_size)
    if size == GSO_BY_FRAGS:
        return 0
    refuse(
        &why, REASON_GSO_SIZE, "gso_size", "gso_size {offset} with pieces, which go with {limit} "
        "(GSO_BY_FRAGS)", size, GSO_BY_FRAGS, size)
    raise as_error(&why)


def segment_sctp(frame, gso_size, pieces, gso_type, link_type, tunnel_ports, checksum, kernel):
    """Segment an SCTP super-packet at the given lengths of chunks, as the kernel does.

    Kernel: sctp_gso_segment, skb_segment (gso_by_frags).
    """
    cdef plan p
    cdef plan_options j
    cdef port_list ports
    cdef fault why
    cdef Py_buffer view
    cdef unsigned int bits = as_gso_type(gso_type)
    check_size(gso_size)
    cdef tuple kept = as_lengths(pieces)
    cdef const int64_t *lengths = <const int64_t *>address(kept[0])
    j.partial = is_partial(checksum)
    j.believe = False
    j.kernel, j.link = as_kernel(kernel), as_link(link_type)
    j.stop, j.layout, j.ports = NULL, NULL, &ports
    take_ports(&ports, tunnel_ports)
    p.template.p = p.template.few
    try:
        borrow(frame, &view)
        try:
            if plan_pieces(
                &p, &why, &j, <const uint8_t *>view.buf, view.len, bits, lengths, kept[1]
            ) < 0:
                raise as_error(&why)
            return segments_of(&p, lengths, is_left(&p, j.partial))
        finally:
            PyBuffer_Release(&view)
    finally:
        drop_copy(&p.template)
        drop_ports(&ports)
