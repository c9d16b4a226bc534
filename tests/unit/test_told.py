"""What rules, functions and drop reasons of a log tell of packets: a case for each."""

from __future__ import annotations

import pytest

import gso
from gso.diagnosis import Diagnosis

POINTER = "0xffff9ca661e90200"
GOOD = {
    "len": 2962,
    "data_len": 1448,
    "gso_size": 1448,
    "gso_type": 1,
    "encapsulation": 0,
    "protocol": 0x0800,
    "ip_summed": 3,
    "csum_start": 0x66,
    "csum_offset": 16,
    "mac_header": 0x44,
    "network_header": 0x52,
    "transport_header": 0x66,
}
GUE = {
    **GOOD,
    "len": 2994,
    "gso_type": 0x501,
    "encapsulation": 1,
    "inner_mac_header": 0x72,
    "inner_network_header": 0x72,
    "inner_transport_header": 0x86,
    "csum_start": 0x86,
    "inner_protocol_type": 1,
    "inner_ipproto": 4,
}
MPLS = {**GOOD, "protocol": 0x8847, "inner_network_header": 0x56, "transport_header": 0x6A,
        "csum_start": 0x6A}  # fmt: skip


def line(function: str, fields: dict[str, int], seconds: int = 1) -> str:
    words = " ".join(f"{name}={value}" for name, value in fields.items())
    return (
        f"          <idle>-0     [001] ..s.    {seconds}.578474: {function}: "
        f'({function}+0x0/0x510) skb={POINTER} dev="eth0" {words}\n'
    )


def drop(reason: str, location: str) -> str:
    return (
        f"          <idle>-0     [001] ..s.    9.213051: kfree_skb: skbaddr={POINTER} "
        f"protocol=2048 location={location}+0x158/0x340 reason: {reason}\n"
    )


def found(tmp_path, text: str, kernel: str = "") -> Diagnosis:
    log = tmp_path / "log"
    log.write_text("# tracer: nop\n" + text)
    return gso.diagnose(gso.read_trace(log), kernel)


@pytest.mark.parametrize("fields", [GOOD, GUE, {**MPLS, "inner_protocol": 0x0800}])
def test_a_right_packet_is_clean(tmp_path, fields):
    diagnosis = found(tmp_path, line("__dev_queue_xmit", fields))
    assert [case.rules for case in diagnosis.cases] == []
    assert diagnosis.clean
    assert diagnosis.judged["bad-offload"] == 1


@pytest.mark.parametrize(
    ("function", "fields", "rule"),
    [
        ("__dev_queue_xmit", {**GOOD, "ip_summed": 0}, "bad-offload"),
        ("validate_xmit_skb", {**GOOD, "ip_summed": 2}, "bad-offload"),
        ("validate_xmit_skb.isra.0", {**GOOD, "ip_summed": 2}, "bad-offload"),
        ("skb_checksum_help", GOOD, "checksum-help-gso"),
        (
            "skb_checksum_help",
            {**GOOD, "gso_size": 0, "len": 1514, "data_len": 1470, "headroom": 0x44},
            "checksum-outside",
        ),
        ("skb_checksum_help", {**GOOD, "gso_size": 0, "headroom": 0x70}, "checksum-outside"),
        ("__dev_queue_xmit", {**GUE, "gso_type": 0x401}, "ipxip-version"),
        ("__dev_queue_xmit", {**GUE, "gso_type": 0x601}, "ipxip-version"),
        ("__dev_queue_xmit", {**GUE, "inner_ipproto": 41}, "inner-protocol-version"),
        (
            "__dev_queue_xmit",
            {**GUE, "inner_protocol_type": 0, "inner_protocol": 0x86DD},
            "inner-protocol-version",
        ),
        ("__dev_queue_xmit", {**GUE, "protocol": 0x8100}, "vlan-in-band"),
        # A VXLAN packet was decapsulated, forwarded and got a label: inner_protocol is left.
        ("__dev_queue_xmit", {**MPLS, "inner_protocol": 0x6558}, "mpls-inner-header"),
        ("__dev_queue_xmit", {**MPLS, "inner_protocol": 0x86DD}, "mpls-inner-header"),
        ("__dev_queue_xmit", {**MPLS, "inner_network_header": 0x50}, "mpls-inner-header"),
        ("__dev_queue_xmit", {**GUE, "gso_type": 0x60500}, "fraglist-kind"),
        ("__dev_queue_xmit", {**GOOD, "gso_size": 0xFFFF, "data_len": 0}, "frag-list"),
        # All of a list's packets were pulled into its head.
        ("__dev_queue_xmit", {**GOOD, "gso_type": 0x40001, "data_len": 0}, "frag-list"),
        ("__dev_queue_xmit", {**GOOD, "gso_type": 0x10000001 | 1 << 21}, "gso-type-unknown"),
        ("__dev_queue_xmit", {**GOOD, "gso_size": 2, "len": 200000}, "gso-segments"),
        ("__dev_queue_xmit", {**GOOD, "len": 1400}, "payload-not-larger"),
        (
            "__dev_queue_xmit",
            {**GUE, "gso_type": 0x41, "transport_header": 0x66, "inner_protocol_type": 0,
             "inner_protocol": 0x0800},
            "gre-sequence",
        ),
    ],
)  # fmt: skip
def test_a_rule_is_violated_in_its_place(tmp_path, function, fields, rule):
    diagnosis = found(tmp_path, line(function, fields))
    assert rule in [name for case in diagnosis.cases for name in case.rules]
    (case,) = diagnosis.cases
    assert case.message
    assert case.kernel_outcome


@pytest.mark.parametrize(
    ("function", "fields"),
    [
        # On reception a checksum of the hardware is right.
        ("napi_gro_receive", {**GOOD, "ip_summed": 2}),
        ("ip_rcv", {**GOOD, "ip_summed": 0}),
        ("__dev_queue_xmit", {**GOOD, "ip_summed": 1}),
        ("tcp_v4_rcv", {**GOOD, "headroom": 0x7A, "gso_size": 0}),
        # It computes nothing where the hardware did.
        ("skb_checksum_help", {**GOOD, "ip_summed": 2}),
        ("__dev_queue_xmit", {**GUE, "protocol": 0x86DD, "gso_type": 0x601}),
    ],
)
def test_elsewhere_it_is_right(tmp_path, function, fields):
    assert found(tmp_path, line(function, fields)).cases == []


PWRU = (
    "SKB                CPU PROCESS          NETNS      MARK/x        IFACE       PROTO  MTU   "
    "LEN   TUPLE FUNC\n"
)


def pwru(mtu: int, length: int, function: str, dump: str = "", flow: str = "") -> str:
    tuple_ = flow or "192.0.2.10:33259->198.51.100.149:5501(udp)"
    return (
        f"{POINTER} 9   <empty>:0        4026531840 0            eth0:2     0x0800 {mtu}  {length}"
        f"  {tuple_} {function} {dump}\n"
    )


@pytest.mark.parametrize(("length", "wrong"), [(1514, False), (1544, False), (1572, True)])
def test_a_packet_longer_than_the_mtu_of_its_device_is_found(tmp_path, length, wrong):
    log = tmp_path / "log"
    dump = "gso_size=(__u16)0"
    log.write_text(PWRU + pwru(1500, length, "__dev_queue_xmit", dump))
    rules = [case.rules for case in gso.diagnose(gso.read_trace(log)).cases]
    assert rules == ([("longer-than-mtu",)] if wrong else [])


def test_what_is_too_big_is_told_with_the_mtu_that_would_do(tmp_path):
    log = tmp_path / "log"
    log.write_text(
        PWRU
        + pwru(1500, 1500, "ip_rcv", flow="10.0.0.1:1->10.0.0.2:2(tcp)")
        + pwru(1500, 1532, "ip_output")
        + pwru(1500, 1532, "kfree_skb_reason(SKB_DROP_REASON_PKT_TOO_BIG)")
    )
    (case,) = gso.diagnose(gso.read_trace(log)).cases
    assert case.rules == ("packet-too-big",)
    assert case.severity == "warning"
    assert "len 1532" in case.message
    assert "grown by 32 bytes (IPv4 20 and 12: GUE, or GRE with two of checksum, " in case.message
    assert "an MTU of 1468 would do" in case.message


@pytest.mark.parametrize(
    ("reason", "location", "kernel", "rule"),
    [
        ("SKB_BAD_GSO", "__dev_queue_xmit", "", "bad-gso"),
        ("67", "__dev_queue_xmit", "6.12.117", "bad-gso"),
        ("UDP_CSUM", "__udp4_lib_rcv", "", "receive-checksum"),
        ("TCP_CSUM", "tcp_v4_rcv", "", "receive-checksum"),
        ("PKT_TOO_BIG", "ip_forward", "", "packet-too-big"),
        ("NOT_SPECIFIED", "validate_xmit_skb", "", "dropped-in-segmentation"),
    ],
)
def test_a_drop_reason_tells_what_is_wrong(tmp_path, reason, location, kernel, rule):
    text = line("__dev_queue_xmit", GOOD) + drop(reason, location)
    (case,) = found(tmp_path, text, kernel).cases
    assert case.rules == (rule,)
    assert case.dropped == 1
    assert not found(tmp_path, text, kernel).drops


def test_what_the_offsets_tell_comes_first(tmp_path):
    text = line("__dev_queue_xmit", {**GUE, "inner_mac_header": 0x44}) + drop(
        "SKB_BAD_GSO", "__dev_queue_xmit"
    )
    (case,) = found(tmp_path, text).cases
    assert case.rules[0] == "tunnel-header-negative"
    assert case.drop is not None
    assert case.drop[1] == "SKB_BAD_GSO"


def test_other_reasons_are_no_case(tmp_path):
    diagnosis = found(tmp_path, line("__dev_queue_xmit", GOOD) + drop("67", "x") + drop("9", "x"))
    assert diagnosis.cases == []
