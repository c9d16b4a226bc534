/* The rules' arithmetic for vectors of LANES rows; included once for each width of vector.
 *
 * Blocks of rows are turned into columns; then each rule is arithmetic without branches on vectors
 * of rows, in which true is all bits. A rule is judged when the fields that it compares are known
 * and it applies to such a packet.
 */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "judge.h"
#include "judge_alike.h"
#include "judge_terms.h"

#ifndef LANES
#error "define LANES: how many rows a vector holds"
#endif

#define vec PASTE(vec, LANES)
#define block PASTE(block, LANES)
#define turn PASTE(turn, LANES)
#define turn_words PASTE(turn_words, LANES)
#define normal PASTE(normal, LANES)
#define mask PASTE(mask, LANES)
#define judge PASTE(judge, LANES)
#define JUDGE PASTE(gso_judge_, LANES)
#define VECTORS (BLOCK / LANES)

typedef int32_t vec __attribute__((vector_size(4 * LANES)));

struct block {
    vec column[FIELDS][VECTORS];
    vec zero_known[VECTORS];
    vec violated[2][VECTORS];  /* the first 32 rules, and the others */
    vec judged[2][VECTORS];
};

/* Lanes of two vectors, interleaved: those of their first halves, and of their second halves. */
#if LANES == 4
#define FIRST_HALVES 0, 4, 1, 5
#define SECOND_HALVES 2, 6, 3, 7
#elif LANES == 8
#define FIRST_HALVES 0, 8, 1, 9, 2, 10, 3, 11
#define SECOND_HALVES 4, 12, 5, 13, 6, 14, 7, 15
#else
#define FIRST_HALVES 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define SECOND_HALVES 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31
#endif

/* A vector of chosen lanes of two others. (GCC knows __builtin_shufflevector from 12 on.) */
#ifdef __clang__
#define CHOOSE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CHOOSE(a, b, ...) __builtin_shuffle(a, b, (vec){__VA_ARGS__})
#endif

/* Transpose words of LANES rows, from word `at` on, into columns: interleaving the first and the
 * second half of the rows log2(LANES) times turns the number of a row into that of a lane. */
INLINE void turn_words(const struct gso_skb *rows, int at, vec *restrict words)
{
    vec next[LANES];

#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        memcpy(&words[i], (const int32_t *)&rows[i] + at, sizeof(vec));
#pragma GCC unroll 4
    for (int step = 1; step < LANES; step *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++) {
            next[2 * i] = CHOOSE(words[i], words[i + LANES / 2], FIRST_HALVES);
            next[2 * i + 1] = CHOOSE(words[i], words[i + LANES / 2], SECOND_HALVES);
        }
#pragma GCC unroll 16
        for (int i = 0; i < LANES; i++)
            words[i] = next[i];
    }
}

INLINE void turn(const struct gso_skb *restrict rows, struct block *restrict block, int vectors)
{
    for (int v = 0; v < vectors; v++, rows += LANES) {
        vec words[WORDS];

        /* Without this the processor, which looks less far ahead, takes a fifth longer. */
        for (int line = 0; line < LANES * (int)sizeof(*rows); line += 64)
            __builtin_prefetch((const void *)((uintptr_t)rows + BLOCK * sizeof(*rows) + line));

#pragma GCC unroll 8
        for (int at = 0; at + LANES <= WORDS; at += LANES)
            turn_words(rows, at, &words[at]);
        /* The last words of a row, some of them a second time: nothing after it is read. */
        if (WORDS % LANES == 1) {
            for (int lane = 0; lane < LANES; lane++)
                words[WORDS - 1][lane] = ((const int32_t *)&rows[lane])[WORDS - 1];
        } else if (WORDS % LANES) {
            const int first = WORDS - LANES;
            vec last[LANES];

            turn_words(rows, first, last);
#pragma GCC unroll 16
            for (int word = WORDS - WORDS % LANES; word < WORDS; word++)
                words[word] = last[word - first];
        }
#pragma GCC unroll 32
        for (int field = 0; field < WIDE; field++)
            block->column[field][v] = words[field];
#pragma GCC unroll 8
        for (int field = 0; field < NARROW; field += 2) {
            const vec two = words[WIDE + field / 2];

            block->column[WIDE + field][v] = FIRST_OF(two);
            if (field + 1 < NARROW)
                block->column[WIDE + field + 1][v] = SECOND_OF(two);
        }
        const vec last_two = words[WIDE + NARROW / 2];

        block->zero_known[v] = NARROW % 2 ? SECOND_OF(last_two) : FIRST_OF(last_two);
    }
}

/* A column's values, each written in one way: UNKNOWN, an offset as u16, a difference signed. What
 * no sk_buff can hold is unknown, as in gso.skb.state: a log was damaged. */
INLINE vec normal(const struct block *block, int field, int v)
{
    const vec value = block->column[field][v], none = (vec){0} + UNKNOWN;
    vec missing = (value == 0) & (block->zero_known[v] == 0);
    vec result = value;

    if (field <= F_inner_transport_header || field == F_csum_start) {
        missing |= (value < -0x8000) | (value > 0xffff);
        result = value & 0xffff;
    } else if (field == F_tnl_hlen) {
        missing |= (value < -0xffff) | (value > 0xffff);
        result = value - ((value >= 0x8000) & 0x10000);
    } else if (field != F_gso_type) {  /* which has 32 bits, and no sign */
        missing |= value < 0;
    }
    return PICK(missing, none, result);
}

#define COLUMN(name) normal(block, F_##name, v)

INLINE void judge(struct block *restrict block, const struct gso_kernel *kernel, int vectors)
{
    for (int v = 0; v < vectors; v++) {
        vec violated[2] = {{0}}, judged[2] = {{0}};
        const vec mac = COLUMN(mac_header), network = COLUMN(network_header);
        const vec transport = COLUMN(transport_header);
        const vec inner_mac = COLUMN(inner_mac_header);
        const vec inner_network = COLUMN(inner_network_header);
        const vec inner_transport = COLUMN(inner_transport_header);
        const vec length = COLUMN(len), data_length = COLUMN(data_len);
        const vec gso_size = COLUMN(gso_size), gso_type = COLUMN(gso_type);
        const vec start = COLUMN(csum_start), offset = COLUMN(csum_offset);
        const vec protocol = COLUMN(protocol), inner_protocol = COLUMN(inner_protocol);
        const vec payload = COLUMN(payload), tnl_hlen = COLUMN(tnl_hlen);
        const vec ipproto = COLUMN(inner_ipproto), by = COLUMN(inner_protocol_type);
        const vec encapsulation = COLUMN(encapsulation), ip_summed = COLUMN(ip_summed);
        const vec tunnel = AS_BIT(COLUMN(tunnel)), l4 = COLUMN(l4);
        const vec ihl = COLUMN(ihl), doff = COLUMN(doff), frag_list = COLUMN(frag_list);
        const vec headroom = COLUMN(headroom), mtu = COLUMN(mtu), context = COLUMN(context);
        const vec gre_flags = COLUMN(gre_flags);

        const vec typed = KNOWN(gso_type);
        const vec gso = gso_type & typed;
        const vec segmented = gso_size > 0;         /* UNKNOWN is not */
        const vec inside = encapsulation == 1, plain = encapsulation == 0; /* UNKNOWN is neither */

        /* Least bytes from the outer transport header to the inner frame; 0 where nothing tells.
         * FOU and GUE carry an IP packet right after their header (GRE in them is longer). */
        vec least = ((tunnel == T_GRE) | HAS(ANY_GRE)) & (4 + (HAS(GRE_CSUM) & 4));
        least = PICK((tunnel == T_FOU) | HAS(ANY_UDP_TUNNEL), 8, least);
        least = PICK(IN_TUNNEL(T_16_BYTES), 16, least);
        least = PICK(tunnel == T_GUE, 12 + (HAS(REMCSUM) & 8), least);

        /* Whether the kernel takes a header between the outer IP header and the inner frame for a
         * tunnel's. IP in IP has none: there the transport header may stand anywhere. */
        const vec named = (tunnel > T_NONE) | HAS(ANY_TUNNEL);
        const vec between = KNOWN(transport) & KNOWN(inner_network) & (transport < inner_network);
        /* Offsets alone do not say whose header that is. It may be an IPv6 routing header (8 bytes
         * and 16 a segment), before or without a tunnel's; or that of IPsec, which leaves
         * inner_mac_header at 0, or behind the headers that it takes for inner ones. FOU, GUE and
         * GRE have fewer bytes, inner Ethernet another multiple. */
        const vec gap = inner_network - transport;
        const vec v4_outside = (protocol == IPV4)
            | (KNOWN(network) & (protocol != IPV6) & (transport - network != 40));
        const vec doubtful = (~v4_outside & (gap >= ROUTING) & ((gap & 7) == 0))
            | (((inner_mac == 0) | (inner_mac > inner_network))
               & ((gap == 16) | (gap >= ROUTING)) & ((gap & 3) == 0));
        const vec other = (tunnel == T_NONE) | HAS(ESP) | doubtful;
        const vec tunnelled = (least != 0)
            | (~named & between & (~other | SEEN_IN(TUNNEL_SEGMENTER)));

        /* Whether the inner offsets mean anything: they remain when a tunnel header is removed. So
         * where `encapsulation` is not known, a tunnel has to be shown by an outer IP header before
         * the inner one, or by tnl_hlen, which is from the very function that uses it. */
        const vec measured = KNOWN(inner_mac) & KNOWN(transport);
        const vec both = KNOWN(network) & KNOWN(inner_network);
        const vec shown = PICK(both, (network < inner_network) & (inner_network != UNSET),
                               KNOWN(tnl_hlen) | measured);
        const vec active = PICK(KNOWN(encapsulation), inside, named | shown);

        const vec any = active & (KNOWN(inner_network) | KNOWN(inner_mac));
        const vec unset = any & ((tunnelled & (inner_mac == UNSET))
            | (inside & (NOWHERE(inner_network) | (tunnelled & (inner_mac == 0))
                         | (segmented & NOWHERE(inner_transport)))));
        RULE(R_INNER_UNSET, any & (unset | inside), unset);
        const vec placed = active & ~unset & ~NOWHERE(inner_network);

        /* Inner Ethernet may be followed by VLAN headers; an IP packet has nothing before it. */
        const vec link = inner_network - inner_mac;
        const vec ethernet = (link >= 14) & (link <= 14 + 4 * 4) & (((link - 14) & 3) == 0);
        const vec promised = (by == BY_ETHERTYPE) & (inner_protocol == TEB);
        const vec bare = (by == BY_IPPROTO) | (inner_protocol == IPV4) | (inner_protocol == IPV6);
        RULE(R_INNER_MAC_LENGTH,
             placed & tunnelled & IS_SET(inner_mac) & KNOWN(inner_network)
                 & (~ethernet | KNOWN(by) | KNOWN(inner_protocol)),
             PICK(link == 0, promised, ~ethernet | bare));

        const vec ordered = placed & inside & KNOWN(inner_network);
        RULE(R_INNER_ORDER, ordered & IS_SET(network), network >= inner_network);
        RULE(R_INNER_ORDER, ordered & KNOWN(inner_transport) & segmented,
             inner_network > inner_transport);
        RULE(R_INNER_ORDER, ordered & (least != 0) & KNOWN(inner_mac), inner_mac > inner_network);

        const vec size = PICK(measured, inner_mac - transport, tnl_hlen);
        const vec sized = placed & tunnelled & KNOWN(size);
        RULE(R_TUNNEL_NEGATIVE, sized, size < 0);
        const vec positive = sized & (size >= 0);
        /* Without a known tunnel, 4 bytes: no header is shorter than that of GRE. */
        RULE(R_TUNNEL_SHORT, positive, size < PICK(least != 0, least, 4));
        /* Headers of all these protocols are multiples of 4 bytes, with all their options. */
        RULE(R_TUNNEL_WRONG, positive, ((size & 3) != 0) | ((tunnel == T_VXLAN) & (size > 16)));
        RULE(R_TUNNEL_LONG, positive & KNOWN(length), size > length);

        RULE(R_TRANSPORT_UNSET, segmented & KNOWN(transport), transport == UNSET);
        /* On reception headers are found one by one: their order counts once all are found. */
        const vec outer = (segmented | inside) & IS_SET(network);
        RULE(R_OUTER_ORDER, outer & IS_SET(transport), network > transport);
        /* An encapsulated packet keeps its old link header until the device writes a new one. */
        RULE(R_OUTER_ORDER, outer & segmented & plain & IS_SET(mac), mac > network);

        const vec cut = typed & segmented;
        const vec kinds = gso & ANY_KIND;
        RULE(R_ENCAP_UNMARKED, cut & inside, ~HAS(ANY_TUNNEL | ESP));
        RULE(R_ENCAP_MISSING, cut & KNOWN(encapsulation) & HAS(NEEDS_ENCAPSULATION), ~inside);
        RULE(R_TYPE_CONTRADICTORY, cut, (kinds == 0) | ((kinds & (kinds - 1)) != 0));
        RULE(R_TYPE_PROTOCOL, cut & ~HAS(ANY_TUNNEL) & KNOWN(protocol) & plain,
             (HAS(TCPV4) & (protocol == IPV6)) | (HAS(TCPV6) & (protocol == IPV4)));
        RULE(R_TYPE_PROTOCOL, cut & (l4 > 0),
             (HAS(ANY_TCP) & (l4 != 6)) | (HAS(ANY_UDP) & (l4 != 17)));
        const vec sized_pieces = segmented & (gso_size != BY_FRAGS);
        RULE(R_PAYLOAD, sized_pieces & KNOWN(payload), payload <= gso_size);
        /* The payload is a part of it. */
        RULE(R_PAYLOAD, sized_pieces & KNOWN(length) & (length <= gso_size), -1);
        RULE(R_USO_SEGMENTS, cut & KNOWN(payload) & HAS(USO) & HAS(DODGY),
             (((payload - 1) & (payload > 0)) >> USO_MOST_LOG) >= gso_size);
        RULE(R_BY_FRAGS, cut & HAS(DODGY), gso_size == BY_FRAGS);
        RULE(R_DODGY_SIZE, HAS(DODGY) & (kinds != 0) & KNOWN(gso_size), gso_size == 0);

        /* Whether skb_udp_tunnel_segment finds a segmenter for the inner packet: an entry of
         * inet_offloads or inet6_offloads that has a gso_segment. */
        const vec udp_tunnel = HAS(ANY_UDP_TUNNEL) | IN_TUNNEL(T_UDP);
        RULE(R_INNER_IPPROTO, udp_tunnel & (by == BY_IPPROTO) & KNOWN(ipproto),
             (ipproto != 4) & (ipproto != 6) & (ipproto != 17) & (ipproto != 41)
                 & (ipproto != 47) & (ipproto != 50) & (ipproto != 132));
        RULE(R_INNER_PROTOCOL, udp_tunnel & (by == BY_ETHERTYPE) & KNOWN(inner_protocol),
             (inner_protocol != IPV4) & (inner_protocol != IPV6) & (inner_protocol != TEB)
                 & (inner_protocol != 0x8100) & (inner_protocol != 0x88a8)
                 & (inner_protocol != 0x8847) & (inner_protocol != 0x8848)
                 & (inner_protocol != 0x894f));
        RULE(R_INNER_PROTOCOL,
             udp_tunnel & KNOWN(by) & (by != BY_IPPROTO) & (by != BY_ETHERTYPE), -1);

        const vec summed = ip_summed == PARTIAL;
        RULE(R_USO_CHECKSUM, segmented & HAS(USO) & ~HAS(FRAGLIST) & KNOWN(ip_summed), ~summed);
        RULE(R_DODGY_TUNNEL, cut & HAS(DODGY) & HAS(ANY_UDP_TUNNEL) & KNOWN(ip_summed), ~summed);
        const vec starts = summed & KNOWN(start);
        const vec deep = starts & inside & IS_SET(inner_transport);
        /* In IPv6 transport_header may point at extension headers that are not read yet. */
        const vec is_v4 = HAS(TCPV4) | (protocol == IPV4);
        const vec inner_is_v4 = HAS(TCPV4) | ((by == BY_IPPROTO) & (ipproto == 4))
            | ((by == BY_ETHERTYPE) & (inner_protocol == IPV4));
        const vec at = start == transport, at_inner = start == inner_transport;
        const vec after = AFTER_OPTIONS(transport) & ~is_v4;
        const vec after_inner = AFTER_OPTIONS(inner_transport) & ~inner_is_v4;
        RULE(R_CSUM_START, starts & plain & IS_SET(transport), ~(at | after));
        RULE(R_CSUM_START, deep & segmented, ~(at_inner | after_inner));
        /* udp_set_csum points it at the outer header of a packet that is not segmented. */
        RULE(R_CSUM_START, deep & ~segmented & IS_SET(transport), ~(at_inner | after_inner | at));
        const vec ip = (protocol == IPV4) | (protocol == IPV6);
        RULE(R_DODGY_START, starts & HAS(DODGY) & plain & IS_SET(network) & ip,
             start < network + PICK(protocol == IPV4, 20, 40));
        const vec tcp = (l4 == 6) | HAS(ANY_TCP), udp = (l4 == 17) | HAS(ANY_UDP);
        RULE(R_CSUM_OFFSET, summed & KNOWN(offset) & segmented & (tcp != udp),
             offset != PICK(tcp, 16, 6));

        const vec transmitted = SEEN_IN(TRANSMIT), helped = SEEN_IN(CHECKSUM_HELP);
        RULE(R_BAD_OFFLOAD, transmitted & segmented & KNOWN(ip_summed),
             (ip_summed == NOT_SUMMED) | (ip_summed == COMPLETE));
        RULE(R_HELP_GSO, helped & ((gso_size == 0) | (segmented & KNOWN(ip_summed))),
             segmented & (ip_summed != COMPLETE));
        /* A header that was pulled leaves csum_start behind, but not where it is to be used. */
        const vec held = KNOWN(headroom) & (headroom <= 1 << 24) & (offset <= 0xffff);
        const vec within = starts & held & KNOWN(length) & KNOWN(data_length);
        RULE(R_CSUM_OUTSIDE, within,
             start + (offset & KNOWN(offset)) + 2 - headroom > length - data_length);
        RULE(R_CSUM_OUTSIDE, within & (transmitted | helped), start < headroom);

        /* What is transmitted begins with its link header; where that is not known, the longest. */
        const vec linked = IS_SET(mac) & IS_SET(network) & (mac <= network);
        const vec on_link = PICK(linked & (network - mac < LONGEST_LINK), network - mac,
                                 LONGEST_LINK);
        RULE(R_MTU, transmitted & (gso_size == 0) & (mtu > 0) & KNOWN(length),
             length - on_link > mtu);

        const vec v4 = protocol == IPV4, v6 = protocol == IPV6;
        const vec ip_in_ip = IN_TUNNEL(T_IPIP | T_SIT | T_IP6TNL)
            | (HAS(IPXIP4 | IPXIP6) & ~HAS(NEEDS_ENCAPSULATION))
            | (udp_tunnel & (by == BY_IPPROTO) & ((ipproto == 4) | (ipproto == 41)));
        RULE(R_IPXIP, cut & inside & ip_in_ip & (v4 | v6), ~PICK(v4, HAS(IPXIP4), HAS(IPXIP6)));
        const vec inner_v4 = PICK(by == BY_IPPROTO, ipproto == 4,
                                  (by == BY_ETHERTYPE) & (inner_protocol == IPV4));
        const vec inner_v6 = PICK(by == BY_IPPROTO, ipproto == 41,
                                  (by == BY_ETHERTYPE) & (inner_protocol == IPV6));
        RULE(R_INNER_VERSION, cut & inside & HAS(NEEDS_ENCAPSULATION) & HAS(ANY_TCP)
                 & (inner_v4 | inner_v6),
             PICK(inner_v4, ~HAS(TCPV4), ~HAS(TCPV6)));
        const vec labelled = cut & ((protocol == MPLS) | (protocol == MPLS_MULTICAST))
            & IS_SET(network);
        const vec labels = inner_network - network;
        RULE(R_MPLS, labelled & KNOWN(inner_network),
             NOWHERE(inner_network) | (labels <= 0) | ((labels & 3) != 0));
        /* Between the labels and the transport header there must be room for what it names. */
        RULE(R_MPLS, labelled & KNOWN(inner_protocol) & HAS(ANY_TCP),
             (inner_protocol == 0) | ((inner_protocol == IPV4) & ~HAS(TCPV4))
                 | ((inner_protocol == IPV6) & ~HAS(TCPV6))
                 | ((inner_protocol == TEB) & IS_SET(transport) & IS_SET(inner_network)
                    & (transport - inner_network < 14 + 20)));
        RULE(R_VLAN_IN_BAND, cut & udp_tunnel & (by == BY_IPPROTO) & KNOWN(protocol),
             (protocol == VLAN) | (protocol == VLAN_AD));

        RULE(R_FRAGLIST_KIND, cut & HAS(FRAGLIST), ~HAS(ANY_TCP | USO) | HAS(ANY_TUNNEL));
        const vec listed = cut & HAS(FRAGLIST) & (gso_size != BY_FRAGS);
        RULE(R_FRAG_LIST, ((gso_size == BY_FRAGS) | listed)
                 & (KNOWN(frag_list) | KNOWN(data_length)),
             (frag_list == 0) | (data_length == 0));
        /* The head has one segment, so what is not in it is in the list. */
        RULE(R_FRAG_LIST, listed & KNOWN(data_length) & KNOWN(payload),
             payload - data_length > gso_size);
        RULE(R_TYPE_UNKNOWN, cut & (HAS(kernel->unknown) | ~HAS(kernel->doubtful)),
             HAS(kernel->unknown));
        RULE(R_MANY_SEGMENTS, sized_pieces & KNOWN(length), (length >> 16) >= gso_size);
        /* A GRE header of 4 bytes has no number; one that has a key, too, is this long. */
        const vec gre = size - (HAS(GRE_CSUM) & 4);
        const vec in_gre = cut & HAS(ANY_GRE) & ~HAS(ANY_UDP_TUNNEL);
        RULE(R_GRE_SEQUENCE, in_gre & KNOWN(gre_flags), (gre_flags & GRE_SEQ) != 0);
        RULE(R_GRE_SEQUENCE,
             in_gre & ~KNOWN(gre_flags) & sized & ((gre == 4) | (gre >= 12)), gre >= 12);

        RULE(R_IHL, KNOWN(ihl), ihl < 5);
        RULE(R_DOFF, KNOWN(doff), doff < 5);
        RULE(R_DATA_LEN, KNOWN(length) & KNOWN(data_length), data_length > length);
        for (int half = 0; half < 2; half++) {
            block->violated[half][v] = violated[half];
            block->judged[half][v] = judged[half];
        }
    }
}

/* The bits of all rules for a row of a block. */
INLINE uint64_t mask(vec (*halves)[VECTORS], int row)
{
    return ((const uint32_t *)halves[0])[row] | (uint64_t)((const uint32_t *)halves[1])[row] << 32;
}

static void JUDGE(const struct gso_skb *rows, ptrdiff_t n, const struct gso_kernel *kernel,
                  uint64_t *violated, uint64_t *judged)
{
    struct block block;
    struct fresh fresh;
    struct met met;
    int straight = 0;  /* so many blocks are not searched for rows that are alike */

    memset(met.row, 0, sizeof(met.row));
    for (ptrdiff_t at = 0; at < n; at += BLOCK) {
        const int count = n - at < BLOCK ? (int)(n - at) : BLOCK;
        const int search = !straight || count < BLOCK;  /* nothing after the rows is read */

        if (search) {
            find_new(rows, at, count, &met, &fresh);
            straight = fresh.count > FEW_ALIKE ? STRAIGHT : 0;
        } else {
            straight--;
        }
        const int todo = search ? fresh.count : BLOCK, vectors = (todo + LANES - 1) / LANES;

        turn(search ? fresh.rows : rows + at, &block, vectors);
        judge(&block, kernel, vectors);
        for (int i = 0; i < todo; i++) {
            const ptrdiff_t place = at + (search ? fresh.place[i] : i);

            violated[place] = mask(block.violated, i);
            if (judged)
                judged[place] = mask(block.judged, i);
        }
        for (int i = 0; search && i < count; i++) {
            violated[at + i] = violated[met.as[i]];
            if (judged)
                judged[at + i] = judged[met.as[i]];
        }
    }
}

#undef vec
#undef block
#undef turn
#undef normal
#undef mask
#undef judge
#undef JUDGE
#undef VECTORS
#undef CHOOSE
#undef COLUMN
#undef FIRST_HALVES
#undef SECOND_HALVES
#undef turn_words
#undef part
#undef part_at
#undef slot_of
#undef equal
#undef find_new
