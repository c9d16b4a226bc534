/*
 * DPDK's librte_gso on one VXLAN super-packet (inner TCP over IPv4), timed.
 *
 * usage: dpdk PACKET GSO_SIZE HEADER_LENGTH REPEATS SEGMENTS_OUT
 *
 * Prints nanoseconds a super-packet, the least of many rounds: "zero_copy" as the library makes
 * segments (headers and references to the payload, no checksums), "finished" with the payload
 * copied behind the headers and all four checksums computed in software. Writes the finished
 * segments, each with its length in front (32 bits, native), to SEGMENTS_OUT.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <rte_vxlan.h>

#define MAX_SEGMENTS 1024
#define ROUNDS 25

static uint8_t packet[65536];
static uint8_t linear[1 << 20];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static struct rte_mempool *pool(const char *name, unsigned n, uint16_t room)
{
	struct rte_mempool *p = rte_pktmbuf_pool_create(name, n, 256, 0, room, SOCKET_ID_ANY);

	if (!p)
		rte_exit(1, "no memory for %s\n", name);
	return p;
}

/* The packet as a driver would hand it on: one linear mbuf with its header lengths. */
static struct rte_mbuf *load(struct rte_mempool *from, size_t size, unsigned tcp_length)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(from);

	memcpy(rte_pktmbuf_append(m, size), packet, size);
	m->outer_l2_len = 14;
	m->outer_l3_len = 20;
	m->l2_len = 8 + 8 + 14;
	m->l3_len = 20;
	m->l4_len = tcp_length;
	m->ol_flags = RTE_MBUF_F_TX_OUTER_IPV4 | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_SEG |
		      RTE_MBUF_F_TX_TUNNEL_VXLAN;
	return m;
}

/* Copy a segment into one piece and complete its checksums; returns its length. */
static size_t finish(const struct rte_mbuf *m, uint8_t *out)
{
	struct rte_ipv4_hdr *outer = (void *)(out + 14), *inner = (void *)(out + 14 + 20 + 30);
	struct rte_udp_hdr *udp = (void *)(out + 34);
	struct rte_tcp_hdr *tcp = (void *)(out + 84);
	size_t n = 0;

	for (; m; m = m->next) {
		memcpy(out + n, rte_pktmbuf_mtod(m, void *), m->data_len);
		n += m->data_len;
	}
	inner->hdr_checksum = 0;
	inner->hdr_checksum = rte_ipv4_cksum(inner);
	tcp->cksum = 0;
	tcp->cksum = rte_ipv4_udptcp_cksum(inner, tcp);
	outer->hdr_checksum = 0;
	outer->hdr_checksum = rte_ipv4_cksum(outer);
	udp->dgram_cksum = 0;
	udp->dgram_cksum = rte_ipv4_udptcp_cksum(outer, udp);
	return n;
}

static int segment(struct rte_mbuf *m, const struct rte_gso_ctx *ctx, struct rte_mbuf **out)
{
	int n;

	/* The library changes it on success */
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	rte_mbuf_refcnt_update(m, 1);
	n = rte_gso_segment(m, ctx, out, MAX_SEGMENTS);
	if (n < 1)
		rte_exit(1, "rte_gso_segment: %d\n", n);
	return n;
}

static double least(struct rte_mbuf *m, const struct rte_gso_ctx *ctx, int repeats, int whole)
{
	struct rte_mbuf *out[MAX_SEGMENTS];
	double best = 1e18;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now();

		for (int i = 0; i < repeats; i++) {
			int n = segment(m, ctx, out);
			size_t at = 0;

			for (int k = 0; whole && k < n; k++)
				at += finish(out[k], linear + at);
			rte_pktmbuf_free_bulk(out, n);
		}
		start = (now() - start) / repeats;
		best = start < best ? start : best;
	}
	return best;
}

static void save(struct rte_mbuf *m, const struct rte_gso_ctx *ctx, const char *path)
{
	struct rte_mbuf *out[MAX_SEGMENTS];
	FILE *file = fopen(path, "wb");
	int n = segment(m, ctx, out);

	for (int k = 0; k < n; k++) {
		uint32_t length = finish(out[k], linear);

		fwrite(&length, 4, 1, file);
		fwrite(linear, 1, length, file);
	}
	fclose(file);
	rte_pktmbuf_free_bulk(out, n);
}

int main(int argc, char **argv)
{
	char *eal[] = {argv[0], "--no-huge", "--no-pci", "--no-telemetry", "-m", "256", "--no-shconf",
		       "--log-level=1", "--lcores=0@0-1"};
	struct rte_gso_ctx ctx = {0};
	struct rte_mbuf *m;
	FILE *file;
	size_t size;

	if (argc != 6 || rte_eal_init(sizeof(eal) / sizeof(*eal), eal) < 0)
		return 2;
	file = fopen(argv[1], "rb");
	size = fread(packet, 1, sizeof(packet), file);
	fclose(file);
	ctx.direct_pool = pool("direct", 4095, 256 + RTE_PKTMBUF_HEADROOM);
	ctx.indirect_pool = pool("indirect", 4095, 0);
	ctx.gso_types = RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO;
	ctx.gso_size = atoi(argv[2]) + atoi(argv[3]);
	m = load(pool("super", 1023, 65535), size, atoi(argv[3]) - 84);
	save(m, &ctx, argv[5]);
	printf("zero_copy %.1f\n", least(m, &ctx, atoi(argv[4]), 0));
	printf("finished %.1f\n", least(m, &ctx, atoi(argv[4]), 1));
	return 0;
}
