#include "crc32c.h"

#include <string.h>

/* ---- table: eight bytes a step, on every CPU ---- */

#define POLYNOMIAL 0x82f63b78U /* of RFC 9260, appendix A, with its bits the other way round */

enum {
	SLICES = 8
};

/* Of byte b with k zero bytes after it. Filled before anyone knows of the function that reads it. */
static uint32_t slices[SLICES][256];

static void fill_slices(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t crc = b;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		slices[0][b] = crc;
	}
	for (int k = 1; k < SLICES; k++)
		for (int b = 0; b < 256; b++)
			slices[k][b] = slices[0][slices[k - 1][b] & 0xff] ^ slices[k - 1][b] >> 8;
}

static uint32_t table_update(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= SLICES; n -= SLICES, p += SLICES)
		crc = slices[7][p[0] ^ (crc & 0xff)] ^ slices[6][p[1] ^ (crc >> 8 & 0xff)] ^
		      slices[5][p[2] ^ (crc >> 16 & 0xff)] ^ slices[4][p[3] ^ crc >> 24] ^
		      slices[3][p[4]] ^ slices[2][p[5]] ^ slices[1][p[6]] ^ slices[0][p[7]];
	while (n--)
		crc = slices[0][*p++ ^ (crc & 0xff)] ^ crc >> 8;
	return crc;
}

static const struct gso_crc table = {"table", table_update};

/* ---- the instruction ---- */

#if defined(__x86_64__) && defined(__GNUC__)

#include <nmmintrin.h>

#define INSTRUCTION "sse4.2"
#define HAS_INSTRUCTION() __builtin_cpu_supports("sse4.2")
#define CRC_TARGET __attribute__((target("sse4.2")))
#define CRC_64(crc, word) ((uint32_t)_mm_crc32_u64(crc, word))
#define CRC_8(crc, byte) _mm_crc32_u8(crc, byte)

#elif defined(__aarch64__) && defined(__GNUC__) && defined(__linux__) && \
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__

#include <sys/auxv.h>

#define INSTRUCTION "armv8"
#define HAS_INSTRUCTION() (getauxval(AT_HWCAP) & 1 << 7) /* HWCAP_CRC32 */
#define CRC_TARGET
#define CRC_64(crc, word) arm_crc64(crc, word)
#define CRC_8(crc, byte) arm_crc8(crc, byte)

/* As assembly: the compilers' names for these instructions differ, and some hide them. */
static inline uint32_t arm_crc64(uint32_t crc, uint64_t word)
{
	__asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
	return crc;
}

static inline uint32_t arm_crc8(uint32_t crc, uint32_t byte)
{
	__asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
	return crc;
}

#endif

#ifdef INSTRUCTION

CRC_TARGET static uint32_t instruction_update(uint32_t crc, const uint8_t *p, size_t n)
{
	uint64_t word;

	for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		crc = CRC_64(crc, word);
	}
	while (n--)
		crc = CRC_8(crc, *p++);
	return crc;
}

static const struct gso_crc instruction = {INSTRUCTION, instruction_update};

#endif

const struct gso_crc *gso_crc_at(size_t i)
{
	if (i == 0) {
		if (!slices[0][1])
			fill_slices();
		return &table;
	}
#ifdef INSTRUCTION
	if (i == 1 && HAS_INSTRUCTION())
		return &instruction;
#endif
	return NULL;
}

const struct gso_crc *gso_crc_find(const char *name)
{
	const struct gso_crc *best = NULL, *one;
	size_t i;

	for (i = 0; (one = gso_crc_at(i)); i++)
		if (!name || !strcmp(name, one->name))
			best = one;
	return best;
}
