/* Headers that are equal but for some bits. */
#ifndef GSO_ALIKE_H
#define GSO_ALIKE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* As wide as every x86-64 and AArch64 can. */
typedef uint64_t gso_lanes __attribute__((vector_size(16)));

static inline gso_lanes gso_unlike(const uint8_t *a, const uint8_t *b, const uint8_t *same)
{
	gso_lanes x, y, mask;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	memcpy(&mask, same, sizeof(mask));
	return (x ^ y) & mask;
}

/* Whether the bits that `same` marks are equal in n bytes, of which there are 16 or more. */
static inline int gso_alike(const uint8_t *a, const uint8_t *b, const uint8_t *same, size_t n)
{
	const size_t last = n - sizeof(gso_lanes);
	gso_lanes differ = gso_unlike(a + last, b + last, same + last);

	for (size_t i = 0; i < last; i += sizeof(gso_lanes))
		differ |= gso_unlike(a + i, b + i, same + i);
	return !(differ[0] | differ[1]);
}

#endif
