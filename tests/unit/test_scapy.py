"""scapy's packets at every door, and GUE and FOU as its layers, held to packets of a kernel."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from scapy.fields import ConditionalField
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, CookedLinux, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw, raw
from scapy.utils import EDecimal

import gso
import gso.scapy
import vectorset
from gso.scapy import FOU, GUE

OUTER = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=50000)
INNER = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=80, flags="A")
REMCSUM = GUE(flags="private", private_flags="remcsum", csum_start=20, csum_offset=36)


@pytest.fixture(autouse=True)
def bindings():
    before = UDP.payload_guess
    yield
    UDP.payload_guess = before


def in_udp(kind: str) -> list[dict]:
    return [r for r in vectorset.records() if r["config"].partition("-")[0] in (kind, f"{kind}6")]


def layers(packet: Packet) -> list[type]:
    return [type(packet.getlayer(i)) for i in range(len(packet.layers()))]


@pytest.mark.parametrize("kind", ["gue", "fou"])
def test_a_kernel_s_packets_are_dissected_and_built_again(kind):
    gso.scapy.bind_ports(vectorset.PORTS)
    seen = 0
    for record in in_udp(kind):
        frame = vectorset.frame(record)
        where = gso.parse(frame, tunnel_ports=vectorset.PORTS)
        packet = Ether(frame)
        layer = packet.getlayer({"gue": GUE, "fou": FOU}[kind])
        if layer is None:  # FOU with GRE, which its port says
            assert kind == "fou"
            assert GRE in packet
            continue
        start = where.transport_header + 8
        assert raw(layer) == frame[start:], record["name"]
        if kind == "gue":
            header = 4 + 4 * layer.hlen
            carried = {4: IP, 41: IPv6, 47: GRE}[layer.proto]
        else:
            header = 0
            carried = {4: IP, 6: IPv6}[frame[start] >> 4]
        assert isinstance(layer.payload, carried), record["name"]
        if carried is not GRE:
            assert start + header == where.inner_network_header
        layer.hlen = None  # is put in again
        layer.clear_cache()
        assert raw(layer)[:header] == frame[start : start + header]
        seen += 1
    assert seen > 10


def test_remote_checksum_offload_has_its_fields():
    records = [r for r in in_udp("gue") if "remcsum" in r["config"]]
    assert records
    gso.scapy.bind_ports(vectorset.PORTS)
    for record in records:
        layer = Ether(vectorset.frame(record))[GUE]
        assert (str(layer.flags), str(layer.private_flags), layer.hlen) == ("private", "remcsum", 2)
        assert layer.csum_start in (20, 40)
        assert layer.csum_offset - layer.csum_start in (6, 16)  # the field of UDP, of TCP


def test_a_packet_is_built_with_port_protocol_and_length():
    built = raw(Ether() / OUTER / REMCSUM / IPv6() / TCP())
    assert built[36:38] == (6080).to_bytes(2, "big")
    assert built[42:54].hex() == "022900018000000000140024"
    assert gso.parse(built).tunnel == gso.Tunnel.GUE


def test_other_fields_are_kept():
    header = bytes.fromhex("0304 0002 01020304 05060708 090a0b0c")
    packet = GUE(header + raw(INNER))
    assert packet.other_fields == header[4:]
    assert raw(packet) == header + raw(INNER)
    short = bytes.fromhex("0004 0001")  # private flags announced, and no room for them
    assert raw(GUE(short + raw(INNER))) == short + raw(INNER)


@pytest.mark.parametrize("inner", [INNER, IPv6() / TCP()], ids=["IPv4", "IPv6"])
def test_variant_1_is_the_ip_packet(inner):
    packet = IP(raw(OUTER / inner))
    packet[UDP].dport = 6080
    assert type(IP(raw(packet))[UDP].payload) is (IP if IP in inner else IPv6)


def test_a_control_message_carries_no_packet():
    assert isinstance(GUE(b"\x20\x04\0\0" + raw(INNER)).payload, Raw)


def test_a_cut_header_is_raw():
    whole = raw(OUTER / REMCSUM / INNER)
    for cut in range(1, 12):
        packet = IP(whole[: 28 + cut])
        assert isinstance(packet[UDP].payload, Raw)
        assert raw(packet) == whole[: 28 + cut]


def test_ports():
    gso.scapy.bind_ports({5501: "gue", 5557: ("fou", 47), 8472: "vxlan", 6080: None})
    for port, header, layer in (
        (5501, GUE() / INNER, GUE),
        (5557, GRE() / INNER, GRE),
        (8472, VXLAN() / Ether() / INNER, VXLAN),
        (6080, GUE() / INNER, Raw),
    ):
        packet = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=53, dport=port) / raw(header)
        assert type(IP(raw(packet))[UDP].payload) is layer, port


@pytest.mark.parametrize(
    ("kind", "words"),
    [("gtp-u", "no tunnel|not a tunnel|scapy has no layer"), (("fou", 99), "protocol 99")],
)
def test_ports_that_scapy_cannot_dissect(kind, words):
    with pytest.raises(ValueError, match=words):
        gso.scapy.bind_ports({7000: kind})


@pytest.mark.parametrize("first", ["import gso.scapy", "from scapy.all import *"])
def test_the_order_of_imports_does_not_matter(first):
    """A UDP header of scapy has the source port of DNS, if none is given."""
    program = f"""
{first}
from scapy.all import *
import gso.scapy
packet = Ether(dst="02:00:00:00:00:02") / IP(dst="192.0.2.1") / UDP() / gso.scapy.GUE()
made = gso.scapy.segment(packet / IP() / TCP() / bytes(4000), 1400)
assert len(made) == 3 and all(gso.scapy.GUE in one for one in made), made
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_segments_of_a_packet():
    big = Ether() / OUTER / GUE() / INNER / bytes(4000)
    big.time = EDecimal("1.000000007")
    made = gso.scapy.segment(big, 1448)
    assert [raw(one) for one in made] == gso.segment(raw(big), 1448).to_list()
    assert [len(one[TCP].payload) for one in made] == [1448, 1448, 1104]
    assert all(one.time == big.time for one in made)
    assert layers(made[0])[:6] == [Ether, IP, UDP, GUE, IP, TCP]
    bare = gso.scapy.segment(INNER / bytes(2000), 1448)
    assert [type(one) for one in bare] == [IP, IP]


def test_every_door_takes_packets():
    big = Ether() / OUTER / GUE() / INNER / bytes(4000)
    frame = raw(big)
    assert gso.parse(big) == gso.parse(frame)
    assert gso.segment(big, 1448) == gso.segment(frame, 1448)
    assert gso.segment_headers(big, 1448).headers == gso.segment_headers(frame, 1448).headers
    assert gso.validate(big) == gso.validate(frame)
    assert gso.checksum(big) == gso.checksum(frame)
    assert gso.segment_batch([big], 1448) == gso.segment_batch([frame], 1448)
    assert gso.scapy.to_frames(big).to_list() == [frame]
    segments = gso.segment(big, 1448)
    assert (
        gso.coalesce(gso.scapy.to_packets(segments)).to_list() == gso.coalesce(segments).to_list()
    )


@pytest.mark.parametrize("wrong", [5, "text", None, object()])
def test_what_is_no_packet_is_refused(wrong):
    for call in (gso.parse, gso.validate, lambda one: gso.segment(one, 1448), gso.checksum):
        with pytest.raises(TypeError):
            call(wrong)


def test_captures_to_and_fro(tmp_path):
    path = tmp_path / "two.pcapng"
    gso.write_capture(
        path,
        [raw(Ether() / INNER), raw(Ether() / OUTER / GUE() / INNER)],
        [1_700_000_000_123_456_789, 7],
        interfaces=[gso.capture.Interface(name="eth0"), gso.capture.Interface(name="eth1")],
        interface_ids=[1, 0],
        comments=["seen", None],
        original_lengths=[9000, 0],
    )
    read = gso.read_capture(path)
    packets = gso.scapy.to_packets(read)
    assert [str(one.time) for one in packets] == ["1700000000.123456789", "7E-9"]
    assert [one.wirelen for one in packets] == [9000, len(read.frames[1])]
    assert [one.comment for one in packets] == [b"seen", None]
    assert [one.sniffed_on for one in packets] == ["eth1", "eth0"]
    again = gso.scapy.to_capture(packets)
    assert again.frames == read.frames
    assert again.timestamps.tolist() == read.timestamps.tolist()
    assert again.original_lengths.tolist() == read.original_lengths.tolist()
    assert list(again.comments) == ["seen", None]
    assert [again.interfaces[i].name for i in again.interface_ids] == ["eth1", "eth0"]
    gso.write_capture(tmp_path / "again.pcapng", again)


def test_captures_of_other_links():
    cooked = CookedLinux() / INNER
    capture = gso.scapy.to_capture([cooked])
    assert capture.link_type == "linux_sll"
    assert isinstance(gso.scapy.to_packets(capture)[0], CookedLinux)
    assert gso.scapy.to_capture([]).link_type == "ethernet"
    assert isinstance(gso.scapy.to_packets([raw(INNER)], link_type="raw")[0], IP)
    with pytest.raises(ValueError, match="start with TCP"):
        gso.scapy.to_capture([TCP()])


def test_the_contribution_is_scapy_s_own_kind_of_module():
    source = (vectorset.FOLDER.parents[1] / "contrib/scapy/gue.py").read_text()
    assert "\n# scapy.contrib.description = " in source
    assert "\n# scapy.contrib.status = loads" in source
    assert "gso" not in source
    assert any(isinstance(field, ConditionalField) for field in GUE.fields_desc)


def test_the_contribution_has_tests_of_scapy_s_own_kind(tmp_path):
    folder = vectorset.FOLDER.parents[1] / "contrib/scapy"
    command = [sys.executable, "-m", "scapy.tools.UTscapy", "-N", "-f", "text"]
    command += ["-P", "from gue import *", "-t", folder / "gue.uts"]
    place = {"PYTHONPATH": str(folder), "HOME": str(tmp_path)}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, **place},
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "FAILED=0" in said, said
    assert re.search(r"PASSED=([1-9]\d*)", said), said


def test_the_version():
    assert gso.__version__.count(".") == 2
