"""The state of a call of coalesce(): frames, packets, and those that may still take up frames."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from gso.buffers._bytes cimport get16
from gso.buffers._checksum cimport sum_at
from gso.headers._kernel cimport KERNEL_LISTS_OF_UDP
from gso.headers._numbers cimport IPPROTO_UDP, TCP_SEQ
from gso.headers._walk cimport header_copy, headers, link_layer, port_list

cdef enum:
    NO_SLOT = -1
    RUN_HEADERS = 192       # bytes of headers that a run may have
    RUN_IDS = 2             # IPv4 headers: encap_mark allows one tunnel

# A packet of the output: one frame, or several merged
cdef struct packet:
    int64_t first
    int64_t count
    int64_t gso_size        # payload of the first frame; 0 if it is the only one
    int64_t length          # of all payload
    int64_t at              # where the next byte goes in the output
    uint64_t payload_sum    # of what is in the output
    int32_t headers         # length of the headers
    int32_t jumbo           # room for the header of BIG TCP
    uint32_t gso_type
    uint8_t flags           # TCP: FIN and PSH of the last segment
    uint16_t link           # length of the link's header

# An IPv4 header whose ID counts up
cdef struct run_id:
    int32_t at
    uint16_t base           # ID of the first frame
    uint64_t sum            # of the header without ID and checksum

# A packet that may still take up frames
cdef struct held_packet:
    headers h
    uint64_t hash
    int64_t packet
    int32_t next_in_bucket  # the newest first
    int32_t older
    int32_t newer
    uint32_t fixed_id       # bits of gso_type for IPv4 IDs that stay the same
    int32_t most            # frames
    int64_t room            # payload is shorter than this
    bint judged             # its checksums are known to be right
    # A run: frames of one size whose headers differ in what counts up, and in checksums
    int32_t run             # bytes of their headers; 0: there is none
    int32_t ids
    run_id[RUN_IDS] id
    uint32_t seq            # of the first frame
    uint64_t sum            # of TCP's pseudo header, and of its header without what changes
    uint8_t[RUN_HEADERS] head   # those of a frame, with 0 for what changes
    uint8_t[RUN_HEADERS] same   # 0xff for each byte that they share, 0 for the others

# The arguments of a call, and its memory
cdef struct gro_state:
    const uint8_t *data
    const int64_t *starts   # where in `data` each frame is
    const int64_t *ends
    Py_ssize_t n
    Py_ssize_t nbytes       # of all frames
    bint apart              # the output has super-packets only; other frames stay where they lie
    bint late               # payload is summed only where a frame may be merged
    const int64_t *times
    const int64_t *interfaces
    int64_t timeout
    const link_layer *link
    bint udp
    bint fraglist
    bint fixed_ids
    bint vxlan_remcsum      # VXLAN's sockets take remote checksum offload
    unsigned int kernel     # facts of gso.headers._kernel
    bint partial
    int64_t max_size
    int64_t ipv4_max_size   # of all but IPv6 right on the link
    const port_list *ports
    uint64_t seed[2]
    Py_ssize_t unread       # frames without an IP header that can be read
    Py_ssize_t datagrams    # of UDP, not of tunnels
    # Where frames go while each is of the packet begun there last, so that all are written in
    # order; NULL once one was of an earlier packet.
    uint8_t *out
    Py_ssize_t filled       # bytes of it
    int64_t begun           # number of the packet begun there last, or -1
    packet *packets
    int64_t *into
    Py_ssize_t count        # packets
    held_packet *slots
    int32_t max_held
    int32_t unused          # slots not used so far
    int32_t free            # a list of slots that were, by next_in_bucket
    int32_t oldest
    int32_t newest
    int32_t last            # the slot that took up a frame last, or NO_SLOT
    int32_t *buckets
    uint64_t mask

# The frame that is being assigned
cdef struct frame:
    headers h
    header_copy copy
    const uint8_t *p
    Py_ssize_t size
    int64_t i
    int64_t payload         # bytes of it
    bint segment            # it can be part of a super-packet
    bint summed
    uint64_t sum            # of the payload, where it is summed
    uint64_t hash           # 0: no flow is known


cdef inline bint is_listed(const gro_state *j, const headers *h) noexcept nogil:
    """Whether a frame with these headers goes into a list, and is not merged."""
    return j.fraglist and (h.l4 == IPPROTO_UDP or not j.kernel & KERNEL_LISTS_OF_UDP)


cdef inline bint same_interface(const gro_state *j, int64_t first, int64_t i) noexcept nogil:
    return j.interfaces is NULL or j.interfaces[first] == j.interfaces[i]


cdef inline bint too_late(const gro_state *j, int64_t first, int64_t i) noexcept nogil:
    cdef int64_t elapsed = <int64_t>(<uint64_t>j.times[i] - <uint64_t>j.times[first])
    return elapsed < 0 or elapsed > j.timeout


cdef inline bint fits(const held_packet *one, const packet *to, int64_t payload) noexcept nogil:
    """Whether the payload of one more frame fits."""
    return to.length + payload < one.room and to.count < one.most


cdef inline uint32_t sequence(const uint8_t *th) noexcept nogil:
    return <uint32_t>get16(th + TCP_SEQ) << 16 | get16(th + TCP_SEQ + 2)


cdef inline void take(gro_state *j, packet *to, uint64_t total, int64_t n) noexcept nogil:
    """Count `n` bytes of payload that were put to the end of the output, and of the packet."""
    to.payload_sum += sum_at(total, to.length)
    j.filled += n
