/* The path for x86-64 with AVX2; simd.c includes it. */
#ifndef GSO_AVX2_H
#define GSO_AVX2_H

#include "portable.h"
#include "simd.h"
#include "train.h"
#include "x86.h"

/*
 * Buffers begin at any address, and an access across two cache lines costs two. From these lengths
 * on it pays to begin with a vector that overlaps the aligned ones after it.
 */
enum {
	COPY_ALIGNED = 256,
	SUM_ALIGNED = 1024
};

#define INLINE256 AVX2 static inline __attribute__((always_inline))
#define ZERO256 {_mm256_setzero_si256(), _mm256_setzero_si256()}

AVX2 static inline void add256(struct sum256 *s, __m256i v)
{
	KEEP(v);
	s->all = _mm256_add_epi64(s->all, v);
	s->high = _mm256_add_epi64(s->high, _mm256_srli_epi64(v, 32));
}

AVX2 static inline struct sum256 join256(struct sum256 a, struct sum256 b)
{
	return (struct sum256){_mm256_add_epi64(a.all, b.all), _mm256_add_epi64(a.high, b.high)};
}

AVX2 static inline uint64_t reduce256(struct sum256 s)
{
	__m256i low = _mm256_sub_epi64(s.all, _mm256_slli_epi64(s.high, 32));
	uint64_t lane[4];

	_mm256_storeu_si256((__m256i *)lane, _mm256_add_epi64(low, s.high));
	return fold32(fold32(lane[0]) + fold32(lane[1]) + fold32(lane[2]) + fold32(lane[3]));
}

#define LOAD256(p) _mm256_loadu_si256((const __m256i *)(p))

/* The first n bytes of a vector, followed by zeros. */
AVX2 static inline __m256i first256(__m256i v, size_t n)
{
	static const uint8_t masks[64] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	};

	return _mm256_and_si256(v, LOAD256(masks + 32 - n));
}

/* The sum of `head` bytes, and of the vectors and the `tail` that follow them. */
AVX2 static inline uint64_t join_sums256(struct sum256 first, struct sum256 rest, uint64_t tail,
					 size_t head)
{
	if (head & 1)
		return reduce256(first) + swap_if(reduce256(rest) + tail, head);
	return reduce256(join256(first, rest)) + tail;
}

/* Set *sum to that of all whole vectors; return the sum of the bytes after them. */
INLINE256 uint64_t add_all256(struct sum256 *sum, const uint8_t *src, size_t n)
{
	struct sum256 a = ZERO256, b = a, c = a, d = a;
	size_t i = 0;

	for (; i + 128 <= n; i += 128) {
		add256(&a, LOAD256(src + i));
		add256(&b, LOAD256(src + i + 32));
		add256(&c, LOAD256(src + i + 64));
		add256(&d, LOAD256(src + i + 96));
	}
	for (; i + 32 <= n; i += 32)
		add256(&a, LOAD256(src + i));
	*sum = join256(join256(a, b), join256(c, d));
	return sum_plain(src + i, n - i);
}

AVX2 static uint64_t avx2_sum_long(const uint8_t *src, size_t n)
{
	size_t head = until_aligned(src, 32, n);
	struct sum256 first = ZERO256, rest;
	uint64_t tail = add_all256(&rest, src + head, n - head);

	add256(&first, first256(LOAD256(src), head));
	return join_sums256(first, rest, tail, head);
}

AVX2 static uint64_t avx2_sum(const uint8_t *src, size_t n)
{
	struct sum256 all;
	uint64_t tail;

	if (n >= SUM_ALIGNED)
		return avx2_sum_long(src, n);
	tail = add_all256(&all, src, n);
	return reduce256(all) + tail;
}

DEFINE_SUMS(AVX2, avx2_sums, avx2_sum)

AVX2 static inline __m256i copy256(uint8_t *dst, const uint8_t *src)
{
	__m256i v = LOAD256(src);

	_mm256_storeu_si256((__m256i *)dst, v);
	return v;
}

AVX2 static uint64_t avx2_copy_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t head = n < COPY_ALIGNED ? 0 : until_aligned(dst, 32, n), i = head;
	struct sum256 first = ZERO256, a = first, b = first;
	uint64_t tail;

	if (head)
		add256(&first, first256(copy256(dst, src), head));
	for (; i + 64 <= n; i += 64) {
		own(dst + i);
		add256(&a, copy256(dst + i, src + i));
		add256(&b, copy256(dst + i + 32, src + i + 32));
	}
	if (i + 32 <= n) {
		add256(&a, copy256(dst + i, src + i));
		i += 32;
	}
	a = join256(a, b);
	tail = copy_plain(dst + i, src + i, n - i);
	return head ? join_sums256(first, a, tail, head) : reduce256(a) + tail;
}

AVX2 static uint64_t avx2_stream_sum(uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t head = until_aligned(dst, GSO_LINE, n), i = head;
	uint64_t first = avx2_copy_sum(dst, src, head), rest;
	struct sum256 a = ZERO256, b = a;

	for (; i + 64 <= n; i += 64) {
		__m256i v = LOAD256(src + i), w = LOAD256(src + i + 32);

		prefetch(src + i);
		_mm256_stream_si256((__m256i *)(dst + i), v);
		_mm256_stream_si256((__m256i *)(dst + i + 32), w);
		add256(&a, v);
		add256(&b, w);
	}
	rest = reduce256(join256(a, b)) + copy_plain(dst + i, src + i, n - i);
	return first + swap_if(rest, head);
}

#define AVX2_SUM(dst, src, n) SUM_ONLY(avx2_sum, dst, src, n)
DEFINE_TRAIN(AVX2, avx2_headers, AVX2_SUM, 0)
DEFINE_TRAIN(AVX2, avx2_train, avx2_copy_sum, 1)
DEFINE_TRAIN(AVX2, avx2_stream_train, avx2_stream_sum, 1)

static const struct gso_simd avx2 = {
	"avx2",	      avx2_sum,	  avx2_sums,	     avx2_copy_sum, avx2_stream_sum,
	avx2_headers, avx2_train, avx2_stream_train, fence,
};

#endif
