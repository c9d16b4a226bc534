/*
 * Sums and copies in plain C. They are the baseline, and finish what vectors of other widths leave.
 */
#ifndef GSO_PORTABLE_H
#define GSO_PORTABLE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* Define `sums` of an instruction set, with its `sum` compiled into the loop. */
#define DEFINE_SUMS(target, name, sum)                                                          \
	target static void name(uint64_t *sums, const uint8_t *src, const int64_t *offsets,     \
				size_t n)                                                       \
	{                                                                                       \
		for (size_t i = 0; i < n; i++)                                                  \
			sums[i] = sum(src + offsets[i], (size_t)(offsets[i + 1] - offsets[i])); \
	}

/* The `payload` of a DEFINE_TRAIN that copies none. */
#define SUM_ONLY(sum, dst, src, n) ((void)(dst), sum(src, n))

/* Copy n < 8 bytes, and sum what was copied: another thread may change src meanwhile. */
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

/*
 * These are inlined where they finish what vectors began: AVX code that calls SSE code, which uses
 * the lower halves of the same registers, loses a hundred nanoseconds a call on some processors.
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

/* The `stream_end` of paths that have no streaming stores. */
static inline void no_fence(void)
{
}

#endif
