"""Which header offsets are wrong, and what is said about them."""

from __future__ import annotations

import re

import numpy as np
import pytest

import gso
import handmade as packets
from gso import GsoType, SkbState, Tunnel
from gso.constants import Context
from gso.rules.table import COMMITS

# The packet of the published incident as IPVS leaves it: no offset is where GUE needs it.
INCIDENT = {
    "mac_header": 0x44,
    "network_header": 0x32,
    "transport_header": 0x46,
    "inner_mac_header": 0x44,
    "inner_network_header": 0x52,
    "inner_transport_header": 0x66,
    "len": 1544,
    "data_len": 12,
}
# All that skb_segment and the tunnel's segmenter look at, and every bit of it right.
GUE = {
    **INCIDENT,
    "mac_header": 0x24,
    "inner_mac_header": 0x52,
    "encapsulation": 1,
    "gso_size": 1448,
    "gso_type": GsoType.TCPV4 | GsoType.UDP_TUNNEL | GsoType.IPXIP4,
    "inner_protocol_type": 1,
    "inner_ipproto": 4,
    "protocol": 0x0800,
    "ip_summed": 3,
    "csum_start": 0x66,
    "csum_offset": 16,
    "ihl": 5,
    "doff": 8,
    "payload": 1460,
    "tunnel": Tunnel.GUE,
    "l4": 6,
}


def rules(**fields) -> list[str]:
    return [finding.rule for finding in gso.validate(SkbState(**fields))]


def test_a_right_packet_violates_nothing():
    found = gso.validate(SkbState(**GUE))
    assert found == []
    # The rules for VLAN headers, USO and virtio headers, which are not judged, do not apply.
    place = {"bad-offload": ("context",), "checksum-help-gso": ("context",)}
    assert found.not_judged == {**place, "checksum-outside": ("headroom",)}
    del (lacking := dict(GUE))["csum_start"]
    assert gso.validate(SkbState(**lacking)).not_judged == {
        **place,
        "csum-start": ("csum_start",),
        "checksum-outside": ("csum_start", "headroom"),
    }


def test_the_incident_has_a_tunnel_header_of_minus_2_bytes():
    [finding] = gso.validate(SkbState(**INCIDENT))
    assert finding.rule == "tunnel-header-negative"
    assert finding.severity == "error"
    assert "tnl_hlen is -2" in finding.message
    assert "would be 12" in finding.message
    assert finding.fields["inner_mac_header"] == 68
    assert finding.fields["transport_header"] == 70
    assert "tx_dropped" in finding.kernel_outcome
    assert "skb_set_inner_mac_header(skb, skb_inner_network_offset(skb))" in finding.likely_cause


WIDE = {"mac_header": 0xFFFE, "tnl_hlen": -2}


@pytest.mark.parametrize("printed", [-2, 65534, 4294967294])
def test_minus_2_is_understood_however_it_is_printed(printed):
    assert SkbState(tnl_hlen=printed).tnl_hlen == -2
    assert SkbState(mac_header=printed).mac_header == 0xFFFE
    assert SkbState(tnl_hlen=2**64 - 2, mac_header=2**64 - 2).known == WIDE
    assert rules(tnl_hlen=printed, gso_type=GsoType.UDP_TUNNEL) == ["tunnel-header-negative"]
    row = gso.skb_array(1)
    row["tnl_hlen"] = printed if printed < 1 << 31 else printed - (1 << 32)
    row["encapsulation"], row["gso_type"] = 1, GsoType.UDP_TUNNEL
    assert gso.validate_batch(row)[0] == 1


@pytest.mark.parametrize(
    ("before", "tunnel", "flags", "expected"),
    [
        (12, Tunnel.GUE, GsoType.UDP_TUNNEL, "tunnel-header-negative"),
        (8, Tunnel.FOU, GsoType.UDP_TUNNEL, "tunnel-header-negative"),
        (4, Tunnel.GRE, GsoType.GRE, "tunnel-header-negative"),
        (8, Tunnel.GRE, GsoType.GRE_CSUM, "tunnel-header-negative"),
        (
            20,
            Tunnel.GUE,
            GsoType.UDP_TUNNEL_CSUM | GsoType.TUNNEL_REMCSUM,
            "tunnel-header-short",
        ),
    ],
)
def test_an_old_link_header_in_front_of_an_ip_packet(before, tunnel, flags, expected):
    offsets = {
        "network_header": 200 - before - 20,
        "transport_header": 200 - before,
        "inner_network_header": 200,
        "inner_transport_header": 220,
        "mac_header": 150,
    }
    state = {**GUE, **offsets, "csum_start": 220, "tunnel": tunnel}
    bare = tunnel is not Tunnel.GRE
    state["gso_type"] = GsoType.TCPV4 | flags | (GsoType.IPXIP4 if bare else 0)
    state["inner_mac_header"] = 200
    assert rules(**state) == []
    state["inner_mac_header"] = 200 - 14
    found = rules(**state)
    assert expected in found
    assert "inner-mac-length" in found


def test_a_client_on_the_director_has_no_link_header_to_leave_behind():
    assert rules(**{**INCIDENT, "mac_header": 0xFFFF, "inner_mac_header": 0xFFFF}) == [
        "inner-header-unset"
    ]


def test_remote_checksum_offload_is_found_from_the_offsets_alone():
    offsets = {"network_header": 160, "transport_header": 180, "inner_network_header": 200}
    assert rules(**offsets, inner_mac_header=186) == ["tunnel-header-wrong"]
    assert rules(**offsets, inner_mac_header=200) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"inner_mac_header": 0x4E}, "tunnel-header-short"),
        ({"inner_mac_header": 0x54}, "tunnel-header-wrong"),
        ({"len": 10, "data_len": 0}, "tunnel-header-long"),
        ({"inner_mac_header": 0x4D}, "inner-mac-length"),
        ({"network_header": 0x48}, "outer-header-order"),
        (
            {"mac_header": 0x34, "encapsulation": 0, "gso_type": GsoType.TCPV4},
            "outer-header-order",
        ),
        ({"inner_transport_header": 0x50}, "inner-header-order"),
        ({"transport_header": 0xFFFF}, "transport-header-unset"),
        ({"inner_mac_header": 0}, "inner-header-unset"),
        ({"inner_network_header": 0xFFFF}, "inner-header-unset"),
        ({"gso_type": GsoType.TCPV4}, "encapsulation-unmarked"),
        ({"encapsulation": 0}, "encapsulation-missing"),
        ({"gso_type": GUE["gso_type"] | GsoType.UDP_L4}, "gso-type-contradictory"),
        ({"gso_type": GsoType.UDP_TUNNEL}, "gso-type-contradictory"),
        ({"gso_type": GsoType.UDP_L4 | GsoType.UDP_TUNNEL}, "gso-type-protocol"),
        ({"inner_ipproto": 0}, "inner-ipproto-handler"),
        ({"inner_protocol_type": 0, "inner_protocol": 0}, "inner-protocol-handler"),
        ({"csum_start": 0x46}, "csum-start"),
        ({"csum_offset": 6}, "csum-offset"),
        ({"gso_type": GsoType.UDP_L4, "ip_summed": 0}, "uso-checksum"),
        ({"ihl": 4}, "ihl-small"),
        ({"doff": 4}, "doff-small"),
        ({"payload": 1448}, "payload-not-larger"),
        ({"data_len": 1545}, "data-len"),
        ({"gso_size": 0xFFFF, "gso_type": GUE["gso_type"] | GsoType.DODGY}, "gso-by-frags"),
        (
            {"gso_size": 11, "gso_type": GsoType.UDP_L4 | GsoType.DODGY},
            "uso-segments",
        ),
        ({"gso_size": 0, "gso_type": GUE["gso_type"] | GsoType.DODGY}, "dodgy-gso-size"),
        (
            {"csum_start": 0x40, "encapsulation": 0, "gso_type": GsoType.TCPV4 | GsoType.DODGY},
            "dodgy-csum-start",
        ),
        ({"ip_summed": 0, "gso_type": GUE["gso_type"] | GsoType.DODGY}, "dodgy-tunnel-checksum"),
        ({"ip_summed": 0, "context": Context.TRANSMIT}, "bad-offload"),
        ({"context": Context.CHECKSUM_HELP}, "checksum-help-gso"),
        ({"headroom": 0x67, "context": Context.TRANSMIT}, "checksum-outside"),
        ({"headroom": 0x24, "data_len": 1500}, "checksum-outside"),
        ({"gso_size": 0, "mtu": 1500, "context": Context.TRANSMIT}, "longer-than-mtu"),
        ({"gso_type": GsoType.TCPV4 | GsoType.UDP_TUNNEL}, "ipxip-version"),
        ({"inner_ipproto": 41}, "inner-protocol-version"),
        ({"protocol": 0x8847, "inner_network_header": 0x50}, "mpls-inner-header"),
        ({"protocol": 0x8847, "inner_protocol": 0x86DD}, "mpls-inner-header"),
        ({"protocol": 0x8100}, "vlan-in-band"),
        ({"gso_type": GUE["gso_type"] | GsoType.FRAGLIST}, "fraglist-kind"),
        ({"gso_size": 0xFFFF, "data_len": 0}, "frag-list"),
        ({"gso_type": GsoType.UDP_L4 | GsoType.FRAGLIST, "data_len": 0}, "frag-list"),
        ({"gso_size": 0xFFFF, "frag_list": 0}, "frag-list"),
        ({"gso_type": GsoType.TCPV4 | GsoType.FRAGLIST, "frag_list": 0}, "frag-list"),
        ({"gso_type": GUE["gso_type"] | 1 << 25}, "gso-type-unknown"),
        ({"gso_size": 1, "len": 70000}, "gso-segments"),
        (
            {"gso_type": GsoType.TCPV4 | GsoType.GRE, "tunnel": Tunnel.GRE},
            "gre-sequence",
        ),
        ({"gso_type": GsoType.TCPV4 | GsoType.GRE, "gre_flags": 0x1000}, "gre-sequence"),
    ],
)
def test_each_rule_is_violated_by_one_wrong_field(changes, expected):
    state = SkbState(**{**GUE, **changes})
    found = {finding.rule: finding for finding in gso.validate(state)}
    assert expected in found
    for name in set(changes) & set(found[expected].fields):
        assert name in found[expected].message


def test_every_rule_is_tested_and_documented():
    tested = test_each_rule_is_violated_by_one_wrong_field.pytestmark[0].args[1]
    assert {name for _, name in tested} | {"tunnel-header-negative"} == set(gso.RULES)
    for bit, rule in enumerate(gso.RULES.values()):
        assert rule.bit == bit
        assert rule.kernel_outcome
        assert rule.likely_cause
        assert gso.explain(1 << bit) == [rule]


def test_unknown_never_counts_as_zero():
    found = gso.validate(SkbState())
    assert found == []
    assert found.judged == ()
    assert set(found.not_judged) == set(gso.RULES)
    assert "encapsulation" in gso.validate(SkbState(**INCIDENT)).not_judged["inner-header-unset"]
    assert not gso.validate_batch(gso.skb_array(3)).any()


def test_offsets_left_by_a_removed_tunnel_are_not_judged():
    received = {**INCIDENT, "network_header": 0x52, "transport_header": 0x66}
    assert rules(**received) == []
    assert rules(**INCIDENT, encapsulation=0) == []


def test_ip_in_ip_has_no_tunnel_header_to_be_negative():
    offsets = {**INCIDENT, "network_header": 0x3E, "transport_header": 0x52}
    assert rules(**offsets) == []
    assert rules(**offsets, gso_type=GsoType.IPXIP4 | GsoType.TCPV4) == []


def test_inner_ethernet_may_have_vlans_but_no_odd_length():
    vxlan = {**GUE, "tunnel": Tunnel.VXLAN, "inner_protocol_type": 0, "inner_protocol": 0x6558}
    vxlan.update(transport_header=0x46, inner_mac_header=0x56, gso_type=0x401)
    for length, right in ((14, True), (18, True), (22, True), (16, False), (0, False)):
        inner = {"inner_network_header": 0x56 + length, "inner_transport_header": 0x6A + length}
        found = rules(**{**vxlan, **inner, "csum_start": 0x6A + length})
        assert found == ([] if right else ["inner-mac-length"])


def test_rows_and_arrays_are_judged_as_states():
    rows = gso.skb_array([SkbState(**INCIDENT), SkbState(**GUE)])
    assert gso.validate(rows[0]) == gso.validate(SkbState(**INCIDENT))
    assert gso.validate(rows) == [gso.validate(row) for row in rows]
    assert gso.validate(rows[:0]) == []
    assert gso.validate(np.asarray(rows[0])) == gso.validate(rows[0])
    with pytest.raises(TypeError, match=r"gso\.SKB_DTYPE is needed"):
        gso.validate(gso.parse_batch(gso.Frames.from_list([frame()])))
    with pytest.raises(TypeError, match="2-D"):
        gso.validate(np.zeros((3, 2), gso.SKB_DTYPE))


def test_the_offsets_of_a_tunnel_header_suffice_to_find_its_length_negative():
    known = {"inner_mac_header": 254, "inner_network_header": 268, "transport_header": 256}
    row = gso.skb_array(1)
    for name, value in known.items():
        row[name] = value
    for found in (gso.validate(SkbState(**known)), gso.validate(row)[0]):
        assert [one.rule for one in found] == ["tunnel-header-negative"]
    assert gso.explain(int(gso.validate_batch(row)[0])) == [gso.RULES["tunnel-header-negative"]]


def test_a_frag_list_is_needed_only_where_it_is_cut():
    listed = {**GUE, "gso_type": GsoType.TCPV4 | GsoType.FRAGLIST, "payload": None}
    assert "frag-list" not in rules(**{**listed, "frag_list": 1})
    assert "frag-list" not in rules(**{**listed, "gso_type": GsoType.TCPV4, "frag_list": 0})
    assert rules(**GUE, frag_list=0) == []
    assert rules(gso_size=0xFFFF, frag_list=0) == ["frag-list"]


def test_len_alone_may_show_that_there_is_nothing_to_segment():
    assert rules(len=1400, gso_size=1448) == ["payload-not-larger"]
    assert rules(len=1500, gso_size=1448) == []
    assert rules(len=1500, payload=1480, gso_size=0xFFFF) == []  # GSO_BY_FRAGS


@pytest.mark.parametrize("rule", gso.RULES.values(), ids=gso.RULES)
def test_the_fields_of_a_rule_are_those_it_lacks_where_nothing_is_known(rule):
    assert gso.validate(SkbState()).not_judged[rule.rule] == rule.fields


def test_masks_and_arrays_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="beyond the 40 rules"):
        gso.explain(1 << 40)
    with pytest.raises(ValueError, match="beyond the 40 rules"):
        gso.explain(-1)
    with pytest.raises(TypeError, match="not list"):
        gso.validate_batch([frame()])
    with pytest.raises(TypeError, match="1-D array of gso"):
        gso.validate_batch(np.zeros(3))
    with pytest.raises(TypeError, match="2-D"):
        gso.validate_batch(np.zeros((3, 2), gso.SKB_DTYPE))
    with pytest.raises(ValueError, match="mac_header is 65536, not within -32768 to 65535"):
        SkbState(mac_header=65536)
    with pytest.raises(TypeError, match="len is a str"):
        SkbState(len="12")


def test_a_slice_with_steps_is_judged_row_by_row():
    rows = gso.skb_array([SkbState(**INCIDENT), SkbState(**GUE)] * 3)
    assert gso.validate_batch(rows[::2]).tolist() == [1, 1, 1]
    assert gso.validate_batch(rows[1::2]).tolist() == [0, 0, 0]
    assert gso.validate_batch(rows[:0]).tolist() == []


# --- frames ---


def frame(**options) -> bytearray:
    return bytearray(packets.ethernet(packets.tcp(payload=b"x" * 100, **options)))


def test_a_right_frame_violates_nothing():
    assert gso.validate(frame()) == []


@pytest.mark.parametrize(
    ("offset", "value", "expected"),
    [
        (16, 1, {"frame-length", "frame-checksum"}),
        (24, 0, {"frame-checksum"}),
        (50, 1, {"frame-checksum"}),
        (46, 0x40, {"frame-header"}),
        (14, 0x44, {"frame-header"}),
    ],
)
def test_a_wrong_byte_is_found(offset, value, expected):
    data = frame()
    data[offset] = value
    assert expected <= {finding.rule for finding in gso.validate(data)}


def test_a_frame_is_measured_against_the_mtu():
    found = gso.validate(frame(), mtu=100)
    assert [finding.rule for finding in found] == ["frame-mtu"]
    assert "more than the MTU of 100" in found[0].message
    assert gso.validate(frame(), mtu=1500) == []
    assert gso.validate(frame()).not_judged == {"frame-mtu": ("mtu",), "gre-sequence": ("mtu",)}


def test_a_sequence_number_that_segmentation_repeats_is_found():
    head = bytes(frame()[:14]) + bytes.fromhex("4500000000004000402f00000a0000010a000002")
    packet = head + bytes.fromhex("1000080000000007") + bytes(frame()[14:])
    rules = [finding.rule for finding in gso.validate(packet, mtu=100)]
    assert rules[-2:] == ["frame-mtu", "gre-sequence"]
    assert "gre-sequence" not in [f.rule for f in gso.validate(packet, mtu=1500)]


# --- rows of zeros ---


def test_plain_zeros_are_unknown_and_no_packet_of_zeros():
    rows = np.zeros(3, gso.SKB_DTYPE)
    assert not gso.validate_batch(rows).any()
    assert SkbState.from_row(rows[0]).known == {}
    for name, value in INCIDENT.items():
        rows[name][1] = value
    masks = gso.validate_batch(rows)
    assert [rule.rule for rule in gso.explain(masks[1])] == ["tunnel-header-negative"]
    assert SkbState.from_row(rows[1]) == SkbState(**INCIDENT)
    # Who says that zeros are known gets them judged.
    rows["encapsulation"][2] = rows["zero_known"][2] = 1
    assert "inner-header-unset" in [r.rule for r in gso.explain(gso.validate_batch(rows)[2])]
    assert SkbState.from_row(rows[2]).len == 0


def test_every_commit_of_a_rule_has_its_subject_and_version():
    cited = {commit for rule in gso.RULES.values() for commit in rule.commits}
    assert cited == set(COMMITS)
    assert all(
        subject and re.fullmatch(r"\d+\.\d+", version) for subject, version in COMMITS.values()
    )


@pytest.mark.parametrize("at", [24, 50])
def test_a_checksum_that_is_left_blank_for_the_device_is_a_warning(at):
    data = frame()
    data[at : at + 2] = b"\0\0"
    [found] = gso.validate(data)
    assert (found.rule, found.severity) == ("frame-partial-checksum", "warning")
    assert "is 0, should be 0x" in found.message
