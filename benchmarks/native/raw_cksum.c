/*
 * DPDK's rte_raw_cksum, called from C.
 *
 * usage: raw_cksum LENGTH REPEATS; prints nanoseconds a buffer, the least of many rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_ip.h>

int main(int argc, char **argv)
{
	size_t n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0, count = 60000 / (n ? n : 1);
	long repeats = argc == 3 ? atol(argv[2]) : 0;
	uint8_t *data = malloc(65536);
	volatile uint16_t sink;
	double best = 1e18;

	if (!n || !count)
		return 2;
	memset(data, 0x5a, 65536);
	for (int round = 0; round < 25; round++) {
		struct timespec a, b;

		clock_gettime(CLOCK_MONOTONIC, &a);
		for (long i = 0; i < repeats; i++)
			for (size_t k = 0; k < count; k++)
				sink = ~rte_raw_cksum(data + k * n, n);
		clock_gettime(CLOCK_MONOTONIC, &b);
		double each = ((b.tv_sec - a.tv_sec) * 1e9 + b.tv_nsec - a.tv_nsec) / repeats / count;

		best = each < best ? each : best;
	}
	(void)sink;
	printf("%.2f\n", best);
	return 0;
}
