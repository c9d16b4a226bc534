#include "simd.h"

#include <string.h>

#include "train.h"

#ifdef __GNUC__
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

INLINE uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* Sum a 64-bit value's halves into a, so that no carry is lost. */
INLINE uint64_t add64(uint64_t a, uint64_t v)
{
	return a + (v & 0xffffffff) + (v >> 32);
}

/* Any sum to one below 2^33, of the same value modulo 0xffff. */
INLINE uint64_t fold32(uint64_t a)
{
	return (a & 0xffffffff) + (a >> 32);
}

/* `sums` with the `sum` of an instruction set, which is compiled into the loop. */
#define DEFINE_SUMS(target, name, sum)                                                          \
	target static void name(uint64_t *sums, const uint8_t *src, const int64_t *offsets,     \
				size_t n)                                                       \
	{                                                                                       \
		for (size_t i = 0; i < n; i++)                                                  \
			sums[i] = sum(src + offsets[i], (size_t)(offsets[i + 1] - offsets[i])); \
	}

/* What DEFINE_TRAIN calls where nothing is copied. */
#define SUM_ONLY(sum, dst, src, n) ((void)(dst), sum(src, n))

/* Copies n < 8 bytes, and sums what was copied: another thread may change src meanwhile. */
INLINE uint64_t copy_tail(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint32_t word = 0;
	uint16_t half = 0, last = 0;

	if (n & 4) {
		memcpy(&word, src, 4);
		memcpy(dst, &word, 4);
	}
	if (n & 2) {
		memcpy(&half, src + (n & 4), 2);
		memcpy(dst + (n & 4), &half, 2);
	}
	if (n & 1) {
		memcpy(&last, src + n - 1, 1);
		memcpy(dst + n - 1, &last, 1);
	}
	return (uint64_t)word + half + last;
}

INLINE uint64_t sum_tail(const uint8_t *src, size_t n)
{
	uint8_t nowhere[8];

	return copy_tail(nowhere, src, n);
}

/* ---- baseline: plain C, which compilers vectorise with what every CPU of the kind has ---- */

/*
 * Inlined where they finish what others began: code of vectors that calls code without, which may
 * use their lower halves, loses a hundred nanoseconds a call on some processors.
 */
INLINE uint64_t sum_plain(const uint8_t *src, size_t n)
{
	uint64_t a = 0, b = 0;
	size_t i = 0;

	for (; i + 32 <= n; i += 32) {
		a = add64(a, load64(src + i));
		b = add64(b, load64(src + i + 8));
		a = add64(a, load64(src + i + 16));
		b = add64(b, load64(src + i + 24));
	}
	for (; i + 8 <= n; i += 8)
		a = add64(a, load64(src + i));
	return fold32(a + b + sum_tail(src + i, n - i));
}

INLINE uint64_t copy_plain(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t a = 0, b = 0, v, w;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		v = load64(src + i);
		w = load64(src + i + 8);
		memcpy(dst + i, &v, 8);
		memcpy(dst + i + 8, &w, 8);
		a = add64(a, v);
		b = add64(b, w);
	}
	if (i + 8 <= n) {
		v = load64(src + i);
		memcpy(dst + i, &v, 8);
		a = add64(a, v);
		i += 8;
	}
	return fold32(a + b + copy_tail(dst + i, src + i, n - i));
}

static uint64_t baseline_sum(const uint8_t *src, size_t n)
{
	return sum_plain(src, n);
}

static uint64_t baseline_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	return copy_plain(dst, src, n);
}

DEFINE_SUMS(, baseline_sums, baseline_sum)

#define BASELINE_SUM(dst, src, n) SUM_ONLY(baseline_sum, dst, src, n)
DEFINE_TRAIN(, baseline_headers, BASELINE_SUM, 0)
DEFINE_TRAIN(, baseline_train, baseline_copy_sum, 1)

static void no_fence(void)
{
}

static const struct gso_simd baseline = {
	"baseline",	baseline_sum,	  baseline_sums,  baseline_copy_sum, baseline_copy_sum,
	baseline_headers, baseline_train, baseline_train, no_fence,
};

#if defined(__x86_64__) && defined(__GNUC__)

#include "avx2.h"
#include "avx512.h"

const struct gso_simd *gso_simd_at(size_t i)
{
	if (i == 0)
		return &baseline;
	if (i == 1 && __builtin_cpu_supports("avx2"))
		return &avx2;
	if (i == 2 && runs_avx512())
		return &avx512;
	return NULL;
}

#elif defined(__aarch64__) && defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include "neon.h"

const struct gso_simd *gso_simd_at(size_t i)
{
	if (i == 0)
		return &baseline;
	return i == 1 ? &neon : NULL;
}

#else

const struct gso_simd *gso_simd_at(size_t i)
{
	return i == 0 ? &baseline : NULL;
}

#endif

const struct gso_simd *gso_simd_find(const char *name)
{
	const struct gso_simd *best = NULL, *one;
	size_t i;

	for (i = 0; (one = gso_simd_at(i)); i++)
		if (!name || !strcmp(name, one->name))
			best = one;
	return best;
}
