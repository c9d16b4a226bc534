"""Plans: everything about a super-packet but its payload."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from gso.buffers._checksum cimport gso_train
from gso.headers._walk cimport FEW_BYTES, MAX_LAYERS, fault, header_copy, headers, port_list

cdef enum:  # gso.GsoType
    SKB_GSO_TCPV4 = 1 << 0
    SKB_GSO_TCP_ECN = 1 << 2
    SKB_GSO_TCP_FIXEDID = 1 << 3
    SKB_GSO_TCPV6 = 1 << 4
    SKB_GSO_GRE = 1 << 6
    SKB_GSO_GRE_CSUM = 1 << 7
    SKB_GSO_IPXIP4 = 1 << 8
    SKB_GSO_IPXIP6 = 1 << 9
    SKB_GSO_UDP_TUNNEL = 1 << 10
    SKB_GSO_UDP_TUNNEL_CSUM = 1 << 11
    SKB_GSO_PARTIAL = 1 << 12
    SKB_GSO_TUNNEL_REMCSUM = 1 << 13
    SKB_GSO_UDP = 1 << 16
    SKB_GSO_UDP_L4 = 1 << 17
    SKB_GSO_TCP_ACCECN = 1 << 19

# What becomes of the innermost checksum
cdef enum inner_checksum:
    COMPLETE        # computed
    PARTIAL         # pseudo header sum, for hardware to complete: as good as complete
    REMOTE          # pseudo header sum, for the receiver to complete: data like any other
    ABSENT          # there is none in this segment, or it is none of our business

# An IPv4 header whose ID counts, or which is a fragment
cdef struct stamped_ip:
    uint16_t offset
    uint16_t ident
    bint fragment

# Sums of what segments of one length have in common
cdef struct length_sums:
    uint64_t ip[MAX_LAYERS]  # of each stamped IPv4 header but for check and ID or fragment offset
    uint64_t l4              # of the innermost checksum's data but for what stamp() knows
    int outer                # the checksum of this layer depends on payload bytes; -1 if none does
    uint64_t outer_sum

# What all frames of a call have in common
cdef struct job:
    bint raw
    bint partial            # checksum="partial"
    bint believe            # the checksum field holds the sum of the pseudo header, come what may
    const headers *layout   # the caller's, or NULL
    const port_list *ports

cdef enum:
    GSO_BY_FRAGS = 0xffff  # include/linux/skbuff.h: not a size

    IPPROTO_TCP = 6
    IPPROTO_UDP = 17
    FRAG_HLEN = 8
    UDP_HLEN = 8

cdef struct plan:
    headers h
    header_copy template
    const uint8_t *payload
    Py_ssize_t hlen         # length of the template
    Py_ssize_t length       # of the payload
    Py_ssize_t step         # payload bytes per segment, except in the last
    Py_ssize_t count        # segments
    Py_ssize_t gso_size
    unsigned int gso_type   # normalised: what the frame is to be treated as
    bint believe
    bint accecn
    bint partial            # GSO_PARTIAL
    bint ufo
    inner_checksum inner
    uint64_t fixed[MAX_LAYERS]      # sums of what no segment changes: of a layer's header
    uint64_t gap[MAX_LAYERS]        # and, for IPv4, of what is between it and the next layer
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


cdef int refuse(
    fault *why, int reason, const char *field, const char *text, int64_t offset, int64_t limit,
    int64_t value
) noexcept nogil
# Everything about a frame but its payload; drop_copy(&p.template) afterwards. Returns 0, or -1 with
# `why` filled in.
cdef int make_plan(
    plan *p, fault *why, const job *j, const uint8_t *frame, Py_ssize_t size, int64_t gso_size,
    unsigned int gso_type
) noexcept nogil
# Bytes of output: `count` segments of hlen + step bytes, the last one shorter.
cdef Py_ssize_t plan_size(const plan *p) noexcept nogil
