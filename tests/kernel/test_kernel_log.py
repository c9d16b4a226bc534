"""Faults that a kernel's log and its counters show."""

from gso.kernel.judging import kernel_log


def complaints(log: str) -> list[kernel_log.Complaint]:
    return list(kernel_log.complaints(log.splitlines()))


def new_complaints(*logs: str) -> list[kernel_log.Complaint]:
    return list(kernel_log.new_complaints(*map(str.splitlines, logs)))


WARNING = """\
[    1.000000] gso: scenario gue-a, traffic bulk
[    2.123456] ------------[ cut here ]------------
[    2.123457] a message of the author's
[    2.123458] WARNING: CPU: 0 PID: {pid} at net/ipv4/x.c:12 some_function+0x482/0x4a0 [ip_vs]
[    2.123459] Modules linked in: veth
[    2.123460] CPU: 0 UID: 0 PID: {pid} Comm: python3
[    2.123461] Call Trace:
[    2.123462]  <TASK>
[    2.123463]  caller+0x1/0x2
[    2.123464] ---[ end trace 0000000000000000 ]---
[    2.200000] an ordinary line
[    3.000000] gso: scenario gue-b, traffic bulk
[    3.100000] refcount_t: underflow; use-after-free.
"""
QUIET = "[    1.0] hrtimer: interrupt took 22948434 ns\n[    2.0] tun: Universal TUN/TAP device\n"


def test_warnings_have_their_stack_and_their_scenario():
    first, second = complaints(WARNING.format(pid=7))
    assert first.scenario == "gue-a"
    assert "a message of the author's" in first.text
    assert "caller+0x1/0x2" in first.text
    assert "ordinary" not in first.text
    assert second.scenario == "gue-b"
    assert second.text.startswith("refcount_t")


def test_only_kinds_that_the_patched_kernel_alone_has_are_new():
    log = WARNING.format(pid=7)
    assert complaints(QUIET) == []
    assert len(new_complaints(QUIET, log + log)) == 2
    assert new_complaints(WARNING.format(pid=8), log) == []


def test_packets_that_stay_are_a_leak_only_beyond_the_unpatched_kernels():
    def guest(after: int, cpus: int = 1) -> dict:
        return {
            "packets_before": {"skbuff_head_cache": 4},
            "packets_after": {"skbuff_head_cache": after},
            "cpus": cpus,
        }

    assert kernel_log.leaks(guest(40), guest(60)) == []
    assert kernel_log.leaks(guest(400), guest(410)) == []
    # Packets that each processor keeps ready for its next ones are no leak.
    assert kernel_log.leaks(guest(4), guest(4 + 80)) == []
    assert kernel_log.leaks(guest(4), guest(4 + 81))
    assert kernel_log.leaks(guest(4), guest(4 + 144, cpus=2)) == []
    (found,) = kernel_log.leaks(guest(40), guest(400))
    assert "skbuff_head_cache grew by 396" in found
    assert kernel_log.leaks({}, {}) == []


def test_a_lockdep_report_has_both_chains_and_its_stack():
    log = """\
======================================================
WARNING: possible circular locking dependency detected
6.12.117 #3 Not tainted
------------------------------------------------------
python3/63 is trying to acquire lock:
ffffffff8212a2f8 (b){+.-.}-{2:2}, at: first+0x213/0x4c0

-> #1 (a){+.-.}-{2:2}:
       first+0x213/0x4c0

stack backtrace:
Call Trace:
 <TASK>
 second+0x326/0x8f0
 </TASK>
something else
gso: scenario gue-b, traffic bulk
"""
    (complaint,) = complaints(log)
    assert complaint.kind == "WARNING: possible circular locking dependency detected"
    assert "-> #1 (a)" in complaint.text
    assert complaint.text.endswith("second+0x326/0x8f0\n </TASK>")
