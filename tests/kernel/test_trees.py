"""Whole kernels: what kmemleak and lockdep find in them, and commits of a tree as the patch."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed import CHECKS, MAIN, committed, edited, git, whole_tree

pytestmark = [
    pytest.mark.vm,
    pytest.mark.on_demand,
    pytest.mark.xdist_group("whole kernel"),
    pytest.mark.usefixtures("nothing_is_left_behind"),
]

FILE = "net/netfilter/ipvs/ip_vs_xmit.c"
CALL = b"\tskb_set_inner_mac_header(skb, skb_inner_network_offset(skb));\n"
SCENARIO = "gue-outer4-inner4-nocsum"
OPTION = b'\nconfig OF_THIS_COMMIT\n\tbool "An option that the commit before has not"\n'
# A leak of one packet's head now and then, and two locks taken in both orders.
FAULTS = b"""\
\t{
\t\tstatic DEFINE_SPINLOCK(a);
\t\tstatic DEFINE_SPINLOCK(b);
\t\tbool large = skb_is_gso(skb);

\t\tspin_lock(large ? &a : &b);
\t\tspin_lock(large ? &b : &a);
\t\tspin_unlock(large ? &b : &a);
\t\tspin_unlock(large ? &a : &b);
\t\tif (large)
\t\t\tskb_clone(skb, GFP_ATOMIC);
\t}
"""


def test_few_leaked_packets_and_a_lock_inversion_are_found(verify, tmp_path):
    patch = edited(tmp_path, FILE, lambda text: text.replace(CALL, CALL + FAULTS, 1))
    done = verify(MAIN, patch, "--source", whole_tree(), *CHECKS, "--only", SCENARIO, timeout=3600)
    assert (done.status, done.report["verdict"]) == (1, "REGRESSED"), done.out + done.err
    (kernel,) = done.report["kernels"]
    assert [scenario["verdict"] for scenario in kernel["scenarios"]] == ["FIXED"]
    (inversion,) = (text for text in kernel["findings"] if "circular locking" in text)
    assert SCENARIO in inversion.splitlines()[0]
    assert inversion.count("ip_vs_tunnel_xmit") >= 3
    leaks = [text for text in kernel["findings"] if text.startswith("kmemleak")]
    assert any("skb_clone < ip_vs_tunnel_xmit" in text for text in leaks)
    # Too few for the packets' own count.
    assert not any(text.startswith("packets leak") for text in kernel["findings"])


def test_each_commit_of_a_range_is_judged_against_its_parent(verify):
    tree = whole_tree()
    base = git(tree, "rev-parse", "HEAD")
    state = git(tree, "status", "--porcelain")
    fine, options = (tree / FILE).read_bytes(), (tree / "net/Kconfig").read_bytes()
    faulty = {FILE: fine.replace(CALL, b""), "net/Kconfig": options + OPTION}
    breaks = committed(tree, base, "break it", faulty)
    repairs = committed(tree, breaks, "repair it", {FILE: fine, "net/Kconfig": options})
    common = ["--source", tree, *CHECKS, "--only", SCENARIO, "--only", "fou-outer4-inner4-nocsum"]

    done = verify(*common, "--range", f"{base}..{repairs}", timeout=3600)
    assert (done.status, done.report["verdict"]) == (1, "REGRESSED"), done.out + done.err
    broken, repaired = done.report["kernels"]
    assert (broken["verdict"], repaired["verdict"]) == ("REGRESSED", "FIXED")
    assert broken["kernel"].endswith(" break it")
    assert repaired["kernel"].endswith(" repair it")
    for kernel in done.report["kernels"]:
        folder = Path(done.report["folder"], kernel["id"])
        assert all((folder / f"build-{v}.log").stat().st_size for v in ("unpatched", "patched"))

    one = verify(*common, "--commit", repairs)
    assert (one.status, one.report["verdict"]) == (0, "FIXED"), one.out + one.err
    assert git(tree, "rev-parse", "HEAD") == base
    assert git(tree, "status", "--porcelain") == state
