# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, embedsignature=False
"""The link-layer header in front of a result."""

from cpython.buffer cimport PyObject_CheckBuffer
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from gso.buffers._bytes cimport put16
from gso.headers._numbers cimport ETH_HLEN, ETH_P_IP, ETH_P_IPV6


cdef int take_link(link_header *link, object given, bint raw) except -1:
    """Take the argument `link`: bytes, or None for the header of the frames themselves."""
    if given is not None and not PyObject_CheckBuffer(given) and not hasattr(given, "__bytes__"):
        raise TypeError(
            f"link is an Ethernet header's bytes or None, not {given!r}; link_type says what "
            "frames start with")
    cdef bytes front = b"" if given is None else bytes(given)
    if front and not ETH_HLEN <= len(front) <= LINK_ROOM:
        raise ValueError(
            f"link has {len(front)} bytes, an Ethernet header has from {ETH_HLEN} to {LINK_ROOM}")
    link.own = given is None and not raw
    link.size = ETH_HLEN if link.own else len(front)
    memcpy(link.data, <const char *>front, len(front))
    return 0


cdef Py_ssize_t write_link(
    const link_header *link, uint8_t *out, const uint8_t *frame, int version
) noexcept nogil:
    """Write the header, which announces an IP version; returns its length."""
    memcpy(out, frame if link.own else link.data, link.size)
    if link.size:
        put16(out + link.size - 2, ETH_P_IP if version == 4 else ETH_P_IPV6)
    return link.size
