/*
 * Memory for results: blocks cut from arenas, which stay when the blocks are given back.
 *
 * A result of a megabyte has 265 pages. The C library gives freed memory back to the system, so that
 * each result that is kept costs as many page faults, which take longer than its work. Here freed
 * blocks wait for the next result, up to a limit.
 *
 * All functions may be called from any thread, and in a child after fork().
 */
#ifndef GSO_ARENA_H
#define GSO_ARENA_H

#include <stddef.h>

/* Bytes: of all arenas, of blocks that are in use, and of chunks that are kept free. */
struct gso_memory {
    size_t mapped;
    size_t used;
    size_t kept;
};

/* Uninitialised memory that starts at a cache line; NULL where there is none. */
void *gso_memory_take(size_t size);

/* The same bytes with more room or less, perhaps elsewhere; NULL, and `p` stays, without memory. */
void *gso_memory_resize(void *p, size_t size);

/* Give a block back; NULL is none. */
void gso_memory_give(void *p);

/* Keep at most so many free bytes from now on. With 0 blocks come from malloc. */
void gso_memory_set_limit(size_t limit);

/* Give free chunks back to the system until so many bytes are kept; returns how many went. */
size_t gso_memory_trim(size_t kept);

struct gso_memory gso_memory_state(void);

/* Called once, before the others: keeps fork() out of the middle of them. */
void gso_memory_start(void);

#endif
