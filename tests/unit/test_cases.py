"""Captures that are easily misread: what each command must make of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import gso
import handmade
from gso.cli import main

CASES = Path(__file__).parents[1] / "vectors" / "cases" / "captures"
SIZE = ("--gso-size", "1448")
SILENT_KINDS = ("04", "05", "06", "07", "10", "14")

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


def test_packets_that_fit_a_jumbo_handshake_are_no_super_packets(tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    there, back = (handmade.CLIENT, handmade.SERVER), (handmade.SERVER, handmade.CLIENT)
    shake = [handmade.syn(*there, 8960), handmade.syn(*back, 8960, flags=0x12)]
    fitting = [handmade.tcp(payload=b"x" * 8948), handmade.udp(payload=b"y" * 8972)]
    packets = [*shake, *fitting, handmade.tcp(payload=b"x" * 9000)]
    frames = [handmade.ethernet(packet) for packet in packets]
    gso.write_capture(source, frames)
    for words, size in ((SIZE, 1448), ((), 8948)):
        assert main(["segment", str(source), str(out), *words]) == 0
        made = gso.read_capture(out).frames.to_list()
        assert made[:4] == frames[:4]
        assert made[4:] == gso.segment(frames[4], size).to_list()
    sizes = (*SIZE, "--udp-size", "1448")
    assert main(["segment", str(source), str(out), *sizes, "--mtu", "1500"]) == 0
    assert len(gso.read_capture(out)) == 2 + 3 * 7
    capsys.readouterr()


@pytest.mark.parametrize(("comment", "pieces"), [("gso_size=1000", 4), ("gso_size=0", 1)])
def test_a_comment_says_the_size(comment, pieces, tmp_path, capsys):
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    for make in (handmade.tcp, handmade.udp):
        frame = handmade.ethernet(make(payload=b"x" * 4000))
        gso.write_capture(source, [frame], comments=[comment])
        assert main(["segment", str(source), str(out)]) == 0
        made = gso.read_capture(out).frames.to_list()
        assert made == (gso.segment(frame, 1000).to_list() if pieces > 1 else [frame])
        assert len(made) == pieces
    assert main(["segment", str(source), str(out), "--udp-size", "2000"]) == 0
    assert len(gso.read_capture(out)) == 2
    capsys.readouterr()


@pytest.mark.parametrize("link_type", ["null", "loop"])
@pytest.mark.parametrize(
    ("family", "cut"),
    [(b"\2\0\0\0", True), (b"\0\0\0\2", True), (b"\x1e\0\0\0", False), (b"\7\0\0\0", False)],
)
def test_a_loopback_header_says_what_follows(link_type, family, cut, tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    packet = handmade.tcp(payload=b"x" * 4000)
    gso.write_capture(source, [family + packet], link_type=link_type)
    known = family[0] != 7
    assert main(["segment", str(source), str(out), *SIZE]) == (0 if cut else 1 if known else 2)
    made = gso.read_capture(out).frames.to_list()
    pieces = gso.segment(packet, 1448, link_type="raw").to_list() if cut else [packet]
    assert made == [family + piece for piece in pieces]
    text = capsys.readouterr().out
    assert ("1 packet left unchanged" in text) == (not cut)
    assert ("cannot be looked into" in text) == (not known)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_datagrams_of_the_loopback_device_are_no_super_packets(address, tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    frame = handmade.ethernet(handmade.udp((address, 53), (address, 4000), b"x" * 3000))
    gso.write_capture(source, [frame])
    assert main(["segment", str(source), str(out), *SIZE]) == 0
    assert gso.read_capture(out).frames.to_list() == [frame]
    assert main(["segment", str(source), str(out), *SIZE, "--mtu", "1500"]) == 1
    assert gso.read_capture(out).frames.to_list() == [frame]
    assert "--udp-size" in capsys.readouterr().out
    assert main(["segment", str(source), str(out), "--udp-size", "1448", "--mtu", "1500"]) == 0
    assert len(gso.read_capture(out)) == 3
    capsys.readouterr()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("words", [(), SIZE])
def test_tcp_of_the_loopback_device_is_no_super_packet(address, words, tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    there = (address, 5000), (address, 5001)
    frame = handmade.ethernet(handmade.tcp(*there, b"x" * 9000))
    gso.write_capture(source, [frame])
    assert main(["segment", str(source), str(out), *words]) == 0
    assert gso.read_capture(out).frames.to_list() == [frame]
    shake = [handmade.syn(*there, 1460), handmade.syn(*there[::-1], 1460, flags=0x12)]
    gso.write_capture(source, [*map(handmade.ethernet, shake), frame])
    assert main(["segment", str(source), str(out), *words]) == 0
    assert len(gso.read_capture(out)) == 2 + 7
    capsys.readouterr()


@pytest.mark.parametrize("tags", [0, 1, 2, 3])
def test_padding_behind_tags_is_told_without_a_checksum(tags, tmp_path, capsys):
    frame = handmade.ethernet(handmade.tcp(payload=b"x", options=b"")).ljust(60, b"\0")
    wrong = frame[:50] + b"\x12\x34" + frame[52:]
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [wrong[:12] + b"\x81\0\0\7" * tags + wrong[12:]])
    assert main(["validate", str(source)]) == 1
    text = capsys.readouterr().out
    assert "frame-checksum" in text
    assert "frame-length" not in text


LABEL = b"\x88\x47\0\0\x11\x40"
WORD = b"\0\0\0\0"


@pytest.mark.parametrize("mac", ["020000000a01", "000000000a01", "450000000a01", "600000000a01"])
@pytest.mark.parametrize("word", [b"", WORD])
@pytest.mark.parametrize("bad", [False, True])
def test_a_pseudowire_is_judged_with_and_without_control_word(mac, word, bad, tmp_path, capsys):
    packet = bytearray(handmade.tcp(payload=b"x" * 100))
    packet[60] ^= bad
    inner = word + bytes.fromhex(mac) + handmade.ethernet(bytes(packet))[6:]
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, [handmade.ETHERNET + LABEL + inner])
    assert main(["segment", str(source), str(out)]) == 0
    assert out.read_bytes() == source.read_bytes()
    status = main(["validate", str(source)])
    text = capsys.readouterr().out
    assert status == (1 if bad else 0)
    assert ("frame-checksum" in text) == bad


def in_gue(count: int, port: int) -> list[bytes]:
    """Segments of one connection in GUE on a port: equally long datagrams with checksums."""
    inner = [handmade.tcp(payload=b"x" * 500, sequence=500 * i) for i in range(count)]
    outer = ("10.9.0.1", 50000), ("10.9.0.2", port)
    return [
        handmade.ethernet(handmade.with_id(handmade.udp(*outer, b"\0\x04\0\0" + packet), i))
        for i, packet in enumerate(inner)
    ]


def test_a_tunnel_on_an_unknown_port_is_not_merged_as_datagrams(tmp_path, capsys):
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    frames = [*handmade.stream(3), *in_gue(4, 5501), *handmade.stream(2, source=handmade.OTHER)]
    gso.write_capture(source, frames)
    assert main(["coalesce", str(source), str(out)]) == 1
    assert gso.read_capture(out).frames.to_list()[1:5] == frames[3:7]
    assert len(gso.read_capture(out)) == 6
    text = capsys.readouterr().out
    assert "4 packets left unchanged (number 4, 5, 6, 7): UDP port 5501 looks like gue" in text
    assert main(["coalesce", str(source), str(out), "--tunnel-port", "5501=none"]) == 0
    assert len(gso.read_capture(out)) == 3
    capsys.readouterr()


SILENT = [path.name for path in sorted(CASES.glob("*.pcap")) if path.name[:2] in SILENT_KINDS]


@pytest.mark.parametrize("name", SILENT)
def test_validate_finds_nothing_in_what_is_ordinary(name, capsys):
    assert main(["validate", str(CASES / name)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["nothing wrong was found"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("11-ppp-bad-checksum.pcap", "frame-checksum"),
        ("11-pppoe-bad-checksum.pcap", "frame-checksum"),
        ("11-snap-bad-checksum.pcap", "frame-checksum"),
        ("12-ipv4-version-5.pcap", "version at 14 is 5, announced was 4"),
        ("12-udp6-zero-checksum.pcap", "is 0, which UDP over IPv6 allows in tunnels only"),
    ],
)
def test_validate_finds_what_is_wrong(name, words, capsys):
    assert main(["validate", str(CASES / name)]) == 1
    assert words in capsys.readouterr().out


def test_what_precedes_damage_is_judged_and_written(tmp_path, capsys):
    source, out = CASES / "16-damage-after-two.pcap", tmp_path / "out.pcap"
    assert main(["validate", str(source)]) == 2
    text = capsys.readouterr().out
    assert ": 2 packets" in text
    assert "damaged capture at byte" in text
    for command in ("segment", "coalesce"):
        assert main([command, str(source), str(out)]) == 2
        assert "damaged capture at byte" in capsys.readouterr().out
        assert len(gso.read_capture(out)) == 2


def test_nothing_is_said_of_what_was_not_looked_into(tmp_path, capsys):
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [b"?" * 100], link_type=147)
    assert main(["validate", str(source)]) == 2
    text = capsys.readouterr().out
    assert "1 packet cannot be looked into: link type user0" in text
    assert "nothing wrong" not in text
    lldp = bytes(12) + b"\x88\xcc" + bytes(46)
    gso.write_capture(source, [lldp, gso.read_capture(CASES / "03-tcp-1460.pcap").frames[0]])
    assert main(["validate", str(source)]) == 0
    text = capsys.readouterr().out
    assert "1 packet cannot be looked into: ethernet type 0x88cc" in text
    assert "nothing wrong was found in the other 1 packet" in text


def test_tunnels_that_are_not_followed_are_counted(tmp_path, capsys):
    source = tmp_path / "in.pcap"
    ends = ("10.0.0.1", 4000), ("10.0.0.2", 2152)
    gso.write_capture(source, [handmade.ethernet(handmade.udp(*ends, b"x" * 100))])
    assert main(["validate", str(source)]) == 0
    text = capsys.readouterr().out
    assert "1 packet judged up to what cannot be looked into: gtp-u" in text
    assert main(["validate", str(source), "--tunnel-port", "2152=none"]) == 0
    assert "looked into" not in capsys.readouterr().out


def test_simple_packets_that_were_cut_stay_readable(tmp_path, capsys):
    source, out = CASES / "08-simple-packets-cut.pcapng", tmp_path / "out.pcapng"
    assert main(["coalesce", str(source), str(out)]) == 0
    before, after = gso.read_capture(source), gso.read_capture(out)
    assert after.frames == before.frames
    assert after.original_lengths.tolist() == before.original_lengths.tolist() == [142, 142]
    capsys.readouterr()


@pytest.mark.parametrize(
    "name", ["09-nanoseconds-without-tsresol.pcapng", "09-time-negative.pcapng"]
)
def test_odd_times_are_read_and_kept(name, tmp_path, capsys):
    source, out = CASES / name, tmp_path / "out.pcapng"
    assert main(["validate", str(source)]) == 0
    assert main(["explain", str(source)]) == 0
    assert main(["coalesce", str(source), str(out)]) == 0
    assert out.read_bytes() == source.read_bytes()
    capsys.readouterr()


@pytest.mark.parametrize("name", ["14-modified-pcap.pcap", "14-pcap-2.1.pcap"])
def test_older_pcap_files_stay_as_they_are(name, tmp_path, capsys):
    for command in ("segment", "coalesce"):
        assert main([command, str(CASES / name), str(tmp_path / "out.pcap")]) == 0
        after = gso.read_capture(tmp_path / "out.pcap")
        assert after.frames == gso.read_capture(CASES / name).frames
    capsys.readouterr()


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"\x20\4\0\0" + bytes(40), "a control message of gue"),
        (b"\x80\4\0\0" + bytes(40), "gue"),
        (b"\0\x21\0\0" + bytes(40), "gue protocol 0x0021"),
    ],
)
def test_what_gue_carries_and_is_not_followed_is_named(message, said, tmp_path, capsys):
    source = tmp_path / "in.pcap"
    frame = handmade.ethernet(handmade.udp(handmade.CLIENT, (handmade.SERVER[0], 6080), message))
    gso.write_capture(source, [frame])
    assert main(["validate", str(source)]) == 0
    assert f"judged up to what cannot be looked into: {said}\n" in capsys.readouterr().out


def test_what_fix_cannot_set_right_stays_and_is_named(tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    frames = [bytearray(handmade.ethernet(handmade.tcp(payload=b"x" * 50))) for _ in range(4)]
    frames[0][46] = 0x20  # the data offset
    frames[1][14] = 0x55  # the version
    frames[2][14] = 0x44  # the header length
    frames[3][-1] ^= 1
    gso.write_capture(source, frames)
    assert main(["segment", str(source), str(out), "--fix"]) == 1
    made = gso.read_capture(out).frames.to_list()
    assert made[:3] == list(map(bytes, frames[:3]))
    assert made[3] != frames[3]
    said = "3 packets left unchanged (number 1, 2, 3): its headers have faults that --fix cannot"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("words", [(), SIZE])
def test_what_datagrams_tell_goes_before_a_size_for_tcp(words, tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    heads = [b"\4\0\0\0ABCD" + number.to_bytes(8, "little") for number in range(3)]
    payload = b"".join(head + b"w" * 1436 for head in heads)
    ends = handmade.CLIENT, (handmade.SERVER[0], 12345)
    whole = handmade.udp(*ends, payload)
    for packet in (whole, handmade.partial(whole)):
        gso.write_capture(source, [handmade.ethernet(packet)])
        assert main(["segment", str(source), str(out), *words]) == 0
        made = gso.read_capture(out).frames.to_list()
        assert [frame[42:58] for frame in made] == heads
    assert "1452 bytes by WireGuard headers" in capsys.readouterr().out
