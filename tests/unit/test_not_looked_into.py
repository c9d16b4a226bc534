"""What a command did not look into is counted; where that is everything, the exit status is 2."""

from __future__ import annotations

import json
import struct

import pytest

import capture_files as cf
import gso
import handmade
from gso.cli import main

GOOD = handmade.ethernet(handmade.tcp(payload=b"x" * 100))
UNKNOWN = {
    "link type user0": ("user0", b"?" * 100),
    "link type linktype_253": ("linktype_253", b"?" * 100),
    "ethernet type 0x88e5": ("ethernet", handmade.ETHERNET + b"\x88\xe5" + bytes(60)),
    "ethernet type 0x88cc": ("ethernet", handmade.ETHERNET + b"\x88\xcc" + bytes(46)),
    "IEEE 802.3 without SNAP": ("ethernet", handmade.ETHERNET + b"\0\x26\x42\x42\3" + bytes(43)),
    "snap type 0x2000": (
        "ethernet", handmade.ETHERNET + b"\0\x40\xaa\xaa\3\0\0\x0c\x20\0" + bytes(56)
    ),
    "vlan type 0x88cc": ("ethernet", handmade.ETHERNET + b"\x81\0\0\5\x88\xcc" + bytes(46)),
    "pppoe ppp protocol 0xc021": (
        "ethernet", handmade.ETHERNET + b"\x88\x64\x11\0\0\1\0\6\xc0\x21\1\1\0\4" + bytes(38)
    ),
    "ppp ppp protocol 0xc021": ("ppp", b"\xff\3\xc0\x21\1\1\0\4"),
    "linux_sll protocol 0x0000": ("linux_sll", bytes(40)),
    "linux_sll2 protocol 0x88cc": ("linux_sll2", b"\x88\xcc" + bytes(60)),
    "loopback address family 0x0007": ("null", b"\7\0\0\0" + bytes(60)),
}  # fmt: skip
COMMANDS = ["segment", "coalesce", "validate", "info", "explain"]


def run(command, source, capsys, *options):
    out = [str(source) + ".out"] if command in ("segment", "coalesce") else []
    status = main([command, str(source), *out, *options])
    if out:
        assert gso.read_capture(out[0]).frames == gso.read_capture(source).frames
    return status, capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("what", UNKNOWN)
def test_nothing_looked_into_is_no_success(command, what, tmp_path, capsys):
    link_type, frame = UNKNOWN[what]
    source = tmp_path / "in.pcapng"
    gso.write_capture(source, [frame, frame], link_type=link_type)
    status, text = run(command, source, capsys)
    assert status == 2
    if command != "explain":
        assert f"2 packets cannot be looked into: {what}" in text
        assert "nothing wrong" not in text


@pytest.mark.parametrize("command", COMMANDS[:4])
@pytest.mark.parametrize("what", UNKNOWN)
def test_a_part_that_was_not_looked_into_is_counted(command, what, tmp_path, capsys):
    link_type, frame = UNKNOWN[what]
    links = [gso.capture.Interface("ethernet"), gso.capture.Interface(link_type)]
    source = tmp_path / "in.pcapng"
    gso.write_capture(source, [GOOD, frame, GOOD], interfaces=links, interface_ids=[0, 1, 0])
    status, text = run(command, source, capsys)
    assert status == 0
    assert f"1 packet cannot be looked into: {what}" in text
    said = json.loads(run(command, source, capsys, "--json")[1])
    name = "not_followed" if command == "info" else "not_looked_into"
    assert said[name] == {what: 1}
    assert said["packets"] == 3
    assert command != "validate" or said["judged"] == 2


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("size", "name"), [(33, "ipv4"), (14, "ipv4"), (13, "ethernet"), (1, "ethernet")]
)
def test_packets_of_which_the_capture_has_too_little_are_not_judged(
    command, size, name, tmp_path, capsys
):
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [GOOD[:size]] * 2, original_lengths=[len(GOOD)] * 2)
    status, text = run(command, source, capsys)
    assert status == 2
    if command != "explain":
        assert f"2 packets cannot be looked into: a cut {name} header" in text
        assert "nothing wrong" not in text
    gso.write_capture(source, [GOOD[:34]], original_lengths=[len(GOOD)])
    assert run(command, source, capsys)[0] == 0


ARP = handmade.ETHERNET + b"\x08\x06" + bytes.fromhex("0001080006040001") + bytes(38)
PSEUDOWIRE = handmade.ETHERNET + b"\x88\x47\0\0\x11\x40" + GOOD
GRE = handmade.ethernet(
    handmade.network(("10.9.0.1", 0), ("10.9.0.2", 0), 47, b"\0\0\x88\xbe" + GOOD)
)


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (ARP, "ethernet / arp"),
        (PSEUDOWIRE, "ethernet / mpls / ethernet / ipv4"),
        (GRE, "gre protocol 0x88be"),
        (GOOD, None),
    ],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_followed_is_a_success(command, frame, name, tmp_path, capsys):
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [frame])
    status, text = run(command, source, capsys)
    assert status == 0
    assert "packet cannot be looked into" not in text
    if command == "info" and name:
        assert f"1 packet not among the flows: {name}" in text


def test_many_packets_over_the_pieces_of_a_file_are_counted_once(tmp_path, capsys):
    lldp = UNKNOWN["ethernet type 0x88cc"][1]
    source = tmp_path / "in.pcapng"
    frames = [frame for i in range(20000) for frame in (lldp, handmade.segment(i))]
    gso.write_capture(source, frames, timestamps=range(len(frames)))
    for command in COMMANDS[:4]:
        main([command, str(source), *[str(tmp_path / "out")] * (command in COMMANDS[:2])])
        text = capsys.readouterr().out
        assert "20000 packets cannot be looked into: ethernet type 0x88cc" in text


@pytest.mark.parametrize("size", [len(GOOD) + 16 + 10, 10])
def test_a_capture_that_is_cut_off_is_no_success(size, tmp_path, capsys):
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [GOOD, GOOD])
    source.write_bytes(source.read_bytes()[: 24 + size])
    whole = size > len(GOOD)
    status, text = run("validate", source, capsys)
    assert status == (1 if whole else 2)
    assert "the input is cut off" in text
    assert ("nothing wrong" in text) == whole


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["in.pcap", "in.pcapng"])
def test_an_empty_capture_is_not_called_right(name, command, tmp_path, capsys):
    source = tmp_path / name
    gso.write_capture(source, [])
    status, text = run(command, source, capsys)
    assert status == 2
    assert "nothing wrong" not in text
    if command != "explain":
        assert "the capture has no packets" in text


@pytest.mark.parametrize("command", COMMANDS[:4])
@pytest.mark.parametrize("order", cf.ORDERS)
@pytest.mark.parametrize("before", [0, 2])
def test_damaged_options_of_a_packet_end_the_capture(before, order, command, tmp_path, capsys):
    good = cf.section(order) + cf.interface(order) + cf.enhanced(GOOD, order=order) * before
    bad = cf.enhanced(GOOD, order=order, items=[(1, b"note")])
    at = bad.index(b"note") - 2
    bad = bad[:at] + struct.pack(order + "H", 999) + bad[at + 2 :]
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    source.write_bytes(good + bad + cf.enhanced(GOOD, order=order))
    written = [str(out)] if command in ("segment", "coalesce") else []
    assert main([command, str(source), *written]) == 2
    said = "".join(capsys.readouterr())
    assert f"damaged capture at byte {len(good) + at - 2}: option 1 of 999 bytes" in said
    assert "nothing wrong" not in said or before
    if written and before:
        assert out.read_bytes() == good


@pytest.mark.parametrize("link_type", ["ethernet", "linux_sll", "linux_sll2"])
def test_validate_names_the_port_of_a_tunnel_that_it_did_not_look_into(link_type, tmp_path, capsys):
    inner = bytearray(handmade.tcp(payload=b"x" * 100))
    inner[60] ^= 1
    packet = handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", 5501), b"\0\x04\0\0" + bytes(inner))
    heads = {
        "ethernet": handmade.ETHERNET + b"\x08\0",
        "linux_sll": bytes(14) + b"\x08\0",
        "linux_sll2": b"\x08\0" + bytes(18),
    }
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [heads[link_type] + packet] * 3, link_type=link_type)
    status, text = run("validate", source, capsys)
    assert status == 0
    assert "3 packets judged up to a payload: UDP port 5501 looks like gue, say" in text
    assert run("validate", source, capsys, "--tunnel-port", "5501=gue")[0] == 1
    assert "looks like" not in run("validate", source, capsys, "--tunnel-port", "5501=none")[1]


@pytest.mark.parametrize("port", [1701, 2152, 2268, 4341, 4500, 4791, 5247, 6635, 37008, 51820])
def test_what_a_known_port_carries_is_never_cut(port, tmp_path, capsys):
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    ends = ("10.9.0.1", 50000), ("10.9.0.2", port)
    frame = handmade.ethernet(handmade.partial(handmade.udp(*ends, bytes(range(250)) * 20)))
    gso.write_capture(source, [frame])
    for options in (["--udp-size", "1200"], ["--gso-size", "1448"], ["--tunnel-port", "auto"]):
        assert main(["segment", str(source), str(out), *options]) == 1
        assert gso.read_capture(out).frames.to_list() == [frame]
    capsys.readouterr()


@pytest.mark.parametrize("snaplen", [20, 40, 60, 100, 1000])
def test_super_packets_that_the_capture_cut_are_named(snaplen, tmp_path, capsys):
    frames = [handmade.ethernet(handmade.tcp(payload=b"x" * size)) for size in (1448, 5000, 1000)]
    source = tmp_path / "in.pcap"
    wire = [len(frame) for frame in frames]
    # A trailer makes no super-packet of the first one.
    gso.write_capture(
        source, [f[:snaplen] for f in frames], original_lengths=[wire[0] + 4, *wire[1:]]
    )
    status, text = run("segment", source, capsys, "--gso-size", "1448")
    headers = snaplen >= 34  # of Ethernet and IPv4: without them nothing is looked into
    assert status == (1 if headers else 2)
    why = "the capture has not got all" if headers else "a cut ipv4 header cannot be looked into"
    assert f"1 packet left unchanged (number 2): {why}" in text
    status, text = run("info", source, capsys)
    assert ("super-packets: 1 TCP" in text) == (snaplen >= 66)
    assert (
        "3 packets not whole (snaplen): judged by what is there"
        in run("validate", source, capsys)[1]
    )


def test_a_long_pseudowire_is_named_though_it_looks_like_a_short_ip_packet(tmp_path, capsys):
    source = tmp_path / "in.pcap"
    inner = handmade.ethernet(handmade.tcp(payload=b"x" * 4000))
    for first in range(256):
        mac = bytes([first]) + inner[1:]
        gso.write_capture(source, [handmade.ETHERNET + b"\x88\x47\0\0\x11\x40" + mac])
        status, text = run("segment", source, capsys, "--gso-size", "1448")
        assert status == 1
        assert "1 packet left unchanged" in text


def test_a_super_packet_whose_ip_header_was_changed_is_left(tmp_path, capsys):
    frame = bytearray(handmade.ethernet(handmade.tcp(payload=b"x" * 4000)))
    frame[24:26] = struct.pack(">H", 0x1234)
    source = tmp_path / "in.pcap"
    gso.write_capture(source, [frame])
    status, text = run("segment", source, capsys, "--gso-size", "1448")
    assert status == 1
    assert "the checksum of its IP header is wrong" in text


@pytest.mark.parametrize("tunnel", ["vxlan", "ipip", "gre"])
@pytest.mark.parametrize("fragment", [0x2000, 0x4000])
def test_a_tunnels_packet_that_is_a_fragment_stays_whole(tunnel, fragment, tmp_path):
    inner = handmade.partial(handmade.tcp(payload=bytes(range(250)) * 20))
    ends = ("10.9.0.1", 50000), ("10.9.0.2", 4789)
    header = bytes.fromhex("0800000000000500")
    outer = {
        "vxlan": handmade.udp(*ends, header + handmade.ethernet(inner)),
        "ipip": handmade.network(*ends, 4, inner),
        "gre": handmade.network(*ends, 47, bytes.fromhex("00000800") + inner),
    }[tunnel]
    frame = handmade.ethernet(handmade.with_id(outer, 9, fragment=fragment))
    source, out = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, [frame])
    main(["segment", str(source), str(out), "--gso-size", "1448"])
    assert len(gso.read_capture(out).frames) == (1 if fragment == 0x2000 else 4)
