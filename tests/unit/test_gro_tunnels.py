"""Tunnel headers that keep GRO from merging what is in them."""

import pytest
from scapy.layers.inet import GRE, IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import gso
import vectorset

PAYLOAD = bytes(500)


def built(*layers, payload=PAYLOAD):
    packet = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    for layer in layers:
        packet /= layer
    return bytes(packet / Raw(payload))


def merged(packet):
    """How many packets the segments of a super-packet become again."""
    return len(gso.coalesce(gso.segment(packet, 100)))


@pytest.mark.parametrize(
    ("first", "packets"),
    [
        (0x0C, 1),
        (0x04, 1),  # GRO does not look at I
        (0x0D, 5),  # O: OAM
        (0x1C, 5),  # versions
        (0x2C, 5),
    ],
)
def test_vxlan_gpe(first, packets):
    """vxlan_parse_gpe_proto"""
    inner = built(IP(id=7), TCP(flags="A"))[14:]
    header = bytes([first, 0, 0, 1, 0, 0, 5, 0])
    packet = built(IP(id=9), UDP(sport=5, dport=4790), payload=header + inner)
    assert merged(packet) == packets


@pytest.mark.parametrize(("fields", "packets"), [({"seqnum_present": 1}, 5), ({}, 1)])
@pytest.mark.parametrize("in_udp", [False, True])
def test_gre_sequence_numbers(fields, packets, in_udp):
    gre = GRE(**fields) / IP(id=7) / TCP(flags="A")
    if in_udp:
        gue = b"\0\x2f\0\0" + bytes(gre / Raw(PAYLOAD))
        packet = built(IP(id=9), UDP(sport=5, dport=6080), payload=gue)
    else:
        packet = built(IP(id=9), gre)
    assert merged(packet) == packets


@pytest.mark.parametrize("tunnel", ["vxlan", "gue"])
def test_remote_checksums_of_vxlan_only_where_the_device_takes_them(tunnel):
    """vxlan_gro_prepare_receive, VXLAN_F_REMCSUM_RX; GUE asks no socket (gue_gro_receive)."""
    seen = 0
    for record in vectorset.records():
        frames = vectorset.outputs(record)
        if record["tunnel"] != f"{tunnel}-remcsum-csum" or len(gso.coalesce(frames)) == len(frames):
            continue
        seen += 1
        apart = gso.coalesce(frames, vxlan_remcsum=False)
        if tunnel == "vxlan":
            assert apart.to_list() == frames
        else:
            assert apart == gso.coalesce(frames)
    assert seen >= 3
