"""What the kernel's log says of packets: each sentence, and each crash in a segmenter."""

from __future__ import annotations

import io

import pytest

import gso

UNDER = (
    "skb_under_panic: text:ffffffffc05d2a13 len:98 put:14 head:ffff8b0f4a5e8c00 "
    "data:ffff8b0f4a5e8bf6 tail:0x58 end:0x180 dev:gre0"
)
OVER = (
    "skb_over_panic: text:ffffffff814f2cc6 len:114 put:114 head:ffff880042fef200 "
    "data:ffff880042fef282 tail:0xf4 end:0xc0 dev:<NULL>"
)
BUG_AFTER_PANIC = """\
[  101.000001] ------------[ cut here ]------------
[  101.000002] kernel BUG at net/core/skbuff.c:108!
[  101.000003] invalid opcode: 0000 [#1] SMP NOPTI
[  101.000004] RIP: 0010:skb_panic+0x48/0x4a
[  101.000005] Code: 4f 70 50
[  101.000006] Call Trace:
[  101.000007]  skb_push.cold+0x10/0x10
[  101.000008]  ip_tunnel_xmit+0x1a3/0xbd0 [ip_tunnel]
[  101.000009]  ? ipgre_xmit+0x1/0x2 [ip_gre]
[  101.000010] Modules linked in: ip_gre
[  101.000011] ---[ end trace 0123456789abcdef ]---
[  101.000012] RIP: 0010:skb_panic+0x48/0x4a
"""
BUG = """\
[  201.000000] ------------[ cut here ]------------
[  201.000001] kernel BUG at net/core/skbuff.c:4219!
[  201.000002] Oops: invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[  201.000003] CPU: 13 UID: 0 PID: 0 Comm: swapper/13 Kdump: loaded Tainted: G E 6.12.0 #1
[  201.000004] RIP: 0010:skb_segment+0xbc8/0xe00
[  201.000006] Call Trace:
[  201.000007]  <IRQ>
[  201.000008]  tcp_gso_segment+0xf0/0x4b0
[  201.000009]  ip_vs_tunnel_xmit+0x15b/0x3d0 [ip_vs]
[  201.000010]  </IRQ>
[  201.000011] ---[ end trace 0000000000000000 ]---
[  201.000012] RIP: 0010:skb_segment+0xbc8/0xe00
"""
FAULT_OF_OLD = """\
BUG: unable to handle kernel NULL pointer dereference at 00000000000000a8
IP: [<ffffffff8162b9d1>] skb_udp_tunnel_segment+0x1c1/0x4d0
PGD 0
Oops: 0000 [#1] SMP
RIP: 0010:[<ffffffff8162b9d1>]  [<ffffffff8162b9d1>] skb_udp_tunnel_segment+0x1c1/0x4d0
Call Trace:
 [<ffffffff8163>] udp4_ufo_fragment+0x8d/0x160
"""
ARM64 = """\
[  308.5] Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010
[  308.6] Internal error: Oops: 0000000096000004 [#1] SMP
[  308.7] pc : skb_segment_list+0x1c/0xa00
[  308.8] lr : udp4_ufo_fragment+0x1c/0xa00
[  308.9] Call trace:
[  308.9]  skb_segment_list+0x1c/0xa00
[  308.9]  __udp_gso_segment+0x2c/0xa00
[  308.9] Code: f9400000
[  308.9]  not_part_of_it+0x1/0x2
"""
DECODED = """\
[   10.1] Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP
[   10.2] RIP: 0010:memcpy (arch/x86/lib/memcpy_64.S:39)
[   10.3] Call Trace:
[   10.4]  <TASK>
[   10.5]  skb_segment (net/core/skbuff.c:4725 (discriminator 2))
[   10.6]  tcp_gso_segment (net/ipv4/tcp_offload.c:160)
[   10.7]  </TASK>
"""


def read(text: str) -> gso.Trace:
    return gso.read_trace(io.BytesIO(text.encode()), "dmesg")


def case(text: str):
    [found] = gso.diagnose(read(text)).cases
    return found


@pytest.mark.parametrize(
    ("line", "rule", "said", "known"),
    [
        ("eth0: hw csum failure.", "receive-checksum", "hw csum failure", {}),
        (f"skbuff: {UNDER}", "push-beyond-headroom", "asked for, 10 more", {"len": 98}),
        (f"skbuff: {OVER}", "put-beyond-tailroom", "asked for, 52 more", {"len": 114}),
        (
            "tun: unexpected GSO type: 0x0, gso_size 186, hdr_len 272",
            "tun-gso-type",
            "unexpected GSO type: 0x0, gso_size 186",
            {"gso_type": 0, "gso_size": 186},
        ),
        (
            "tun tap7: unexpected GSO type: 0x4ec1c942, gso_size 20948, hdr_len 3072",
            "tun-gso-type",
            "0x4ec1c942",
            {"gso_type": 0x4EC1C942, "gso_size": 20948},
        ),
        ("eth0: bad gso: type: 1, size: 137", "virtio-gso", "bad gso: type: 1, size: 137", {}),
        ("eth0: bad gso type 7.", "virtio-gso", "bad gso type 7", {}),
        ("eth0: zero gso size.", "virtio-gso", "zero gso size", {}),
        ("vif1.0: Bad GSO type 4.", "xen-gso", "Bad GSO type 4", {}),
        ("vif1.0: GSO size must not be zero.", "xen-gso", "GSO size must not be zero", {}),
        (
            "UDP: bad checksum. From 192.0.2.9:28810 to 198.51.100.2:12287 ulen 73",
            "udp-checksum",
            "UDP: bad checksum. From 192.0.2.9:28810",
            {},
        ),
        (
            "protocol 0800 is buggy, dev vxlan0",
            "network-header-outside",
            "protocol 0800 is buggy",
            {"protocol": 0x0800},
        ),
        ("skb_segment: too many frags: 18 17", "warning-in-segmenter", "too many frags: 18", {}),
        (
            "BUG: KASAN: slab-out-of-bounds in skb_segment+0x1a3/0x1f50",
            "crash-in-segmenter",
            "in skb_segment: BUG: KASAN",
            {},
        ),
        (
            "WARNING: CPU: 0 PID: 1 at net/core/skbuff.c:4811 skb_segment+0x1/0x2",
            "warning-in-segmenter",
            "skbuff.c:4811",
            {},
        ),
    ],
)
def test_each_sentence_is_a_finding(line, rule, said, known):
    trace = read(f"[   59.213051] {line}\n")
    assert trace.skb_state(0).known == known
    assert trace.time[0] == 59_213_051_000
    [found] = gso.diagnose(trace).cases
    assert found.rules[0] == rule
    assert said in found.message


def test_what_a_sentence_says_beside_it():
    assert read("eth0: hw csum failure\n").device[0] == "eth0"
    assert read("tun tap7: unexpected GSO type: 0x1, gso_size 1, hdr_len 1\n").device[0] == "tap7"
    assert read("tun: unexpected GSO type: 0x1, gso_size 1, hdr_len 1\n").device[0] == ""
    assert read(f"skbuff: {UNDER}\n").device[0] == "gre0"
    assert read(f"skbuff: {OVER}\n").device[0] == ""
    assert read("protocol 0800 is buggy, dev vxlan0\n").device[0] == "vxlan0"
    flow = read("UDP: bad checksum. From 192.0.2.9:7 to 198.51.100.2:9 ulen 73\n").flow[0]
    assert flow == "192.0.2.9:7->198.51.100.2:9(udp)"


def test_hidden_pointers_are_not_subtracted():
    hidden = UNDER.replace("ffff8b0f4a5e8c00", "00000000c0ffee00")
    assert "more than there was room" not in case(f"skbuff: {hidden}\n").message


def test_a_panic_and_its_crash_are_one():
    found = case(f"[  101.0] skbuff: {UNDER}\n{BUG_AFTER_PANIC}")
    assert found.packets == 1
    assert found.stack == ("skb_push.cold", "ip_tunnel_xmit")
    assert found.function == "ip_tunnel_xmit"


@pytest.mark.parametrize(
    ("text", "function", "said", "stack"),
    [
        (BUG, "skb_segment", "kernel BUG at", ("tcp_gso_segment", "ip_vs_tunnel_xmit")),
        (FAULT_OF_OLD, "skb_udp_tunnel_segment", "BUG: unable", ("udp4_ufo_fragment",)),
        (ARM64, "skb_segment_list", "Unable", ("skb_segment_list", "__udp_gso_segment")),
        (DECODED, "memcpy", "general protection fault", ("skb_segment", "tcp_gso_segment")),
    ],
)
def test_a_crash_in_a_segmenter_is_one_finding(text, function, said, stack):
    found = case(text)
    assert found.rules == ("crash-in-segmenter",)
    assert found.packets == 1
    assert found.example.function == function
    assert f"in {function}: {said}" in found.message
    assert found.stack == stack


OTHER = """\
[   30.1] BUG: unable to handle page fault for address: ffffffffffffffd8
[   30.2] RIP: 0010:ext4_map_blocks+0x1/0x2
[   30.3] Call Trace:
[   30.4]  ext4_get_block+0x1/0x2
[   31.1] WARNING: CPU: 0 PID: 1 at drivers/gpu/drm/foo.c:3 foo+0x1/0x2
[   31.2] Call Trace:
[   31.3]  skb_segment+0x1/0x2
[   32.1] BUG: scheduling while atomic: swapper/0/0x00000002
"""


def test_other_crashes_are_no_findings():
    diagnosis = gso.diagnose(read(OTHER))
    assert not diagnosis.cases
    assert not diagnosis.clean
    assert read(OTHER).function.tolist() == ["ext4_map_blocks"]


def test_stacks_of_other_reports_are_left_alone():
    text = "[   29.9] eth0: bad gso: type: 1, size: 137\n" + OTHER
    trace = read(text)
    assert trace.stack[0] == ""
    assert trace.stack[1] == "ext4_get_block"


def test_a_dump_after_its_sentence_is_of_the_same_packet():
    text = "eth0: hw csum failure\nskb len=8 headroom=150 headlen=8 tailroom=3618\n"
    trace = read(text + text)
    assert trace.function.tolist() == ["netdev_rx_csum_fault"] * 2
    assert trace.skb_state(1).len == 8
    assert read(text.replace("\n", "#012")).function.tolist() == ["netdev_rx_csum_fault"]


def test_a_packet_that_passes_a_complaining_function_is_not_complained_of():
    drop = "kfree_skb: skbaddr=0xffff9ca661e90200 location=foo+0x1 reason: NOT_SPECIFIED"
    text = "".join(
        f"  a-1 [001] ..s.. 59.21304{n}: {event}\n"
        for n, event in enumerate(
            ["skb_checksum_help: (skb_checksum_help+0x0) skb=0xffff9ca661e90200 gso_size=0", drop]
        )
    )
    assert not gso.diagnose(gso.read_trace(io.BytesIO(text.encode()), "ftrace")).cases
