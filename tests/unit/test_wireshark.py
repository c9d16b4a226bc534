"""The plugin of Wireshark: what tshark makes of packets with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE, Ether

import gso
import vectorset
from gso.cli import main

INNER = IP(src="10.0.0.1", dst="10.0.0.2") / TCP(sport=40000, dport=9999, flags="A")
REMCSUM = bytes.fromhex("02040001 80000000 0014 0024")
VXLAN = bytes.fromhex("0800000000000700")
PACKETS = {
    (6080, bytes.fromhex("00040000") + bytes(INNER)): "gue:ip:tcp",
    (6080, REMCSUM + bytes(INNER)): "gue:ip:tcp",
    (6080, bytes(INNER)): "gue:ip:tcp",  # version 1
    (
        6080,
        bytes.fromhex("00290000") + bytes(IPv6() / TCP(sport=40000, dport=9999)),
    ): "gue:ipv6:tcp",
    (6080, bytes.fromhex("20010000") + b"control"): "gue:data",
    (6080, bytes.fromhex("1f04")): "gue",
    (6080, bytes.fromhex("0504 0001")): "gue",
    (6080, bytes.fromhex("c0040000") + bytes(INNER)): "gue",
    (6080, b""): "",
    (5501, bytes.fromhex("00040000") + bytes(INNER)): "gue:ip:tcp",
    (5555, bytes(INNER)): "fou:ip:tcp",
    (5555, b"\0"): "fou:data",
    (5557, bytes(GRE() / INNER)): "fou:gre:ip:tcp",
    (8472, VXLAN + bytes(Ether() / INNER)): "vxlan:eth:ethertype:ip:tcp",
    (9, b"x"): "data",
}
PORTS = ("-o", "gue.ports:6080,5500-5502", "-o", "fou.ports:5555, 5557=47")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugin")
    assert main(["wireshark", "--install", "--folder", str(folder)]) == 0
    return folder / "pygso.lua"


def told(tshark, plugin, path, *fields, options=PORTS):
    command = [tshark, "-X", f"lua_script:{plugin}", *options, "-r", str(path), "-T", "fields"]
    for field in fields:
        command += "-e", field
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Lua" not in done.stderr, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_what_it_dissects(tshark, plugin, tmp_path):
    outer = Ether(dst="02:00:00:00:00:02") / IP(src="192.0.2.1", dst="192.0.2.2")
    frames = [bytes(outer / UDP(sport=50000, dport=p) / load) for p, load in PACKETS]
    gso.write_capture(tmp_path / "a.pcap", frames)
    rows = told(
        tshark, plugin, tmp_path / "a.pcap",
        "frame.protocols", "gue.remcsum.start", "gue.remcsum.offset", "_ws.lua.text", "gue.proto",
    )  # fmt: skip
    stacks = [row[0].removeprefix("eth:ethertype:ip:udp").removeprefix(":") for row in rows]
    assert stacks == list(PACKETS.values())
    assert rows[1][1:3] == ["20", "36"]
    assert rows[0][4] == "4"


def test_the_packets_of_a_kernel(tshark, plugin, tmp_path):
    """The first segment of each packet that a kernel put into GUE or FOU is followed to its end."""
    records = [r for r in vectorset.records() if r["config"].startswith(("gue", "fou"))]
    records = [r for r in records if r["outputs"] and r["outer_family"] == 4]
    frames = [vectorset.outputs(record)[0] for record in records]
    assert len(frames) > 50
    gso.write_capture(tmp_path / "b.pcap", frames)
    options = ("-o", "gue.ports:6080", "-o", "fou.ports:5555,5556,5557=47,5558")
    rows = told(tshark, plugin, tmp_path / "b.pcap", "frame.protocols", options=options)
    for record, (stack,) in zip(records, rows, strict=True):
        tunnel = record["config"][:3]
        assert f":udp:{tunnel}:" in stack, (record["name"], stack)
        assert f":{record['inner_l4']}" in stack.split(f":{tunnel}:")[1], (record["name"], stack)


UNLISTED = 'local own = Proto("gue", "A GUE that has no dissector of this name")'
OWN = f"""{UNLISTED}
function own.dissector(tvb, pinfo, tree)
    tree:add(own, tvb())
    return tvb:len()
end
DissectorTable.get("udp.port"):add(6080, own)
"""


@pytest.mark.parametrize(("script", "stack"), [(OWN, "gue"), (UNLISTED, "data")])
def test_it_steps_aside_where_the_program_has_its_own(tshark, plugin, tmp_path, script, stack):
    """Another script stands for the program: what it has of GUE stays, and FOU is still ours."""
    outer = Ether(dst="02:00:00:00:00:02") / IP(src="192.0.2.1", dst="192.0.2.2")
    loads = {6080: bytes.fromhex("00040000") + bytes(INNER), 5555: bytes(INNER)}
    frames = [bytes(outer / UDP(sport=50000, dport=p) / load) for p, load in loads.items()]
    gso.write_capture(tmp_path / "a.pcap", frames)
    own = tmp_path / "own.lua"
    own.write_text(script)
    # Scripts are read in the order in which they are named.
    command = [tshark, "-X", f"lua_script:{own}", "-X", f"lua_script:{plugin}"]
    command += ["-o", "fou.ports:5555", "-r", str(tmp_path / "a.pcap")]
    command += ["-T", "fields", "-e", "frame.protocols"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Lua" not in done.stderr, done.stderr
    stacks = [line.partition("udp:")[2] for line in done.stdout.splitlines()]
    assert stacks == [stack, "fou:ip:tcp"]


def test_it_is_printed(capsys, plugin):
    assert main(["wireshark", "--print"]) == 0
    assert capsys.readouterr().out == plugin.read_text()
    shared = Path(__file__).parents[2] / "share/wireshark/pygso.lua"
    assert shared.read_text() == plugin.read_text()


def test_a_folder_that_cannot_be_written(capsys, tmp_path):
    (tmp_path / "file").touch()
    assert main(["wireshark", "--install", "--folder", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main(["wireshark"])
    assert ended.value.code == 2
