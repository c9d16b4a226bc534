#include "simd.h"

#include <string.h>

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return v;
}

/* Sum a 64-bit value's halves into a, so that no carry is lost. */
static uint64_t add64(uint64_t a, uint64_t v)
{
	return a + (v & 0xffffffff) + (v >> 32);
}

/* Any sum to one below 2^33, of the same value modulo 0xffff. */
static uint64_t fold32(uint64_t a)
{
	return (a & 0xffffffff) + (a >> 32);
}

/* The last n < 8 bytes as they would stand in memory before zeros. */
static uint64_t load_tail(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/* ---- baseline: plain C, which compilers vectorise with what every CPU of the kind has ---- */

static uint64_t baseline_sum(const uint8_t *src, size_t n)
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
	return fold32(add64(a + b, load_tail(src + i, n - i)));
}

static uint64_t baseline_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	uint64_t a = 0, b = 0;
	size_t i = 0;

	for (; i + 16 <= n; i += 16) {
		uint64_t v = load64(src + i), w = load64(src + i + 8);

		memcpy(dst + i, &v, 8);
		memcpy(dst + i + 8, &w, 8);
		a = add64(a, v);
		b = add64(b, w);
	}
	for (; i < n; i += 8) {
		size_t rest = n - i < 8 ? n - i : 8;
		uint64_t v = load_tail(src + i, rest);

		/* Sum what was copied: another thread may change src meanwhile. */
		memcpy(dst + i, &v, rest);
		a = add64(a, v);
	}
	return fold32(a + b);
}

static void no_fence(void)
{
}

static const struct gso_simd baseline = {
	"baseline", baseline_sum, baseline_copy_sum, baseline_copy_sum, no_fence,
};

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,bmi2")))

/* Without this GCC loads an operand of two instructions twice, the costliest thing here. */
#define KEEP(v) __asm__("" : "+v"(v))

static void fence(void)
{
	_mm_sfence();
}

/* What streams out has to stream in too: 128 bytes, far enough ahead for memory. */
static inline void prefetch(const uint8_t *src)
{
	_mm_prefetch((const char *)((uintptr_t)src + 2048), _MM_HINT_T0);
	_mm_prefetch((const char *)((uintptr_t)src + 2048 + 64), _MM_HINT_T0);
}

/* The sum of what follows an odd number of bytes counts with its bytes exchanged. */
static uint64_t swap_if(uint64_t sum, size_t odd)
{
	sum = fold32(fold32(sum));
	return odd & 1 ? ((sum & 0x00ff00ff00ffULL) << 8) + ((sum & 0xff00ff00ff00ULL) >> 8) : sum;
}

/* ---- AVX2 ---- */

AVX2 static inline __m256i add256(__m256i a, __m256i v)
{
	const __m256i low = _mm256_set1_epi64x(0xffffffff);

	KEEP(v);
	a = _mm256_add_epi64(a, _mm256_and_si256(v, low));
	return _mm256_add_epi64(a, _mm256_srli_epi64(v, 32));
}

AVX2 static inline uint64_t reduce256(__m256i a)
{
	uint64_t lane[4];

	_mm256_storeu_si256((__m256i *)lane, a);
	return fold32(fold32(lane[0]) + fold32(lane[1]) + fold32(lane[2]) + fold32(lane[3]));
}

#define LOAD256(p) _mm256_loadu_si256((const __m256i *)(p))

AVX2 static uint64_t avx2_sum(const uint8_t *src, size_t n)
{
	__m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
	size_t i = 0;

	for (; i + 128 <= n; i += 128) {
		a = add256(a, LOAD256(src + i));
		b = add256(b, LOAD256(src + i + 32));
		c = add256(c, LOAD256(src + i + 64));
		d = add256(d, LOAD256(src + i + 96));
	}
	for (; i + 32 <= n; i += 32)
		a = add256(a, LOAD256(src + i));
	a = _mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d));
	return reduce256(a) + baseline_sum(src + i, n - i);
}

AVX2 static uint64_t avx2_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	__m256i a = _mm256_setzero_si256(), b = a;
	size_t i = 0;

	for (; i + 64 <= n; i += 64) {
		__m256i v = LOAD256(src + i), w = LOAD256(src + i + 32);

		_mm256_storeu_si256((__m256i *)(dst + i), v);
		_mm256_storeu_si256((__m256i *)(dst + i + 32), w);
		a = add256(a, v);
		b = add256(b, w);
	}
	return reduce256(_mm256_add_epi64(a, b)) + baseline_copy_sum(dst + i, src + i, n - i);
}

/* Bytes before the next multiple of `line` (a power of two) at dst, at most n. */
static size_t until_aligned(const uint8_t *dst, size_t line, size_t n)
{
	size_t head = -(uintptr_t)dst & (line - 1);

	return head < n ? head : n;
}

AVX2 static uint64_t avx2_stream_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t head = until_aligned(dst, 32, n), i = head;
	uint64_t first = avx2_copy_sum(dst, src, head), rest;
	__m256i a = _mm256_setzero_si256(), b = a;

	for (; i + 64 <= n; i += 64) {
		__m256i v = LOAD256(src + i), w = LOAD256(src + i + 32);

		prefetch(src + i);
		_mm256_stream_si256((__m256i *)(dst + i), v);
		_mm256_stream_si256((__m256i *)(dst + i + 32), w);
		a = add256(a, v);
		b = add256(b, w);
	}
	rest = reduce256(_mm256_add_epi64(a, b)) + baseline_copy_sum(dst + i, src + i, n - i);
	return first + swap_if(rest, head);
}

static const struct gso_simd avx2 = {
	"avx2", avx2_sum, avx2_copy_sum, avx2_stream_sum, fence,
};

/* ---- AVX-512 ---- */

AVX512 static inline __m512i add512(__m512i a, __m512i v)
{
	const __m512i low = _mm512_set1_epi64(0xffffffff);

	KEEP(v);
	a = _mm512_add_epi64(a, _mm512_and_si512(v, low));
	return _mm512_add_epi64(a, _mm512_srli_epi64(v, 32));
}

AVX512 static inline uint64_t reduce512(__m512i a)
{
	__m256i b = _mm256_add_epi64(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
	__m128i c = _mm_add_epi64(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));

	return fold32((uint64_t)_mm_extract_epi64(c, 0) + (uint64_t)_mm_extract_epi64(c, 1));
}

/* n < 64 bytes, zeros behind them; no byte past them is read. */
AVX512 static inline __m512i load_part(const uint8_t *p, size_t n)
{
	return _mm512_maskz_loadu_epi8(_bzhi_u64(~0ULL, n), p);
}

AVX512 static inline void store_part(uint8_t *p, __m512i v, size_t n)
{
	_mm512_mask_storeu_epi8(p, _bzhi_u64(~0ULL, n), v);
}

AVX512 static uint64_t avx512_sum(const uint8_t *src, size_t n)
{
	__m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
	size_t i = 0;

	for (; i + 256 <= n; i += 256) {
		a = add512(a, _mm512_loadu_si512(src + i));
		b = add512(b, _mm512_loadu_si512(src + i + 64));
		c = add512(c, _mm512_loadu_si512(src + i + 128));
		d = add512(d, _mm512_loadu_si512(src + i + 192));
	}
	for (; i + 64 <= n; i += 64)
		a = add512(a, _mm512_loadu_si512(src + i));
	if (i < n)
		b = add512(b, load_part(src + i, n - i));
	return reduce512(_mm512_add_epi64(_mm512_add_epi64(a, b), _mm512_add_epi64(c, d)));
}

/* Stores are aligned: what is copied lies at odd places, and a store across two lines costs two. */
AVX512 static inline __attribute__((always_inline)) uint64_t
avx512_copy(uint8_t *dst, const uint8_t *src, size_t n, int stream)
{
	size_t head = until_aligned(dst, 64, n), i = head;
	__m512i a = _mm512_setzero_si512(), b = a, first = load_part(src, head);

	store_part(dst, first, head);
	for (; i + 128 <= n; i += 128) {
		__m512i v = _mm512_loadu_si512(src + i), w = _mm512_loadu_si512(src + i + 64);

		if (stream) {
			_mm512_stream_si512((__m512i *)(dst + i), v);
			_mm512_stream_si512((__m512i *)(dst + i + 64), w);
		} else {
			_mm512_store_si512(dst + i, v);
			_mm512_store_si512(dst + i + 64, w);
		}
		a = add512(a, v);
		b = add512(b, w);
	}
	if (i + 64 <= n) {
		__m512i v = _mm512_loadu_si512(src + i);

		if (stream)
			_mm512_stream_si512((__m512i *)(dst + i), v);
		else
			_mm512_store_si512(dst + i, v);
		a = add512(a, v);
		i += 64;
	}
	if (i < n) {
		__m512i v = load_part(src + i, n - i);

		store_part(dst + i, v, n - i);
		b = add512(b, v);
	}
	return reduce512(add512(_mm512_setzero_si512(), first)) +
	       swap_if(reduce512(_mm512_add_epi64(a, b)), head);
}

AVX512 static uint64_t avx512_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	return avx512_copy(dst, src, n, 0);
}

AVX512 static uint64_t avx512_stream_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	return avx512_copy(dst, src, n, 1);
}

static const struct gso_simd avx512 = {
	"avx512", avx512_sum, avx512_copy_sum, avx512_stream_sum, fence,
};

static int runs_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

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
