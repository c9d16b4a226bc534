/* The sk_buff record, a row of gso.SKB_DTYPE. Its fields are listed here and nowhere else. */
#ifndef GSO_SKB_H
#define GSO_SKB_H

#include <stddef.h>
#include <stdint.h>

/* WIDE fields are int32_t and come first, header offsets before others; NARROW ones are int16_t. */
#define GSO_SKB_FIELDS(WIDE, NARROW) \
    WIDE(mac_header)                 \
    WIDE(network_header)             \
    WIDE(transport_header)           \
    WIDE(inner_mac_header)           \
    WIDE(inner_network_header)       \
    WIDE(inner_transport_header)     \
    WIDE(len)                        \
    WIDE(data_len)                   \
    WIDE(gso_size)                   \
    WIDE(gso_type)                   \
    WIDE(csum_start)                 \
    WIDE(csum_offset)                \
    WIDE(protocol)                   \
    WIDE(inner_protocol)             \
    WIDE(payload)                    \
    WIDE(tnl_hlen)                   \
    WIDE(headroom)                   \
    WIDE(mtu)                        \
    WIDE(context)                    \
    NARROW(inner_ipproto)            \
    NARROW(inner_protocol_type)      \
    NARROW(encapsulation)            \
    NARROW(ip_summed)                \
    NARROW(frag_list)                \
    NARROW(tunnel)                   \
    NARROW(l4)                       \
    NARROW(ihl)                      \
    NARROW(doff)                     \
    NARROW(gre_flags)

struct gso_skb {
#define GSO_WIDE(name) int32_t name;
#define GSO_NARROW(name) int16_t name;
    GSO_SKB_FIELDS(GSO_WIDE, GSO_NARROW)
#undef GSO_WIDE
#undef GSO_NARROW
    int16_t zero_known; /* unless it is set, a field that is 0 is unknown */
};

#endif
