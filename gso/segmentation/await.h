/* Waiting for another thread for a moment without sleeping: to be woken takes as long. */
#ifndef GSO_AWAIT_H
#define GSO_AWAIT_H

#include <stdint.h>
#include <time.h>

enum {
	GSO_PAUSES = 64 /* between two looks at the clock */
};

static inline void gso_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static inline int64_t gso_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline unsigned int gso_count(const unsigned int *count)
{
	return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}

static inline void gso_add(unsigned int *count, int number)
{
	__atomic_add_fetch(count, number, __ATOMIC_RELEASE);
}

static inline unsigned int gso_take(unsigned int *count)
{
	return gso_count(count) ? __atomic_exchange_n(count, 0, __ATOMIC_ACQ_REL) : 0;
}

/* Wait until *count is no longer `seen`, or so many nanoseconds. */
static inline void gso_await(const unsigned int *count, unsigned int seen, int64_t most)
{
	const int64_t start = gso_nanoseconds();

	do {
		for (int i = 0; i < GSO_PAUSES; i++) {
			if (gso_count(count) != seen)
				return;
			gso_pause();
		}
	} while (gso_nanoseconds() - start < most);
}

#endif
