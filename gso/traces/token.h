/* Functions that find the ends of words in text, 16 bytes at a time with SSE2, which every x86-64
 * has. They read no byte from `end` on. */
#ifndef GSO_TOKEN_H
#define GSO_TOKEN_H

#include <stdint.h>
#include <string.h>
#include <sys/random.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The value of a hexadecimal digit, -1 for other characters. */
static const signed char gso_digits[256] = {
#define N4 -1, -1, -1, -1
#define N16 N4, N4, N4, N4
    N16, N16, N16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1, -1, N4, -1, 10, 11, 12, 13, 14, 15, -1, N4, N4,
    N16, -1, 10, 11, 12, 13, 14, 15, -1, N4, N4, N16, N16, N16, N16, N16, N16, N16, N16, N16,
#undef N16
#undef N4
};

/* Return the first blank or tab, or `end`. */
static inline const char *gso_token_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');

    for (; end - p >= 16; p += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)p);
        __m128i found = _mm_or_si128(_mm_cmpeq_epi8(text, blank), _mm_cmpeq_epi8(text, tab));
        unsigned mask = (unsigned)_mm_movemask_epi8(found);

        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != ' ' && *p != '\t')
        p++;
    return p;
}

/* Return the first blank, tab, "=" or ":", or `end`. */
static inline const char *gso_key_end(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');
    const __m128i equals = _mm_set1_epi8('='), colon = _mm_set1_epi8(':');

    for (; end - p >= 16; p += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)p);
        __m128i blanks = _mm_or_si128(_mm_cmpeq_epi8(text, blank), _mm_cmpeq_epi8(text, tab));
        __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(text, equals), _mm_cmpeq_epi8(text, colon));
        unsigned mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(blanks, marks));

        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != ' ' && *p != '\t' && *p != '=' && *p != ':')
        p++;
    return p;
}

/* Return the first character that is no blank, or `end`; columns are padded with many blanks. */
static inline const char *gso_blanks_end(const char *p, const char *end)
{
    if (p < end && *p != ' ' && *p != '\t')
        return p;
#ifdef __SSE2__
    const __m128i blank = _mm_set1_epi8(' '), tab = _mm_set1_epi8('\t');

    for (; end - p >= 16; p += 16) {
        __m128i text = _mm_loadu_si128((const __m128i *)p);
        __m128i found = _mm_or_si128(_mm_cmpeq_epi8(text, blank), _mm_cmpeq_epi8(text, tab));
        unsigned mask = (unsigned)_mm_movemask_epi8(found) ^ 0xffff;

        if (mask)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    return p;
}

static inline uint64_t gso_load(const char *p, int64_t size)
{
    uint64_t word = 0;

    memcpy(&word, p, (size_t)size);
    return word;
}

/* Return a number made of up to 8 bytes, another one for other bytes of the same size. */
static inline uint64_t gso_short(const char *p, int64_t size)
{
    if (size >= 8)
        return gso_load(p, 8);
    if (size >= 4)
        return gso_load(p, 4) | gso_load(p + size - 4, 4) << 32;
    if (size >= 2)
        return gso_load(p, 2) | gso_load(p + size - 2, 2) << 32;
    return (unsigned char)*p;
}

/* A key for gso_hash() that whoever wrote the log cannot know. */
static inline uint64_t gso_random_key(void)
{
    uint64_t key = 0;

    if (getentropy(&key, sizeof(key)) != 0)
        key = (uint64_t)(uintptr_t)&key;
    return key | 1;
}

static inline uint64_t gso_mix(uint64_t hash, uint64_t word, uint64_t key)
{
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * key;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Names come from users (any process may choose its own): without the key they would collide. */
static inline uint32_t gso_hash(const char *p, int64_t size, uint64_t key)
{
    uint64_t hash = (uint64_t)size * 0x9E3779B97F4A7C15u ^ key;
    int64_t at;

    for (at = 0; at + 8 < size; at += 8)
        hash = gso_mix(hash, gso_load(p + at, 8), key);
    hash = gso_mix(hash, gso_short(size > 8 ? p + size - 8 : p, size > 8 ? 8 : size), key);
    return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

/* Whether two texts of the same size, at least 1, are equal. */
static inline int gso_same(const char *a, const char *b, int64_t size)
{
    int64_t at;

    if (size <= 8)
        return gso_short(a, size) == gso_short(b, size);
    for (at = 0; at + 8 < size; at += 8)
        if (gso_load(a + at, 8) != gso_load(b + at, 8))
            return 0;
    return gso_load(a + size - 8, 8) == gso_load(b + size - 8, 8);
}

/* Return how many of the first `size` bytes of two texts are equal before one differs. */
static inline int64_t gso_shared(const char *a, const char *b, int64_t size)
{
    int64_t at = 0;

#ifdef __SSE2__
    for (; at + 16 <= size; at += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(a + at));
        __m128i y = _mm_loadu_si128((const __m128i *)(b + at));
        unsigned other = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) ^ 0xffff;

        if (other)
            return at + __builtin_ctz(other);
    }
#endif
    while (at < size && a[at] == b[at])
        at++;
    return at;
}

/* Return the value of 8 hexadecimal digits; -1 if there are other characters. */
static inline int64_t gso_hex8(const char *p)
{
    const uint64_t text = gso_load(p, 8), ones = 0x0101010101010101u, low = 0x7f * ones;
    /* The highest bit of each byte: whether its other bits are at least those of a character. */
#define FROM(bytes, character) ((((bytes) & low) + (0x80 - (character)) * ones) & 0x80 * ones)
    const uint64_t small = text | 0x20 * ones;
    const uint64_t digit = FROM(text, '0') & ~FROM(text, '9' + 1);
    const uint64_t letter = FROM(small, 'a') & ~FROM(small, 'f' + 1);
#undef FROM
    uint64_t value;

    if (((digit | letter) & ~text & 0x80 * ones) != 0x80 * ones)
        return -1;
    value = (text & 0x0f * ones) + (letter >> 7) * 9;
    /* The first digit, which is the lowest byte here, counts most. */
    value = (value << 4 | value >> 8) & 0x00ff00ff00ff00ffu;
    value = (value << 8 | value >> 16) & 0x0000ffff0000ffffu;
    return (int64_t)((value << 16 | value >> 32) & 0xffffffffu);
}

#endif
