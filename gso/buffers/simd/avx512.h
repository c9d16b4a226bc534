/* The path for x86-64 with AVX-512; simd.c includes it. */
#ifndef GSO_AVX512_H
#define GSO_AVX512_H

#include <string.h>

#include "portable.h"
#include "simd.h"
#include "train.h"
#include "x86.h"

#define ZERO512 {_mm512_setzero_si512(), _mm512_setzero_si512()}
#define INLINE512 AVX512 static inline __attribute__((always_inline))

INLINE512 void add512(struct sum512 *s, __m512i v)
{
	KEEP(v);
	s->all = _mm512_add_epi64(s->all, v);
	s->high = _mm512_add_epi64(s->high, _mm512_srli_epi64(v, 32));
}

AVX512 static inline struct sum512 join512(struct sum512 a, struct sum512 b)
{
	return (struct sum512){_mm512_add_epi64(a.all, b.all), _mm512_add_epi64(a.high, b.high)};
}

AVX512 static inline uint64_t reduce512(struct sum512 s)
{
	__m512i low = _mm512_sub_epi64(s.all, _mm512_slli_epi64(s.high, 32));
	__m512i a = _mm512_add_epi64(low, s.high);
	__m256i b = _mm256_add_epi64(_mm512_castsi512_si256(a), _mm512_extracti64x4_epi64(a, 1));
	__m128i c = _mm_add_epi64(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1));

	return fold32((uint64_t)_mm_extract_epi64(c, 0) + (uint64_t)_mm_extract_epi64(c, 1));
}

/* Load n < 64 bytes, followed by zeros. No byte past them is read. */
AVX512 static inline __m512i load_part(const uint8_t *p, size_t n)
{
	return _mm512_maskz_loadu_epi8(_bzhi_u64(~0ULL, n), p);
}

AVX512 static inline void store_part(uint8_t *p, __m512i v, size_t n)
{
	_mm512_mask_storeu_epi8(p, _bzhi_u64(~0ULL, n), v);
}

/*
 * Sum n bytes. Loads are aligned, as one across two cache lines costs two. `ahead` says that the
 * bytes after these are summed next.
 */
INLINE512 uint64_t sum_ahead512(const uint8_t *src, size_t n, int ahead)
{
	size_t before = (uintptr_t)src & 63, end = before + n, i = 64;
	struct sum512 a = ZERO512, b = a, c = a, d = a;
	uint64_t sum;

	if (n <= 64) {
		/* A masked load that misses the caches would take four times as long */
		add512(&a, n == 64 ? _mm512_loadu_si512(src) : load_part(src, n));
		return reduce512(a);
	}
	src -= before;
	add512(&b, _mm512_maskz_loadu_epi8(~0ULL << before, src));
	for (; i + 256 <= end; i += 256) {
		if (ahead) {
			prefetch(src + i);
			prefetch(src + i + 128);
		}
		add512(&a, _mm512_load_si512(src + i));
		add512(&b, _mm512_load_si512(src + i + 64));
		add512(&c, _mm512_load_si512(src + i + 128));
		add512(&d, _mm512_load_si512(src + i + 192));
	}
	for (; i + 64 <= end; i += 64)
		add512(&a, _mm512_load_si512(src + i));
	if (i < end)
		add512(&b, load_part(src + i, end - i));
	sum = reduce512(join512(join512(a, b), join512(c, d)));
	return before & 1 ? swap_if(sum, 1) : sum;
}

INLINE512 uint64_t sum512(const uint8_t *src, size_t n)
{
	return sum_ahead512(src, n, 0);
}

AVX512 static uint64_t avx512_sum(const uint8_t *src, size_t n)
{
	return sum512(src, n);
}

DEFINE_SUMS(AVX512, avx512_sums, sum512)

INLINE512 void store512(uint8_t *dst, __m512i v, int stream)
{
	if (stream)
		_mm512_stream_si512((__m512i *)dst, v);
	else
		_mm512_store_si512(dst, v);
}

/* Join the sum of `head` bytes and that of the bytes after them. */
INLINE512 uint64_t join_sums512(struct sum512 first, struct sum512 rest, size_t head)
{
	if (head & 1)
		return reduce512(first) + swap_if(reduce512(rest), head);
	return reduce512(join512(first, rest));
}

/* Copy and sum n bytes. Stores are aligned, as one across two cache lines costs two. */
INLINE512 uint64_t copy512(uint8_t *dst, const uint8_t *src, size_t n, int stream)
{
	size_t head = until_aligned(dst, 64, n), i = head;
	struct sum512 a = ZERO512, b = a, first = a;
	__m512i v = load_part(src, head), w;

	store_part(dst, v, head);
	add512(&first, v);
	for (; i + 128 <= n; i += 128) {
		if (stream) {
			prefetch(src + i);
		} else {
			own(dst + i);
			own(dst + i + GSO_LINE);
		}
		v = _mm512_loadu_si512(src + i);
		w = _mm512_loadu_si512(src + i + 64);
		store512(dst + i, v, stream);
		store512(dst + i + 64, w, stream);
		add512(&a, v);
		add512(&b, w);
	}
	if (i + 64 <= n) {
		v = _mm512_loadu_si512(src + i);
		store512(dst + i, v, stream);
		add512(&a, v);
		i += 64;
	}
	if (i < n) {
		v = load_part(src + i, n - i);
		store_part(dst + i, v, n - i);
		add512(&b, v);
	}
	return join_sums512(first, join512(a, b), head);
}

AVX512 static uint64_t avx512_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	return copy512(dst, src, n, 0);
}

AVX512 static uint64_t avx512_stream_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	return copy512(dst, src, n, 1);
}

#define AVX512_SUM(dst, src, n) ((void)(dst), sum_ahead512(src, n, 1))
#define AVX512_COPY(dst, src, n) copy512(dst, src, n, 0)
#define AVX512_STREAM(dst, src, n) copy512(dst, src, n, 1)
DEFINE_TRAIN(AVX512, avx512_headers, AVX512_SUM, 0)
DEFINE_TRAIN(AVX512, avx512_train, AVX512_COPY, 1)
DEFINE_TRAIN(AVX512, avx512_stream_any_train, AVX512_STREAM, 1)

/*
 * Cache lines that hold a header, the end of a segment or the start of one are put together aside,
 * and streamed out two segments later. A line written in pieces would have to be read first; and a
 * load of what was just stored in smaller pieces has to wait (no store forwarding).
 */
enum {
	ASIDES = 4, /* used in turn */
	LATER = 2, /* segments */
	ASIDE_SIZE = 512
};

struct aside {
	uint8_t bytes[ASIDE_SIZE] __attribute__((aligned(GSO_LINE)));
	uint8_t *out; /* where they go, at the start of a line */
	size_t n;
	size_t skip; /* bytes of the first line that are written already */
};

INLINE512 void stream_aside(const struct aside *a)
{
	size_t i = 0;

	if (a->skip) {
		memcpy(a->out + a->skip, a->bytes + a->skip, GSO_LINE - a->skip);
		i = GSO_LINE;
	}
	for (; i < a->n; i += GSO_LINE)
		_mm512_stream_si512((__m512i *)(a->out + i), _mm512_load_si512(a->bytes + i));
}

/*
 * Stream a payload out and return its sum. Its bytes before the first whole line go to `start`, and
 * the *rest of them after the last one to `end`.
 */
INLINE512 uint64_t stream512(uint8_t *dst, const uint8_t *src, size_t n, uint8_t *start,
			     uint8_t *end, size_t *rest)
{
	size_t head = until_aligned(dst, GSO_LINE, n), i = head;
	struct sum512 a = ZERO512, b = a, first = a;
	__m512i v = load_part(src, head), w;

	_mm512_storeu_si512(start, v);
	add512(&first, v);
	for (; i + 128 <= n; i += 128) {
		prefetch(src + i);
		v = _mm512_loadu_si512(src + i);
		w = _mm512_loadu_si512(src + i + 64);
		_mm512_stream_si512((__m512i *)(dst + i), v);
		_mm512_stream_si512((__m512i *)(dst + i + 64), w);
		add512(&a, v);
		add512(&b, w);
	}
	if (i + 64 <= n) {
		v = _mm512_loadu_si512(src + i);
		_mm512_stream_si512((__m512i *)(dst + i), v);
		add512(&a, v);
		i += 64;
	}
	*rest = n - i;
	v = load_part(src + i, *rest);
	_mm512_store_si512(end, v);
	add512(&b, v);
	return join_sums512(first, join512(a, b), head);
}

AVX512 static void avx512_stream_train(const struct gso_train *train, uint8_t *out,
				       const uint8_t *src, size_t begin, size_t end)
{
	const struct gso_train t = *train;
	struct aside asides[ASIDES];
	size_t before = (uintptr_t)out & (GSO_LINE - 1), i;

	if (t.hlen > ASIDE_SIZE - 2 * GSO_LINE || t.step < GSO_LINE) {
		avx512_stream_any_train(train, out, src, begin, end);
		return;
	}
	asides[begin % ASIDES].skip = before;
	for (i = begin; i < end; i++) {
		struct aside *now = &asides[i % ASIDES], *next = &asides[(i + 1) % ASIDES];
		uint8_t *header = now->bytes + before;
		size_t rest;
		uint64_t sum;

		if (i >= begin + LATER)
			stream_aside(&asides[(i - LATER) % ASIDES]);
		sum = stream512(out + t.hlen, src, t.step, header + t.hlen, next->bytes, &rest);
		train_stamp(&t, header, i, sum);
		now->out = out - before;
		now->n = (before + t.hlen + GSO_LINE - 1) & -(size_t)GSO_LINE;
		next->skip = 0;
		src += t.step;
		out += t.hlen + t.step;
		before = rest;
	}
	for (i = end - begin < LATER ? begin : end - LATER; i < end; i++)
		stream_aside(&asides[i % ASIDES]);
	memcpy(out - before, asides[end % ASIDES].bytes, before);
}

static const struct gso_simd avx512 = {
	"avx512",	avx512_sum,   avx512_sums,	   avx512_copy_sum, avx512_stream_sum,
	avx512_headers, avx512_train, avx512_stream_train, fence,
};

static int runs_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}

#endif
