# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Segmentation as the Linux kernel's software GSO does it (net/ipv4/*_offload.c, skb_segment)."""

cimport cython
from cpython.buffer cimport PyBuffer_Release
from libc.stdint cimport int64_t, uint8_t

from gso.buffers._borrow cimport borrow
from gso.buffers._checksum cimport STREAM, simd
from gso.buffers._frames cimport Frames, as_frames
from gso.buffers._memory cimport address, new_bytes
from gso.buffers._signals cimport RELEASE_GIL
from gso.headers._arguments cimport (
    as_error, as_gso_size, as_gso_type, as_kernel, as_link, drop_ports, is_partial, take_ports,
)
from gso.headers._layout cimport Layout
from gso.headers._numbers cimport UDP_HLEN
from gso.headers._walk cimport REASON_GSO_SIZE, fault, port_list, refuse
from gso.segmentation._complete cimport complete_headers
from gso.segmentation._emit cimport emit
from gso.segmentation._plan cimport plan, plan_options, plan_size
from gso.segmentation._plan_reuse cimport fill_plan, give_plan, take_plan

import numpy as np

from gso.constants import Reason
from gso.errors import GsoError
from gso.headers._layout import parse
from gso.segmentation._frame_list import segment_list
from gso.segmentation._sctp import segment_sctp

cdef Frames segments_of(plan *p, const uint8_t *frame, Py_ssize_t size):
    """Write the segments of a plan into new Frames."""
    cdef Py_ssize_t i, length = plan_size(p)
    cdef object data = new_bytes(length), ends = new_bytes((p.count + 1) * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    if length < RELEASE_GIL:
        write_plan(p, frame, size, out, False)
    else:
        with nogil:
            write_plan(p, frame, size, out, length >= STREAM)
            if length >= STREAM:
                simd.stream_end()
    for i in range(p.count):
        off[i] = i * (p.hlen + p.step)
    off[p.count] = length
    cdef Frames segments = Frames.__new__(Frames)
    segments.adopt(data, ends, p.count)
    return segments


cdef Py_ssize_t headers_size(const plan *p) noexcept nogil:
    return p.count * p.hlen + (UDP_HLEN if p.ufo else 0)


cdef int check_headers(const plan *p, fault *why) noexcept nogil:
    if not p.ufo or p.gso_size == 0 or p.gso_size >= UDP_HLEN:
        return 0
    return refuse(
        why, REASON_GSO_SIZE, "gso_size", "gso_size {offset} cuts the UDP header ({limit} bytes)",
        p.gso_size, UDP_HLEN, p.gso_size)


cdef int write_headers(
    plan *p, const uint8_t *frame, Py_ssize_t size, Py_ssize_t start, uint8_t *out, int64_t *pieces
) except -1 nogil:
    cdef Py_ssize_t i, extra = UDP_HLEN if p.ufo else 0
    if p.gso_size:
        emit(p, out, True, False)
    else:
        complete_headers(p, frame, size, out)
    start += p.payload - frame
    for i in range(p.count):
        pieces[2 * i] = start + i * p.step
        pieces[2 * i + 1] = p.step
    pieces[2 * p.count - 1] = p.length - (p.count - 1) * p.step
    pieces[0] += extra
    pieces[1] -= extra
    return 0


cdef SegmentHeaders headers_of(plan *p, const uint8_t *frame, Py_ssize_t size):
    """Write the headers of a plan's segments."""
    cdef fault why
    cdef Py_ssize_t i, length = headers_size(p)
    if check_headers(p, &why) < 0:
        raise as_error(&why)
    cdef object data = new_bytes(length), ends = new_bytes((p.count + 1) * sizeof(int64_t))
    cdef object pieces = new_bytes(p.count * 2 * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef int64_t *off = <int64_t *>address(ends)
    cdef int64_t *piece = <int64_t *>address(pieces)
    if p.length < RELEASE_GIL:
        write_headers(p, frame, size, 0, out, piece)
    else:
        with nogil:
            write_headers(p, frame, size, 0, out, piece)
    off[0] = 0
    for i in range(p.count):
        off[i + 1] = length - (p.count - 1 - i) * p.hlen
    cdef SegmentHeaders result = SegmentHeaders.__new__(SegmentHeaders)
    result.headers = Frames.__new__(Frames)
    result.headers.adopt(data, ends, p.count)
    result.pieces = pieces
    return result


cdef object run(
    object frame, object gso_size, object gso_type, object layout, object link_type,
    object tunnel_ports, object checksum, object kernel, bint headers_only, bint believe=False
):
    """Borrow the frame, plan, write, and release the frame and the plan."""
    cdef plan own
    cdef plan *p
    cdef plan_options j
    cdef port_list ports
    cdef fault why
    cdef Py_buffer view
    cdef int64_t size = as_gso_size(gso_size)
    cdef unsigned int bits = as_gso_type(gso_type)
    j.partial = is_partial(checksum)
    j.believe = believe
    j.kernel = as_kernel(kernel)
    j.link = as_link(link_type)
    j.stop = NULL
    j.layout = NULL
    j.ports = &ports
    if layout is not None:
        if (<Layout?>layout).link is None:
            raise TypeError("a Layout comes from gso.parse")
        if (<Layout>layout).restored:
            layout = _read_again(layout, frame, tunnel_ports)
        j.link = as_link((<Layout>layout).link)
        j.layout = &(<Layout>layout).h
    take_ports(&ports, tunnel_ports)
    p = take_plan(&own, &j)
    try:
        borrow(frame, &view)
        try:
            if fill_plan(p, &why, &j, <const uint8_t *>view.buf, view.len, size, bits):
                raise as_error(&why)
            if headers_only:
                return headers_of(p, <const uint8_t *>view.buf, view.len)
            return segments_of(p, <const uint8_t *>view.buf, view.len)
        finally:
            PyBuffer_Release(&view)
    finally:
        give_plan(p)
        drop_ports(&ports)


cdef Layout _read_again(Layout pickled, object frame, object tunnel_ports):
    """The layout of the frame if it is the one that was pickled, which knows offsets only."""
    cdef Layout found = parse(frame, link_type=pickled.link, tunnel_ports=tunnel_ports)
    if found != pickled:
        raise GsoError(
            f"the layout, which was pickled, ends at byte {pickled.payload}, the frame's headers "
            f"at {found.payload}: it is another frame, or needs the same tunnel_ports",
            reason=Reason.LAYOUT, field="payload", offset=pickled.payload, limit=found.payload)
    return found


def segment(frame, gso_size, *, gso_type=None, layout=None, link_type="ethernet",
            tunnel_ports=None, checksum="complete", kernel="6.12", pieces=None):
    """Segment a super-packet exactly as the Linux kernel's software GSO does.

    A PPPoE session header (RFC 2516) is followed as 7.3 does with its module pppoe; older kernels
    do not segment such packets in software. A GRE sequence number is repeated in every segment:
    receivers that look at it (iseq) drop all but the first.

    Three things are otherwise than in a kernel. A frame in two tunnels is segmented as two stacked
    devices do, which the kernel does at the lower one first; in one sk_buff with two it would
    leave the lengths of the headers in the middle as they are. UFO below more than two IP headers
    was compared with no kernel. Of addresses that differ from those in the IP header when a
    checksum is made, the final destination of a routing header is known here; the home address of
    Mobile IPv6 and the route of an IPv4 option (LSRR, SSRR) are not.

    Args:
        frame: the super-packet, any buffer. Length and checksum fields, IPv4 header checksums
            included, may hold any value: all are computed anew. Or, with FRAGLIST in gso_type,
            frames (a list, or :class:`Frames`) as GRO leaves them in one list (rx-gro-list, see
            :func:`coalesce`): TCP or UDP in IP, in no tunnel. Of it come the frames themselves,
            with the link's header of the first, lengths and IPv4 IDs made anew. If the addresses
            or ports of the first were changed since (NAT), the others take them over and their
            checksums are brought up to date; a smaller TTL they do not take over. Nothing else
            changes, a checksum that is wrong neither.
        gso_size: payload bytes per segment, headers not counted (for UFO: bytes of IP payload per
            fragment; in a list of frames: of the first). 0: no segmentation; checksums of TCP, UDP
            and tunnels are completed, and the rest of the frame stays. GSO_BY_FRAGS: see `pieces`.
        gso_type: :class:`GsoType`. Of the groups transport (TCPV4, TCPV6, UDP, UDP_L4), UDP tunnel
            and GRE, one that has no bit set is taken from the frame: segments for a UDP packet, an
            outer checksum where the field is not 0, remote checksum offload where the header says
            so. None is 0. A UDP port of a protocol that is known not to be cut into datagrams
            (GTP-U, L2TP, ESP, WireGuard, CAPWAP: `gso.headers.tunnels`) is refused unless UDP or
            UDP_L4 is set, or `tunnel_ports` maps it to None.
            A UDP payload on a port that is not known, which is a tunnel by all its fields, is not
            cut into datagrams by guess (AMBIGUOUS): `tunnel_ports` has to name the tunnel, or None
            for plain UDP, or gso_type UDP_L4. Datagrams that carry a packet each are cut.
        layout: from :func:`parse` of this frame or one with the same headers, to save parsing.
        link_type, tunnel_ports: as for :func:`parse`; a layout has its own link type.
        checksum: "complete", or "partial": the innermost checksum field holds the sum of the
            pseudo header for hardware to complete (CHECKSUM_PARTIAL).
        kernel: "6.12", "6.1" or "7.3": the kernel that is followed where they differ (see
            `gso.versions`). 7.3 has other bits for IPv4 IDs that stay the same, which need no DF;
            its GSO_PARTIAL makes pieces of up to 65535 segments, and gives those of USO the UDP
            length of one segment; and it leaves the jumbo header of BIG TCP in.
        pieces: for SCTP, which is cut where its sender says: how many bytes of chunks each segment
            gets (in the kernel, the sizes of the sk_buffs in the frag_list; the sk_buff that they
            hang on has headers only). The headers and SCTP's common header are in front of each.
            The CRC32c is computed anew; with checksum="partial" (a device with NETIF_F_SCTP_CRC)
            it stays as it is, unless a UDP or GRE checksum around it is in use, or a service header
            (NSH) precedes it. Without CHECKSUM_PARTIAL the kernel would leave that of the
            super-packet in each segment, where it is wrong. PARTIAL and the bits of other
            transports have no effect, but for UDP (UFO), which is refused. So are pieces that do
            not begin and end with a chunk, though the kernel cuts anywhere. Where SCTP is in UDP
            without an IP header of its own (RFC 6951), `tunnel_ports` says so:
            ``{9899: (gso.Tunnel.FOU, 132)}``; GUE says it itself.

    Returns :class:`Frames`: the segments in transmit order.

    Raises GsoError for what the kernel refuses: see :class:`Reason`.

    Kernel: __skb_gso_segment, inet_gso_segment, ipv6_gso_segment, tcp_gso_segment,
    __udp_gso_segment, udp4_ufo_fragment, __skb_udp_tunnel_segment, gre_gso_segment,
    pppoe_gso_segment, skb_segment_list, sctp_gso_segment.
    """
    if pieces is not None:
        if layout is not None:
            raise ValueError("pieces go without a layout: that of SCTP ends before its header")
        return segment_sctp(
            frame, gso_size, pieces, gso_type, link_type, tunnel_ports, checksum, kernel)
    if type(frame) is list or isinstance(frame, Frames):
        return _list(frame, gso_size, gso_type, layout, link_type, tunnel_ports, checksum, kernel)
    return run(
        frame, gso_size, gso_type, layout, link_type, tunnel_ports, checksum, kernel, False)


cdef object _list(
    object frames, object gso_size, object gso_type, object layout, object link_type,
    object tunnel_ports, object checksum, object kernel
):
    """Segment a list of frames, which have layouts and checksums of their own."""
    if layout is not None:
        raise ValueError("a list of frames has no layout: each frame has its own")
    if is_partial(checksum):
        raise ValueError('checksum is "complete" for a list of frames: each has its own')
    return segment_list(as_frames(frames), gso_size, gso_type, link_type, tunnel_ports, kernel)


def segment_vouched(frame, gso_size, *, gso_type, layout, link_type, checksum, kernel):
    """:func:`segment` of a frame whose virtio header says that it is CHECKSUM_PARTIAL.

    The value in the checksum field is believed, as the kernel does, even if it is wrong.
    """
    return run(frame, gso_size, gso_type, layout, link_type, None, checksum, kernel, False, True)


@cython.auto_pickle(False)  # Cython's __setstate__ believes whatever it is given
@cython.freelist(8)
cdef class SegmentHeaders:
    """Headers of segments, and where each one's payload is; see :func:`segment_headers`.

    Unpacks into the two: ``headers, payload = segment_headers(...)``.
    """

    cdef readonly Frames headers
    cdef object pieces

    def __init__(self):
        raise TypeError("SegmentHeaders come from gso.segment_headers")

    @property
    def payload(self):
        """Offset in the frame and length of each payload: int64 array of shape (n, 2)."""
        return np.frombuffer(self.pieces, np.int64).reshape(-1, 2)

    def __len__(self):
        return 2

    def __iter__(self):
        return iter((self.headers, self.payload))

    def __getitem__(self, i):
        return (self.headers, self.payload)[i]

    def __repr__(self):
        return f"<gso.SegmentHeaders: {len(self.headers)} segments>"

    def __reduce__(self):
        return _restore, (self.headers, bytes(self.pieces))


def _restore(Frames headers not None, bytes pieces not None):
    cdef SegmentHeaders self = SegmentHeaders.__new__(SegmentHeaders)
    self.headers, self.pieces = headers, pieces
    return self


def segment_headers(frame, gso_size, *, gso_type=None, layout=None, link_type="ethernet",
                    tunnel_ports=None, checksum="complete", kernel="6.12"):
    """The headers of the segments that :func:`segment` makes, without copying the payload.

    Header `i` followed by ``frame[offset:offset + length]``, with ``(offset, length)`` being
    ``payload[i]``, is segment `i`: give both to ``socket.sendmsg``. Checksums are complete.
    For UFO the first header includes the UDP header, as its checksum is not in the frame.

    Args and errors as for :func:`segment`; UFO needs a gso_size of at least 8 here.

    Returns :class:`SegmentHeaders`.
    """
    return run(
        frame, gso_size, gso_type, layout, link_type, tunnel_ports, checksum, kernel, True)
