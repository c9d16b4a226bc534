# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""Layouts: where a walk found the headers of a frame, for Python."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.string cimport memcpy, memset

from gso.buffers._borrow cimport borrow
from gso.buffers._signals cimport check_signals, span_piece_end
from gso.buffers._spans cimport Spans, as_spans
from gso.headers._arguments cimport as_error, as_link, drop_ports, known_link, take_ports
from gso.headers._shapes cimport known_row, learn_shape, no_shapes, shape_list
from gso.headers._walk cimport (
    ROW_SIZE, drop_copy, fault, header_copy, headers, link_layer, port_list, read_headers,
)

import numpy as np

from gso.buffers._memory import new_array
from gso.constants import L4, Tunnel
from gso.html import html_table

LAYOUT_DTYPE = np.dtype([
    ("mac_header", np.int32),
    ("network_header", np.int32),
    ("transport_header", np.int32),
    ("inner_mac_header", np.int32),
    ("inner_network_header", np.int32),
    ("inner_transport_header", np.int32),
    ("payload", np.int32),
    ("tnl_hlen", np.int32),
    ("tunnel", np.uint8),
    ("l4", np.uint8),
    ("inner_version", np.uint8),
    ("outer_version", np.uint8),
])

cdef object _or_none(int32_t offset):
    return None if offset < 0 else offset


cdef class Layout:
    """Where the headers of a frame are, from :func:`parse`. Offsets are from its first byte.

    The names are those of the kernel's struct sk_buff. Offsets that the frame has no header for
    are None. With several tunnels inside each other, `tunnel` is the outermost, the outer headers
    are those in front of it, and the inner headers are the innermost.
    """

    def __init__(self):
        raise TypeError("a Layout comes from gso.parse")

    @property
    def link_type(self):
        """The link type of the frame, as it was given: "ethernet", "linux_sll"."""
        return self.link

    @property
    def mac_header(self):
        """Start of the link-layer header: 0."""
        return self.h.mac_header

    @property
    def network_header(self):
        """Start of the outer IP, MPLS or NSH header, or the end of the link-layer header."""
        return _or_none(self.h.network_header)

    @property
    def transport_header(self):
        """End of the outer IP header and its extension headers: TCP, UDP, GRE or an inner IP."""
        return _or_none(self.h.transport_header)

    @property
    def inner_mac_header(self):
        """Start of the innermost packet: an Ethernet header if it has one, else the IP header."""
        return _or_none(self.h.inner_mac_header)

    @property
    def inner_network_header(self):
        """Start of the innermost network header."""
        return _or_none(self.h.inner_network_header)

    @property
    def inner_transport_header(self):
        """Start of the innermost TCP or UDP header, or of the bytes in its place."""
        return _or_none(self.h.inner_transport_header)

    @property
    def payload(self):
        """Start of the data after the last header that is understood."""
        return self.h.payload

    @property
    def tnl_hlen(self):
        """Length of the tunnel headers: ``inner_mac_header - transport_header``, 0 without them."""
        return self.h.tnl_hlen

    @property
    def tunnel(self):
        """The outermost :class:`Tunnel`."""
        return Tunnel(self.h.tunnel)

    @property
    def l4(self):
        """The innermost transport protocol, an :class:`L4`."""
        return L4(self.h.l4)

    @property
    def inner_version(self):
        """IP version of the innermost IP header: 4, 6, or 0 if there is none."""
        return self.h.inner_version

    @property
    def outer_version(self):
        """IP version of the outermost IP header, the same as `inner_version` without a tunnel."""
        return self.h.outer_version

    def __eq__(self, other):
        if not isinstance(other, Layout):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _NAMES)

    __hash__ = None

    def __repr__(self):
        parts = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in _NAMES)
        return f"Layout({parts})"

    def __reduce__(self):
        """Offsets and kinds; a frame's layers are read again where they are needed."""
        return _restore, (PyBytes_FromStringAndSize(<const char *>&self.h, ROW_SIZE), self.link)

    def _repr_html_(self):
        """For notebooks: the offsets that the frame has headers for."""
        known = [(name, getattr(self, name)) for name in _NAMES]
        rows = [(name, _named(value)) for name, value in known if value is not None]
        return html_table("gso.Layout", ("offset", "bytes"), rows, 0)

    def _repr_svg_(self):
        """For notebooks: the headers to scale, with the offsets."""
        from gso.headers.layout_svg import layout_svg  # only notebooks need it

        return layout_svg(self)


def _restore(bytes row, link):
    if len(row) != ROW_SIZE:
        raise ValueError(f"a Layout has {ROW_SIZE} bytes, not {len(row)}")
    as_link(link)  # refuses what is no link type
    cdef Layout self = Layout.__new__(Layout)
    memset(&self.h, 0, sizeof(self.h))
    memcpy(&self.h, PyBytes_AS_STRING(row), ROW_SIZE)
    self.link = link
    self.restored = True
    return self


def _named(value):
    return value.name if isinstance(value, (L4, Tunnel)) else value


def _shown(value):
    return str(value) if type(value) in (int, type(None)) else repr(value)


_NAMES = (*LAYOUT_DTYPE.names, "link_type")


def parse(frame, *, link_type="ethernet", tunnel_ports=None):
    """Find the headers of a frame.

    Args:
        frame: any buffer, or what makes bytes of itself. Length and checksum fields in it are not
            believed.
        link_type: what the frame starts with: "ethernet"; "raw" (or "ipv4", "ipv6"), an IP header;
            "linux_sll" or "linux_sll2", the cooked header of captures on all devices; "null" or
            "loop", an address family, which must be that of the IP packet; "ppp", "ppp_hdlc",
            "c_hdlc" or "ppp_with_dir", PPP (RFC 1661) or Cisco's HDLC; "ppp_ether", a PPPoE
            session header. Names and ``LINKTYPE_`` numbers are those of captures. Offsets count
            from the first byte of this header, and segments and super-packets begin with it.
        tunnel_ports: maps a UDP destination port to a :class:`Tunnel`, to its name (``"gue"``), to
            ``(Tunnel.FOU, ip_protocol)`` where a FOU port carries another protocol than the IP
            version in its first four bits, or to None (or Tunnel.NONE) for plain UDP. Known without
            it: VXLAN 4789 and 8472, VXLAN-GPE 4790, Geneve 6081, GUE 6080
            (`gso.headers.tunnels`).

    A packet that is neither TCP nor UDP has `l4` NONE; its `payload` is all that follows the last
    header understood.

    Raises GsoError if a header is cut short (TRUNCATED) or impossible (BAD_HEADER).
    """
    cdef port_list ports
    take_ports(&ports, tunnel_ports)
    try:
        return _parse_one(frame, link_type, &ports)
    finally:
        drop_ports(&ports)


def parse_announced(frame, inner_network_header, inner_version, *, link_type="ethernet"):
    """:func:`parse` of a frame whose virtio header tells of UDP tunnels, whatever their ports.

    Args:
        inner_network_header: where the packet in the tunnel starts; 0 if there is no UDP tunnel.
        inner_version: its IP version.
    """
    cdef port_list ports
    take_ports(&ports, None)
    ports.inner = inner_network_header
    ports.inner_version = inner_version
    return _parse_one(frame, link_type, &ports)


cdef Layout _parse_one(object frame, object link_type, const port_list *ports):
    cdef header_copy copy
    cdef fault why
    cdef Py_buffer view
    cdef int failed
    cdef Layout self = Layout.__new__(Layout)
    cdef const link_layer *link = as_link(link_type)
    self.link = known_link(link_type)
    borrow(frame, &view)
    failed = read_headers(&self.h, &why, &copy, <const uint8_t *>view.buf, view.len, link, ports)
    drop_copy(&copy)
    PyBuffer_Release(&view)
    if failed:
        raise as_error(&why)
    return self


def parse_batch(frames, *, link_type="ethernet", tunnel_ports=None,
                errors="raise"):
    """:func:`parse` of each frame: array of :data:`LAYOUT_DTYPE` and shape (len(frames),).

    Offsets that a frame has no header for are -1. With ``errors="mark"`` a frame that
    :func:`parse` raises GsoError for gets a row of -1 offsets, `l4` and `tunnel` 0.
    """
    if errors not in ("raise", "mark"):
        raise ValueError(f'errors is "raise" or "mark", not {errors!r}')
    cdef Spans batch = as_spans(frames)
    result = new_array(batch.n, LAYOUT_DTYPE)
    cdef uint8_t[::1] rows = result.view(np.uint8)
    cdef const link_layer *link = as_link(link_type)
    cdef bint mark = errors == "mark"
    cdef port_list ports
    cdef Py_ssize_t end, failed = -1, i = 0
    cdef shape_list known
    cdef fault why
    no_shapes(&known)
    take_ports(&ports, tunnel_ports)
    try:
        while i < batch.n:
            end = span_piece_end(batch.starts, batch.ends, i, batch.n)
            with nogil:
                failed = _parse_some(batch, i, end, &rows[0], &known, link, &ports, mark, &why)
            if failed >= 0:
                raise as_error(&why, failed)
            i = end
            check_signals()
    finally:
        drop_ports(&ports)
    return result


cdef Py_ssize_t _parse_some(
    Spans batch, Py_ssize_t begin, Py_ssize_t end, uint8_t *rows, shape_list *known,
    const link_layer *link, const port_list *ports, bint mark, fault *why
) noexcept nogil:
    """Parse frames `begin` to `end`; returns -1, or the number of the frame that `why` is about.
    """
    cdef int64_t at
    cdef Py_ssize_t i
    for i in range(begin, end):
        at = batch.starts[i]
        if read_row(
            rows + i * ROW_SIZE, known, batch.buf + at, batch.ends[i] - at, link, ports, why
        ) < 0 and not mark:
            return i
    return -1


cdef int read_row(
    uint8_t *row, shape_list *known, const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports, fault *why
) noexcept nogil:
    cdef const uint8_t *found = known_row(known, ports, frame, size)
    if found is NULL:
        return _walk_one(row, known, frame, size, link, ports, why)
    memcpy(row, found, ROW_SIZE)
    return 0


cdef int _walk_one(
    uint8_t *row, shape_list *known, const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports, fault *why
) noexcept nogil:
    """Walk a frame's headers and note its shape; returns 0, or -1 with a row that says so."""
    cdef headers h
    cdef header_copy copy
    cdef int failed = read_headers(&h, why, &copy, frame, size, link, ports)
    if failed:
        memset(row, 0xff, ROW_SIZE - 8)  # eight offsets of -1, tnl_hlen and
        memset(row + ROW_SIZE - 8, 0, 8)  # four bytes of 0
    else:
        memcpy(row, &h, ROW_SIZE)
        learn_shape(known, &h, copy.p, size, link)
    drop_copy(&copy)
    return failed


assert LAYOUT_DTYPE.itemsize == ROW_SIZE
