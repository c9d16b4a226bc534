/*
 * Blocks of memory cut from arenas, found by size in constant time: two-level segregated fit, after
 * Masmano, Ripoll, Crespo and Real, "TLSF: a new dynamic memory allocator for real-time systems"
 * (2004).
 *
 * An arena is a mapping of chunks; a chunk is a huge page. It is filled by blocks, each a header and
 * its bytes. Free neighbours are joined at once. A chunk in which nothing is used any more is kept,
 * or given back to the system when more than the limit would be kept.
 */

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "arena.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GSO_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define GSO_ASAN 1
#endif

#ifdef GSO_ASAN
/* Each block is one of malloc's, and its header is out of bounds. */
#include <sanitizer/asan_interface.h>
#define HIDE(it) ASAN_POISON_MEMORY_REGION(it, sizeof(struct block))
#define SHOW(it) ASAN_UNPOISON_MEMORY_REGION(it, sizeof(struct block))
#else
#define GSO_ASAN 0
#define HIDE(block)
#define SHOW(block)
#endif

enum {
    LINE = 64,              /* bytes: all sizes and places are multiples of it */
    LEAST_LOG2 = 9,
    LEAST = 1 << LEAST_LOG2, /* bytes of the smallest block */
    STEPS_LOG2 = 4,
    STEPS = 1 << STEPS_LOG2, /* classes from a power of two to the next */
    MOST_LOG2 = 47,
    CLASSES = (MOST_LOG2 - LEAST_LOG2) * STEPS,
    WORDS = (CLASSES + 63) / 64,
    SLOTS = (17 - LEAST_LOG2) * STEPS, /* classes of less than 128 KB */
};

static const size_t CHUNK = (size_t)2 << 20;
static const size_t ARENA = (size_t)32 << 20;

struct chunk {
    uint32_t used;          /* bytes of blocks in use, and of headers */
    uint32_t resident;      /* it has been written to since it came from the system */
};

struct block {
    struct arena *arena;    /* NULL: of malloc */
    size_t size;            /* bytes after this header */
    size_t before;          /* size of the block in front of it; 0: it is the arena's first */
    size_t free;
    struct block *older;    /* free blocks of its class */
    struct block *newer;
    size_t room[2];
};

_Static_assert(sizeof(struct block) == LINE, "a block's bytes start at a cache line");

struct arena {
    struct arena *next;
    struct arena *previous;
    size_t size;
    struct chunk chunks[];
};

static struct {
    pthread_mutex_t lock;
    size_t limit;
    struct gso_memory now;
    struct arena *arenas;
    struct block *classes[CLASSES];
    uint64_t filled[WORDS]; /* a bit for each class that has blocks */
    struct block *slots[SLOTS];
} all = {.lock = PTHREAD_MUTEX_INITIALIZER, .limit = (size_t)128 << 20};

/* ---- sizes ------------------------------------------------------------------------------- */

static unsigned log2_of(size_t size)
{
    return 63 - (unsigned)__builtin_clzll(size);
}

/* The least size not below it at which a class begins, so that a freed block fits its successor. */
static size_t rounded(size_t size)
{
    size_t step;

    if (size <= LEAST)
        return LEAST;
    step = (size_t)1 << (log2_of(size) - STEPS_LOG2);
    if (step < LINE)
        step = LINE;
    return (size + step - 1) & -step;
}

static unsigned class_of(size_t size)
{
    unsigned log2 = log2_of(size);

    return (log2 - LEAST_LOG2) * STEPS + (unsigned)(size >> (log2 - STEPS_LOG2)) % STEPS;
}

/* ---- chunks ------------------------------------------------------------------------------ */

/* Count the bytes between two places of an arena as used (or as used no more). */
static void count(struct arena *a, const void *begin, const void *end, bool used)
{
    size_t at = (size_t)((const char *)begin - (const char *)a);
    size_t stop = (size_t)((const char *)end - (const char *)a);
    struct chunk *c;
    size_t here;

    for (; at < stop; at += here) {
        c = &a->chunks[at / CHUNK];
        here = CHUNK - at % CHUNK;
        if (here > stop - at)
            here = stop - at;
        if (used) {
            if (!c->used && c->resident)
                all.now.kept -= CHUNK;
            c->used += (uint32_t)here;
            c->resident = true;
        } else {
            c->used -= (uint32_t)here;
            if (!c->used)
                all.now.kept += CHUNK;
        }
    }
}

/* ---- blocks ------------------------------------------------------------------------------ */

static struct block *first(struct arena *a)
{
    size_t head = sizeof(*a) + a->size / CHUNK * sizeof(struct chunk);

    return (struct block *)((char *)a + (head + LINE - 1) / LINE * LINE);
}

static struct block *block_of(void *p)
{
    return (struct block *)p - 1;
}

static char *bytes(struct block *b)
{
    return (char *)(b + 1);
}

static char *end_of(struct block *b)
{
    return bytes(b) + b->size;
}

/* The block that follows it, or NULL. */
static struct block *following(struct block *b)
{
    char *end = end_of(b);

    return end == (char *)b->arena + b->arena->size ? NULL : (struct block *)end;
}

static void set_size(struct block *b, size_t size)
{
    struct block *next;

    b->size = size;
    next = following(b);
    if (next)
        next->before = size;
}

/* Whether a free block is all that its arena has. */
static bool is_whole(struct block *b)
{
    return !b->before && !following(b);
}

static void insert(struct block *b)
{
    unsigned k = class_of(b->size);

    b->free = true;
    b->newer = NULL;
    b->older = all.classes[k];
    if (b->older)
        b->older->newer = b;
    all.classes[k] = b;
    all.filled[k / 64] |= (uint64_t)1 << k % 64;
    if (is_whole(b))
        count(b->arena, b->arena, bytes(b), false);
}

static void remove_free(struct block *b)
{
    unsigned k = class_of(b->size);

    if (is_whole(b))
        count(b->arena, b->arena, bytes(b), true);
    b->free = false;
    if (b->older)
        b->older->newer = b->newer;
    if (b->newer)
        b->newer->older = b->older;
    else
        all.classes[k] = b->older;
    if (!all.classes[k])
        all.filled[k / 64] &= ~((uint64_t)1 << k % 64);
}

/* A free block of a size that rounded() made, or larger; NULL if there is none. */
static struct block *find(size_t size)
{
    unsigned k = class_of(size), word = k / 64;
    uint64_t filled = all.filled[word] & ~(uint64_t)0 << k % 64;

    while (!filled) {
        if (++word == WORDS)
            return NULL;
        filled = all.filled[word];
    }
    return all.classes[word * 64 + (unsigned)__builtin_ctzll(filled)];
}

/* Cut what is beyond `size` off, if it makes a block; its bytes count as unused already. */
static struct block *split(struct block *b, size_t size)
{
    struct block *rest;
    size_t left = b->size - size;

    if (left < LINE + LEAST)
        return NULL;
    rest = (struct block *)(bytes(b) + size);
    rest->arena = b->arena;
    rest->before = size;
    rest->free = false;
    b->size = size;
    set_size(rest, left - LINE);
    count(b->arena, rest, rest + 1, true);
    return rest;
}

/* Join a block with the one that follows it. */
static void join(struct block *b, struct block *next)
{
    count(b->arena, next, next + 1, false);
    set_size(b, b->size + LINE + next->size);
}

/* Make a block free, whose bytes count as unused already. */
static void release(struct block *b)
{
    struct block *next = following(b), *front;

    if (next && next->free) {
        remove_free(next);
        join(b, next);
    }
    if (b->before) {
        front = (struct block *)((char *)b - b->before - LINE);
        if (front->free) {
            remove_free(front);
            join(front, b);
            b = front;
        }
    }
    insert(b);
}

/* ---- slots ------------------------------------------------------------------------------- */

/*
 * One freed block of each smaller class waits in a slot, and is neither joined nor counted as unused:
 * a program that drops each result before the next one gets the same block again and again.
 */
static struct block *take_slot(unsigned k)
{
    struct block *b = k < SLOTS ? all.slots[k] : NULL;

    if (b)
        all.slots[k] = NULL;
    return b;
}

static bool fill_slot(struct block *b)
{
    unsigned k = class_of(b->size);

    if (k >= SLOTS || all.slots[k] || !all.limit)
        return false;
    all.slots[k] = b;
    return true;
}

/* Make a block free whose bytes still count as used. */
static void discard(struct block *b)
{
    count(b->arena, bytes(b), end_of(b), false);
    release(b);
}

static void empty_slots(void)
{
    struct block *b;

    for (unsigned k = 0; k < SLOTS; k++) {
        b = take_slot(k);
        if (b)
            discard(b);
    }
}

/* ---- arenas ------------------------------------------------------------------------------ */

/* Pages of our own that start at a multiple of CHUNK. */
static void *map(size_t size)
{
    char *p = mmap(NULL, size + CHUNK, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t front;

    if (p == MAP_FAILED)
        return NULL;
    front = -(uintptr_t)p % CHUNK;
    if (front)
        munmap(p, front);
    munmap(p + front + size, CHUNK - front);
#ifdef MADV_HUGEPAGE
    madvise(p + front, size, MADV_HUGEPAGE);
#endif
    return p + front;
}

/* The free block of a new arena. One for a large block has room for it to grow. */
static struct block *add_arena(size_t size)
{
    size_t wanted = size + size / 2 + CHUNK;
    struct arena *a;
    struct block *b;

    wanted = (wanted < ARENA ? ARENA : wanted) / CHUNK * CHUNK;
    a = map(wanted);
    if (!a)
        return NULL;
    a->size = wanted;
    a->next = all.arenas;
    a->previous = NULL;
    if (a->next)
        a->next->previous = a;
    all.arenas = a;
    all.now.mapped += wanted;
    b = first(a);
    b->arena = a;
    b->before = 0;
    b->size = (size_t)((char *)a + wanted - bytes(b));
    count(a, a, bytes(b), true);
    insert(b);
    return b;
}

static void drop_arena(struct arena *a)
{
    remove_free(first(a));
    count(a, a, first(a) + 1, false);
    for (size_t i = 0; i < a->size / CHUNK; i++)
        if (a->chunks[i].resident)
            all.now.kept -= CHUNK;
    if (a->next)
        a->next->previous = a->previous;
    if (a->previous)
        a->previous->next = a->next;
    else
        all.arenas = a->next;
    all.now.mapped -= a->size;
    munmap(a, a->size);
}

/* Give chunks of an arena back to the system, or all of it, while more than `limit` are kept. */
static void relieve(struct arena *a, size_t limit)
{
    if (all.now.kept <= limit)
        return;
    if (first(a)->free && is_whole(first(a))) {
        drop_arena(a);
        return;
    }
    for (size_t i = 0; i < a->size / CHUNK && all.now.kept > limit; i++) {
        if (a->chunks[i].used || !a->chunks[i].resident)
            continue;
        madvise((char *)a + i * CHUNK, CHUNK, MADV_DONTNEED);
        a->chunks[i].resident = false;
        all.now.kept -= CHUNK;
    }
}

/* ---- take, resize, give ------------------------------------------------------------------ */

static void *take_elsewhere(size_t size)
{
    struct block *b = malloc(LINE + size);

    if (!b)
        return NULL;
    b->arena = NULL;
    b->size = size;
    HIDE(b);
    return b + 1;
}

static void *resize_elsewhere(struct block *b, size_t size)
{
    struct block *other = realloc(b, LINE + size);

    if (!other) {
        HIDE(b);
        return NULL;
    }
    other->size = size;
    HIDE(other);
    return other + 1;
}

static bool is_too_large(size_t size)
{
    return size >= (size_t)1 << (MOST_LOG2 - 2);
}

/* Cut a block from a free one, or from a new arena. */
static struct block *cut(size_t size)
{
    struct block *b = find(size), *rest;

    if (!b)
        b = add_arena(size);
    if (!b)
        return NULL;
    remove_free(b);
    rest = split(b, size);
    if (rest)
        insert(rest);
    count(b->arena, bytes(b), end_of(b), true);
    return b;
}

static void *take(size_t size)
{
    struct block *b;

    pthread_mutex_lock(&all.lock);
    b = take_slot(class_of(size));
    if (!b)
        b = cut(size);
    if (b)
        all.now.used += b->size;
    pthread_mutex_unlock(&all.lock);
    return b ? b + 1 : NULL;
}

void *gso_memory_take(size_t size)
{
    if (is_too_large(size))
        return NULL;
    if (GSO_ASAN || !__atomic_load_n(&all.limit, __ATOMIC_RELAXED))
        return take_elsewhere(size);
    return take(rounded(size));
}

void gso_memory_give(void *p)
{
    struct arena *a;
    struct block *b;

    if (!p)
        return;
    b = block_of(p);
    SHOW(b);
    if (!b->arena) {
        free(b);
        return;
    }
    a = b->arena;
    pthread_mutex_lock(&all.lock);
    all.now.used -= b->size;
    if (!fill_slot(b)) {
        discard(b);
        relieve(a, all.limit);
    }
    pthread_mutex_unlock(&all.lock);
}

/* Take in so much of the free block that follows that it has `size` bytes; returns whether it has. */
static bool grow(struct block *b, size_t size)
{
    struct block *next = following(b), *rest;

    if (!next || !next->free || b->size + LINE + next->size < size)
        return false;
    remove_free(next);
    char *end = end_of(b);
    join(b, next);
    rest = split(b, size);
    if (rest)
        insert(rest);
    count(b->arena, end, end_of(b), true);
    return true;
}

static void shrink(struct block *b, size_t size)
{
    char *end = end_of(b);
    struct block *rest;

    if (b->size - size < LINE + LEAST)
        return;
    count(b->arena, bytes(b) + size, end, false);
    rest = split(b, size);
    release(rest);
    relieve(b->arena, all.limit);
}

/* Change the size of a block where it is; returns whether that was possible. */
static bool fit(struct block *b, size_t size)
{
    bool done = true;

    pthread_mutex_lock(&all.lock);
    all.now.used -= b->size;
    if (size > b->size)
        done = grow(b, size);
    else
        shrink(b, size);
    all.now.used += b->size;
    pthread_mutex_unlock(&all.lock);
    return done;
}

void *gso_memory_resize(void *p, size_t size)
{
    struct block *b;
    void *other;
    size_t old;

    if (!p)
        return gso_memory_take(size);
    if (is_too_large(size))
        return NULL;
    b = block_of(p);
    SHOW(b);
    if (!b->arena)
        return resize_elsewhere(b, size);
    old = b->size;
    if (fit(b, rounded(size)))
        return p;
    other = gso_memory_take(size);
    if (other) {
        memcpy(other, p, old < size ? old : size);
        gso_memory_give(p);
    }
    return other;
}

/* ---- the whole --------------------------------------------------------------------------- */

static size_t trim(size_t kept)
{
    struct arena *a, *next;
    size_t before;

    empty_slots();
    before = all.now.kept;
    for (a = all.arenas; a; a = next) {
        next = a->next;
        relieve(a, kept);
    }
    return before - all.now.kept;
}

size_t gso_memory_trim(size_t kept)
{
    size_t gone;

    pthread_mutex_lock(&all.lock);
    gone = trim(kept);
    pthread_mutex_unlock(&all.lock);
    return gone;
}

void gso_memory_set_limit(size_t limit)
{
    pthread_mutex_lock(&all.lock);
    __atomic_store_n(&all.limit, limit, __ATOMIC_RELAXED);
    trim(limit);
    pthread_mutex_unlock(&all.lock);
}

struct gso_memory gso_memory_state(void)
{
    struct gso_memory now;

    pthread_mutex_lock(&all.lock);
    now = all.now;
    pthread_mutex_unlock(&all.lock);
    return now;
}

static void lock(void)
{
    pthread_mutex_lock(&all.lock);
}

static void unlock(void)
{
    pthread_mutex_unlock(&all.lock);
}

void gso_memory_start(void)
{
    pthread_atfork(lock, unlock, unlock);
}
