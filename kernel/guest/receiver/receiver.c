// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * /proc/gso_receiver: hand frames to the kernel's GRO as drivers do that keep them otherwise than a
 * TAP device: in pages, without headers in front, with checksums that a network card looked at.
 *
 * A write is one poll of NAPI: a struct poll, then frames, each after a struct frame. They come to a
 * device of our own that is never registered, in the network namespace of who opened the file. The
 * answer can then be read from position 0: a struct answer, then what GRO made, each packet after a
 * struct packet. What goes up the stack is taken away before, so that /proc/sys/net/core/
 * gro_normal_batch has to be larger than all segments of a poll.
 * All numbers are in the machine's own byte order.
 */
#include <linux/etherdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/skbuff.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#include <net/dst_metadata.h>
#include <net/gro.h>
#include <net/net_namespace.h>
#include <net/pkt_cls.h>

#define MOST_FRAMES	64
#define LONGEST		65535
#define LARGEST_HEAD	2048		/* of a frame in a part of a page */

/* Of the device. */
#define LISTS		1		/* rx-gro-list */
#define UDP_FORWARDING	2		/* rx-udp-gro-forwarding */

/* Where a frame is. */
#define IN_HEAD		0		/* in memory of its own */
#define IN_PAGE		1		/* in a part of a page */
#define IN_PAGES	2		/* in pages, after what is in front of them */
#define IN_FRAGS	3		/* in pages, all of it (napi_gro_frags) */

/* What else a driver, or the stack below, noted of it. */
#define OF_TUNNEL	1		/* a tunnel it came through, by metadata */
#define OF_CHAIN	2		/* a chain of tc that it left off at */

struct poll {
	__u32 features;
	__u32 largest;		/* gro_max_size */
	__u32 largest_ipv4;	/* gro_ipv4_max_size */
	__u32 count;
} __packed;

struct frame {
	__u32 length;
	__u16 front;		/* bytes in front of pages */
	__u16 first;		/* bytes in the first page, if not all fit there; 0: as many as fit */
	__u16 csum_start;	/* of CHECKSUM_PARTIAL */
	__u16 csum_offset;
	__u8 place;
	__u8 summed;		/* ip_summed */
	__u8 level;		/* of CHECKSUM_UNNECESSARY: how many more checksums are right */
	__u8 noted;
} __packed;

struct answer {
	__u32 count;
} __packed;

struct packet {
	__u32 length;
	__u32 gso_size;
	__u32 gso_type;
	__u8 summed;
} __packed;

/* Of one open file: its device, and the answer to its last poll. */
struct exchange {
	struct mutex lock;
	struct net_device *device;
	struct net *net;
	struct napi_struct napi;
	struct metadata_dst *tunnel;
	void *answer;
	size_t size;
};

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define RECEIVED(napi)	((napi)->gro)
#define flush(napi)	gro_flush(&(napi)->gro, false)
#else
#define RECEIVED(napi)	(*(napi))
#define flush(napi)	napi_gro_flush(napi, false)
#endif

static int never_polled(struct napi_struct *napi, int budget)
{
	return 0;
}

static void equip(struct net_device *device, const struct poll *p)
{
	device->features = NETIF_F_GRO | NETIF_F_SG | NETIF_F_HIGHDMA;
	if (p->features & LISTS)
		device->features |= NETIF_F_GRO_FRAGLIST;
	if (p->features & UDP_FORWARDING)
		device->features |= NETIF_F_GRO_UDP_FWD;
	device->gro_max_size = p->largest;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	device->gro_ipv4_max_size = p->largest_ipv4;
#endif
}

/* Put data into pages behind what an sk_buff has. */
static int add_data(struct sk_buff *skb, const u8 *data, size_t length, size_t first)
{
	size_t size;
	struct page *page;
	int order;

	for (; length; data += size, length -= size, first = 0) {
		if (skb_shinfo(skb)->nr_frags == MAX_SKB_FRAGS)
			return -EMSGSIZE;
		size = first && first < length ? first : length;
		order = get_order(size);
		page = alloc_pages(GFP_ATOMIC | (order ? __GFP_COMP : 0), order);
		if (!page)
			return -ENOMEM;
		memcpy(page_address(page), data, size);
		skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page, 0, size, PAGE_SIZE << order);
	}
	return 0;
}

static struct sk_buff *in_page(const u8 *data, size_t length)
{
	size_t size = SKB_DATA_ALIGN(NET_SKB_PAD + length) +
		      SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	void *head = netdev_alloc_frag(size);
	struct sk_buff *skb;

	if (!head)
		return NULL;
	skb = build_skb(head, size);
	if (!skb) {
		skb_free_frag(head);
		return NULL;
	}
	skb_reserve(skb, NET_SKB_PAD);
	skb_put_data(skb, data, length);
	return skb;
}

static struct sk_buff *build(struct exchange *x, const struct frame *f, const u8 *data)
{
	size_t front = f->place == IN_PAGES ? f->front : f->place == IN_FRAGS ? 0 : f->length;
	struct sk_buff *skb;

	if (f->place == IN_PAGE) {
		skb = in_page(data, f->length);
		if (skb)
			skb->dev = x->device;
		return skb;
	}
	skb = f->place == IN_FRAGS ? napi_get_frags(&x->napi) : napi_alloc_skb(&x->napi, front);
	if (!skb)
		return NULL;
	skb_put_data(skb, data, front);
	if (!add_data(skb, data + front, f->length - front, f->first))
		return skb;
	if (f->place == IN_FRAGS)
		x->napi.skb = NULL;
	kfree_skb(skb);
	return NULL;
}

/* Note of a frame what a network card found out about its checksums. */
static void note_sums(struct sk_buff *skb, const struct frame *f)
{
	skb->ip_summed = f->summed;
	/* What napi_get_frags() gives a second time still has the level from before. */
	skb->csum_level = f->level;
	switch (f->summed) {
	case CHECKSUM_COMPLETE:
		skb->csum = skb_checksum(skb, ETH_HLEN, skb->len - ETH_HLEN, 0);
		break;
	case CHECKSUM_PARTIAL:
		skb->csum_start = skb_headroom(skb) + f->csum_start;
		skb->csum_offset = f->csum_offset;
		break;
	}
}

static int note_more(struct exchange *x, struct sk_buff *skb, u8 noted)
{
	if (noted & OF_TUNNEL) {
		dst_hold(&x->tunnel->dst);
		skb_dst_set(skb, &x->tunnel->dst);
	}
#if IS_ENABLED(CONFIG_NET_TC_SKB_EXT)
	if (noted & OF_CHAIN) {
		struct tc_skb_ext *ext = skb_ext_add(skb, TC_SKB_EXT);

		if (!ext)
			return -ENOMEM;
		memset(ext, 0, sizeof(*ext));
		ext->chain = 1;
	}
#endif
	return 0;
}

static int receive(struct exchange *x, const struct frame *f, const u8 *data)
{
	struct sk_buff *skb = build(x, f, data);

	if (!skb)
		return -ENOMEM;
	note_sums(skb, f);
	if (f->place == IN_FRAGS) {
		napi_gro_frags(&x->napi);
		return 0;
	}
	if (note_more(x, skb, f->noted)) {
		kfree_skb(skb);
		return -ENOMEM;
	}
	skb->protocol = eth_type_trans(skb, x->device);
	napi_gro_receive(&x->napi, skb);
	return 0;
}

static int check(const struct frame *f)
{
	if (f->length < ETH_HLEN || f->length > LONGEST)
		return -EMSGSIZE;
	if (f->place > IN_FRAGS || f->summed > CHECKSUM_PARTIAL || f->level > SKB_MAX_CSUM_LEVEL)
		return -EINVAL;
	if (f->noted & ~(OF_TUNNEL | OF_CHAIN))
		return -EINVAL;
	if (f->place == IN_PAGE && f->length > LARGEST_HEAD)
		return -EMSGSIZE;
	if (f->place == IN_PAGES && (f->front < ETH_HLEN || f->front >= f->length))
		return -ERANGE;
	/* Of the first page the kernel copies headers to the front, as far as there is room. */
	if (f->place == IN_FRAGS && f->first && f->first < ETH_HLEN)
		return -ERANGE;
	if (f->summed == CHECKSUM_PARTIAL &&
	    (size_t)f->csum_start + f->csum_offset + sizeof(__sum16) > f->length)
		return -ERANGE;
	return 0;
}

/* Let GRO have all frames, in one poll, and take what it makes of them. */
static int poll_once(struct exchange *x, const struct poll *p, const u8 *from, size_t size,
		     struct list_head *made)
{
	struct frame f;
	int error = 0;
	u32 i;

	equip(x->device, p);
	local_bh_disable();
	for (i = 0; i < p->count && !error; i++) {
		error = -EMSGSIZE;
		if (size < sizeof(f))
			break;
		memcpy(&f, from, sizeof(f));
		from += sizeof(f);
		size -= sizeof(f);
		if (f.length > size)
			break;
		error = check(&f) ?: receive(x, &f, from);
		from += f.length;
		size -= f.length;
	}
	flush(&x->napi);
	list_splice_tail_init(&RECEIVED(&x->napi).rx_list, made);
	RECEIVED(&x->napi).rx_count = 0;
	local_bh_enable();
	return error ?: (size ? -EMSGSIZE : 0);
}

/* Replace the file's answer. */
static int keep(struct exchange *x, struct list_head *made)
{
	struct answer head = {};
	struct sk_buff *skb;
	size_t size = sizeof(head);
	int error = 0;
	void *at;

	list_for_each_entry(skb, made, list) {
		skb_push(skb, skb->data - skb_mac_header(skb));
		head.count++;
		size += sizeof(struct packet) + skb->len;
	}
	kvfree(x->answer);
	x->size = 0;
	x->answer = at = kvmalloc(size, GFP_KERNEL);
	if (!at)
		return -ENOMEM;
	x->size = size;
	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	list_for_each_entry(skb, made, list) {
		*(struct packet *)at = (struct packet){
			.length = skb->len,
			.gso_size = skb_shinfo(skb)->gso_size,
			.gso_type = skb_shinfo(skb)->gso_type,
			.summed = skb->ip_summed,
		};
		at += sizeof(struct packet);
		error = error ?: skb_copy_bits(skb, 0, at, skb->len);
		at += skb->len;
	}
	return error;
}

static ssize_t receiver_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct exchange *x = file->private_data;
	struct sk_buff *skb, *next;
	struct poll p;
	LIST_HEAD(made);
	void *data;
	int error;

	if (size < sizeof(p) || size > sizeof(p) + MOST_FRAMES * (sizeof(struct frame) + LONGEST))
		return -EMSGSIZE;
	data = vmemdup_user(from, size);
	if (IS_ERR(data))
		return PTR_ERR(data);
	memcpy(&p, data, sizeof(p));
	error = p.count > MOST_FRAMES || p.features & ~(LISTS | UDP_FORWARDING) ? -EINVAL : 0;
	mutex_lock(&x->lock);
	if (!error)
		error = poll_once(x, &p, data + sizeof(p), size - sizeof(p), &made);
	if (!error)
		error = keep(x, &made);
	mutex_unlock(&x->lock);
	list_for_each_entry_safe(skb, next, &made, list) {
		skb_list_del_init(skb);
		kfree_skb(skb);
	}
	kvfree(data);
	return error ?: size;
}

static ssize_t receiver_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	struct exchange *x = file->private_data;
	ssize_t given;

	mutex_lock(&x->lock);
	given = simple_read_from_buffer(to, size, at, x->answer, x->size);
	mutex_unlock(&x->lock);
	return given;
}

static int receiver_open(struct inode *inode, struct file *file)
{
	struct exchange *x = kzalloc(sizeof(*x), GFP_KERNEL);

	if (!x)
		return -ENOMEM;
	mutex_init(&x->lock);
	x->tunnel = metadata_dst_alloc(0, METADATA_HW_PORT_MUX, GFP_KERNEL);
	x->device = alloc_etherdev(0);
	if (!x->tunnel || !x->device) {
		if (x->tunnel)
			dst_release(&x->tunnel->dst);
		if (x->device)
			free_netdev(x->device);
		kfree(x);
		return -ENOMEM;
	}
	x->net = get_net(current->nsproxy->net_ns);
	dev_net_set(x->device, x->net);
	netif_napi_add(x->device, &x->napi, never_polled);
	file->private_data = x;
	return 0;
}

static int receiver_release(struct inode *inode, struct file *file)
{
	struct exchange *x = file->private_data;

	netif_napi_del(&x->napi);
	synchronize_net();
	free_netdev(x->device);
	put_net(x->net);
	dst_release(&x->tunnel->dst);
	kvfree(x->answer);
	kfree(x);
	return 0;
}

static const struct proc_ops file_operations = {
	.proc_open = receiver_open,
	.proc_read = receiver_read,
	.proc_write = receiver_write,
	.proc_release = receiver_release,
};

static int __init begin(void)
{
	return proc_create("gso_receiver", 0600, NULL, &file_operations) ? 0 : -ENOMEM;
}

static void __exit end(void)
{
	remove_proc_entry("gso_receiver", NULL);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Hands frames to GRO as drivers do");
MODULE_LICENSE("Dual MIT/GPL");
