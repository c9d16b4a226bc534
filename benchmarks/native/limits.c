/* What memory and instruction set allow, to hold the library against. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static void copy_once(uint8_t *out, const uint8_t *in, size_t count, size_t header,
		      size_t payload, size_t mss)
{
	for (; count; count--, in += header + payload) {
		for (size_t at = 0; at < payload; at += mss) {
			size_t n = payload - at < mss ? payload - at : mss;

			memcpy(out + header, in + header + at, n);
			out += header + n;
		}
	}
}

/*
 * Copy `count` packets' payloads into the slots their segments have in the output, nothing else;
 * `repeats` times, so that calling it costs nothing.
 */
void copy_strided(uint8_t *out, const uint8_t *in, size_t count, size_t header, size_t payload,
		  size_t mss, size_t repeats)
{
	for (; repeats; repeats--) {
		copy_once(out, in, count, header, payload, mss);
		__asm__ volatile("" ::: "memory");
	}
}

/* Read `count` buffers of `n` bytes and add them up as 64-bit words, losing all carries. */
#if defined(__x86_64__)
__attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
uint64_t read_and_add(const uint8_t *in, size_t count, size_t n)
{
	uint64_t total = 0;

	for (; count; count--, in += n) {
		uint64_t a = 0;
		size_t i = 0;

		for (; i + 8 <= n; i += 8) {
			uint64_t word;

			memcpy(&word, in + i, 8);
			a += word;
		}
		for (; i < n; i++)
			a += in[i];
		total += a;
	}
	return total;
}
