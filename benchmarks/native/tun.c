/*
 * The running kernel's software segmentation: a super-packet goes into one TUN device, is routed, and
 * comes out of another that takes no offloads. Runs in a network namespace of its own.
 *
 * usage: tun IN OUT PACKET GSO_TYPE GSO_SIZE HEADERS CSUM_START SEGMENTS_OUT
 *
 * PACKET is an IP packet; GSO_TYPE a virtio one. Writes what came out to SEGMENTS_OUT, each with its
 * length in front (32 bits, native), then answers rounds. Modes: "segmented"; "whole", where OUT takes
 * the super-packet as it is. Only write() is timed: the kernel does all work of a packet in it.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "rounds.h"

static uint8_t packet[65536 + sizeof(struct virtio_net_hdr)], got[sizeof(packet)];
static size_t size;
static int in, out;

static int attach(const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

	strncpy(request.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
		perror(name);
		exit(1);
	}
	return fd;
}

static void offloads(unsigned flags)
{
	if (ioctl(out, TUNSETOFFLOAD, flags) < 0) {
		perror("TUNSETOFFLOAD");
		exit(1);
	}
}

/* Read all that came out; write it to `file`, if any. */
static int drain(FILE *file)
{
	int n = 0;
	ssize_t length;

	while ((length = read(out, got, sizeof(got))) > 0) {
		uint32_t payload = length - sizeof(struct virtio_net_hdr);

		if (file) {
			fwrite(&payload, 4, 1, file);
			fwrite(got + sizeof(struct virtio_net_hdr), 1, payload, file);
		}
		n++;
	}
	return n;
}

static double timed(const char *mode, long repeats)
{
	double total = 0;

	offloads(strcmp(mode, "whole") ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
	for (long i = 0; i < repeats; i++) {
		double start = now();

		if (write(in, packet, size) != (ssize_t)size) {
			perror("write");
			exit(1);
		}
		total += now() - start;
		drain(NULL);
	}
	return total;
}

int main(int argc, char **argv)
{
	struct virtio_net_hdr *header = (void *)packet;
	struct pollfd ready;
	FILE *file;

	if (argc != 9)
		return 2;
	in = attach(argv[1]);
	out = attach(argv[2]);
	file = fopen(argv[3], "rb");
	size = sizeof(*header) + fread(packet + sizeof(*header), 1, 65536, file);
	fclose(file);
	header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->gso_type = atoi(argv[4]);
	header->gso_size = atoi(argv[5]);
	header->hdr_len = atoi(argv[6]);
	header->csum_start = atoi(argv[7]);
	header->csum_offset = 16;
	offloads(0);
	file = fopen(argv[8], "wb");
	ready = (struct pollfd){.fd = out, .events = POLLIN};
	/* Whatever the devices themselves say when they come up is not ours */
	usleep(200000);
	drain(NULL);
	if (write(in, packet, size) < 0)
		perror("write");
	poll(&ready, 1, 1000);
	drain(file);
	fclose(file);
	answer(timed);
	return 0;
}
