// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * /proc/gso_segmenter: hand the kernel's software GSO a packet with any metadata.
 *
 * A write is one request: a struct request, then a frame, then the frames of its frag_list, or with
 * GSO_BY_FRAGS what follows its headers, each after a struct listed. Of it an sk_buff is made, on a
 * device of our own that is never registered, and it goes the way that validate_xmit_skb() would
 * take it. The answer can then be read from position 0: a struct answer, then each segment after a
 * struct segment. What the kernel refuses is in the answer; a write fails if no such packet can be
 * made.
 * All numbers are in the machine's own byte order.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/proc_fs.h>
#include <linux/skbuff.h>
#include <linux/uaccess.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
#include <net/gso.h>
#endif

#define MOST_BYTES	(1 << 19)	/* of a frame */
#define MOST_SEGMENTS	4096
#define HEADROOM	256		/* for the fragment header of UFO over IPv6, and more */
#define LARGEST_HEAD	2048		/* in a part of a page */

/* What the device can do, by names that stay while the kernel's bits move. */
#define HAS_SG		1
#define HAS_HW_CSUM	2
#define HAS_GSO_PARTIAL	4
#define HAS_SCTP_CRC	8
#define HAS_GSO		16		/* takes super-packets whole */
#define HAS_FRAGLIST	32		/* and those with a frag_list */
#define HAS_ALL		63

/* How the packet is kept. */
#define HELD		1		/* another holds it too, as a packet socket that listens */
#define SHARED_PAGES	2		/* user space can still change its pages, as after sendfile() */
#define LISTED_HELD	4		/* others hold the frames of its frag_list, too */
#define LISTED_PAGES	8		/* which have their data in pages, but for the headers */
#define HEAD_FRAG	16		/* heads of its frag_list are parts of pages */
#define KEPT_ALL	31

/* No driver takes these in pieces, and UFO's fragments are none that a device could finish. */
#define NEVER_PARTIAL	(NETIF_F_GSO_TUNNEL_REMCSUM | NETIF_F_GSO_UDP | NETIF_F_GSO_PARTIAL | \
			 NETIF_F_GSO_ROBUST)

/* Offsets count from the first byte of the frame, but for csum_offset. */
struct request {
	__u32 gso_type;
	__u16 gso_size;
	__u16 network_header;
	__u16 transport_header;
	__u16 inner_mac_header;
	__u16 inner_network_header;
	__u16 inner_transport_header;
	__u16 csum_start;
	__u16 csum_offset;
	__u16 inner_protocol;	/* an Ethernet type, or with by_ipproto an IP protocol */
	__u8 by_ipproto;
	__u8 encapsulation;
	__u8 partial;		/* CHECKSUM_PARTIAL */
	__u8 device;
	__u16 listed;		/* frames of the frag_list; whole ones have checksums of their own */
	__u32 length;		/* of the frame */
	__u32 linear;		/* bytes of it before those in pages; 0: none is in a page */
	__u32 member;		/* not 0: after those come sk_buffs of a frag_list, with so many each */
	__u32 start;		/* of which so many are not in a page */
	__u32 time_key;		/* not 0: the time of sending of this byte of TCP is asked for */
	__u8 kept;
	__u8 padding[3];
} __packed;

/* A frame of the frag_list: GRO keeps its headers in front of the data. */
struct listed {
	__u32 length;
	__u16 network_header;
	__u16 transport_header;
	__u16 start;		/* of the data */
} __packed;

struct answer {
	__s32 error;		/* what the kernel returned, 0 if there are segments */
	__u32 count;
} __packed;

struct segment {
	__u32 length;
	__u16 gso_size;		/* not 0: a device is to go on with it */
	__u16 csum_start;
	__u16 csum_offset;
	__u8 partial;
	__u8 padding;
} __packed;

/* Of one open file: the answer to its last request. */
struct exchange {
	struct mutex lock;
	void *answer;
	size_t size;
};

static struct net_device *device;
static DEFINE_MUTEX(one_by_one);

static const struct net_device_ops operations = {
	.ndo_features_check = passthru_features_check,
};

static void equip(u8 has)
{
	netdev_features_t features = 0, pieces = NETIF_F_GSO_MASK & ~NEVER_PARTIAL;

	if (has & HAS_SG)
		features |= NETIF_F_SG | NETIF_F_HIGHDMA;
	if (has & HAS_HW_CSUM)
		features |= NETIF_F_HW_CSUM;
	if (has & HAS_GSO_PARTIAL)
		features |= NETIF_F_GSO_PARTIAL | pieces;
	if (has & HAS_SCTP_CRC)
		features |= NETIF_F_SCTP_CRC;
	if (has & HAS_GSO)
		features |= pieces;
	if (has & HAS_FRAGLIST)
		features |= NETIF_F_FRAGLIST;
	device->features = features;
	device->hw_enc_features = features;
	device->vlan_features = features;
	device->mpls_features = features;
	device->gso_partial_features = has & HAS_GSO_PARTIAL ? pieces : 0;
}

static bool by_frags(const struct request *r)
{
	return r->gso_size == GSO_BY_FRAGS;
}

static int check(const struct request *r, size_t length)
{
	if (length < ETH_HLEN || length > MOST_BYTES)
		return -EMSGSIZE;
	if (r->device & ~HAS_ALL || r->partial > 1 || r->encapsulation > 1 || r->by_ipproto > 1)
		return -EINVAL;
	/* With these the kernel takes a frag_list for granted, and cuts nothing but SCTP by it. */
	if ((by_frags(r) || r->gso_type & SKB_GSO_FRAGLIST) && !r->listed)
		return -EINVAL;
	if (by_frags(r) && !(r->gso_type & SKB_GSO_SCTP))
		return -EINVAL;
	if (r->gso_size && length / r->gso_size > MOST_SEGMENTS)
		return -E2BIG;
	if (r->network_header < ETH_HLEN || r->network_header > length ||
	    r->transport_header > length || r->inner_mac_header > length ||
	    r->inner_network_header > length || r->inner_transport_header > length)
		return -ERANGE;
	if (r->kept & ~KEPT_ALL)
		return -EINVAL;
	/* Only SCTP's are given whole: what takes others apart the kernel would stop at. */
	if (r->device & HAS_FRAGLIST && (r->device & HAS_GSO_PARTIAL || !by_frags(r)))
		return -EINVAL;
	if (r->kept & (LISTED_HELD | LISTED_PAGES) && !(r->gso_type & SKB_GSO_FRAGLIST))
		return -EINVAL;
	if (r->linear && (r->linear < ETH_HLEN || r->linear >= length))
		return -ERANGE;
	if (r->listed && (r->member || (r->linear && !(r->kept & LISTED_PAGES))))
		return -EINVAL;
	if (r->member && (!r->linear || r->start > r->member || length / r->member > MOST_SEGMENTS))
		return -ERANGE;
	if (r->kept & HEAD_FRAG && r->start > LARGEST_HEAD)
		return -ERANGE;
	if ((size_t)r->csum_start + r->csum_offset + sizeof(__sum16) > length)
		return -ERANGE;
	/* Offsets in an sk_buff count from its head, in 16 bits. */
	if (max3(r->transport_header, r->inner_transport_header, r->csum_start) >=
	    U16_MAX - HEADROOM - NET_SKB_PAD)
		return -ERANGE;
	return 0;
}

/* An sk_buff with the data, as a socket leaves one: so many bytes first, and the rest in pages. */
static struct sk_buff *build_paged(size_t linear, const void *data, size_t length)
{
	int order = length - linear > MAX_SKB_FRAGS * PAGE_SIZE ? PAGE_ALLOC_COSTLY_ORDER : 0;
	struct sk_buff *skb;
	int error;

	skb = alloc_skb_with_frags(HEADROOM + linear, length - linear, order, &error, GFP_KERNEL);
	if (!skb)
		return ERR_PTR(error);
	skb_reserve(skb, HEADROOM);
	skb_put(skb, linear);
	skb->data_len = length - linear;
	skb->len += skb->data_len;
	error = skb_store_bits(skb, 0, data, length);
	if (error) {
		kfree_skb(skb);
		return ERR_PTR(error);
	}
	return skb;
}

/* One of which the first bytes are in a part of a page, as drivers leave what they receive. */
static struct sk_buff *build_in_page(size_t linear, const void *data, size_t length)
{
	size_t size = SKB_DATA_ALIGN(NET_SKB_PAD + linear) +
		      SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct sk_buff *skb, *pages;
	void *head;

	head = netdev_alloc_frag(size);
	if (!head)
		return ERR_PTR(-ENOMEM);
	skb = build_skb(head, size);
	if (!skb) {
		skb_free_frag(head);
		return ERR_PTR(-ENOMEM);
	}
	skb_reserve(skb, NET_SKB_PAD);
	skb_put_data(skb, data, linear);
	if (length == linear)
		return skb;
	pages = build_paged(0, data + linear, length - linear);
	if (IS_ERR(pages)) {
		kfree_skb(skb);
		return pages;
	}
	/* Its pages go over to the other. */
	memcpy(skb_shinfo(skb)->frags, skb_shinfo(pages)->frags,
	       skb_shinfo(pages)->nr_frags * sizeof(skb_frag_t));
	skb_shinfo(skb)->nr_frags = skb_shinfo(pages)->nr_frags;
	skb_shinfo(pages)->nr_frags = 0;
	skb->data_len = pages->data_len;
	skb->len += skb->data_len;
	skb->truesize += skb->data_len;
	pages->len -= pages->data_len;
	pages->data_len = 0;
	kfree_skb(pages);
	return skb;
}

static void hang_on(struct sk_buff *skb, struct sk_buff ***end, struct sk_buff *one)
{
	**end = one;
	*end = &one->next;
	skb->len += one->len;
	skb->data_len += one->len;
	skb->truesize += one->truesize;
}

/* What GRO merges where an sk_buff has no room for more pages: a frag_list with the data alone. */
static struct sk_buff *build_with_members(const struct request *r, const void *data, size_t length)
{
	struct sk_buff *skb = build_paged(r->linear, data, r->linear), **end, *one;
	size_t at, size, start;

	if (IS_ERR(skb))
		return skb;
	end = &skb_shinfo(skb)->frag_list;
	for (at = r->linear; at < length; at += size) {
		size = min_t(size_t, r->member, length - at);
		start = min_t(size_t, r->start, size);
		one = r->kept & HEAD_FRAG && start ? build_in_page(start, data + at, size) :
						     build_paged(start, data + at, size);
		if (IS_ERR(one)) {
			kfree_skb(skb);
			return one;
		}
		one->dev = device;
		hang_on(skb, &end, one);
	}
	return skb;
}

static struct sk_buff *build_linear(const char __user *frame, size_t length)
{
	struct sk_buff *skb = alloc_skb(HEADROOM + length, GFP_KERNEL);

	if (!skb)
		return ERR_PTR(-ENOMEM);
	skb_reserve(skb, HEADROOM);
	if (copy_from_user(skb_put(skb, length), frame, length)) {
		kfree_skb(skb);
		return ERR_PTR(-EFAULT);
	}
	return skb;
}

static struct sk_buff *build_data(const struct request *r, const char __user *frame, size_t length)
{
	struct sk_buff *skb;
	void *data;

	if (!r->linear)
		return build_linear(frame, length);
	data = vmemdup_user(frame, length);
	if (IS_ERR(data))
		return ERR_CAST(data);
	skb = r->member ? build_with_members(r, data, length) :
			  build_paged(r->linear, data, length);
	kvfree(data);
	return skb;
}

static struct sk_buff *build(const struct request *r, const char __user *frame, size_t length)
{
	struct sk_buff *skb = build_data(r, frame, length);

	if (IS_ERR(skb))
		return skb;
	skb->dev = device;
	skb_reset_mac_header(skb);
	skb->protocol = eth_hdr(skb)->h_proto;
	skb->mac_len = r->network_header;
	skb_set_network_header(skb, r->network_header);
	skb_set_transport_header(skb, r->transport_header);
	skb_set_inner_mac_header(skb, r->inner_mac_header);
	skb_set_inner_network_header(skb, r->inner_network_header);
	skb_set_inner_transport_header(skb, r->inner_transport_header);
	if (r->by_ipproto)
		skb_set_inner_ipproto(skb, r->inner_protocol);
	else
		skb_set_inner_protocol(skb, htons(r->inner_protocol));
	skb->encapsulation = r->encapsulation;
	skb->ip_summed = r->partial ? CHECKSUM_PARTIAL : CHECKSUM_NONE;
	skb->csum_start = skb_headroom(skb) + r->csum_start;
	skb->csum_offset = r->csum_offset;
	skb->csum_not_inet = by_frags(r) && r->partial;
	skb_shinfo(skb)->gso_size = r->gso_size;
	skb_shinfo(skb)->gso_type = r->gso_type;
	if (r->time_key) {
		skb_shinfo(skb)->tx_flags |= SKBTX_SW_TSTAMP;
		skb_shinfo(skb)->tskey = r->time_key;
	}
	if (r->kept & SHARED_PAGES)
		skb_shinfo(skb)->flags |= SKBFL_SHARED_FRAG;
	if (r->gso_size)
		skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(length, r->gso_size);
	return skb;
}

static struct sk_buff *build_listed(const struct request *r, const struct listed *l,
				    const char __user *frame)
{
	struct sk_buff *skb;
	void *data;

	if (r->kept & LISTED_PAGES) {
		data = vmemdup_user(frame, l->length);
		if (IS_ERR(data))
			return ERR_CAST(data);
		skb = build_paged(l->start, data, l->length);
		kvfree(data);
	} else {
		skb = build_linear(frame, l->length);
	}
	if (IS_ERR(skb))
		return skb;
	skb->dev = device;
	skb_reset_mac_header(skb);
	skb_set_network_header(skb, l->network_header);
	skb_set_transport_header(skb, l->transport_header);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb_pull(skb, l->start);
	return skb;
}

/* Append frames as skb_gro_receive_list() does, or chunks as sctp_packet_gso_append(). */
static int append(struct sk_buff *skb, const struct request *r, const char __user *from, size_t size)
{
	struct sk_buff **next = &skb_shinfo(skb)->frag_list, *one;
	struct listed l;
	int i;

	for (i = 0; i < r->listed; i++) {
		if (size < sizeof(l) || copy_from_user(&l, from, sizeof(l)))
			return -EFAULT;
		from += sizeof(l);
		size -= sizeof(l);
		if (l.length > size || l.length > MOST_BYTES || l.start > l.length ||
		    l.network_header > l.start || l.transport_header > l.start)
			return -ERANGE;
		/* skb_segment() would make empty segments for ever. */
		if (by_frags(r) && l.length == l.start)
			return -ERANGE;
		one = build_listed(r, &l, from);
		if (IS_ERR(one))
			return PTR_ERR(one);
		hang_on(skb, &next, one);
		from += l.length;
		size -= l.length;
	}
	if (by_frags(r)) {
		skb_shinfo(skb)->gso_segs = r->listed;
	} else if (r->listed) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		skb_shinfo(skb)->gso_segs = r->listed + 1;
	}
	return size ? -EMSGSIZE : 0;
}

/* The part of validate_xmit_skb() between the VLAN tag, which is in the frame here, and IPsec. */
static struct sk_buff *validate(struct sk_buff *skb)
{
	netdev_features_t features = netif_skb_features(skb);
	struct sk_buff *segments;
	int error;

	if (netif_needs_gso(skb, features)) {
		segments = skb_gso_segment(skb, features);
		if (IS_ERR(segments))
			kfree_skb(skb);
		else if (segments)
			consume_skb(skb);
		return segments ?: skb;
	}
	if (skb->ip_summed != CHECKSUM_PARTIAL)
		return skb;
	if (skb->encapsulation)
		skb_set_inner_transport_header(skb, skb_checksum_start_offset(skb));
	else
		skb_set_transport_header(skb, skb_checksum_start_offset(skb));
	error = skb_csum_hwoffload_help(skb, features);
	if (error) {
		kfree_skb(skb);
		return ERR_PTR(error);
	}
	return skb;
}

static void describe(struct segment *to, const struct sk_buff *skb)
{
	*to = (struct segment){
		.length = skb->len,
		.gso_size = skb_shinfo(skb)->gso_size,
		.partial = skb->ip_summed == CHECKSUM_PARTIAL,
	};
	if (to->partial) {
		to->csum_start = skb_checksum_start_offset(skb);
		to->csum_offset = skb->csum_offset;
	}
}

/* Replace the file's answer. The segments are freed. */
static int keep(struct exchange *x, struct sk_buff *segments)
{
	struct answer head = {};
	struct sk_buff *skb;
	size_t size = sizeof(head);
	int error = 0;
	void *at;

	if (IS_ERR(segments)) {
		head.error = PTR_ERR(segments);
		segments = NULL;
	}
	for (skb = segments; skb; skb = skb->next) {
		head.count++;
		size += sizeof(struct segment) + skb->len;
	}
	kvfree(x->answer);
	x->size = 0;
	x->answer = at = kvmalloc(size, GFP_KERNEL);
	if (!at) {
		kfree_skb_list(segments);
		return -ENOMEM;
	}
	x->size = size;
	memcpy(at, &head, sizeof(head));
	at += sizeof(head);
	for (skb = segments; skb && !error; skb = skb->next) {
		describe(at, skb);
		at += sizeof(struct segment);
		error = skb_copy_bits(skb, 0, at, skb->len);
		at += skb->len;
	}
	kfree_skb_list(segments);
	return error;
}

/* What others hold: a clone of the packet, and frames of its frag_list. */
struct others {
	struct sk_buff *clone;
	struct sk_buff **listed;
	unsigned int count;
};

static void let_go(struct others *o)
{
	while (o->count)
		kfree_skb(o->listed[--o->count]);
	kfree(o->listed);
	kfree_skb(o->clone);
}

static int hold(struct others *o, struct sk_buff *skb, u8 kept)
{
	struct sk_buff *one;
	unsigned int n = 0;

	if (kept & LISTED_HELD) {
		skb_walk_frags(skb, one)
			n++;
		o->listed = kcalloc(n, sizeof(*o->listed), GFP_KERNEL);
		if (!o->listed)
			return -ENOMEM;
		skb_walk_frags(skb, one)
			o->listed[o->count++] = skb_get(one);
	}
	if (!(kept & HELD))
		return 0;
	o->clone = skb_clone(skb, GFP_KERNEL);
	if (o->clone)
		return 0;
	let_go(o);
	return -ENOMEM;
}

static ssize_t segmenter_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	struct exchange *x = file->private_data;
	struct others others = {};
	struct sk_buff *skb;
	struct request r;
	int error;

	if (size < sizeof(r))
		return -EMSGSIZE;
	if (copy_from_user(&r, from, sizeof(r)))
		return -EFAULT;
	if (r.length > size - sizeof(r))
		return -EMSGSIZE;
	error = check(&r, r.length);
	if (error)
		return error;
	skb = build(&r, from + sizeof(r), r.length);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	error = append(skb, &r, from + sizeof(r) + r.length, size - sizeof(r) - r.length);
	if (error) {
		kfree_skb(skb);
		return error;
	}
	error = hold(&others, skb, r.kept);
	if (error) {
		kfree_skb(skb);
		return error;
	}
	mutex_lock(&one_by_one);
	equip(r.device);
	local_bh_disable();
	skb = validate(skb);
	local_bh_enable();
	mutex_unlock(&one_by_one);
	mutex_lock(&x->lock);
	error = keep(x, skb);
	mutex_unlock(&x->lock);
	let_go(&others);
	return error ?: size;
}

static ssize_t segmenter_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	struct exchange *x = file->private_data;
	ssize_t given;

	mutex_lock(&x->lock);
	given = simple_read_from_buffer(to, size, at, x->answer, x->size);
	mutex_unlock(&x->lock);
	return given;
}

static int segmenter_open(struct inode *inode, struct file *file)
{
	struct exchange *x = kzalloc(sizeof(*x), GFP_KERNEL);

	if (!x)
		return -ENOMEM;
	mutex_init(&x->lock);
	file->private_data = x;
	return 0;
}

static int segmenter_release(struct inode *inode, struct file *file)
{
	struct exchange *x = file->private_data;

	kvfree(x->answer);
	kfree(x);
	return 0;
}

static const struct proc_ops file_operations = {
	.proc_open = segmenter_open,
	.proc_read = segmenter_read,
	.proc_write = segmenter_write,
	.proc_release = segmenter_release,
};

static int __init begin(void)
{
	device = alloc_netdev(0, "gso%d", NET_NAME_UNKNOWN, ether_setup);
	if (!device)
		return -ENOMEM;
	device->netdev_ops = &operations;
	/* Nothing is too large, or has too many segments, to be taken in pieces. */
	device->gso_max_segs = U16_MAX;
	device->gso_max_size = 2 * MOST_BYTES;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	device->gso_ipv4_max_size = 2 * MOST_BYTES;
#endif
	if (!proc_create("gso_segmenter", 0600, NULL, &file_operations)) {
		free_netdev(device);
		return -ENOMEM;
	}
	return 0;
}

static void __exit end(void)
{
	remove_proc_entry("gso_segmenter", NULL);
	free_netdev(device);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Segments packets with any metadata as validate_xmit_skb does");
MODULE_LICENSE("Dual MIT/GPL");
