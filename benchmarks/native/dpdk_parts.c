/*
 * DPDK's rte_raw_cksum and rte_net_get_ptype, called from C.
 *
 * usage: dpdk_parts LENGTH OFFSET BYTES [FRAME]
 *
 * Checksums of buffers of LENGTH bytes that lie one after another in BYTES bytes, the first at OFFSET
 * from a cache line. Prints the checksum of the first (the bytes are i * 7 % 256), and the header
 * lengths that rte_net_get_ptype finds in FRAME: outer l2, l3, l4 (or tunnel), inner l2, l3, l4.
 * Modes: "checksum" is one buffer after another, "parse" one of COPIES copies of the frame after
 * another. A round goes on where the one before it stopped, so that what is cold stays cold.
 */
#include <stdlib.h>

#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_net.h>

#include "rounds.h"

#define COPIES 4096

static uint8_t *data;
static size_t length, count;
static struct rte_mbuf frame;
static uint8_t *copies;
static volatile uint32_t sink;

static double timed(const char *mode, long repeats)
{
	double start = now();

	if (!strcmp(mode, "parse")) {
		struct rte_net_hdr_lens lengths;

		for (long i = 0; i < repeats; i++) {
			static size_t k;

			frame.buf_addr = copies + k * frame.data_len;
			sink = rte_net_get_ptype(&frame, &lengths, RTE_PTYPE_ALL_MASK);
			k = k + 1 == COPIES ? 0 : k + 1;
		}
	} else {
		static size_t k;

		for (long i = 0; i < repeats; i++) {
			sink = (uint16_t)~rte_raw_cksum(data + k * length, length);
			k = k + 1 == count ? 0 : k + 1;
		}
	}
	return now() - start;
}

int main(int argc, char **argv)
{
	size_t offset, size;

	if (argc < 4)
		return 2;
	length = strtoul(argv[1], NULL, 10);
	offset = strtoul(argv[2], NULL, 10);
	size = strtoul(argv[3], NULL, 10);
	data = (uint8_t *)aligned_alloc(64, (size + offset + 127) / 64 * 64) + offset;
	for (size_t i = 0; i < size; i++)
		data[i] = i * 7;
	count = size / length;
	printf("%u", (unsigned)rte_be_to_cpu_16(~rte_raw_cksum(data, length)));
	if (argc > 4) {
		struct rte_net_hdr_lens n = {0};
		FILE *file = fopen(argv[4], "rb");

		copies = malloc(COPIES * 65536ul);
		frame.data_len = frame.pkt_len = fread(copies, 1, 65536, file);
		for (size_t i = 1; i < COPIES; i++)
			memcpy(copies + i * frame.data_len, copies, frame.data_len);
		frame.buf_addr = copies;
		frame.nb_segs = 1;
		rte_net_get_ptype(&frame, &n, RTE_PTYPE_ALL_MASK);
		printf(" %d %d %d %d %d %d", n.l2_len, n.l3_len, n.tunnel_len ? n.tunnel_len : n.l4_len,
		       n.inner_l2_len, n.inner_l3_len, n.inner_l4_len);
	}
	putchar('\n');
	answer(timed);
	return 0;
}
