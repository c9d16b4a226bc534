/* What the paths of simd.c for x86-64 share: a part of it, in a file of its own. */
#ifndef GSO_X86_H
#define GSO_X86_H

#include <immintrin.h>

/* prfchw: CPUs that lack it do nothing instead. */
#define AVX2 __attribute__((target("avx2,prfchw")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi2,prfchw")))

/* Without this GCC loads an operand of two instructions twice, the costliest thing here. */
#define KEEP(v) __asm__("" : "+v"(v))

/*
 * Sums of 64-bit words. `all` wraps, but with `high`, the sum of the words' upper halves, what it
 * lost can be told in the end: that costs three instructions a vector, masking both halves four.
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
 * What streams out has to stream in too: 128 bytes, far enough ahead for memory, and for the
 * second-level cache as well. (Always inline: GCC leaves calls out that do nothing but prefetch.)
 */
INLINE void prefetch(const uint8_t *src)
{
	_mm_prefetch((const char *)((uintptr_t)src + 4096), _MM_HINT_T0);
	_mm_prefetch((const char *)((uintptr_t)src + 4096 + GSO_LINE), _MM_HINT_T0);
}

/*
 * Have the line that is written 512 bytes later brought to the first-level cache: a store that
 * misses it holds up all behind it.
 */
INLINE void own(uint8_t *dst)
{
	__builtin_prefetch(dst + 512, 1);
}

/* The sum of what follows an odd number of bytes counts with its bytes exchanged. */
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
