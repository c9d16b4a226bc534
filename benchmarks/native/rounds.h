/* A program that is timed in turn with others: each line "MODE REPEATS" it reads is one round. */
#include <stdio.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* `round` returns the nanoseconds of all repeats; what is printed is those of one. */
static void answer(double (*round)(const char *mode, long repeats))
{
	char mode[32];
	long repeats;

	puts("ready");
	fflush(stdout);
	while (scanf("%31s %ld", mode, &repeats) == 2) {
		printf("%.3f\n", round(mode, repeats) / repeats);
		fflush(stdout);
	}
}
