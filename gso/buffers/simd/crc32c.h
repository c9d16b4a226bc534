/* CRC32c (Castagnoli) of a buffer, by the processor's instruction where it has one. */
#ifndef GSO_CRC32C_H
#define GSO_CRC32C_H

#include <stddef.h>
#include <stdint.h>

struct gso_crc {
	const char *name;
	/*
	 * The remainder after n more bytes. As in all CRCs of this kind it starts as ~0 and is
	 * complemented in the end, both by the caller.
	 */
	uint32_t (*update)(uint32_t crc, const uint8_t *p, size_t n);
};

/* The i-th implementation that the CPU runs, the simplest first; NULL past the last. */
const struct gso_crc *gso_crc_at(size_t i);

/* The implementation with this name, or the best that the CPU runs (name NULL); NULL if none. */
const struct gso_crc *gso_crc_find(const char *name);

#endif
