/* The rules for sk_buff fields, over rows of gso.SKB_DTYPE. What each means is told in table.py. */
#ifndef GSO_JUDGE_H
#define GSO_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "skb.h"

/* Every rule, in the order of the bits: that of table.py, with which _judge.pyx compares it. */
#define GSO_RULES(RULE)                                \
    RULE(TUNNEL_NEGATIVE, "tunnel-header-negative")    \
    RULE(TUNNEL_SHORT, "tunnel-header-short")          \
    RULE(TUNNEL_WRONG, "tunnel-header-wrong")          \
    RULE(TUNNEL_LONG, "tunnel-header-long")            \
    RULE(INNER_MAC_LENGTH, "inner-mac-length")         \
    RULE(OUTER_ORDER, "outer-header-order")            \
    RULE(INNER_ORDER, "inner-header-order")            \
    RULE(TRANSPORT_UNSET, "transport-header-unset")    \
    RULE(INNER_UNSET, "inner-header-unset")            \
    RULE(ENCAP_UNMARKED, "encapsulation-unmarked")     \
    RULE(ENCAP_MISSING, "encapsulation-missing")       \
    RULE(TYPE_CONTRADICTORY, "gso-type-contradictory") \
    RULE(TYPE_PROTOCOL, "gso-type-protocol")           \
    RULE(INNER_IPPROTO, "inner-ipproto-handler")       \
    RULE(INNER_PROTOCOL, "inner-protocol-handler")     \
    RULE(CSUM_START, "csum-start")                     \
    RULE(CSUM_OFFSET, "csum-offset")                   \
    RULE(USO_CHECKSUM, "uso-checksum")                 \
    RULE(IHL, "ihl-small")                             \
    RULE(DOFF, "doff-small")                           \
    RULE(PAYLOAD, "payload-not-larger")                \
    RULE(DATA_LEN, "data-len")                         \
    RULE(BY_FRAGS, "gso-by-frags")                     \
    RULE(USO_SEGMENTS, "uso-segments")                 \
    RULE(DODGY_SIZE, "dodgy-gso-size")                 \
    RULE(DODGY_START, "dodgy-csum-start")              \
    RULE(DODGY_TUNNEL, "dodgy-tunnel-checksum")        \
    RULE(BAD_OFFLOAD, "bad-offload")                   \
    RULE(HELP_GSO, "checksum-help-gso")                \
    RULE(CSUM_OUTSIDE, "checksum-outside")             \
    RULE(MTU, "longer-than-mtu")                       \
    RULE(IPXIP, "ipxip-version")                       \
    RULE(INNER_VERSION, "inner-protocol-version")      \
    RULE(MPLS, "mpls-inner-header")                    \
    RULE(VLAN_IN_BAND, "vlan-in-band")                 \
    RULE(FRAGLIST_KIND, "fraglist-kind")               \
    RULE(FRAG_LIST, "frag-list")                       \
    RULE(TYPE_UNKNOWN, "gso-type-unknown")             \
    RULE(MANY_SEGMENTS, "gso-segments")                \
    RULE(GRE_SEQUENCE, "gre-sequence")

#define GSO_ONE_RULE(bit, name) +1
enum { GSO_RULE_COUNT = GSO_RULES(GSO_ONE_RULE) };

extern const char *const gso_rule_names[GSO_RULE_COUNT];

/* Where the rules differ from kernel to kernel, of those that the packets may be from. */
struct gso_kernel {
    int32_t unknown;   /* bits of gso_type that mean something in none of them */
    int32_t doubtful;  /* in some of them: a packet with these is not judged by its unknown bits */
};

struct gso_judge {
    const char *name;  /* as in simd.c */
    /* For each row a bit for each violated rule and, unless `judged` is NULL, each judged one. */
    void (*judge)(const struct gso_skb *rows, ptrdiff_t n, const struct gso_kernel *kernel,
                  uint64_t *violated, uint64_t *judged);
};

/* The i-th implementation that the CPU runs, the simplest first; NULL past the last. */
const struct gso_judge *gso_judge_at(size_t i);

#endif
