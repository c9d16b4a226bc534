"""A patch can be wrong in many ways; each gets its verdict, with why, and leaves nothing behind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest
from gso.kernel.judging.results import Report
from gso.kernel.judging.verdict import Verdict
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs.baseline import Asked
from gso.kernel.runs.verify import Options, verify

from testbed import MAIN, boots, edited

pytestmark = [
    pytest.mark.vm,
    pytest.mark.usefixtures("test_bed", "nothing_is_left_behind"),
]

FILE = "net/netfilter/ipvs/ip_vs_xmit.c"
CALL = b"\tskb_set_inner_mac_header(skb, skb_inner_network_offset(skb));\n"
HACK = b"\tip_send_check(ip_hdr(skb));\n\n\t/* Another hack: avoid icmp_send in ip_fragment */\n"
V4, V6, CONTROL, IPIP = (
    *("gue-outer4-inner4-nocsum", "gue-outer6-inner4-nocsum", "fou-outer4-inner4-nocsum"),
    "ipvs-ipip-outer4-inner4",
)
# Drops every packet between a bare acknowledgement and a super-packet.
DROP = (
    b"\tif (skb->len > 200 && !skb_is_gso(skb)) {\n"
    b"\t\tkfree_skb(skb);\n\t\treturn NF_STOLEN;\n\t}\n"
)


def added(code: bytes, place: bytes = CALL, nth: int = 0) -> Callable[[bytes], bytes]:
    """Return the change that adds code behind the nth occurrence of a place."""

    def change(text: bytes) -> bytes:
        parts = text.split(place)
        return place.join(parts[: nth + 1]) + place + code + place.join(parts[nth + 1 :])

    return change


def judged(folder: Path, change: Callable[[bytes], bytes], *scenarios: str) -> Report:
    """Verify the fix and, after it, a patch that makes the change."""
    series = [MAIN, edited(folder, FILE, change)]
    options = Options(series, folder / "results", asked=Asked(only=scenarios), timeout=240)
    report = verify(options, TerminalScreen(quiet=True))
    assert all(kernel.error is None or kernel.scenarios for kernel in report.kernels), report
    return report


def test_a_panic_under_traffic_is_a_regression(tmp_path):
    report = judged(tmp_path, added(b"\tBUG_ON(skb_is_gso(skb));\n"), V4)
    assert report.verdict is Verdict.REGRESSED
    (scenario,) = report.kernels[0].scenarios
    assert scenario.verdict is Verdict.REGRESSED
    assert list(scenario.crashes) == ["patched"]
    assert "ip_vs_tunnel_xmit" in scenario.crashes["patched"]
    found = report.summary()
    assert [boot["status"] for boot in boots(found, "patched")] == ["crashed", "crashed"]
    assert [boot["status"] for boot in boots(found, "unpatched")] == ["done"]


def test_a_hang_under_traffic_is_a_regression(tmp_path):
    report = judged(tmp_path, added(b"\twhile (skb_is_gso(skb))\n\t\tcpu_relax();\n"), V4)
    assert report.verdict is Verdict.REGRESSED
    (scenario,) = report.kernels[0].scenarios
    assert "soft lockup" in scenario.crashes["patched"]


def test_a_warning_in_the_log_spoils_good_traffic(tmp_path):
    code = b'\tWARN_ONCE(skb_is_gso(skb), "a super-packet\\n");\n'
    report = judged(tmp_path, added(code), V4, CONTROL)
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
    report = judged(tmp_path, added(code), V4)
    (kernel,) = report.kernels
    assert [scenario.verdict for scenario in kernel.scenarios] == [Verdict.FIXED]
    assert kernel.verdict is Verdict.REGRESSED
    assert any("packets leak: skbuff_head_cache" in finding for finding in kernel.findings)


def test_gue_over_ipv4_fixed_and_three_other_paths_broken(tmp_path):
    """One in IPv6, one that is no tunnel, one for plain IP in IP: each has its own verdict."""
    changes = (
        added(DROP, nth=1),
        added(DROP, HACK, nth=1),
        added(DROP.replace(b"if (", b"if (tun_type == IP_VS_CONN_F_TUNNEL_TYPE_IPIP && ", 1)),
    )

    def change(text: bytes) -> bytes:
        return functools.reduce(lambda done, each: each(done), changes, text)

    report = judged(tmp_path, change, V4, V6, CONTROL, IPIP)
    assert report.verdict is Verdict.REGRESSED
    assert {s.scenario.name: s.verdict for s in report.kernels[0].scenarios} == {
        V4: Verdict.FIXED,
        V6: Verdict.REGRESSED,
        CONTROL: Verdict.REGRESSED,
        IPIP: Verdict.REGRESSED,
    }
