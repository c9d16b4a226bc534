/*
 * Compares every implementation that gso_simd_at lists with a slow, obvious one, and prints how
 * many checks it made; exits with 1 at the first difference. With the name of a fault as argument it
 * checks the baseline with this fault, which it should find.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fenced.h"
#include "simd.h"

enum {
	LONGEST = 9001,
	GUARD = 160,	/* bytes on both sides of output that must stay */
	PATTERN = 0xa5,
	MOST = 9 /* segments of a train */
};

static const size_t SIZES[] = {0,  1,  2,  3,  7,   8,	 9,   15,  16,	17,   31,   32,	 33,
			       47, 48, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1447, 1448};

#define EACH(i, array) (size_t i = 0; i < sizeof(array) / sizeof(*(array)); i++)

/* ---- reports ---- */

static const struct gso_simd *simd;
static unsigned long long checks;
static char now[160]; /* what is being checked */

static void __attribute__((format(printf, 1, 2))) checking(const char *format, ...)
{
	va_list values;

	va_start(values, format);
	vsnprintf(now, sizeof(now), format, values);
	va_end(values);
	checks++;
}

static void fail(const char *what)
{
	printf("%s: %s: %s\n", simd->name, now, what);
	fflush(stdout);
	_exit(1);
}

static void outside(int signal)
{
	(void)signal;
	fail("memory outside the buffer is touched");
}

/* ---- memory ---- */

static uint8_t *source, *target, *wanted;

static uint8_t random_byte(void)
{
	static uint64_t state = 1;

	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint8_t)(state >> 56);
}

static void fill_source(void)
{
	for (size_t i = 0; i < ROOM; i++)
		source[i] = random_byte();
}

/* Fill the n bytes at p and their surroundings, as far as there are any, with the pattern. */
static void guard(uint8_t *p, size_t n)
{
	uint8_t *from = p - target < GUARD ? target : p - GUARD;
	uint8_t *to = target + ROOM - p < (ptrdiff_t)n + GUARD ? target + ROOM : p + n + GUARD;

	memset(from, PATTERN, (size_t)(to - from));
}

/* Check after guard that the n bytes at p are those wanted, with the pattern still around. */
static void expect_bytes(const uint8_t *p, size_t n, const uint8_t *bytes)
{
	for (size_t i = 1; i <= GUARD; i++) {
		if (p - target >= (ptrdiff_t)i && p[-(ptrdiff_t)i] != PATTERN)
			fail("bytes before the output are overwritten");
		if (target + ROOM - p >= (ptrdiff_t)(n + i) && p[n + i - 1] != PATTERN)
			fail("bytes after the output are overwritten");
	}
	if (memcmp(p, bytes, n))
		fail("the output is wrong");
}

/* ---- the obvious implementation ---- */

static uint64_t obvious_sum(const uint8_t *p, size_t n)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < n; i += 2) {
		uint8_t two[2] = {p[i], i + 1 < n ? p[i + 1] : 0};
		uint16_t word;

		memcpy(&word, two, 2);
		sum += word;
	}
	return sum;
}

/* Whether both have the same value modulo 0xffff, and neither or both are 0. */
static void expect_sum(uint64_t sum, uint64_t right)
{
	if (sum % 0xffff != right % 0xffff || !sum != !right)
		fail("the sum is wrong");
	if (sum >> 34)
		fail("the sum is 2^34 or more");
}

static uint16_t obvious_checksum(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put(uint8_t *p, size_t n, uint64_t big_endian)
{
	while (n--) {
		p[n] = (uint8_t)big_endian;
		big_endian >>= 8;
	}
}

/* ---- sums and copies ---- */

static void check_copy(uint64_t (*copy)(uint8_t *, const uint8_t *, size_t), uint8_t *dst,
		       const uint8_t *src, size_t n, uint64_t right)
{
	guard(dst, n);
	expect_sum(copy(dst, src, n), right);
	simd->stream_end();
	expect_bytes(dst, n, src);
}

static void check_all(uint8_t *dst, const uint8_t *src, size_t n, const char *where)
{
	uint64_t right = obvious_sum(src, n);

	checking("sum of %zu bytes %s", n, where);
	expect_sum(simd->sum(src, n), right);
	checking("copy_sum of %zu bytes %s", n, where);
	check_copy(simd->copy_sum, dst, src, n, right);
	checking("stream_sum of %zu bytes %s", n, where);
	check_copy(simd->stream_sum, dst, src, n, right);
}

static void check_lengths(void)
{
	for (size_t n = 0; n <= LONGEST; n++) {
		check_all(target + GUARD + n % 61, source + ROOM - n, n, "up to a page's end");
		check_all(target + ROOM - n, source, n, "from a page's start to another's end");
	}
}

static void check_alignments(void)
{
	char where[64];

	for (size_t from = 0; from < 64; from++)
		for (size_t to = 0; to < 64; to++) {
			snprintf(where, sizeof(where), "from alignment %zu to %zu", from, to);
			for EACH(i, SIZES)
				check_all(target + 4096 + to, source + from, SIZES[i], where);
		}
}

static void check_extremes(void)
{
	static const uint8_t FILLS[] = {0, 0xff};

	for EACH(i, FILLS) {
		memset(source, FILLS[i], ROOM);
		for (size_t n = 0; n < 300; n++)
			check_all(target + GUARD, source, n, FILLS[i] ? "of ones" : "of zeros");
		for (size_t n = ROOM - 3 * GUARD; n < ROOM - 2 * GUARD; n++)
			check_all(target + GUARD, source, n, FILLS[i] ? "of ones" : "of zeros");
	}
	fill_source();
}

static void check_chunks(void)
{
	enum { CHUNKS = 200 };
	int64_t offsets[CHUNKS + 1];
	uint64_t sums[CHUNKS + 1];

	for (int round = 0; round < 100; round++) {
		offsets[CHUNKS] = ROOM;
		for (size_t i = CHUNKS; i-- > 0;)
			offsets[i] = offsets[i + 1] - random_byte() % (1 + 3 * round % 256);
		sums[CHUNKS] = PATTERN;
		simd->sums(sums, source, offsets, CHUNKS);
		for (size_t i = 0; i < CHUNKS; i++) {
			checking("sums: bytes %lld to %lld", (long long)offsets[i],
				 (long long)offsets[i + 1]);
			expect_sum(sums[i], obvious_sum(source + offsets[i],
							(size_t)(offsets[i + 1] - offsets[i])));
		}
		checking("sums: after the last one");
		if (sums[CHUNKS] != PATTERN)
			fail("a sum too many is written");
	}
}

/* ---- trains ---- */

enum {
	IP_HLEN = 20,
	TCP_HLEN = 20,
	UDP_HLEN = 8,
	PSEUDO = 0x1234567 /* in place of a pseudo header's sum */
};

/* A header of random bytes, and the train that it makes. */
static struct gso_train make_train(uint8_t *header, size_t hlen, size_t step, int tcp, int ids)
{
	struct gso_train t = {.header = header, .hlen = hlen, .step = step, .ids = ids, .tcp = tcp};
	size_t l4_length = tcp ? TCP_HLEN : UDP_HLEN;

	for (size_t i = 0; i < hlen; i++)
		header[i] = random_byte();
	for (int k = 0; k < ids; k++) {
		uint8_t ip[IP_HLEN];

		/* The outer one first; the inner one just before layer 4. */
		t.id[k].offset = (uint16_t)(k ? 0 : hlen - l4_length - IP_HLEN);
		t.id[k].ident = 0xfffe;
		memcpy(ip, header + t.id[k].offset, IP_HLEN);
		memset(ip + 4, 0, 2);
		memset(ip + 10, 0, 2);
		t.id[k].base = (uint16_t)~obvious_checksum(obvious_sum(ip, IP_HLEN));
	}
	t.l4_header = hlen - l4_length;
	t.seq = (uint32_t)-3000;
	t.base = PSEUDO + obvious_sum(header + t.l4_header, l4_length);
	if (tcp)
		t.base -= obvious_sum(header + t.l4_header + 4, 4);
	t.base -= obvious_sum(header + t.l4_header + (tcp ? 16 : 6), 2);
	return t;
}

/* Choose the header's source port so that the checksum of the first payload comes out as 0. */
static void make_zero(struct gso_train *t, uint8_t *header, const uint8_t *payload)
{
	uint8_t *port = header + t->l4_header;
	uint16_t value;

	t->base -= obvious_sum(port, 2);
	value = obvious_checksum(t->base + obvious_sum(payload, t->step));
	memcpy(port, &value, 2);
	t->base += value;
}

/* Write segment i as it should be, and return its length. */
static size_t obvious_segment(const struct gso_train *t, uint8_t *out, const uint8_t *payload,
			      size_t i, int no_payload)
{
	uint8_t *l4 = out + t->l4_header, *check = l4 + (t->tcp ? 16 : 6);
	uint16_t value;

	memcpy(out, t->header, t->hlen);
	for (int k = 0; k < t->ids; k++) {
		uint8_t *ip = out + t->id[k].offset;

		put(ip + 4, 2, t->id[k].ident + i);
		put(ip + 10, 2, 0);
		value = obvious_checksum(obvious_sum(ip, IP_HLEN));
		memcpy(ip + 10, &value, 2);
	}
	if (t->tcp)
		put(l4 + 4, 4, t->seq + i * t->step);
	put(check, 2, 0);
	value = obvious_checksum(PSEUDO + obvious_sum(l4, t->hlen - t->l4_header) +
				 obvious_sum(payload, t->step));
	if (!t->tcp && !value)
		value = 0xffff;
	memcpy(check, &value, 2);
	if (no_payload)
		return t->hlen;
	memcpy(out + t->hlen, payload, t->step);
	return t->hlen + t->step;
}

static void check_train(const struct gso_train *t, uint8_t *out, const uint8_t *src, size_t begin,
			size_t end)
{
	void (*writers[])(const struct gso_train *, uint8_t *, const uint8_t *, size_t,
			  size_t) = {simd->train_headers, simd->train, simd->stream_train};
	static const char *const NAMES[] = {"train_headers", "train", "stream_train"};

	for EACH(w, writers) {
		size_t n = 0;

		checking("%s: %s, %d IDs, headers of %zu, segments %zu to %zu of %zu, to %zu mod 64",
			 NAMES[w], t->tcp ? "TCP" : "UDP", t->ids, t->hlen, begin, end, t->step,
			 (size_t)((uintptr_t)out & 63));
		for (size_t i = begin; i < end; i++)
			n += obvious_segment(t, wanted + n, src + (i - begin) * t->step, i, w == 0);
		guard(out, n);
		writers[w](t, out, src, begin, end);
		simd->stream_end();
		expect_bytes(out, n, wanted);
	}
}

static void check_trains_of(uint8_t *header, size_t hlen, size_t step, int tcp, int ids)
{
	static const size_t COUNTS[] = {1, 2, 3, MOST};
	static const size_t PLACES[] = {0, 1, 31, 62, 63};

	for EACH(c, COUNTS) {
		size_t n = COUNTS[c], place = PLACES[(hlen + step + c) % 5];
		struct gso_train t = make_train(header, hlen, step, tcp, ids);
		const uint8_t *last = source + ROOM - n * step;

		check_train(&t, target + 4096 + place, last, step % 4, step % 4 + n);
		if (!tcp)
			make_zero(&t, header, source);
		check_train(&t, target + ROOM - n * (hlen + step), source, 0, n);
	}
}

static void check_trains(void)
{
	static const size_t HEADERS[] = {28, 40, 52, 60, 62, 64, 67, 102, 128, 142, 398, 700};
	static const size_t STEPS[] = {1,  2,	7,   15,  16,  17,  31,	 33,  63,   64,	  65,
				       66, 127, 128, 129, 191, 193, 500, 536, 1447, 1448, 3001};
	static uint8_t *header;

	if (!header)
		header = fenced();
	for (int kind = 0; kind < 2 * (GSO_TRAIN_IDS + 1); kind++)
		for EACH(h, HEADERS) {
			int tcp = kind % 2, ids = kind / 2;
			size_t hlen = HEADERS[h];

			if (hlen < (size_t)ids * IP_HLEN + (tcp ? TCP_HLEN : UDP_HLEN))
				continue;
			for EACH(s, STEPS)
				check_trains_of(header + ROOM - hlen, hlen, STEPS[s], tcp, ids);
		}
}

static void check(const struct gso_simd *one)
{
	simd = one;
	checks = 0;
	check_chunks();
	check_trains();
	check_lengths();
	check_extremes();
	check_alignments();
	printf("%s: %llu checks\n", one->name, checks);
	fflush(stdout);
}

/* ---- faults ---- */

static const struct gso_simd *good;

static uint64_t sum_drops_carries(const uint8_t *src, size_t n)
{
	uint32_t sum = 0, words;
	size_t i = 0;

	for (; i + 4 <= n; i += 4) {
		memcpy(&words, src + i, 4);
		sum += words;
	}
	return sum + good->sum(src + i, n - i);
}

static uint64_t sum_swaps_an_odd_byte(const uint8_t *src, size_t n)
{
	return n & 1 ? good->sum(src, n - 1) + (uint64_t)src[n - 1] * 256 : good->sum(src, n);
}

static uint64_t sum_makes_zero_of_ones(const uint8_t *src, size_t n)
{
	return good->sum(src, n) % 0xffff;
}

static uint64_t sum_is_too_large(const uint8_t *src, size_t n)
{
	return good->sum(src, n) + (n == LONGEST ? 0xffffULL << 20 : 0);
}

static uint64_t sum_reads_past_the_end(const uint8_t *src, size_t n)
{
	return good->sum(src, n) + 0 * ((const volatile uint8_t *)src)[n];
}

static uint64_t sum_reads_before(const uint8_t *src, size_t n)
{
	return good->sum(src, n) + 0 * ((const volatile uint8_t *)src)[n < 16 ? (ptrdiff_t)n - 16 : 0];
}

static void sums_write_one_more(uint64_t *sums, const uint8_t *src, const int64_t *offsets, size_t n)
{
	good->sums(sums, src, offsets, n);
	sums[n] = 0;
}

static void sums_skip_empty_ones(uint64_t *sums, const uint8_t *src, const int64_t *offsets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (offsets[i] < offsets[i + 1])
			good->sums(sums + i, src, offsets + i, 1);
}

static uint64_t copy_writes_past_the_end(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n % 16 == 15)
		dst[n] = 0;
	return good->copy_sum(dst, src, n);
}

static uint64_t copy_writes_before(uint8_t *dst, const uint8_t *src, size_t n)
{
	if ((uintptr_t)dst % 64 == 63)
		dst[-1] = 0;
	return good->copy_sum(dst, src, n);
}

static uint64_t copy_leaves_the_last(uint8_t *dst, const uint8_t *src, size_t n)
{
	if (n % 64 != 63)
		return good->copy_sum(dst, src, n);
	good->copy_sum(dst, src, n - 1);
	return good->sum(src, n);
}

static uint64_t copy_forgets_an_odd_head(uint8_t *dst, const uint8_t *src, size_t n)
{
	size_t head = -(uintptr_t)dst & 63;

	if (head > n)
		head = n;
	return good->copy_sum(dst, src, head) + good->copy_sum(dst + head, src + head, n - head);
}

static void train_begins_anew(const struct gso_train *t, uint8_t *out, const uint8_t *src,
			      size_t begin, size_t end)
{
	good->train(t, out, src, 0, end - begin);
}

static void train_leaves_the_last_id(const struct gso_train *t, uint8_t *out, const uint8_t *src,
				     size_t begin, size_t end)
{
	struct gso_train less = *t;

	less.ids -= t->ids == GSO_TRAIN_IDS;
	good->train(&less, out, src, begin, end);
}

static void train_sends_zero(const struct gso_train *t, uint8_t *out, const uint8_t *src,
			     size_t begin, size_t end)
{
	good->train(t, out, src, begin, end);
	for (size_t i = begin; i < end && !t->tcp; i++, out += t->hlen + t->step)
		if (out[t->l4_header + 6] == 0xff && out[t->l4_header + 7] == 0xff)
			memset(out + t->l4_header + 6, 0, 2);
}

static void headers_write_payload(const struct gso_train *t, uint8_t *out, const uint8_t *src,
				  size_t begin, size_t end)
{
	good->train_headers(t, out, src, begin, end);
	out[(end - begin) * t->hlen] = src[0];
}

static const struct {
	const char *name;
	struct gso_simd with;
} FAULTS[] = {
#define FAULT(member, function) {#function, {.member = function}}
	FAULT(sum, sum_drops_carries),
	FAULT(sum, sum_swaps_an_odd_byte),
	FAULT(sum, sum_makes_zero_of_ones),
	FAULT(sum, sum_is_too_large),
	FAULT(sum, sum_reads_past_the_end),
	FAULT(sum, sum_reads_before),
	FAULT(sums, sums_write_one_more),
	FAULT(sums, sums_skip_empty_ones),
	FAULT(copy_sum, copy_writes_past_the_end),
	FAULT(copy_sum, copy_writes_before),
	FAULT(copy_sum, copy_leaves_the_last),
	FAULT(stream_sum, copy_forgets_an_odd_head),
	FAULT(train, train_begins_anew),
	FAULT(train, train_leaves_the_last_id),
	FAULT(stream_train, train_sends_zero),
	FAULT(train_headers, headers_write_payload),
};

static int check_fault(const char *name)
{
	for EACH(i, FAULTS) {
		struct gso_simd bad = *good;

		if (strcmp(FAULTS[i].name, name))
			continue;
		bad.name = name;
#define TAKE(member)                                  \
	if (FAULTS[i].with.member)                    \
		bad.member = FAULTS[i].with.member
		TAKE(sum);
		TAKE(sums);
		TAKE(copy_sum);
		TAKE(stream_sum);
		TAKE(train_headers);
		TAKE(train);
		TAKE(stream_train);
		check(&bad);
		return 0;
	}
	fprintf(stderr, "no fault is called %s\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	const struct gso_simd *one;

	signal(SIGSEGV, outside);
	signal(SIGBUS, outside);
	source = fenced();
	target = fenced();
	wanted = fenced();
	fill_source();
	good = gso_simd_at(0);
	if (argc > 1)
		return check_fault(argv[1]);
	for (size_t i = 0; (one = gso_simd_at(i)); i++)
		check(one);
	return 0;
}
