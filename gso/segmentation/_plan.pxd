"""Plans: the headers of a super-packet and how its payload is cut."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from gso.buffers._checksum cimport gso_train
from gso.headers._numbers cimport (
    SKB_GSO_ESP, SKB_GSO_FCOE, SKB_GSO_SCTP, SKB_GSO_TCPV4, SKB_GSO_TCPV6, SKB_GSO_UDP,
    SKB_GSO_UDP_L4,
)
from gso.headers._walk cimport (
    FEW_BYTES, MAX_LAYERS, fault, header_copy, headers, link_layer, port_list,
)

cdef enum:
    # FCOE and ESP are known bits, but nothing here segments such packets.
    TRANSPORT_TYPES = (SKB_GSO_TCPV4 | SKB_GSO_TCPV6 | SKB_GSO_UDP | SKB_GSO_UDP_L4
                       | SKB_GSO_FCOE | SKB_GSO_SCTP | SKB_GSO_ESP)

# The fate of the innermost checksum
cdef enum inner_checksum:
    INNER_COMPLETE  # computed
    INNER_PARTIAL   # pseudo header sum, for hardware to complete: as good as complete
    INNER_REMOTE    # pseudo header sum, for the receiver to complete: data like any other
    INNER_ABSENT    # there is none, or it is left as it is

# An IPv4 header whose ID counts, or which is a fragment
cdef struct stamped_ip:
    uint16_t offset
    uint16_t ident
    bint fragment

# Sums that are the same for all segments of one length
cdef struct length_sums:
    uint64_t ip[MAX_LAYERS]  # of each stamped IPv4 header but for check and ID or fragment offset
    uint64_t l4              # of the innermost checksum's data but for what stamp() knows
    int outer                # the checksum of this layer depends on payload bytes; -1 if none does
    uint64_t outer_sum

# The arguments of a call, which hold for all its frames
cdef struct plan_options:
    const link_layer *link
    bint partial            # checksum="partial"
    bint believe            # the checksum field holds the sum of the pseudo header, even if wrong
    unsigned int kernel     # facts of gso.headers._kernel
    const bint *stop        # set by another thread when no caller waits any more, or NULL
    const headers *layout   # the caller's, or NULL
    const port_list *ports

cdef struct plan:
    headers h
    header_copy template
    const bint *stop
    const uint8_t *payload
    Py_ssize_t hlen         # length of the template
    Py_ssize_t length       # of the payload
    Py_ssize_t step         # payload bytes per segment, except in the last
    Py_ssize_t count        # segments
    Py_ssize_t gso_size
    unsigned int gso_type   # normalised: what the frame is to be treated as
    unsigned int kernel
    bint believe
    bint accecn
    bint partial            # GSO_PARTIAL
    bint ufo
    bint guarded            # a UDP payload that is not cut where it may be a tunnel
    inner_checksum inner
    uint64_t fixed[MAX_LAYERS]      # sums of the bytes that no segment changes: of a layer's header
    uint64_t gap[MAX_LAYERS]        # and, for IPv4, of the bytes between it and the next layer
    uint64_t pseudo[MAX_LAYERS]     # of a UDP layer, without its length
    bint sealed[MAX_LAYERS]         # a UDP or GRE layer with a checksum
    uint64_t addresses              # of the innermost pseudo header but for the length,
    uint64_t routed                 # and with the address that a routing header names; 0: none
    uint64_t l4_fixed
    uint64_t l4_pseudo
    uint32_t seq
    uint16_t flags
    int stamps
    stamped_ip stamp[MAX_LAYERS]
    bint prepared           # the template and these sums are those of full segments
    length_sums full
    bint regular            # segments differ in IDs, sequence numbers and checksums only,
    gso_train train         # all but the last, which may be shorter
    gso_train last          # and is a train of its own; a step of 0: not known yet
    uint8_t last_header[FEW_BYTES]


# Plan the segmentation of a frame; returns 0, or -1 with `why` filled in. The caller frees the
# template with drop_copy().
cdef int make_plan(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size,
    int64_t gso_size, unsigned int gso_type
) noexcept nogil
# Bytes of output: `count` segments of hlen + step bytes, of which the last may be shorter.
cdef Py_ssize_t plan_size(const plan *p) noexcept nogil

# The parts of make_plan(), for payloads that are cut otherwise. Each returns 0, or -1 with `why`.
cdef int read_plan(
    plan *p, fault *why, const plan_options *options, const uint8_t *frame, Py_ssize_t size
) noexcept nogil
cdef int settle_type(plan *p, fault *why, unsigned int gso_type) noexcept nogil
cdef int check_fixed_ids(plan *p, fault *why) noexcept nogil
# `text`: of a fault with the length, its limit and `n`.
cdef int check_lengths(
    const plan *p, fault *why, Py_ssize_t n, const char *text
) noexcept nogil
