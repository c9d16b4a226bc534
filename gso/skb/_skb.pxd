from libc.stdint cimport int16_t, int32_t


cdef extern from "skb.h" nogil:
    struct Skb "gso_skb":
        int32_t mac_header
        int32_t network_header
        int32_t transport_header
        int32_t inner_mac_header
        int32_t inner_network_header
        int32_t inner_transport_header
        int32_t len
        int32_t data_len
        int32_t gso_size
        int32_t gso_type
        int32_t csum_start
        int32_t csum_offset
        int32_t protocol
        int32_t inner_protocol
        int32_t payload
        int32_t tnl_hlen
        int32_t headroom
        int32_t mtu
        int32_t context
        int16_t inner_ipproto
        int16_t inner_protocol_type
        int16_t encapsulation
        int16_t ip_summed
        int16_t frag_list
        int16_t tunnel
        int16_t l4
        int16_t ihl
        int16_t doff
        int16_t gre_flags
        int16_t zero_known

    # Where a field is in the record, in bytes.
    enum:
        FIELD_AT_LEN "offsetof(struct gso_skb, len)"
        FIELD_AT_GSO_TYPE "offsetof(struct gso_skb, gso_type)"
        FIELD_AT_FRAG_LIST "offsetof(struct gso_skb, frag_list)"
        FIELD_AT_PROTOCOL "offsetof(struct gso_skb, protocol)"
        FIELD_AT_TNL_HLEN "offsetof(struct gso_skb, tnl_hlen)"
