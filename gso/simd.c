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

/* ---- AVX2 ---- */

/*
 * What is copied and summed lies at odd places, and an access across two lines costs two: from these
 * lengths on it pays to begin with a vector that overlaps the aligned ones behind it.
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

/* The first n bytes of a vector, zeros behind them. */
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

/* Sets *sum to that of all whole vectors; returns the sum of the bytes behind them. */
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

/* ---- AVX-512 ---- */

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

/* n < 64 bytes, zeros behind them; no byte past them is read. */
AVX512 static inline __m512i load_part(const uint8_t *p, size_t n)
{
	return _mm512_maskz_loadu_epi8(_bzhi_u64(~0ULL, n), p);
}

AVX512 static inline void store_part(uint8_t *p, __m512i v, size_t n)
{
	_mm512_mask_storeu_epi8(p, _bzhi_u64(~0ULL, n), v);
}

/*
 * Loads are aligned, as one across two lines costs two. `ahead`: what lies behind these bytes is
 * going to be summed next.
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

/* The sum of `head` bytes and that of what follows them. */
INLINE512 uint64_t join_sums512(struct sum512 first, struct sum512 rest, size_t head)
{
	if (head & 1)
		return reduce512(first) + swap_if(reduce512(rest), head);
	return reduce512(join512(first, rest));
}

/* Stores are aligned: what is copied lies at odd places, and a store across two lines costs two. */
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
 * Lines that hold a header, the end of a segment or the start of one are put together aside and
 * leave two segments later. A line that is written in pieces would have to be read first; and what
 * was just written in small pieces cannot be read at once in a large one.
 */
enum {
	ASIDES = 4, /* taking turns */
	LATER = 2,
	ASIDE_SIZE = 512
};

struct aside {
	uint8_t bytes[ASIDE_SIZE] __attribute__((aligned(GSO_LINE)));
	uint8_t *out; /* where they go: whole lines, */
	size_t n;
	size_t skip; /* but for what others wrote into the first one */
};

INLINE512 void leave(const struct aside *a)
{
	size_t i = 0;

	if (a->skip) {
		memcpy(a->out + a->skip, a->bytes + a->skip, GSO_LINE - a->skip);
		i = GSO_LINE;
	}
	for (; i < a->n; i += GSO_LINE)
		_mm512_stream_si512((__m512i *)(a->out + i), _mm512_load_si512(a->bytes + i));
}

/* A payload whose bytes up to its first whole line go to `start`, and those after its last, of
 * which there are *rest, to `end`. */
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
			leave(&asides[(i - LATER) % ASIDES]);
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
		leave(&asides[i % ASIDES]);
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
