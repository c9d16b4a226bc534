"""A patch can be wrong in many ways; each gets its verdict, with why, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from gso.kernel.judging.results import Report
from gso.kernel.judging.verdict import Verdict
from gso.kernel.paths import patches_folder
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs.verify import Options, verify
from gso.kernel.scenarios import SCENARIOS

from testbed import boots, edited

pytestmark = [
    pytest.mark.vm,
    pytest.mark.usefixtures("test_bed", "nothing_is_left_behind"),
]

FILE = "net/netfilter/ipvs/ip_vs_xmit.c"
MAIN = patches_folder() / "ipvs-gue-inner-mac-header.patch"
CALL = b"\tskb_set_inner_mac_header(skb, skb_inner_network_offset(skb));\n"
V4, V6, CONTROL = (
    *("gue-outer4-inner4-nocsum", "gue-outer6-inner4-nocsum", "fou-outer4-inner4-nocsum"),
)
# Drops every packet between a bare acknowledgement and a super-packet.
DROP = (
    b"\tif (skb->len > 200 && !skb_is_gso(skb)) {\n"
    b"\t\tkfree_skb(skb);\n\t\treturn NF_STOLEN;\n\t}\n"
)


def judged(folder: Path, code: bytes, *scenarios: str, place: bytes = CALL, nth: int = 0) -> Report:
    """Verify the fix and, after it, a patch that adds code behind the nth occurrence of a place."""

    def change(text: bytes) -> bytes:
        parts = text.split(place)
        head, tail = place.join(parts[: nth + 1]), place.join(parts[nth + 1 :])
        return head + place + code + tail

    chosen = [scenario for scenario in SCENARIOS if scenario.name in scenarios]
    assert len(chosen) == len(scenarios)
    series = [MAIN, edited(folder, FILE, change)]
    options = Options(series, folder / "results", scenarios=chosen, timeout=240)
    report = verify(options, TerminalScreen(quiet=True))
    assert all(kernel.error is None or kernel.scenarios for kernel in report.kernels), report
    return report


def test_a_panic_under_traffic_is_a_regression(tmp_path):
    report = judged(tmp_path, b"\tBUG_ON(skb_is_gso(skb));\n", V4)
    assert report.verdict is Verdict.REGRESSED
    (scenario,) = report.kernels[0].scenarios
    assert scenario.verdict is Verdict.REGRESSED
    assert list(scenario.crashes) == ["patched"]
    assert "ip_vs_tunnel_xmit" in scenario.crashes["patched"]
    found = report.summary()
    assert [boot["status"] for boot in boots(found, "patched")] == ["crashed", "crashed"]
    assert [boot["status"] for boot in boots(found, "unpatched")] == ["done"]


def test_a_hang_under_traffic_is_a_regression(tmp_path):
    report = judged(tmp_path, b"\twhile (skb_is_gso(skb))\n\t\tcpu_relax();\n", V4)
    assert report.verdict is Verdict.REGRESSED
    (scenario,) = report.kernels[0].scenarios
    assert "soft lockup" in scenario.crashes["patched"]


def test_a_warning_in_the_log_spoils_good_traffic(tmp_path):
    report = judged(tmp_path, b'\tWARN_ONCE(skb_is_gso(skb), "a super-packet\\n");\n', V4, CONTROL)
    (kernel,) = report.kernels
    assert [scenario.verdict for scenario in kernel.scenarios] == [
        Verdict.FIXED,
        Verdict.UNAFFECTED,
    ]
    assert kernel.verdict is Verdict.REGRESSED
    (finding,) = kernel.findings
    assert finding.startswith(f"kernel warning in {V4}:")
    assert "ip_vs_tunnel_xmit" in finding
    assert kernel.warnings["unpatched"] == []


def test_a_leak_spoils_good_traffic(tmp_path):
    code = b"\tfor (int i = 0; i < 8; i++)\n\t\tskb_clone(skb, GFP_ATOMIC);\n"
    report = judged(tmp_path, code, V4)
    (kernel,) = report.kernels
    assert [scenario.verdict for scenario in kernel.scenarios] == [Verdict.FIXED]
    assert kernel.verdict is Verdict.REGRESSED
    assert any("packets leak: skbuff_head_cache" in finding for finding in kernel.findings)


def test_ipv4_fixed_and_ipv6_broken(tmp_path):
    report = judged(tmp_path, DROP, V4, V6, nth=1)
    assert report.verdict is Verdict.REGRESSED
    assert {s.scenario.name: s.verdict for s in report.kernels[0].scenarios} == {
        V4: Verdict.FIXED,
        V6: Verdict.REGRESSED,
    }


def test_gue_fixed_and_another_path_broken(tmp_path):
    place = (
        b"\tip_send_check(ip_hdr(skb));\n\n\t/* Another hack: avoid icmp_send in ip_fragment */\n"
    )
    report = judged(tmp_path, DROP, V4, CONTROL, place=place, nth=1)
    assert report.verdict is Verdict.REGRESSED
    assert {s.scenario.name: s.verdict for s in report.kernels[0].scenarios} == {
        V4: Verdict.FIXED,
        CONTROL: Verdict.REGRESSED,
    }


def test_gue_fixed_and_plain_ipip_broken(tmp_path):
    ipip = "ipvs-ipip-outer4-inner4"
    drop = DROP.replace(b"if (", b"if (tun_type == IP_VS_CONN_F_TUNNEL_TYPE_IPIP && ", 1)
    report = judged(tmp_path, drop, V4, ipip)
    assert report.verdict is Verdict.REGRESSED
    assert {s.scenario.name: s.verdict for s in report.kernels[0].scenarios} == {
        V4: Verdict.FIXED,
        ipip: Verdict.REGRESSED,
    }
