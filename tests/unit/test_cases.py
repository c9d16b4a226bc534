"""Captures that are easily misread: what each command must make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import gso
from gso.cli import main

CASES = Path(__file__).parents[1] / "vectors" / "cases" / "captures"
SIZE = ("--gso-size", "1448")

UNCHANGED = [
    ("01-eompls-mac-45.pcap", (), 0),
    ("01-mpls-label-24000.pcap", (), 0),
    ("01-nsh.pcap", (), 0),
    ("01-sll2-vlan-priority2.pcap", (), 0),
    ("02-handshake-1380.pcap", (), 0),
    ("02-handshake-nomss.pcap", (), 0),
    ("03-tcp-1460.pcap", SIZE, 0),
    ("03-vxlan8472-full.pcap", SIZE, 0),
    ("03-wireguard-full.pcap", SIZE, 0),
    ("05-qinq-ack-padded.pcap", SIZE, 0),
    ("05-sll2-ack-padded.pcap", SIZE, 0),
    ("05-trailer-full.pcap", SIZE, 0),
    ("05-trailer-mid.pcap", SIZE, 0),
    ("05-vlan-ack-padded-fcs.pcap", SIZE, 0),
    ("13-sctp-super.pcap", SIZE, 1),
    ("15-left-unchanged.pcap", (), 1),
]


@pytest.mark.parametrize(("name", "words", "status"), UNCHANGED)
def test_segment_changes_no_byte(name, words, status, tmp_path, capsys):
    out = tmp_path / name
    assert main(["segment", str(CASES / name), str(out), *words]) == status
    assert out.read_bytes() == (CASES / name).read_bytes()
    text = capsys.readouterr().out
    assert "0 packets had the checksum completed" in text
    assert ("left unchanged" in text) == bool(status)


def test_a_super_packet_behind_sll2_and_vlan_is_segmented(tmp_path, capsys):
    out = tmp_path / "out.pcap"
    assert main(["segment", str(CASES / "13-sll2-vlan-super.pcap"), str(out), *SIZE]) == 0
    whole = gso.read_capture(CASES / "13-sll2-vlan-super.pcap").frames[0]
    made = gso.read_capture(out).frames.to_list()
    assert len(made) == 3
    assert all(frame[:20] == bytes(whole[:20]) for frame in made)
    capsys.readouterr()
    assert main(["validate", str(out)]) == 0
    assert "nothing wrong" in capsys.readouterr().out


def test_a_tunnel_on_an_unknown_port_is_not_cut_by_guess(tmp_path, capsys):
    source = CASES.parents[2] / "kernel" / "data" / "incident-patched.pcapng"
    out = tmp_path / "out.pcapng"
    assert main(["segment", str(source), str(out), *SIZE]) == 1
    assert gso.read_capture(out).frames == gso.read_capture(source).frames
    assert "--tunnel-port 5501=gue" in capsys.readouterr().out
    assert main(["segment", str(source), str(out), *SIZE, "--tunnel-port", "5501=gue"]) == 0
    capsys.readouterr()
