/* The terms in which judge_lanes.h states the rules: columns, the kernel's numbers, comparisons. */
#ifndef GSO_JUDGE_TERMS_H
#define GSO_JUDGE_TERMS_H

#include <limits.h>

#include "judge.h"

#define INLINE static inline __attribute__((always_inline))
#define PASTE_(name, lanes) name##lanes
#define PASTE(name, lanes) PASTE_(name, lanes)
#define BLOCK 128  /* rows that are judged at a time */
#define SLOTS_LOG 9
#define PART 8  /* words of a row that are compared at a time */
#define SPREAD 0x9e3779b97f4a7c15  /* multiplied with it, a number's top bits depend on all others */
#define FEW_ALIKE (BLOCK * 3 / 4)  /* where more rows than these are new, searching does not pay */
#define STRAIGHT 7                 /* so the blocks after it are judged as they are */
#define UNKNOWN INT_MIN
#define UNSET 0xffff  /* an offset that the kernel has not set */

/* The columns: one for each field, the wide ones first. */
#define NUMBER(name) F_##name,
#define ONE(name) +1
#define NOTHING(name)
enum {
    GSO_SKB_FIELDS(NUMBER, NUMBER)
    FIELDS,
    WIDE = GSO_SKB_FIELDS(ONE, NOTHING),
    NARROW = GSO_SKB_FIELDS(NOTHING, ONE)
};

/* A rule's bit. */
#define BIT(bit, name) R_##bit,
enum { GSO_RULES(BIT) };

enum {
    /* include/linux/skbuff.h */
    TCPV4 = 1 << 0, DODGY = 1 << 1, TCPV6 = 1 << 4, FCOE = 1 << 5, GRE = 1 << 6, GRE_CSUM = 1 << 7,
    IPXIP4 = 1 << 8, IPXIP6 = 1 << 9, UDP_TUNNEL = 1 << 10, UDP_TUNNEL_CSUM = 1 << 11,
    REMCSUM = 1 << 13, SCTP = 1 << 14, ESP = 1 << 15, UFO = 1 << 16, USO = 1 << 17,
    FRAGLIST = 1 << 18,
    ANY_TCP = TCPV4 | TCPV6,
    ANY_UDP = UFO | USO,
    ANY_GRE = GRE | GRE_CSUM,
    ANY_UDP_TUNNEL = UDP_TUNNEL | UDP_TUNNEL_CSUM,
    NEEDS_ENCAPSULATION = ANY_GRE | ANY_UDP_TUNNEL,
    ANY_TUNNEL = NEEDS_ENCAPSULATION | IPXIP4 | IPXIP6,
    ANY_KIND = ANY_TCP | ANY_UDP | SCTP | FCOE,
    BY_ETHERTYPE = 0, BY_IPPROTO = 1,  /* ENCAP_TYPE_ETHER, ENCAP_TYPE_IPPROTO */
    PARTIAL = 3,                       /* CHECKSUM_PARTIAL */
    BY_FRAGS = 0xffff,                 /* GSO_BY_FRAGS: a gso_size that is not a size */
    USO_MOST_LOG = 7,                  /* UDP_MAX_SEGMENTS is 128 */
    NOT_SUMMED = 0, COMPLETE = 2,      /* CHECKSUM_NONE, CHECKSUM_COMPLETE */
    /* gso.constants.Context */
    TRANSMIT = 1 << 0, CHECKSUM_HELP = 1 << 1, TUNNEL_SEGMENTER = 1 << 2,
    IPV4 = 0x0800, IPV6 = 0x86dd, TEB = 0x6558, VLAN = 0x8100, VLAN_AD = 0x88a8,
    GRE_SEQ = 0x1000,                  /* the bit of a GRE header for its sequence number */
    MPLS = 0x8847, MPLS_MULTICAST = 0x8848,
    ROUTING = 24,                      /* bytes of an IPv6 routing header with one segment */
    LONGEST_LINK = 44,                 /* bytes of a link header: IPoIB's */
    /* gso.Tunnel: a bit each, so that they make sets; T_NONE is the lowest, 0 is unknown. */
    T_NONE = 1 << 0, T_IPIP = 1 << 1, T_SIT = 1 << 2, T_IP6TNL = 1 << 3, T_GRE = 1 << 4,
    T_FOU = 1 << 5, T_GUE = 1 << 6, T_VXLAN = 1 << 7, T_VXLAN_GPE = 1 << 8, T_GENEVE = 1 << 9,
    T_16_BYTES = T_VXLAN | T_VXLAN_GPE | T_GENEVE,
    T_UDP = T_FOU | T_GUE | T_16_BYTES,
    T_ANY = (1 << 12) - 1
};

#define PICK(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))
#define KNOWN(value) ((value) != UNKNOWN)
#define IS_SET(offset) (KNOWN(offset) & ((offset) != UNSET))
#define NOWHERE(offset) (((offset) == 0) | ((offset) == UNSET))
#define AFTER_OPTIONS(offset) ((start > (offset)) & (((start - (offset)) & 7) == 0))
#define HAS(bits) ((gso & (bits)) != 0)
#define AS_BIT(number) ((1 << ((number) & 31)) & (((number) & 31) == (number)) & T_ANY)  /* or 0 */
#define SEEN_IN(place) (KNOWN(context) & ((context & (place)) != 0))
#define IN_TUNNEL(set) ((tunnel & (set)) != 0)
#define RULE(bit, applies, wrong)                                   \
    do {                                                            \
        const vec mark = (applies) & (int32_t)(1u << ((bit) & 31)); \
        judged[(bit) >> 5] |= mark;                                 \
        violated[(bit) >> 5] |= mark & (wrong);                     \
    } while (0)

/* Which row was met last with each hash, and, for each row of a block, whose verdict it has. */
struct met {
    ptrdiff_t row[1 << SLOTS_LOG];
    ptrdiff_t as[BLOCK];
};

/* Rows of a block that are to be judged, and their places in it. */
struct fresh {
    struct gso_skb rows[BLOCK];
    int place[BLOCK];
    int count;
};

/* How many 32-bit words a row has; the last ones hold two narrow fields each. */
#define WORDS ((int)(sizeof(struct gso_skb) / sizeof(int32_t)))
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST_OF(two) ((two) >> 16)
#define SECOND_OF(two) ((two) << 16 >> 16)
#else
#define FIRST_OF(two) ((two) << 16 >> 16)
#define SECOND_OF(two) ((two) >> 16)
#endif

#endif
