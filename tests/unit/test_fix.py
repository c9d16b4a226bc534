"""gso segment --fix sets wrong lengths and checksums right, and nothing else."""

from __future__ import annotations

from importlib import import_module

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from scapy.layers.l2 import Ether
from scapy.layers.sctp import SCTP, SCTPChunkData
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

import gso
from gso.cli import main
from gso.headers.checks import check
from gso.headers.fragments import Reassembler

V4, V6 = IP(src="192.0.2.1", dst="198.51.100.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")
ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
DATA = Raw(bytes(range(200)))
PACKETS = {
    "tcp": ETHERNET / V4 / TCP(sport=1, dport=2) / DATA,
    "udp": ETHERNET / V4 / UDP(sport=1, dport=2) / DATA,
    "icmp": ETHERNET / V4 / ICMP() / DATA,
    "tcp6": ETHERNET / V6 / TCP(sport=1, dport=2) / DATA,
    "udp6": ETHERNET / V6 / UDP(sport=1, dport=2) / DATA,
    "sctp": ETHERNET / V4 / SCTP(sport=1, dport=2) / SCTPChunkData(data=bytes(200)),
    "sctp6": ETHERNET / V6 / SCTP(sport=1, dport=2) / SCTPChunkData(data=bytes(200)),
    "vxlan": ETHERNET / V4 / UDP(sport=1) / VXLAN(vni=7) / ETHERNET / V4 / TCP() / DATA,
}


def fix(tmp_path, frames, *words, status=0):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, frames)
    assert main(["segment", str(source), str(out), "--fix", *words]) == status
    return gso.read_capture(out).frames.to_list()


@pytest.mark.parametrize("name", PACKETS)
def test_every_wrong_length_and_checksum_is_set_right(name, tmp_path, capsys):
    right = bytes(PACKETS[name])
    checks = check(right)
    wrong = []
    for one in checks:
        if one.status == "right":
            frame = bytearray(right)
            frame[one.offset : one.offset + 2] = b"\x12\x34"
            wrong.append(bytes(frame))
    every = bytearray(right)
    for one in checks:
        every[one.offset + 1] ^= 0x55 if one.name == "checksum" else 0
    made = fix(tmp_path, [right, *wrong, bytes(every)])
    assert made == [right] * len(made)
    assert f"{len(made) - 1} packets had wrong lengths" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["segment", "OUT", "--fix"], ["validate", "--reassemble"]])
def test_packets_in_which_all_is_right_are_not_read_one_by_one(words, tmp_path, monkeypatch):
    frames = [bytes(PACKETS["vxlan"]), bytes(PACKETS["tcp"])] * 500
    bad = frames[0][:-1] + b"!"
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, [*frames, bad])
    seen = []
    for place in ("gso.headers.fragments", "gso.headers.checks"):
        monkeypatch.setattr(f"{place}.read_headers", counting(seen, place))
    main([words[0], str(source), *[str(out) if one == "OUT" else one for one in words[1:]]])
    assert 0 < len(seen) < 10


def counting(seen, place):
    original = import_module(place).read_headers

    def read(*arguments, **options):
        seen.append(place)
        return original(*arguments, **options)

    return read


def test_a_packet_that_the_capture_cut_still_lacks_its_bytes(tmp_path):
    right = bytes(PACKETS["tcp"])
    bad = right[:24] + b"\x12\x34" + right[26:]
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, [bad[:60]], original_lengths=[len(bad)])
    assert main(["segment", str(source), str(out), "--fix"]) == 0
    made = gso.read_capture(out)
    assert made.frames.to_list() == [right[:60]]
    assert made.original_lengths.tolist() == [len(right)]
    assert main(["validate", str(out)]) == 0


def test_without_the_option_nothing_is_set_right(tmp_path, capsys):
    frame = bytes(PACKETS["tcp"])[:-1] + b"!"
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, [frame])
    assert main(["segment", str(source), str(out)]) == 0
    assert gso.read_capture(out).frames.to_list() == [frame]
    assert main(["segment", str(source), str(out), "--fix", "--partial"]) == 2
    capsys.readouterr()


def pieces(version):
    """The fragments of a UDP packet, wrong by the last byte of its data."""
    if version == 4:
        packet = ETHERNET / V4 / UDP(sport=1, dport=2) / Raw(b"x" * 1000)
        return [bytes(one) for one in fragment(Ether(bytes(packet)), fragsize=400)]
    packet = V6 / IPv6ExtHdrFragment(id=77) / UDP(sport=1, dport=2) / Raw(b"x" * 1000)
    return [bytes(ETHERNET / one) for one in fragment6(packet, 500)]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("backwards", [False, True])
def test_checksums_of_packets_in_fragments(version, backwards, tmp_path, capsys):
    right = pieces(version)
    assert len(right) == 3
    wrong = [bytearray(one) for one in right]
    at = right[0].index(b"x" * 8) - 2
    wrong[0][at] ^= 0xFF
    if version == 4:
        wrong[1][24] ^= 0xFF
    order = slice(None, None, -1 if backwards else 1)
    made = fix(tmp_path, [bytes(one) for one in wrong][order])
    assert made[order] == right
    # Where a piece lacks, the checksum is not known.
    assert fix(tmp_path, [bytes(one) for one in wrong[:2]])[0] == bytes(wrong[0])
    capsys.readouterr()


def test_udp_without_checksum_and_over_ipv6(tmp_path, capsys):
    v4 = bytearray(bytes(PACKETS["udp"]))
    v4[40:42] = b"\0\0"
    v6 = bytearray(bytes(PACKETS["udp6"]))
    v6[60:62] = b"\0\0"
    assert fix(tmp_path, [bytes(v4), bytes(v6)]) == [bytes(v4), bytes(PACKETS["udp6"])]
    capsys.readouterr()


@pytest.mark.parametrize("version", [4, 6])
def test_fragments_put_together_are_judged_and_drawn(version, tmp_path, capsys):
    source = tmp_path / "in.pcap"
    frames = pieces(version)
    gso.write_capture(source, frames)
    assert main(["validate", str(source), "--reassemble"]) == 0
    assert "1 packet put together of fragments" in capsys.readouterr().out
    assert main(["explain", str(source), "--reassemble", "-n", "2"]) == 0
    text = capsys.readouterr().out
    assert "put together of packets 1, 2, 3" in text
    assert "1000 bytes" in text
    frames[2] = frames[2][:-1] + b"!"
    gso.write_capture(source, frames)
    assert main(["validate", str(source)]) == 0
    assert main(["validate", str(source), "--reassemble"]) == 1
    text = capsys.readouterr().out
    assert "put together, udp checksum" in text
    assert "(packets 1, 2, 3)" in " ".join(text.split())
    assert main(["explain", str(source), "--reassemble", "-n", "2"]) == 1
    gso.write_capture(source, frames[:2])
    assert main(["validate", str(source), "--reassemble"]) == 0
    assert "0 packets put together of fragments, 1 are not complete" in capsys.readouterr().out


def test_fragments_that_overlap_are_not_put_together():
    frames = pieces(4)
    other = frames[1][:40] + b"?" + frames[1][41:]
    together = Reassembler()
    found = [together.add(i, frame) for i, frame in enumerate([frames[0], frames[1], other])]
    assert found == [None] * 3
    assert together.incomplete == 2
    assert together.add(9, frames[2]) is None


def test_equal_fragments_count_once():
    together = Reassembler()
    frames = pieces(4)
    found = [
        together.add(i, frame) for i, frame in enumerate([*frames[:2], *frames[:2], frames[2]])
    ]
    assert [one is None for one in found] == [True] * 4 + [False]
    assert found[4].numbers == [0, 1, 4]
    assert IP(found[4].packet)[UDP].len == 1008
