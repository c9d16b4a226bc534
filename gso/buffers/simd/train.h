/*
 * A packet train is a run of segments of one super-packet whose headers differ only in IPv4 IDs,
 * sequence number and checksums. Each path defines its own functions for trains, with its own sums
 * and copies of payloads.
 */
#ifndef GSO_TRAIN_H
#define GSO_TRAIN_H

#include <arpa/inet.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "simd.h"

/* A sum in 16 bits; 0 only if it is 0. */
static inline uint16_t train_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum >> 32 | sum << 32)) >> 32);

	return (uint16_t)((half + (half >> 16 | half << 16)) >> 16);
}

static inline void train_put16(uint8_t *p, uint16_t value)
{
	memcpy(p, &value, 2);
}

enum {
	TRAIN_BLOCK = 32
};

/* Copy a header in whole blocks, the last of which overlaps the one before. */
static inline void train_put_header(uint8_t *out, const uint8_t *header, size_t n)
{
	size_t i;

	if (n < TRAIN_BLOCK) {
		memcpy(out, header, n);
		return;
	}
	for (i = 0; i < n - TRAIN_BLOCK; i += TRAIN_BLOCK)
		memcpy(out + i, header + i, TRAIN_BLOCK);
	memcpy(out + n - TRAIN_BLOCK, header + n - TRAIN_BLOCK, TRAIN_BLOCK);
}

/* Write the headers of segment i, whose payload has this sum. */
static inline void train_stamp(const struct gso_train *t, uint8_t *out, size_t i, uint64_t payload)
{
	uint8_t *th = out + t->l4_header;
	int k;

	train_put_header(out, t->header, t->hlen);
	for (k = 0; k < t->ids; k++) {
		uint8_t *ip = out + t->id[k].offset;
		uint16_t ident = htons((uint16_t)(t->id[k].ident + i));
		uint32_t sum = (uint32_t)t->id[k].base + ident;

		train_put16(ip + 4, ident);
		train_put16(ip + 10, (uint16_t)~(sum + (sum >> 16)));
	}
	if (t->tcp) {
		uint32_t seq = htonl(t->seq + (uint32_t)(i * t->step));

		memcpy(th + 4, &seq, 4);
		train_put16(th + 16, (uint16_t)~train_fold(t->base + payload + seq));
	} else {
		uint16_t check = (uint16_t)~train_fold(t->base + payload);

		train_put16(th + 6, check ? check : 0xffff);
	}
}

/*
 * Define a function that writes segments begin to end of a train. `payload(dst, src, n)` returns
 * the sum of a payload and, where `copied` is 1, copies it to dst.
 */
#define DEFINE_TRAIN(target, name, payload, copied)                                               \
	target static void name(const struct gso_train *train, uint8_t *out, const uint8_t *src,  \
				size_t begin, size_t end)                                         \
	{                                                                                         \
		/* One alone is made faster than a copy. */                                       \
		if (end - begin == 1) {                                                           \
			train_stamp(train, out, begin,                                            \
				    payload(out + train->hlen, src, train->step));                \
			return;                                                                   \
		}                                                                                 \
		/* A local copy: stores through a pointer to bytes might change *train. */        \
		const struct gso_train t = *train;                                                \
		size_t i;                                                                         \
                                                                                                  \
		for (i = begin; i < end; i++) {                                                   \
			train_stamp(&t, out, i, payload(out + t.hlen, src, t.step));              \
			src += t.step;                                                            \
			out += t.hlen + (copied ? t.step : 0);                                    \
		}                                                                                 \
	}

#endif
