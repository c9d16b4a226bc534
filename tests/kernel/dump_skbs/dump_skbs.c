// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Print every packet that meets the UDP tunnels' segmenter into the kernel's log, with skb_dump()
 * and the call chain, as the kernel does for packets that it cannot make sense of.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/ptrace.h>
#include <linux/skbuff.h>

static bool full;
module_param(full, bool, 0644);
MODULE_PARM_DESC(full, "all bytes of each packet, not the first ones only");

/* The kernel's log is a ring: what does not fit pushes out the first packets. */
static int left;
module_param(left, int, 0644);
MODULE_PARM_DESC(left, "how many packets to print from now on");

static int segmenting(struct kprobe *probe, struct pt_regs *regs)
{
	const struct sk_buff *skb = (void *)regs_get_kernel_argument(regs, 0);

	if (left > 0) {
		left--;
		skb_dump(KERN_ERR, skb, full);
		dump_stack();
	}
	return 0;
}

static struct kprobe probe = {
	.symbol_name = "skb_udp_tunnel_segment",
	.pre_handler = segmenting,
};

static int __init begin(void)
{
	return register_kprobe(&probe);
}

static void __exit end(void)
{
	unregister_kprobe(&probe);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("Prints packets before the UDP tunnels' segmenter takes them");
MODULE_LICENSE("Dual MIT/GPL");
