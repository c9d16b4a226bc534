"""The walk along the chain of headers, and the layout that it finds."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint64_t

cdef enum reason_t:  # in the order of gso.Reason
    REASON_TRUNCATED, REASON_BAD_HEADER, REASON_UNSUPPORTED, REASON_NOT_GSO, REASON_GSO_TYPE,
    REASON_GSO_SIZE, REASON_CHECKSUM, REASON_TOO_LONG, REASON_LAYOUT,
    REASON_AMBIGUOUS

# A refusal as it happens without the GIL. `text` is a str.format template of the other members.
cdef struct fault:
    reason_t why
    const char *field
    const char *text
    int64_t offset
    int64_t limit
    int64_t value

cdef enum tunnel:  # the values of gso.Tunnel that compiled code names
    TUNNEL_NONE = 0
    TUNNEL_IPIP = 1
    TUNNEL_SIT = 2
    TUNNEL_IP6TNL = 3
    TUNNEL_GRE = 4
    TUNNEL_FOU = 5
    TUNNEL_GUE = 6
    TUNNEL_MPLS = 10
    TUNNEL_NSH = 11

cdef enum carried:  # gso.headers.tunnels.Carries
    CARRIES_ETHERNET, CARRIES_ETHERTYPE, CARRIES_NEXT_PROTOCOL, CARRIES_IP_PROTOCOL, CARRIES_IP,
    CARRIES_OPAQUE

cdef enum layer_kind:
    LAYER_IPV4, LAYER_IPV6, LAYER_UDP, LAYER_GRE, LAYER_PPPOE

cdef enum step:
    STEP_DONE, STEP_ETHERNET, STEP_IPV4, STEP_IPV6, STEP_TCP, STEP_UDP, STEP_GRE, STEP_MPLS,
    STEP_NSH, STEP_PPPOE, STEP_FAILED, STEP_BEYOND

cdef enum:
    MAX_HEADER = 65535  # the kernel's header offsets are u16
    MAX_FRAME = 0x7fffffff
    MAX_LAYERS = 24         # four an IP level, and a PPPoE header before the level too many
    FEW_BYTES = 256
    HEADER_ROOM = 8  # after a header copy, for an IPv6 fragment header
    ROW_SIZE = 36  # sizeof the members of `headers` that LAYOUT_DTYPE names

# A row of gso.headers.tunnels: how the header of a protocol in UDP is read
cdef struct udp_tunnel:
    uint8_t tunnel
    uint8_t carries
    uint8_t length
    uint8_t options
    uint8_t field
    uint8_t field_if
    uint8_t remcsum_at
    uint8_t remcsum
    uint16_t gro_zero
    const char *header
    uint64_t fixed_mask         # bits of the first eight bytes, most significant first, that are
    uint64_t fixed              # always so
    const char *refusal         # CARRIES_OPAQUE: the text of a fault
    const char *ambiguity       # the text of a fault: the payload on another port is this tunnel

# A header whose fields change from segment to segment. The bytes between it and the next one (a
# tunnel header, an inner Ethernet header, IPv6 extension headers) are the same in all segments.
cdef struct layer:
    layer_kind kind
    uint8_t hlen            # IPv4: header length with options
    bint inner              # TCP_FIXEDID and UFO apply to this IP header
    bint stacked            # right below another IP header (encap_level > 0)
    uint16_t offset

# Where the headers are. The first members, up to outer_version, are LAYOUT_DTYPE; -1 is "none".
cdef struct headers:
    int32_t mac_header
    int32_t network_header
    int32_t transport_header
    int32_t inner_mac_header
    int32_t inner_network_header
    int32_t inner_transport_header
    int32_t payload
    int32_t tnl_hlen
    uint8_t tunnel
    uint8_t l4
    uint8_t inner_version
    uint8_t outer_version
    # Not part of LAYOUT_DTYPE
    int32_t ethernet            # the innermost Ethernet header
    int32_t ip_header           # the innermost IP header
    int32_t l4_header           # the innermost TCP or UDP header
    int32_t jumbo               # IPv6 hop-by-hop header that BIG TCP inserted
    int32_t routing             # IPv6 routing header with segments left
    int32_t fragment_at         # where UFO puts the IPv6 fragment header,
    int32_t fragment_next       # and the byte that names the header there
    bint fragment               # the innermost IP packet is a fragment
    bint remcsum                # the tunnel header says remote checksum offload
    bint numbered               # a GRE header has a sequence number
    uint16_t steps              # 1 << step for each kind of header met
    uint16_t ip_in_ip           # bits of gso_type that IP in IP, and in FOU or GUE, needs
    uint8_t n                   # layers, the outermost first
    const udp_tunnel *udp       # the last tunnel in UDP, or NULL
    const udp_tunnel *opaque    # the UDP payload is not cut into datagrams by guess; or NULL
    bint plain                  # the caller says that this is plain UDP
    fault refusal               # why it cannot be segmented, if field is not NULL
    layer layers[MAX_LAYERS]

cdef struct port:
    uint16_t number
    uint8_t protocol            # FOU: the IP protocol inside; 0: its version tells
    const udp_tunnel *row       # NULL: plain UDP

# The ports of the rows of gso.headers.tunnels
cdef struct port_table:
    uint64_t modulo             # bit number % 64 is set for each of them
    Py_ssize_t n
    port *ports
    Py_ssize_t n_rows
    const udp_tunnel *rows

cdef struct port_list:
    Py_ssize_t n                # of the caller's
    port *ports
    port few[8]
    const port_table *known
    const port *guess           # a port that is tried out; NULL: none
    # Where a virtio header says that the packet in a UDP tunnel starts, and its IP version; 0: it
    # says that there is no UDP tunnel; -1: there is no virtio header, the port tells.
    int32_t inner
    uint8_t inner_version

# A row of gso.headers.links: the header that frames begin with
cdef enum:
    LINK_UNTYPED = -1
    LINK_FAMILY = -2
    LINK_PPP = -3
    LINK_PPPOE = -4

cdef struct link_layer:
    int16_t length
    int16_t type_at
    const char *header

# Where the link's header ends, in a frame with an IP header.
cdef inline int32_t link_end(const link_layer *link, const headers *h) noexcept nogil:
    return h.network_header if link.type_at == LINK_PPP else link.length

# A frame's first bytes, `p` being `few` or allocated.
cdef struct header_copy:
    uint8_t *p
    uint8_t few[FEW_BYTES + HEADER_ROOM]

cdef int read_headers(
    headers *h, fault *why, header_copy *copy, const uint8_t *frame, Py_ssize_t size,
    const link_layer *link, const port_list *ports
) noexcept nogil
cdef void drop_copy(header_copy *copy) noexcept nogil
# The entry of a UDP destination port, the caller's before the known ones; or NULL.
cdef const port *find_port(const port_list *ports, uint16_t dest) noexcept nogil
# Whether the address family at `p`, of either byte order, is that of the IP version.
cdef bint is_family(const uint8_t *p, unsigned int version) noexcept nogil
# Note why a frame is refused; returns -1.
cdef int refuse(
    fault *why, int reason, const char *field, const char *text, int64_t offset, int64_t limit,
    int64_t value
) noexcept nogil
