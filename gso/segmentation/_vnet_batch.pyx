# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""What virtio headers ask of many packets: told apart, and the checksums that are lacking."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport store16
from gso.buffers._checksum cimport fold, not_zero, simd
from gso.buffers._frames cimport Frames, Segments
from gso.buffers._memory cimport address, new_bytes
from gso.buffers._signals cimport add_sum, check_signals, copy_bytes, piece_end
from gso.headers._arguments cimport as_kernel, as_link, drop_ports, take_ports
from gso.headers._kernel cimport KERNEL_VNET_BEFORE_USO
from gso.headers._numbers cimport GSO_BY_FRAGS, IPPROTO_UDP, IPV4_HLEN
from gso.headers._vnet cimport VIRTIO_NET_HDR_F_NEEDS_CSUM, vnet_header
from gso.headers._walk cimport (
    TUNNEL_NONE, drop_copy, fault, header_copy, headers, link_layer, port_list, read_headers,
)

import numpy as np

from gso.constants import L4
from gso.headers.vnet import KINDS, TCP_MIN_GSO_SIZE, UDP_MAX_SEGMENTS, VirtioNetGso

cdef enum:
    WORK_OTHER, WORK_SEGMENT, WORK_CHECKSUM

OTHER, SEGMENT, CHECKSUM = WORK_OTHER, WORK_SEGMENT, WORK_CHECKSUM

# By the gso_type of a virtio header: what the usual super-packets have, zeros for others
cdef struct kind:
    uint32_t gso_type
    uint8_t l4
    uint8_t thlen
    uint8_t check
    uint32_t most               # segments

cdef kind kinds[256]
cdef int64_t _LEAST_SIZE = TCP_MIN_GSO_SIZE


def _take_kinds():
    cdef kind one
    for word in (VirtioNetGso.TCPV4, VirtioNetGso.TCPV6, VirtioNetGso.UDP_L4):
        gso_type, l4, thlen, check = KINDS[int(word)]
        one.gso_type, one.l4, one.thlen, one.check = int(gso_type), int(l4), thlen, check
        one.most = UDP_MAX_SEGMENTS if l4 is L4.UDP else 1 << 16
        kinds[<int>word] = one
        if l4 is L4.TCP:
            kinds[<int>(word | VirtioNetGso.ECN)] = one


_take_kinds()


def tell_work(Frames frames not None, bytes rows not None, link_type, kernel):
    """Tell which packets ask for the usual work, and what it is.

    Args:
        rows: n virtio headers, the bytes of an array of VNET_DTYPE.
        link_type: what the packets start with.
        kernel: a name of gso.versions.

    Returns for each packet SEGMENT (a super-packet outside of tunnels that contradicts nothing;
    whether the segmenter takes it that says itself), CHECKSUM (it leaves as it is, but for a
    checksum that may lack, and contradicts nothing) or OTHER: uint8 array of shape (n,). Then
    gso_size and the kernel's gso_type of those to segment: int64 array of shape (2, n). Then how
    many are SEGMENT and CHECKSUM.

    Raises ValueError if there are not n rows.
    """
    cdef Py_ssize_t i = 0, end, n = frames.n
    cdef const vnet_header *row = _first(rows, n)
    cdef Py_ssize_t counts[3]
    cdef const link_layer *link = as_link(link_type)
    cdef bint uso = not as_kernel(kernel) & KERNEL_VNET_BEFORE_USO
    cdef port_list ports
    cdef int work
    works, sizes_types = np.empty(n, np.uint8), np.zeros((2, n), np.int64)
    cdef uint8_t[::1] out = works
    cdef int64_t[:, ::1] asked = sizes_types
    counts[0] = counts[1] = counts[2] = 0
    take_ports(&ports, None)
    try:
        while i < n:
            end = piece_end(frames.off, i, n)
            while i < end:
                work = work_of(
                    &row[i], frames.buf + frames.off[i], frames.off[i + 1] - frames.off[i], link,
                    &ports, uso)
                if work == WORK_SEGMENT:
                    asked[0, i], asked[1, i] = row[i].gso_size, kinds[row[i].gso_type].gso_type
                out[i] = <uint8_t>work
                counts[work] += 1
                i += 1
            check_signals()
    finally:
        drop_ports(&ports)
    return works, sizes_types, counts[<int>WORK_SEGMENT], counts[<int>WORK_CHECKSUM]


cdef const vnet_header *_first(bytes rows, Py_ssize_t n) except NULL:
    if len(rows) != n * <Py_ssize_t>sizeof(vnet_header):
        raise ValueError(f"{len(rows)} bytes of virtio headers for {n} packets")
    return <const vnet_header *>PyBytes_AS_STRING(rows)


cdef int work_of(
    const vnet_header *row, const uint8_t *frame, int64_t size, const link_layer *link,
    const port_list *ports, bint uso
) noexcept nogil:
    cdef const kind *usual = &kinds[row.gso_type]
    cdef int64_t payload
    if row.hdr_len > size:
        return WORK_OTHER
    if not row.gso_type:
        return WORK_CHECKSUM if not lacks_sum(row) or sum_fits(row, size) else WORK_OTHER
    payload = size - row.csum_start - usual.thlen
    if not (usual.gso_type and lacks_sum(row) and row.csum_offset == usual.check
            and _LEAST_SIZE <= row.gso_size != GSO_BY_FRAGS
            and row.gso_size < payload <= <int64_t>row.gso_size * usual.most):
        return WORK_OTHER
    if not uso and usual.l4 == IPPROTO_UDP:
        return WORK_OTHER
    if not stands_at(row.csum_start, usual.l4, frame, size, link, ports):
        return WORK_OTHER
    return WORK_SEGMENT


cdef inline bint lacks_sum(const vnet_header *row) noexcept nogil:
    return row.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM != 0


cdef inline bint sum_fits(const vnet_header *row, int64_t size) noexcept nogil:
    return row.csum_start >= IPV4_HLEN and <int64_t>row.csum_start + row.csum_offset + 2 <= size


cdef bint stands_at(
    int32_t start, uint8_t l4, const uint8_t *frame, int64_t size, const link_layer *link,
    const port_list *ports
) noexcept nogil:
    """Whether the transport header of a packet outside of tunnels is this one, at this byte."""
    cdef headers h
    cdef header_copy copy
    cdef fault why
    cdef bint failed = read_headers(&h, &why, &copy, frame, size, link, ports) < 0
    drop_copy(&copy)
    return not failed and h.l4 == l4 and h.tunnel == TUNNEL_NONE and h.transport_header == start


def complete_batch(Frames frames not None, bytes rows not None):
    """Copy packets, and complete the checksums that they lack (skb_checksum_help).

    Args:
        rows: their virtio headers, as for :func:`tell_work`, of which only NEEDS_CSUM and the place
            of the checksum count. Not only UDP sends 0 as 0xffff here.

    Returns :class:`Segments`, one of each packet.

    Raises ValueError if there are not n rows, or if one's checksum is not in its packet.
    """
    cdef Py_ssize_t i = 0, end, n = frames.n
    cdef const vnet_header *row = _first(rows, n)
    cdef Segments done = Segments.__new__(Segments)
    if not n:
        return done
    cdef object data = new_bytes(frames.off[n]), ends = new_bytes((n + 1) * sizeof(int64_t))
    cdef object counts = new_bytes(n * sizeof(int64_t))
    cdef uint8_t *out = <uint8_t *>address(data)
    cdef const int64_t *off = <const int64_t *>address(ends)
    memcpy(address(ends), frames.off, (n + 1) * sizeof(int64_t))
    copy_bytes(out, frames.buf, off[n])
    while i < n:
        end = piece_end(off, i, n)
        while i < end:
            if lacks_sum(&row[i]):
                if not sum_fits(&row[i], off[i + 1] - off[i]):
                    raise ValueError(f"packet {i} has no checksum where its virtio header says")
                complete_sum(&row[i], out + off[i], off[i + 1] - off[i])
            (<int64_t *>address(counts))[i] = 1
            i += 1
        check_signals()
    done.adopt(data, ends, n)
    done.counts = counts
    return done


cdef int complete_sum(const vnet_header *row, uint8_t *packet, int64_t size) except -1:
    cdef uint64_t total = 0
    add_sum(&total, simd.sum, packet + row.csum_start, size - row.csum_start)
    store16(packet + row.csum_start + row.csum_offset, not_zero(<uint16_t>~fold(total)))
    return 0
