/*
 * The running kernel's GRO: segments go into one TUN device that hands them to it, are merged, routed,
 * and leave as super-packets at another that takes them whole. Runs in a network namespace of its own.
 *
 * usage: tun_gro IN OUT PACKETS MERGED_OUT
 *
 * PACKETS and MERGED_OUT have IP packets, each with its length in front (32 bits, native). Writes what
 * the packets became to MERGED_OUT, then answers rounds of all packets (mode "merged"; "apart", without
 * GRO). Only write() is timed: the kernel does all work of a packet in it. It holds what it merges until
 * a packet comes that does not go on, as the first of the next round, or until the device's
 * gro_flush_timeout ends.
 */
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"

#define MAX_PACKETS 128
#define ROOM 2048

static uint8_t packets[MAX_PACKETS][ROOM], got[65536 + sizeof(struct virtio_net_hdr)];
static unsigned lengths[MAX_PACKETS], count;
static int in, out;
static struct ifreq in_device;

static void need(int result, const char *what)
{
	if (result < 0) {
		perror(what);
		exit(1);
	}
}

static int attach(const char *name, int flags, struct ifreq *device)
{
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	need(fd, "/dev/net/tun");
	strncpy(device->ifr_name, name, IFNAMSIZ - 1);
	device->ifr_flags = IFF_TUN | IFF_NO_PI | flags;
	need(ioctl(fd, TUNSETIFF, device), name);
	return fd;
}

static void merge(int on)
{
	struct ethtool_value feature = {.cmd = ETHTOOL_SGRO, .data = on};
	int any = socket(AF_INET, SOCK_DGRAM, 0);

	in_device.ifr_data = (void *)&feature;
	need(ioctl(any, SIOCETHTOOL, &in_device), "ETHTOOL_SGRO");
	close(any);
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

static void send_all(void)
{
	for (unsigned i = 0; i < count; i++)
		if (write(in, packets[i], lengths[i]) != (ssize_t)lengths[i]) {
			perror("write");
			exit(1);
		}
}

/* Read all that came out; write it to `file`, if any. */
static void drain(FILE *file)
{
	ssize_t length;

	while ((length = read(out, got, sizeof(got))) > 0) {
		uint32_t payload = length - sizeof(struct virtio_net_hdr);

		if (file) {
			fwrite(&payload, 4, 1, file);
			fwrite(got + sizeof(struct virtio_net_hdr), 1, payload, file);
		}
	}
}

static double timed(const char *mode, long repeats)
{
	double total = 0;

	merge(!strcmp(mode, "merged"));
	for (long i = 0; i < repeats; i++) {
		double start = now();

		send_all();
		total += now() - start;
		drain(NULL);
	}
	return total;
}

int main(int argc, char **argv)
{
	struct ifreq out_device = {0};
	struct pollfd ready;
	FILE *file;

	if (argc != 5)
		return 2;
	in = attach(argv[1], IFF_NAPI, &in_device);
	out = attach(argv[2], IFF_VNET_HDR, &out_device);
	need(ioctl(out, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), "TUNSETOFFLOAD");
	read_packets(argv[3]);
	file = fopen(argv[4], "wb");
	ready = (struct pollfd){.fd = out, .events = POLLIN};
	/* Whatever the devices themselves say when they come up is not ours */
	usleep(200000);
	drain(NULL);
	send_all();
	poll(&ready, 1, 1000);
	drain(file);
	fclose(file);
	answer(timed);
	return 0;
}
