"""gso info says what a capture holds; --tunnel-port auto takes the tunnels that it finds."""

from __future__ import annotations

import json
import struct

import pytest

import gso
import handmade
from gso.cli import main

THERE, BACK = (handmade.CLIENT, handmade.SERVER), (handmade.SERVER, handmade.CLIENT)


def info(path, capsys, *words, status=0):
    assert main(["info", str(path), "--json", *words]) == status
    return json.loads(capsys.readouterr().out)


def test_flows_and_super_packets(tmp_path, capsys):
    path = tmp_path / "in.pcapng"
    packets = [
        handmade.syn(*THERE, 1460),
        handmade.syn(*BACK, 1380, flags=0x12),
        handmade.tcp(payload=b"x" * 4000),
        handmade.udp(payload=b"y" * 3000),
    ]
    arp = handmade.ETHERNET + b"\x08\x06" + bytes(46)
    lldp = handmade.ETHERNET + b"\x88\xcc" + bytes(46)
    frames = [*map(handmade.ethernet, packets), arp, lldp, lldp]
    times = [10**18 + i for i in range(len(frames))]
    gso.write_capture(path, frames, timestamps=times)
    said = info(path, capsys)
    assert said["schema"] == "gso.info/1"
    assert (said["format"], said["packets"]) == ("pcapng", 7)
    assert said["bytes"] == sum(map(len, frames))
    assert (said["first"], said["last"]) == (times[0], times[-1])
    assert said["protocols"] == {"TCP": 3, "UDP": 1, "fragments": 0}
    assert said["super_packets"] == {"TCP": 1, "UDP": 1, "others": 0}
    assert said["not_followed"] == {"ethernet type 0x88cc": 2}
    assert said["outside"] == {"ethernet / arp": 1}
    there = next(
        flow for flow in said["flows"] if flow["super_packets"] and flow["protocol"] == "tcp"
    )
    assert there == {
        "flow": "10.0.0.1:40000 > 10.0.0.2:5201", "protocol": "tcp", "packets": 2,
        "payload": 4000, "super_packets": 1, "longest": 4052, "mss": 1380, "announced": 1460,
        "peer": 1380,
    }  # fmt: skip
    assert main(["info", str(path)]) == 0
    text = capsys.readouterr().out
    assert "super-packets: 1 TCP, 1 UDP" in text
    assert "2 packets cannot be looked into: ethernet type 0x88cc" in text
    assert "MSS 1380: its SYN says 1460, the peer's SYN says 1380" in text


def test_what_cannot_be_looked_into(tmp_path, capsys):
    path = tmp_path / "in.pcap"
    gso.write_capture(path, [b"?" * 100], link_type=147)
    assert info(path, capsys, status=2)["not_followed"] == {"link type user0": 1}
    gso.write_capture(path, [])
    assert info(path, capsys, status=2)["first"] is None


def in_udp(port, *payloads):
    return [
        handmade.ethernet(handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", port), payload))
        for payload in payloads
    ]


INNER = handmade.tcp(payload=b"x" * 3000)
ARP = handmade.ETHERNET + b"\x08\x06" + bytes(46)
ICMP = handmade.network(("10.1.0.1", 0), ("10.1.0.2", 0), 1, b"\x08\0" + bytes(60))
VXLAN = b"\x08\0\0\0\0\0\x07\0"
GENEVE = b"\0\0\x65\x58\0\0\x07\0"
HEADERS = {
    "fou": b"",
    "gue": b"\0\x04\0\0",
    "vxlan": VXLAN + handmade.ETHERNET + b"\x08\0",
    "geneve": GENEVE + handmade.ETHERNET + b"\x08\0",
}


@pytest.mark.parametrize("name", HEADERS)
def test_auto_takes_what_all_packets_agree_on(name, tmp_path, capsys):
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    frames = in_udp(7777, HEADERS[name] + INNER, HEADERS[name] + ICMP)
    if name == "vxlan":
        frames += in_udp(7777, VXLAN + ARP)
    gso.write_capture(source, frames)
    words = ["segment", str(source), str(out), "--gso-size", "1448"]
    (found,) = info(source, capsys)["tunnels_found"]
    # Without a header of the tunnel, ICMP is not known for a packet by its own fields.
    assert found["looks_like"] == {name: 1 if name == "fou" else 2}
    assert found["tunnel_port"] == f"7777={name}"
    assert main(words) == 1
    assert f"--tunnel-port 7777={name}" in capsys.readouterr().out
    assert main([*words, "--tunnel-port", "auto"]) == 0
    assert f"found --tunnel-port 7777={name}" in capsys.readouterr().err
    made = gso.read_capture(out).frames.to_list()
    ports = {7777: name}
    assert made == [*gso.segment(frames[0], 1448, tunnel_ports=ports).to_list(), *frames[1:]]


@pytest.mark.parametrize("other", [b"GET / HTTP/1.0", b"\x01", VXLAN + ARP, struct.pack(">I", 9)])
def test_auto_takes_nothing_where_a_packet_disagrees(other, tmp_path, capsys):
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    frames = in_udp(7777, HEADERS["gue"] + INNER, other)
    gso.write_capture(source, frames)
    (found,) = info(source, capsys)["tunnels_found"]
    assert found["tunnel_port"] is None
    words = ["segment", str(source), str(out), "--gso-size", "1448", "--tunnel-port", "auto"]
    assert main(words) == 1
    assert gso.read_capture(out).frames.to_list() == frames
    assert "looks like gue" in capsys.readouterr().out


def test_auto_needs_a_file(capsys, tmp_path):
    assert main(["segment", "-", str(tmp_path / "out"), "--tunnel-port", "auto"]) == 2
    assert "reads the capture twice" in capsys.readouterr().err


def test_auto_leaves_told_ports_alone(tmp_path, capsys):
    source = tmp_path / "in.pcapng"
    gso.write_capture(source, in_udp(7777, HEADERS["gue"] + ICMP, HEADERS["gue"] + INNER))
    words = ["--tunnel-port", "auto", "--tunnel-port", "7777=none"]
    assert info(source, capsys, *words)["tunnels_found"] == []
