/*
 * DPDK's librte_gso on one super-packet with TCP over IPv4, alone or inside VXLAN or GRE.
 *
 * usage: dpdk PACKET GSO_SIZE INNER_IP HEADERS SEGMENTS_OUT
 *
 * INNER_IP and HEADERS are offsets; 14 as INNER_IP means that there is no tunnel. Writes the finished
 * segments to SEGMENTS_OUT, each with its length in front (32 bits, native), then answers rounds.
 * Modes: "zero_copy" as the library makes segments (headers and references to the payload, no
 * checksums); "finished" with the payload copied after the headers and all checksums computed.
 */
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_gso.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "rounds.h"

#define MAX_SEGMENTS 1024
#define PROTOCOL_GRE 47

static uint8_t packet[65536];
static uint8_t linear[1 << 20];
static unsigned inner_ip, headers;
static struct rte_gso_ctx ctx;
static struct rte_mbuf *super;

static struct rte_mempool *pool(const char *name, unsigned n, uint16_t room)
{
	struct rte_mempool *p = rte_pktmbuf_pool_create(name, n, 256, 0, room, SOCKET_ID_ANY);

	if (!p)
		rte_exit(1, "no memory for %s\n", name);
	return p;
}

static int tunnelled(void)
{
	return inner_ip != 14;
}

static int over_gre(void)
{
	return tunnelled() && packet[14 + 9] == PROTOCOL_GRE;
}

/* The packet as a driver would hand it on: one linear mbuf with its header lengths. */
static struct rte_mbuf *load(struct rte_mempool *from, size_t size)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(from);

	memcpy(rte_pktmbuf_append(m, size), packet, size);
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = headers - inner_ip - 20;
	m->ol_flags = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_SEG;
	if (tunnelled()) {
		m->outer_l2_len = 14;
		m->outer_l3_len = 20;
		m->l2_len = inner_ip - 34;
		m->ol_flags |= RTE_MBUF_F_TX_OUTER_IPV4 |
			       (over_gre() ? RTE_MBUF_F_TX_TUNNEL_GRE : RTE_MBUF_F_TX_TUNNEL_VXLAN);
	}
	return m;
}

/* Copy a segment into one piece and complete its checksums; returns its length. */
static size_t finish(const struct rte_mbuf *m, uint8_t *out)
{
	struct rte_ipv4_hdr *outer = (void *)(out + 14), *inner = (void *)(out + inner_ip);
	struct rte_udp_hdr *udp = (void *)(out + 34);
	struct rte_tcp_hdr *tcp = (void *)(out + inner_ip + 20);
	size_t n = 0;

	for (; m; m = m->next) {
		memcpy(out + n, rte_pktmbuf_mtod(m, void *), m->data_len);
		n += m->data_len;
	}
	inner->hdr_checksum = 0;
	inner->hdr_checksum = rte_ipv4_cksum(inner);
	tcp->cksum = 0;
	tcp->cksum = rte_ipv4_udptcp_cksum(inner, tcp);
	if (tunnelled()) {
		outer->hdr_checksum = 0;
		outer->hdr_checksum = rte_ipv4_cksum(outer);
		if (!over_gre()) {
			udp->dgram_cksum = 0;
			udp->dgram_cksum = rte_ipv4_udptcp_cksum(outer, udp);
		}
	}
	return n;
}

static int segment(struct rte_mbuf **out)
{
	int n;

	/* The library changes it on success */
	super->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
	rte_mbuf_refcnt_update(super, 1);
	n = rte_gso_segment(super, &ctx, out, MAX_SEGMENTS);
	if (n < 1)
		rte_exit(1, "rte_gso_segment: %d\n", n);
	return n;
}

static double timed(const char *mode, long repeats)
{
	struct rte_mbuf *out[MAX_SEGMENTS];
	int whole = !strcmp(mode, "finished");
	double start = now();

	for (long i = 0; i < repeats; i++) {
		int n = segment(out);
		size_t at = 0;

		for (int k = 0; whole && k < n; k++)
			at += finish(out[k], linear + at);
		rte_pktmbuf_free_bulk(out, n);
	}
	return now() - start;
}

static void save(const char *path)
{
	struct rte_mbuf *out[MAX_SEGMENTS];
	FILE *file = fopen(path, "wb");
	int n = segment(out);

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
	FILE *file;
	size_t size;

	if (argc != 6)
		return 2;
	/* Where the caller pinned us is where we stay */
	cpu_set_t cores;

	CPU_ZERO(&cores);
	sched_getaffinity(0, sizeof(cores), &cores);
	if (rte_eal_init(sizeof(eal) / sizeof(*eal), eal) < 0)
		return 2;
	sched_setaffinity(0, sizeof(cores), &cores);
	file = fopen(argv[1], "rb");
	size = fread(packet, 1, sizeof(packet), file);
	fclose(file);
	inner_ip = atoi(argv[3]);
	headers = atoi(argv[4]);
	ctx.direct_pool = pool("direct", 4095, 256 + RTE_PKTMBUF_HEADROOM);
	ctx.indirect_pool = pool("indirect", 4095, 0);
	ctx.gso_types = RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_VXLAN_TNL_TSO |
			RTE_ETH_TX_OFFLOAD_GRE_TNL_TSO;
	ctx.gso_size = atoi(argv[2]) + headers;
	super = load(pool("super", 1023, 65535), size);
	save(argv[5]);
	answer(timed);
	return 0;
}
