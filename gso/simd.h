/* Internet checksum (RFC 1071) of a buffer, alone or fused with copying it. */
#ifndef GSO_SIMD_H
#define GSO_SIMD_H

#include <stddef.h>
#include <stdint.h>

/* What the memory takes and gives at once: a part of it that is written has to be read before. */
#define GSO_LINE 64

/*
 * Every function returns the sum of the buffer's 16-bit words in the machine's byte order, with a
 * zero byte added to an odd length. It is below 2^34 for anything below 2^32 bytes, so that a few
 * of them can be added before folding.
 */
struct gso_simd {
	const char *name;
	uint64_t (*sum)(const uint8_t *src, size_t n);
	/* sums[i] becomes the sum of the bytes of src from offsets[i] to offsets[i + 1]. */
	void (*sums)(uint64_t *sums, const uint8_t *src, const int64_t *offsets, size_t n);
	/* src and dst must not overlap. */
	uint64_t (*copy_sum)(uint8_t *dst, const uint8_t *src, size_t n);
	/* The same past the caches, for output that is larger than they are. */
	uint64_t (*stream_sum)(uint8_t *dst, const uint8_t *src, size_t n);
	/* After the last streaming store, before another thread may look. */
	void (*stream_end)(void);
};

/* Have the line at p, wherever that is, come to the caches. */
static inline void gso_prefetch(const void *p)
{
#ifdef __GNUC__
	__builtin_prefetch(p);
#endif
}

/* The implementation with this name, or the best that the CPU runs (name NULL); NULL if none. */
const struct gso_simd *gso_simd_find(const char *name);

/* The i-th implementation that the CPU runs, the simplest first; NULL past the last. */
const struct gso_simd *gso_simd_at(size_t i);

#endif
