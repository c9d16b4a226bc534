/*
 * Compares every implementation of the rules that gso_judge_at lists with the first one, which judges
 * a row at a time, over random rows in blocks of exactly their size, and prints how many rows each
 * judged; exits with 1 at the first difference. It is made to be built with sanitizers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

enum { MOST = 70, TIMES = 60, LONG = 2000 };

static uint64_t state = 1;

static uint8_t random_byte(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return state >> 56;
}

/* Rows of all kinds of bytes, or mostly of zeros, so that fewer rules are broken at once. */
static void fill(struct gso_skb *rows, size_t n, int sparse)
{
	uint8_t *p = (uint8_t *)rows;

	for (size_t i = 0; i < n * sizeof(*rows); i++)
		p[i] = sparse && random_byte() % 8 ? 0 : random_byte();
}

/* Rows that come again, some with one byte changed: all but every `often`-th are like one before. */
static void repeat(struct gso_skb *rows, size_t n, size_t often)
{
	for (size_t i = 1; i < n; i++) {
		rows[i] = rows[i - 1 - random_byte() % (i < 16 ? i : 16)];
		if (i % often == 0)
			((uint8_t *)&rows[i])[random_byte() % sizeof(*rows)] ^= 1 << random_byte() % 8;
	}
}

static unsigned long check(const struct gso_judge *one, const struct gso_judge *first, size_t n,
			   size_t often)
{
	struct gso_kernel kernel = {(int32_t)(random_byte() << 24), random_byte() << 16};
	struct gso_skb *rows = malloc(n * sizeof(*rows));
	uint64_t *results[4];
	int same;

	fill(rows, n, n % 2);
	if (often)
		repeat(rows, n, often);
	for (int i = 0; i < 4; i++)
		results[i] = malloc(n * sizeof(uint64_t));
	/* One at a time, so that none has another's verdict. */
	for (size_t i = 0; i < n; i++)
		first->judge(rows + i, 1, &kernel, results[0] + i, results[1] + i);
	one->judge(rows, (ptrdiff_t)n, &kernel, results[2], results[3]);
	same = !memcmp(results[0], results[2], n * sizeof(uint64_t)) &&
	       !memcmp(results[1], results[3], n * sizeof(uint64_t));
	one->judge(rows, (ptrdiff_t)n, &kernel, results[2], NULL);
	same = same && !memcmp(results[0], results[2], n * sizeof(uint64_t));
	if (!same) {
		printf("%s: another answer for %zu rows\n", one->name, n);
		exit(1);
	}
	free(rows);
	for (int i = 0; i < 4; i++)
		free(results[i]);
	return n;
}

int main(void)
{
	const struct gso_judge *one;

	for (size_t i = 0; (one = gso_judge_at(i)); i++) {
		unsigned long rows = 0;

		for (int k = 0; k < TIMES; k++)
			for (size_t n = 0; n <= MOST; n++)
				rows += check(one, gso_judge_at(0), n, n % 3);
		for (size_t often = 0; often < 9; often++)
			rows += check(one, gso_judge_at(0), LONG, often);
		printf("%s: %lu rows\n", one->name, rows);
	}
	return 0;
}
