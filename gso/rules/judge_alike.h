/* A row that equals one before it gets the same verdict. Included by judge_lanes.h, for its LANES.
 *
 * A table has for each hash the row that was met last. Alike are only rows that are equal in all
 * bytes: the hash decides what is judged once more, and never the answer.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "judge_terms.h"

#ifndef LANES
#error "define LANES: the rows put aside fill whole vectors of so many"
#endif

#define part PASTE(part, LANES)
#define part_at PASTE(part_at, LANES)
#define slot_of PASTE(slot_of, LANES)
#define equal PASTE(equal, LANES)
#define find_new PASTE(find_new, LANES)

typedef uint32_t part __attribute__((vector_size(4 * PART)));

/* PART words of a row from word `at` on; the last words of a row where those would end after it. */
INLINE part part_at(const struct gso_skb *row, int at)
{
    part words;

    memcpy(&words, (const int32_t *)row + (at + PART <= WORDS ? at : WORDS - PART), sizeof(words));
    return words;
}

/* A slot, made from all words of a row. */
INLINE uint32_t slot_of(const struct gso_skb *row)
{
    part sum = {0};
    uint64_t pairs[PART / 2], total = 0;

#pragma GCC unroll 8
    for (int at = 0; at < WORDS; at += PART)
        sum = sum * 129 + part_at(row, at);
    memcpy(pairs, &sum, sizeof(sum));
#pragma GCC unroll 8
    for (int i = 0; i < PART / 2; i++)
        total = (total + pairs[i]) * SPREAD;
    return total >> (64 - SLOTS_LOG);
}

INLINE int equal(const struct gso_skb *one, const struct gso_skb *other)
{
    part differ = {0};
    uint64_t pairs[PART / 2], any = 0;

#pragma GCC unroll 8
    for (int at = 0; at < WORDS; at += PART)
        differ |= part_at(one, at) ^ part_at(other, at);
    memcpy(pairs, &differ, sizeof(differ));
#pragma GCC unroll 8
    for (int i = 0; i < PART / 2; i++)
        any |= pairs[i];
    return !any;
}

/* Put aside those of `count` rows from row `at` on that equal no row in the table, and say for each
 * of the rows which one before it, or itself, has its verdict. */
INLINE void find_new(const struct gso_skb *rows, ptrdiff_t at, int count, struct met *met,
                     struct fresh *fresh)
{
    int found = 0;

    for (int i = 0; i < count; i++) {
        const struct gso_skb *row = rows + at + i;
        ptrdiff_t *slot = &met->row[slot_of(row)];

        /* A slot that is still empty has row 0, which is no row before itself. */
        if (*slot >= at + i || !equal(row, rows + *slot)) {
            *slot = at + i;
            fresh->rows[found] = *row;
            fresh->place[found++] = i;
        }
        met->as[i] = *slot;
    }
    /* What fills up a vector is judged, too, and nobody asks how. */
    memset(&fresh->rows[found], 0, (size_t)(-found & (LANES - 1)) * sizeof(*rows));
    fresh->count = found;
}
