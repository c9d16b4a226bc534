/*
 * Compares every implementation of CRC32c that gso_crc_at lists with one that goes bit by bit, on
 * buffers between two pages that must not be touched, and prints how many checks it made; exits with
 * 1 at the first difference. With an argument it checks one that is wrong, which it should find.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crc32c.h"
#include "fenced.h"

enum {
	LONGEST = 2500,
	ALIGNMENTS = 16
};

static const char *name;
static size_t now;

static void fail(const char *what)
{
	printf("%s: %zu bytes: %s\n", name, now, what);
	fflush(stdout);
	_exit(1);
}

static void outside(int signal)
{
	(void)signal;
	fail("memory outside the buffer is touched");
}

static void fill(uint8_t *p)
{
	uint64_t state = 1;

	for (size_t i = 0; i < ROOM; i++) {
		state = state * 6364136223846793005ULL + 1442695040888963407ULL;
		p[i] = (uint8_t)(state >> 56);
	}
}

static uint32_t obvious(uint32_t crc, uint8_t byte)
{
	crc ^= byte;
	for (int bit = 0; bit < 8; bit++)
		crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
	return crc;
}

/* Every length up to a page's end, and from the bytes after a page's start. */
static unsigned check(const struct gso_crc *one, const uint8_t *p)
{
	unsigned checks = 0;

	name = one->name;
	for (size_t start = 0; start < ALIGNMENTS; start++) {
		uint32_t right = (uint32_t)~0 - (uint32_t)start;

		for (now = 0; now <= LONGEST; now++, checks++) {
			if (one->update((uint32_t)~0 - (uint32_t)start, p + start, now) != right)
				fail("another remainder");
			right = obvious(right, p[start + now]);
		}
	}
	for (now = 0; now <= LONGEST; now++, checks++) {
		uint32_t right = 0;

		for (size_t i = ROOM - now; i < ROOM; i++)
			right = obvious(right, p[i]);
		if (one->update(0, p + ROOM - now, now) != right)
			fail("another remainder");
	}
	return checks;
}

static uint32_t forgets_the_last(uint32_t crc, const uint8_t *p, size_t n)
{
	return gso_crc_at(0)->update(crc, p, n & ~(size_t)7);
}

static uint32_t reads_on(uint32_t crc, const uint8_t *p, size_t n)
{
	volatile uint8_t next = p[n];

	(void)next;
	return gso_crc_at(0)->update(crc, p, n);
}

int main(int argc, char **argv)
{
	static const struct gso_crc WRONG[] = {
		{"forgets_the_last", forgets_the_last},
		{"reads_on", reads_on},
	};
	uint8_t *p = fenced();
	const struct gso_crc *one;

	signal(SIGSEGV, outside);
	signal(SIGBUS, outside);
	fill(p);
	if (argc > 1) {
		for (size_t i = 0; i < sizeof(WRONG) / sizeof(*WRONG); i++)
			if (!strcmp(WRONG[i].name, argv[1]))
				check(&WRONG[i], p);
		return 0;
	}
	for (size_t i = 0; (one = gso_crc_at(i)); i++)
		printf("%s: %u checks\n", one->name, check(one, p));
	return 0;
}
