/* The rules for sk_buff fields, over rows of gso.SKB_DTYPE. What each means is told in gso/rules.py. */
#ifndef GSO_JUDGE_H
#define GSO_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "skb.h"

struct gso_judge {
    const char *name;  /* as in simd.c */
    /* For each row a bit for each violated rule and, unless `judged` is NULL, each judged one. */
    void (*judge)(const struct gso_skb *rows, ptrdiff_t n, uint64_t *violated, uint64_t *judged);
};

/* The i-th implementation that the CPU runs, the simplest first; NULL past the last. */
const struct gso_judge *gso_judge_at(size_t i);

#endif
