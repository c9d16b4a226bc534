/* The rules for sk_buff fields, over rows of gso.SKB_DTYPE, as wide as the processor can. */
#include "judge.h"

#include <limits.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define BLOCK 128
#define UNKNOWN INT_MIN
#define UNSET 0xffff

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

/* In the order of RULES in gso/_validate.pyx. */
enum {
    R_TUNNEL_NEGATIVE, R_TUNNEL_SHORT, R_TUNNEL_WRONG, R_TUNNEL_LONG, R_INNER_MAC_LENGTH,
    R_OUTER_ORDER, R_INNER_ORDER, R_TRANSPORT_UNSET, R_INNER_UNSET, R_ENCAP_UNMARKED,
    R_ENCAP_MISSING, R_TYPE_CONTRADICTORY, R_TYPE_PROTOCOL, R_INNER_IPPROTO, R_INNER_PROTOCOL,
    R_CSUM_START, R_CSUM_OFFSET, R_USO_CHECKSUM, R_IHL, R_DOFF, R_PAYLOAD, R_DATA_LEN, R_BY_FRAGS,
    R_USO_SEGMENTS, R_DODGY_SIZE, R_DODGY_START, R_DODGY_TUNNEL
};

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
    USO_MOST_LOG = 7,                  /* UDP_MAX_SEGMENTS is 128 */
    IPV4 = 0x0800, IPV6 = 0x86dd, TEB = 0x6558,
    /* gso.Tunnel */
    T_NONE = 0, T_GRE = 4, T_FOU = 5, T_GUE = 6, T_VXLAN = 7, T_VXLAN_GPE = 8, T_GENEVE = 9
};

#define PICK(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))
#define KNOWN(value) ((value) != UNKNOWN)
#define IS_SET(offset) (KNOWN(offset) & ((offset) != UNSET))
#define NOWHERE(offset) (((offset) == 0) | ((offset) == UNSET))
#define AFTER_OPTIONS(offset) ((start > (offset)) & (((start - (offset)) & 7) == 0))
#define HAS(bits) ((gso & (bits)) != 0)
#define RULE(bit, applies, wrong)                   \
    do {                                            \
        const vec mark = (applies) & (1 << (bit)); \
        judged |= mark;                             \
        violated |= mark & (wrong);                 \
    } while (0)

/* A row is so many 32-bit words; in the last ones are two narrow fields each. */
#define WORDS ((int)(sizeof(struct gso_skb) / sizeof(int32_t)))
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define FIRST_OF(two) ((two) >> 16)
#define SECOND_OF(two) ((two) << 16 >> 16)
#else
#define FIRST_OF(two) ((two) << 16 >> 16)
#define SECOND_OF(two) ((two) >> 16)
#endif

#define LANES 4
#include "judge_lanes.h"
#undef LANES

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define WIDER 1
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LANES 8
#include "judge_lanes.h"
#undef LANES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4", "prefer-vector-width=512")
#define LANES 16
#include "judge_lanes.h"
#undef LANES
#pragma GCC pop_options
#endif

static const struct gso_judge baseline = {"baseline", gso_judge_4};

#ifdef WIDER
static const struct gso_judge avx2 = {"avx2", gso_judge_8};
static const struct gso_judge avx512 = {"avx512", gso_judge_16};

const struct gso_judge *gso_judge_at(size_t i)
{
    if (i == 0)
        return &baseline;
    if (i == 1 && __builtin_cpu_supports("x86-64-v3"))
        return &avx2;
    if (i == 2 && __builtin_cpu_supports("x86-64-v4"))
        return &avx512;
    return NULL;
}
#else
const struct gso_judge *gso_judge_at(size_t i)
{
    return i == 0 ? &baseline : NULL;
}
#endif
