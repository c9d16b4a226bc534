"""Patches as a stranger brings them: right, half right, harmful, and for code that nothing runs."""

from __future__ import annotations

import pytest
from gso.kernel.paths import patches_folder
from gso.kernel.scenarios import named, select

from testbed import edited

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("nothing_is_left_behind")]

HALF = "geneve-inherit-inner-network-header-v4-only"
PROTOCOL = b"\tskb_set_inner_protocol(skb, inner_proto);\n"


def verdicts(report) -> dict[str, str]:
    (kernel,) = report["kernels"]
    return {scenario["name"]: scenario["verdict"] for scenario in kernel["scenarios"]}


def entries(report) -> dict[str, dict[str, int | None]]:
    (kernel,) = report["kernels"]
    return {code["name"]: code["entries"] for code in kernel["code"]}


def test_half_a_fix_is_incomplete_and_half_of_it_is_right(verify):
    done = verify(patches_folder() / f"{HALF}.patch", "--timeout", "900")
    assert (done.status, done.report["verdict"]) == (1, "INCOMPLETE"), done.out + done.err
    fault = named("geneve-inherit-inner-network-header")
    assert done.report["kernels"][0]["fault"] == fault.name
    wanted = {"fault": {4: "FIXED", 6: "NO EFFECT"}, "control": dict.fromkeys((4, 6), "UNAFFECTED")}
    assert verdicts(done.report) == {
        s.name: wanted[fault.roles.of(s)][s.outer] for s in select(fault.scenarios)
    }
    counted = entries(done.report)["geneve_xmit_skb"]
    assert min(counted["unpatched"] or 0, counted["patched"] or 0) > 0


def test_a_fix_that_the_kernel_lacks_is_right_in_a_module_that_the_kernel_lacks(verify):
    done = verify(patches_folder() / "bareudp-inner-protocol.patch", "--timeout", "900")
    assert (done.status, done.report["verdict"]) == (0, "FIXED"), done.out + done.err
    fault = named("bareudp-inner-protocol")
    wanted = {"fault": "FIXED", "control": "UNAFFECTED"}
    assert verdicts(done.report) == {
        s.name: wanted[fault.roles.of(s)] for s in select(fault.scenarios)
    }


def test_a_patch_that_breaks_what_no_known_fault_is_about(verify, tmp_path):
    patch = edited(
        tmp_path,
        "drivers/net/geneve.c",
        lambda text: text.replace(PROTOCOL, PROTOCOL.replace(b", inner_proto", b", 0")),
    )
    names = ("geneve-outer4-inner4-csum", "vxlan-outer4-inner4-csum")
    only = [word for name in names for word in ("--only", name)]
    done = verify(patch, *only, "--timeout", "900")
    assert (done.status, done.report["verdict"]) == (1, "REGRESSED"), done.out + done.err
    assert done.report["kernels"][0]["fault"] is None
    assert verdicts(done.report) == dict(zip(names, ("REGRESSED", "UNAFFECTED"), strict=True))


def test_a_patch_for_code_that_no_scenario_runs(verify, tmp_path):
    patch = edited(
        tmp_path,
        "drivers/net/nlmon.c",
        lambda text: text.replace(b"\tdev_kfree_skb(skb);\n", b"\tconsume_skb(skb);\n"),
    )
    done = verify(patch, "--only", "sit", "--timeout", "900")
    assert (done.status, done.report["verdict"]) == (125, "INCONCLUSIVE"), done.out + done.err
    assert "no scenario exercises nlmon_xmit" in done.out
    assert entries(done.report) == {"nlmon_xmit": {"unpatched": 0, "patched": 0}}
