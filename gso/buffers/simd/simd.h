/* Internet checksum (RFC 1071) of a buffer, alone, fused with copying it, or with segmenting it. */
#ifndef GSO_SIMD_H
#define GSO_SIMD_H

#include <stddef.h>
#include <stdint.h>

/* Cache line size. Writing part of a line makes the CPU read it first. */
#define GSO_LINE 64

enum {
	GSO_TRAIN_IDS = 2 /* IPv4 headers whose IDs count, at most: outer and inner */
};

/* An IPv4 header whose ID counts up from segment to segment. */
struct gso_train_id {
	uint16_t offset;
	uint16_t ident; /* of segment 0 */
	uint16_t base;
};

/*
 * A packet train: segments of one super-packet that differ in IPv4 IDs, sequence number and
 * checksums only. Each `base` is the sum of all that a checksum covers, except for the checksum
 * itself, the field that changes and the payload.
 */
struct gso_train {
	const uint8_t *header;
	size_t hlen;
	size_t step; /* payload bytes of each */
	struct gso_train_id id[GSO_TRAIN_IDS];
	int ids;
	int tcp; /* or else UDP */
	size_t l4_header;
	uint32_t seq; /* of segment 0 */
	uint64_t base; /* below 2^63 */
};

/*
 * Every sum returns the sum of the buffer's 16-bit words in the machine's byte order, with a
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
	/* The same with stores that bypass the caches, for output that is larger than they are. */
	uint64_t (*stream_sum)(uint8_t *dst, const uint8_t *src, size_t n);
	/*
	 * Write segments begin to end of a train, whose payloads start at src: their headers
	 * alone, whole segments, or whole segments with stores that bypass the caches.
	 */
	void (*train_headers)(const struct gso_train *train, uint8_t *out, const uint8_t *src,
			      size_t begin, size_t end);
	void (*train)(const struct gso_train *train, uint8_t *out, const uint8_t *src, size_t begin,
		      size_t end);
	void (*stream_train)(const struct gso_train *train, uint8_t *out, const uint8_t *src,
			     size_t begin, size_t end);
	/* To be called after the last streaming store, before another thread reads the output. */
	void (*stream_end)(void);
};

/* Prefetch the cache line at p, which may be any address. */
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
