/* The rules for sk_buff fields, over rows of gso.SKB_DTYPE, as wide as the processor can. */
#include "judge.h"

#define NAME(bit, name) name,
const char *const gso_rule_names[GSO_RULE_COUNT] = {GSO_RULES(NAME)};

#define LANES 4
#include "judge_lanes.h"
#undef LANES

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12
#define WIDER 1
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v3")
#define LANES 8
#include "judge_lanes.h"
#undef LANES
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("arch=x86-64-v4", "prefer-vector-width=512")
#define LANES 16
#include "judge_lanes.h"
#undef LANES
#pragma GCC pop_options
#endif

static const struct gso_judge baseline = {"baseline", gso_judge_4};

#ifdef WIDER
static const struct gso_judge avx2 = {"avx2", gso_judge_8};
static const struct gso_judge avx512 = {"avx512", gso_judge_16};

const struct gso_judge *gso_judge_at(size_t i)
{
    if (i == 0)
        return &baseline;
    if (i == 1 && __builtin_cpu_supports("x86-64-v3"))
        return &avx2;
    if (i == 2 && __builtin_cpu_supports("x86-64-v4"))
        return &avx512;
    return NULL;
}
#else
const struct gso_judge *gso_judge_at(size_t i)
{
    return i == 0 ? &baseline : NULL;
}
#endif
