/* The rules for sk_buff fields, over rows of gso.SKB_DTYPE. What each means is told in gso/rules.py. */
#ifndef GSO_JUDGE_H
#define GSO_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#define GSO_WIDE 16   /* int32_t fields, which come first */
#define GSO_NARROW 8  /* int16_t fields */

struct gso_skb {
    int32_t wide[GSO_WIDE];
    int16_t narrow[GSO_NARROW];
    int16_t zero_known;
};

struct gso_judge {
    const char *name;  /* as in simd.c */
    /* For each row a bit for each violated rule and, unless `judged` is NULL, each judged one. */
    void (*judge)(const struct gso_skb *rows, ptrdiff_t n, uint64_t *violated, uint64_t *judged);
};

/* The i-th implementation that the CPU runs, the simplest first; NULL past the last. */
const struct gso_judge *gso_judge_at(size_t i);

#endif
