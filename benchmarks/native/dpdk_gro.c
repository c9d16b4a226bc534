/*
 * DPDK's librte_gro on a burst of packets of one flow: TCP over IPv4, alone or inside VXLAN.
 *
 * usage: dpdk_gro PACKETS INNER_IP HEADERS MERGED_OUT
 *
 * PACKETS and MERGED_OUT have packets, each with its length in front (32 bits, native). INNER_IP and
 * HEADERS are offsets; 14 as INNER_IP means that there is no tunnel. Writes what the burst became to
 * MERGED_OUT, then answers rounds. Modes: "chained" as the library merges (payloads stay where they
 * are, no checksum is looked at); "finished" with the checksums of all packets verified before, and
 * the payloads copied into one piece afterwards, both with DPDK's own functions.
 */
#include <netinet/in.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_gro.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "rounds.h"

#define MAX_PACKETS 128
#define ROOM 2048

static uint8_t packets[MAX_PACKETS][ROOM];
static uint8_t linear[1 << 17];
static unsigned lengths[MAX_PACKETS], count, inner_ip, headers;
static struct rte_mbuf *mbufs[MAX_PACKETS];
static struct rte_gro_param limits = {
	.gro_types = RTE_GRO_TCP_IPV4 | RTE_GRO_IPV4_VXLAN_TCP_IPV4,
	.max_flow_num = 64,
	.max_item_per_flow = MAX_PACKETS,
};

static int tunnelled(void)
{
	return inner_ip != 14;
}

static void read_packets(const char *path)
{
	FILE *file = fopen(path, "rb");

	while (count < MAX_PACKETS && fread(&lengths[count], 4, 1, file) == 1) {
		if (lengths[count] > ROOM || fread(packets[count], 1, lengths[count], file) != lengths[count])
			exit(2);
		count++;
	}
	fclose(file);
}

static void describe(struct rte_mbuf *m)
{
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	m->l2_len = 14;
	m->l3_len = 20;
	m->l4_len = headers - inner_ip - 20;
	if (tunnelled()) {
		m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_UDP |
				 RTE_PTYPE_TUNNEL_VXLAN | RTE_PTYPE_INNER_L2_ETHER |
				 RTE_PTYPE_INNER_L3_IPV4 | RTE_PTYPE_INNER_L4_TCP;
		m->outer_l2_len = 14;
		m->outer_l3_len = 20;
		m->l2_len = inner_ip - 34;
	}
}

/* The mbufs as a driver would hand them on. The library moves their data and links them. */
static void receive(struct rte_mbuf **burst)
{
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = burst[i] = mbufs[i];

		m->data_off = RTE_PKTMBUF_HEADROOM;
		m->pkt_len = m->data_len = lengths[i];
		m->nb_segs = 1;
		m->next = NULL;
		memcpy(rte_pktmbuf_mtod(m, void *), packets[i], headers);
		describe(m);
	}
}

/* What is summed with its own checksum gives zero, which UDP writes as all ones. */
static int right(const struct rte_ipv4_hdr *ip)
{
	uint16_t sum = rte_ipv4_udptcp_cksum(ip, ip + 1);

	return !rte_ipv4_cksum(ip) && (!sum || (ip->next_proto_id == IPPROTO_UDP && sum == 0xffff));
}

static int verified(const struct rte_mbuf *m)
{
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);

	return right((const void *)(data + inner_ip)) && (!tunnelled() || right((const void *)(data + 14)));
}

static size_t linearise(const struct rte_mbuf *m, uint8_t *out)
{
	size_t n = 0;

	for (; m; m = m->next) {
		memcpy(out + n, rte_pktmbuf_mtod(m, void *), m->data_len);
		n += m->data_len;
	}
	return n;
}

static unsigned merge(struct rte_mbuf **burst, int whole)
{
	unsigned n;

	for (unsigned i = 0; whole && i < count; i++)
		if (!verified(burst[i]))
			rte_exit(1, "packet %u has a wrong checksum\n", i);
	n = rte_gro_reassemble_burst(burst, count, &limits);
	for (unsigned i = 0; whole && i < n; i++)
		linearise(burst[i], linear);
	return n;
}

/* The burst's preparation is not the library's work, so its time does not count. */
static double timed(const char *mode, long repeats)
{
	struct rte_mbuf *burst[MAX_PACKETS];
	int whole = !strcmp(mode, "finished");
	double spent = 0;

	for (long i = 0; i < repeats; i++) {
		double start;

		receive(burst);
		start = now();
		merge(burst, whole);
		spent += now() - start;
	}
	return spent;
}

static void save(const char *path)
{
	struct rte_mbuf *burst[MAX_PACKETS];
	FILE *file = fopen(path, "wb");
	unsigned n;

	receive(burst);
	n = merge(burst, 1);
	for (unsigned i = 0; i < n; i++) {
		uint32_t length = linearise(burst[i], linear);

		fwrite(&length, 4, 1, file);
		fwrite(linear, 1, length, file);
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	char *eal[] = {argv[0], "--no-huge", "--no-pci", "--no-telemetry", "-m", "64", "--no-shconf",
		       "--log-level=1", "--lcores=0@0-1"};
	struct rte_mempool *pool;
	cpu_set_t cores;

	if (argc != 5)
		return 2;
	/* Where the caller pinned us is where we stay */
	CPU_ZERO(&cores);
	sched_getaffinity(0, sizeof(cores), &cores);
	if (rte_eal_init(sizeof(eal) / sizeof(*eal), eal) < 0)
		return 2;
	sched_setaffinity(0, sizeof(cores), &cores);
	read_packets(argv[1]);
	inner_ip = atoi(argv[2]);
	headers = atoi(argv[3]);
	pool = rte_pktmbuf_pool_create("packets", 511, 64, 0, ROOM + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	if (!pool || rte_pktmbuf_alloc_bulk(pool, mbufs, count))
		rte_exit(1, "no memory for %u packets\n", count);
	for (unsigned i = 0; i < count; i++)
		memcpy(rte_pktmbuf_mtod(mbufs[i], void *), packets[i], lengths[i]);
	save(argv[4]);
	answer(timed);
	return 0;
}
