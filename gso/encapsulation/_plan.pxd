"""How a frame is put into a tunnel, which holds for the next one of its kind, too."""

from libc.stdint cimport uint16_t, uint64_t, uint8_t
from libc.string cimport memcpy

from gso.encapsulation._inner cimport MAC_ADDRESSES_LEN, inner_packet
from gso.encapsulation._link cimport LINK_ROOM
from gso.encapsulation._recipe cimport OUTER_ROOM, recipe, template
from gso.headers._walk cimport fault, port_list

cdef enum:
    DECIDING = 2                # words that tell whether a plan holds for a frame

# Where the receiver finds the checksum that is left to it
cdef struct remote_checksum:
    Py_ssize_t start            # of the transport header, in the packet
    Py_ssize_t check            # of its checksum
    uint16_t partial            # the sum of the pseudo header, which goes there

cdef struct plan:
    const template *t
    inner_packet packet         # of the frame that it was made for
    Py_ssize_t total            # from the outer IP header on
    Py_ssize_t link             # bytes of the link-layer header
    Py_ssize_t front            # and of all headers
    # The headers: what differs from frame to frame is still missing, and what is 0 without it
    uint8_t data[LINK_ROOM + OUTER_ROOM]
    uint64_t ip_sum             # of the outer IPv4 header,
    uint64_t sealed             # and what of the sum of a UDP or GRE checksum they are
    bint remote                 # with remote checksum offload
    remote_checksum left
    bint known                  # whether it may hold for another frame
    Py_ssize_t size             # of such a frame
    uint64_t word[DECIDING]     # what it begins with, from the Ethernet type on,
    uint64_t same[DECIDING]     # and which bits of it have to be the same

cdef int make_plan(
    plan *p, const recipe *r, const uint8_t *frame, Py_ssize_t size, const port_list *ports,
    fault *why
) noexcept nogil


cdef inline Py_ssize_t deciding_at(const recipe *r) noexcept nogil:
    """Where the bytes start that decide: the Ethernet type, or the IP header."""
    return 0 if r.raw else MAC_ADDRESSES_LEN


cdef inline bint holds(
    const plan *p, const recipe *r, const uint8_t *frame, Py_ssize_t size
) noexcept nogil:
    """Whether a plan is that of this frame, too."""
    cdef uint64_t word[DECIDING]
    if not p.known or size != p.size:
        return False
    memcpy(word, frame + deciding_at(r), sizeof(word))
    return not ((word[0] ^ p.word[0]) & p.same[0] | (word[1] ^ p.word[1]) & p.same[1])
