/* What the AVX2 and AVX-512 paths share. */
#ifndef GSO_X86_H
#define GSO_X86_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "portable.h"
#include "simd.h"

/* CPUs that lack prfchw take it for a no-op. */
#define AVX2 __attribute__((target("avx2,prfchw")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi2,prfchw")))

/* Keep v in a register: GCC loads an operand of two instructions twice, and loads cost most. */
#define KEEP(v) __asm__("" : "+v"(v))

/*
 * Sums of 64-bit words. `all` wraps around; `high`, the sum of the words' upper halves, tells in
 * the end what was lost. That takes three instructions a vector; masking both halves takes four.
 */
struct sum256 {
	__m256i all, high;
};

struct sum512 {
	__m512i all, high;
};

static void fence(void)
{
	_mm_sfence();
}

/*
 * Prefetch 128 bytes of what is copied with streaming stores, far enough ahead for memory, and for
 * the second-level cache as well. (Always inline: GCC drops calls that do nothing but prefetch.)
 */
INLINE void prefetch(const uint8_t *src)
{
	_mm_prefetch((const char *)((uintptr_t)src + 4096), _MM_HINT_T0);
	_mm_prefetch((const char *)((uintptr_t)src + 4096 + GSO_LINE), _MM_HINT_T0);
}

/*
 * Prefetch the line 512 bytes ahead for writing: a store that misses the first-level cache holds up
 * all stores after it.
 */
INLINE void own(uint8_t *dst)
{
	__builtin_prefetch(dst + 512, 1);
}

/* A sum of bytes that follow an odd number of others counts with its bytes swapped (RFC 1071). */
static uint64_t swap_if(uint64_t sum, size_t odd)
{
	sum = fold32(fold32(sum));
	return odd & 1 ? ((sum & 0x00ff00ff00ffULL) << 8) + ((sum & 0xff00ff00ff00ULL) >> 8) : sum;
}

/* Bytes before the next multiple of `line` (a power of two) at p, at most n. */
static size_t until_aligned(const uint8_t *p, size_t line, size_t n)
{
	size_t head = -(uintptr_t)p & (line - 1);

	return head < n ? head : n;
}

#endif
