/* The path for AArch64, where every CPU has NEON; simd.c includes it. */
#ifndef GSO_NEON_H
#define GSO_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "portable.h"
#include "simd.h"
#include "train.h"

enum {
	VECTOR = 16 /* bytes; n % VECTOR tells the compiler how few are left in the end */
};

/* Add a vector's 32-bit words to 64-bit lanes, two to each, so that no carry is lost. */
INLINE uint64x2_t add128(uint64x2_t sums, uint8x16_t v)
{
	return vpadalq_u32(sums, vreinterpretq_u32_u8(v));
}

INLINE uint64_t reduce128(uint64x2_t a, uint64x2_t b, uint64x2_t c, uint64x2_t d)
{
	return fold32(vaddvq_u64(vaddq_u64(vaddq_u64(a, b), vaddq_u64(c, d))));
}

static uint64_t neon_sum(const uint8_t *src, size_t n)
{
	uint64x2_t a = vdupq_n_u64(0), b = a, c = a, d = a;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		a = add128(a, vld1q_u8(src + i));
		b = add128(b, vld1q_u8(src + i + 16));
		c = add128(c, vld1q_u8(src + i + 32));
		d = add128(d, vld1q_u8(src + i + 48));
	}
	for (; i + VECTOR <= n; i += VECTOR)
		a = add128(a, vld1q_u8(src + i));
	return reduce128(a, b, c, d) + sum_plain(src + i, n % VECTOR);
}

DEFINE_SUMS(, neon_sums, neon_sum)

static uint64_t neon_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64x2_t a = vdupq_n_u64(0), b = a, c = a, d = a;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		uint8x16_t v = vld1q_u8(src + i), w = vld1q_u8(src + i + 16);
		uint8x16_t x = vld1q_u8(src + i + 32), y = vld1q_u8(src + i + 48);

		vst1q_u8(dst + i, v);
		vst1q_u8(dst + i + 16, w);
		vst1q_u8(dst + i + 32, x);
		vst1q_u8(dst + i + 48, y);
		a = add128(a, v);
		b = add128(b, w);
		c = add128(c, x);
		d = add128(d, y);
	}
	for (; i + VECTOR <= n; i += VECTOR) {
		uint8x16_t v = vld1q_u8(src + i);

		vst1q_u8(dst + i, v);
		a = add128(a, v);
	}
	return reduce128(a, b, c, d) + copy_plain(dst + i, src + i, n % VECTOR);
}

#define NEON_SUM(dst, src, n) SUM_ONLY(neon_sum, dst, src, n)
DEFINE_TRAIN(, neon_headers, NEON_SUM, 0)
DEFINE_TRAIN(, neon_train, neon_copy_sum, 1)

/*
 * Streaming takes no stores of its own: these CPUs notice that whole cache lines are written one
 * after another, and stop allocating them. (STNP is only a hint, which most of them ignore.)
 */
static const struct gso_simd neon = {
	"neon",	      neon_sum,	  neon_sums,  neon_copy_sum, neon_copy_sum,
	neon_headers, neon_train, neon_train, no_fence,
};

#endif
