"""UDP payloads on ports that are not known, which are a tunnel by all their fields."""

from libc.stdint cimport uint8_t

from gso.headers._walk cimport headers, link_layer, port_list, udp_tunnel

cdef struct guess:
    const udp_tunnel *row   # NULL: it is no tunnel
    uint8_t protocol        # FOU: the IP protocol inside; 0: its version tells
    Py_ssize_t inside       # where the IP packet in the tunnel starts

# Whether UDP payload may be a tunnel: a look at its first bytes.
cdef bint may_be_tunnel(
    const port_list *ports, const uint8_t *payload, Py_ssize_t size
) noexcept nogil
# The kind of UDP payload of a frame with these headers; nothing if the caller says that its port
# carries plain UDP, or if the port is known.
cdef guess guess_tunnel(
    const headers *h, const uint8_t *frame, Py_ssize_t size, const link_layer *link,
    const port_list *ports
) noexcept nogil
# Whether the payload is datagrams of `gso_size` bytes, each with a packet of the tunnel.
cdef bint is_train(
    const guess *found, const headers *h, const uint8_t *frame, Py_ssize_t size, Py_ssize_t gso_size
) noexcept nogil
cdef const char *ambiguity(const guess *found) noexcept nogil
