#include "simd.h"

#include <string.h>

#include "portable.h"
#include "train.h"

/* ---- baseline: plain C, which compilers vectorise with what every CPU of the kind has ---- */

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

static const struct gso_simd baseline = {
	"baseline",	baseline_sum,	  baseline_sums,  baseline_copy_sum, baseline_copy_sum,
	baseline_headers, baseline_train, baseline_train, no_fence,
};

#if defined(__x86_64__) && defined(__GNUC__)

#include "avx2.h"
#include "avx512.h"

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
