"""The whole test bed, with real kernels: every verdict it can give, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gso.kernel.scenarios import select

import gso
from testbed import CHECKS, MAIN, boots, edited, virtual_machines, whole_tree

pytestmark = [pytest.mark.vm, pytest.mark.usefixtures("nothing_is_left_behind")]

FILE = "net/netfilter/ipvs/ip_vs_xmit.c"
# Two with the fault and two without, for what holds of any of them.
SOME = [
    *("--only", "gue-outer4-inner4-nocsum", "--only", "gue-outer6-inner6-csum"),
    *("--only", "fou-outer4-inner4-nocsum", "--only", "ipvs-ipip-outer4-inner4"),
]
INIT_FILE = "net/netfilter/ipvs/ip_vs_core.c"


@pytest.mark.xdist_group("fixed")
def test_the_fix_is_fixed_and_every_byte_explained(fixed):
    assert (fixed.status, fixed.report["verdict"]) == (0, "FIXED"), fixed.out + fixed.err
    assert "verdict: FIXED" in fixed.out
    (kernel,) = fixed.report["kernels"]
    found = {scenario["name"]: scenario for scenario in kernel["scenarios"]}
    for scenario in [found[wanted.name] for wanted in select()]:
        expected = "FIXED" if scenario["role"] == "fault" else "UNAFFECTED"
        assert scenario["verdict"] == expected, scenario["name"]
        check_measurements(scenario)
    check_evidence(Path(fixed.report["folder"]), kernel["id"])


def test_machines_of_virtme_ng_give_the_same_answer(verify):
    done = verify(MAIN, *SOME, "--boot", "vng")
    assert (done.status, done.report["verdict"]) == (0, "FIXED"), done.out + done.err
    assert done.report["environment"]["boot"] == "vng"
    (kernel,) = done.report["kernels"]
    for scenario in kernel["scenarios"]:
        check_measurements(scenario)
    logs = list(Path(done.report["folder"], kernel["id"]).glob("*/console.log"))
    assert len(logs) == 2
    for log in logs:
        assert "virtme-ng-init: starting script" in log.read_text()


@pytest.mark.on_demand
@pytest.mark.xdist_group("whole kernel")
def test_a_source_tree_is_built_small_and_judged(verify):
    done = verify(MAIN, "--source", whole_tree(), *CHECKS, timeout=3600)
    assert (done.status, done.report["verdict"]) == (0, "FIXED"), done.out + done.err
    (kernel,) = done.report["kernels"]
    for scenario in kernel["scenarios"]:
        check_measurements(scenario)
    # It was watched, and found clean; a kernel from the cache has its build's log, too.
    folder = Path(done.report["folder"], kernel["id"])
    for variant in ("unpatched", "patched"):
        assert (folder / variant / "kmemleak.log").read_text() == ""
        assert (folder / f"build-{variant}.log").stat().st_size > 0
    config = (folder / "config").read_text()
    assert "CONFIG_DEBUG_KMEMLEAK=y" in config
    assert "CONFIG_PROVE_LOCKING=y" in config


def check_measurements(scenario: dict) -> None:
    header = scenario["tnl_hlen"]
    stale = header if scenario["role"] == "control" else scenario["faulty_tnl_hlen"]
    for before, after in zip(scenario["unpatched"], scenario["patched"], strict=True):
        assert after["upload_intact"]
        assert after["download_intact"]
        assert after["tx_dropped"] == after["segmentation_drops"] == 0
        assert after["mss"] == 1448
        segmented = after["traffic"] in ("bulk", "incident")
        assert after["tnl_hlen"] == ([header] if segmented and header else [])
        assert before["tnl_hlen"] == ([stale] if segmented and stale else [])
        assert (before["segmentation_drops"] > 0) == (segmented and stale != header)
        assert after["wire"]["matching"] == after["wire"]["segments"]
        if segmented:
            assert after["wire"]["segments"] >= 2
        if after["traffic"] == "incident":
            check_incident(before, after)


def check_incident(before: dict, after: dict) -> None:
    """One super-packet of 1448 + 12 bytes, merged by GRO and cut in two again."""
    assert after["wire"]["segments"] == 2
    first = after["offsets"][0]
    assert first["function"] == "ip_vs_in_hook"
    assert first["len"] - (first["transport_header"] - first["network_header"]) - 32 == 1460
    if before["segmentation_drops"]:
        (stack,) = {
            tuple(d["stack"])
            for d in before["drops"]
            if d["location"].startswith("validate_xmit_skb")
            and "tcf_mirred_to_dev" not in d["stack"]
        }
        assert any(name.startswith("ip_vs_tunnel_xmit") for name in stack)


def check_evidence(results: Path, kernel: str) -> None:
    assert (results / "results.json").stat().st_size > 0
    folder = results / kernel
    for variant in ("unpatched", "patched"):
        assert (folder / variant / "console.log").stat().st_size > 0
        assert not list((folder / variant).glob("guest/*"))
    for scenario in select():
        capture = gso.read_capture(folder / "patched/cells" / f"{scenario.name}-bulk.pcapng")
        wire = {
            bytes(frame)
            for frame, number in zip(capture.frames, capture.interface_ids, strict=True)
            if capture.interfaces[number].name == "wire"
        }
        ports, segments = scenario.tunnel_ports, 0
        for frame, comment in zip(capture.frames, capture.comments, strict=True):
            if comment:
                size = int(comment.split()[0].removeprefix("gso_size="))
                found = {bytes(s) for s in gso.segment(frame, size, tunnel_ports=ports)}
                segments += len(found)
                assert found <= wire
        # How much of the upload leaves as super-packets is TCP's choice, and depends on the clock.
        assert segments >= 2


def test_a_comment_has_no_effect(verify, tmp_path):
    patch = edited(tmp_path, FILE, lambda text: b"/* a comment */\n" + text)
    # It changes no function, and several known faults are in this file.
    done = verify(patch, "--fault", "ipvs-gue-inner-mac-header", *SOME)
    assert (done.status, done.report["verdict"]) == (1, "NO EFFECT"), done.out + done.err


def test_a_regression_is_found(verify, tmp_path):
    """The fix reversed, against the tree as it is: what worked breaks."""
    patch = edited(
        tmp_path,
        FILE,
        lambda text: text.replace(
            b"\tskb_set_inner_mac_header(skb, skb_inner_network_offset(skb));\n", b""
        ),
    )
    done = verify(patch, "--as-is", *SOME)
    assert (done.status, done.report["verdict"]) == (1, "REGRESSED"), done.out + done.err


def test_an_oops_at_load_is_the_patchs_when_it_is_reproduced(verify, tmp_path):
    function = b"static int __init ip_vs_init(void)\n{\n"
    patch = edited(
        tmp_path,
        INIT_FILE,
        lambda text: text.replace(function, function + b"\t*(volatile int *)8 = 1;\n"),
    )
    done = verify(patch)
    assert (done.status, done.report["verdict"]) == (1, "REGRESSED"), done.out + done.err
    assert [boot["status"] for boot in boots(done.report, "patched")] == ["crashed", "crashed"]
    assert [boot["status"] for boot in boots(done.report, "unpatched")] == ["done"]
    assert "NULL pointer dereference" in done.out
    assert "ip_vs_init" in done.out


def test_a_patch_that_does_not_compile_shows_the_compiler(verify, tmp_path):
    patch = edited(tmp_path, FILE, lambda text: text + b"this is not C;\n")
    done = verify(patch)
    assert (done.status, done.report["kernels"][0]["error"]["stage"]) == (125, "build"), (
        done.out + done.err
    )
    assert "error:" in done.out


def test_a_hung_guest_is_ended(verify):
    done = verify(MAIN, "--timeout", "3")
    assert (done.status, done.report["verdict"]) == (125, "INCONCLUSIVE")
    assert "no results after 3 s" in done.out
    assert {boot["status"] for boot in done.report["kernels"][0]["boots"]} == {"lost"}
    assert len(boots(done.report, "patched")) == 2  # once more, and no more


def test_a_patch_that_does_not_apply(verify, tmp_path):
    patch = tmp_path / "other.patch"
    patch.write_text(
        f"--- a/{FILE}\n+++ b/{FILE}\n@@ -1,3 +1,3 @@\n nothing\n-like\n+this\n here\n"
    )
    done = verify(patch)
    assert (done.status, done.report["kernels"][0]["error"]["stage"]) == (125, "patch")
    assert "cannot be applied to this tree" in done.out


@pytest.mark.usefixtures("test_bed")
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(tmp_path, sign):
    # A shell starts what is to run in the background with SIGINT ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # All scenarios, lest it ends before it is interrupted. Other tests may have the second place.
    command = [sys.executable, "-m", "gso.kernel", "verify", str(MAIN)]
    command += ["--only", "all", "--timeout", "1800"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        deadline = time.monotonic() + 1200
        while process.poll() is None and not virtual_machines(tmp_path):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        process.send_signal(sign)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert not virtual_machines(tmp_path)
    assert list((tmp_path / "results").iterdir()) == []
