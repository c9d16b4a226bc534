<<<<<<< HEAD
<<<<<<< HEAD
"""Wireshark's opinion of what ``gso segment`` writes, with every checksum verified."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import gso
import vectorset
from gso.cli import main

WHOLE = [record for record in vectorset.records() if record["input_source"] != "injected"]
TUNNELS = sorted({record["tunnel"] for record in WHOLE})
PORTS = ["5501=gue", "5555=fou", "5556=fou", "5557=fou:47", "5558=fou"]
STATUSES = (
    "ip.checksum.status",
    "tcp.checksum.status",
    "udp.checksum.status",
    "gre.checksum.status",
)
GOOD, ABSENT = "1", "3"
# What Wireshark remarks on the traffic of the vectors, not on how it is written. A zero checksum in
# the UDP header of an IPv6 tunnel is what RFC 6935 allows.
TRAFFIC = re.compile(
    r"Connection |This frame initiates|D-SACK|.Time To Live. only 1|4 NOP|Trailing stray|"
    r"Illegal checksum value .0.$"
)
ZERO_OVER_IPV6 = "4"


def wireshark(tshark: str, path: Path, *fields: str, remcsum: bool = False) -> list[list[str]]:
    checks = [
        "ip.check_checksum:TRUE",
        "tcp.check_checksum:TRUE",
        "udp.check_checksum:TRUE",
        "tcp.analyze_sequence_numbers:FALSE",
        "tcp.desegment_tcp_streams:FALSE",
        "ip.defragment:FALSE",
        "ipv6.defragment:FALSE",
    ]
    lua = Path(__file__).with_name("tunnels.lua")
    command = [tshark, "-r", str(path), "-X", f"lua_script:{lua}", "-n", "-T", "fields"]
    for check in checks:
        command += ["-o", check]
    for field in fields:
        command += ["-e", field]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(path.parent)}
    if remcsum:
        environment["VXLAN_RCO"] = "1"
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, timeout=300
    ).stdout
    return [line.split("\t") for line in output.splitlines()]


def segment(path: Path, frames: list[bytes], size: int) -> Path:
    gso.write_capture(path.with_name("in.pcapng"), frames, timestamps=range(len(frames)))
    ports = [word for port in PORTS for word in ("--tunnel-port", port)]
    arguments = ["segment", str(path.with_name("in.pcapng")), str(path)]
    assert main([*arguments, "--gso-size", str(size), *ports]) == 0
    return path


@pytest.mark.parametrize("tunnel", TUNNELS)
@pytest.mark.parametrize("size", [1001, 1448])
def test_wireshark_finds_no_fault(tshark, tmp_path, tunnel, size, capsys):
    records = [record for record in WHOLE if record["tunnel"] == tunnel]
    path = segment(tmp_path / "out.pcapng", [vectorset.frame(record) for record in records], size)
    fields = ("frame.protocols", "_ws.malformed", "_ws.expert.message", *STATUSES)
    rows = wireshark(tshark, path, *fields, remcsum="remcsum" in tunnel)
    assert len(rows) >= len(records)
    for number, row in enumerate(rows, 1):
        protocols, malformed, remarks, *statuses = (*row, "", "", "", "")[:7]
        assert {"tcp", "udp"} & set(protocols.split(":")[-3:]), (number, protocols)
        assert malformed == "", number
        unusual = [remark for remark in remarks.split(",") if not TRAFFIC.match(remark)]
        assert unusual in ([""], []), number
        for name, status in zip(STATUSES, statuses, strict=True):
            first, *inner = status.split(",")
            assert first in {GOOD, ABSENT, ZERO_OVER_IPV6, ""}, (number, name)
            assert set(inner) <= {GOOD, ABSENT}, (number, name)
    capsys.readouterr()


def test_wireshark_does_find_faults(tshark, tmp_path):
    """Or else the test above proves nothing."""
    frames = [bytearray(vectorset.outputs(record)[0]) for record in WHOLE if record["outputs"]]
    for frame in frames:
        frame[-1] ^= 0x55
    gso.write_capture(tmp_path / "bad.pcapng", frames)
    rows = wireshark(tshark, tmp_path / "bad.pcapng", *STATUSES)
    bad = sum("0" in ",".join(row).split(",") for row in rows)
    assert bad > 0.9 * len(rows)
=======
=======
>>>>>>> cap
"""Wireshark finds nothing to complain about in segments of any tunnel kind."""

import shutil
import struct
import subprocess

import pytest
from vectorset import PORTS, frame, records

import gso
from gso import Frames, GsoType

pytestmark = pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")

PREFERENCES = [
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
    "ip.defragment:FALSE",
    # The segments of one flow go through several tunnels here
    "tcp.analyze_sequence_numbers:FALSE",
]
COMPLAINTS = (
    "_ws.malformed || _ws.short || ip.checksum.status == 0 || tcp.checksum.status == 0"
    " || udp.checksum.status == 0 || udp.length.bad || gre.checksum.status == 0"
    " || ip.bogus_ip_length || ip.len.invalid"
)


def known_fields(condition):
    """The parts of a filter that this version of tshark knows."""
    parts = []
    for part in condition.split(" || "):
        run = subprocess.run(
            ["tshark", "-r", "/dev/null", "-Y", part], capture_output=True, text=True, check=False
        )
        if "is neither a field" not in run.stderr and "not a valid" not in run.stderr:
            parts.append(part)
    return " || ".join(parts)


def tshark(path, *arguments):
    command = ["tshark", "-n", "-r", path, *arguments]
    for preference in PREFERENCES:
        command += ["-o", preference]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def write_pcap(path, frames):
    with path.open("wb") as file:
        file.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for one in frames:
            file.write(struct.pack("=IIII", 0, 0, len(one), len(one)) + bytes(one))


def chosen():
    """Records of all kinds whose inner checksum is complete."""
    for record in records():
        given = record["input"]
        if (
            not record["dropped"]
            and record["config"] != "odd"
            and "remcsum" not in record["tunnel"]
            and not given["gso_type"] & GsoType.UDP
        ):
            yield record


def decapsulated(segment):
    """What is in FOU or GUE, which tshark does not look into: an Ethernet frame of its own."""
    layout = gso.parse(segment, tunnel_ports=PORTS)
    packet = bytes(segment[layout.inner_network_header :])
    return bytes(12) + (b"\x08\0" if layout.inner_version == 4 else b"\x86\xdd") + packet


def test_no_complaint(tmp_path):
    kinds = list(chosen())
    supers = Frames.from_list([frame(record) for record in kinds])
    segments = gso.segment_batch(
        supers,
        [record["input"]["gso_size"] for record in kinds],
        gso_type=[record["input"]["gso_type"] for record in kinds],
        tunnel_ports=PORTS,
    )
    from_kinds = [kinds[parent] for parent in segments.parent]
    opaque = [record["tunnel"].startswith(("fou", "gue")) for record in from_kinds]
    inner = [decapsulated(s) for s, hidden in zip(segments, opaque, strict=True) if hidden]
    path = tmp_path / "segments.pcap"
    write_pcap(path, [*segments, *inner])
    assert tshark(path, "-Y", known_fields(COMPLAINTS)) == []
    protocols = [line.split(":") for line in tshark(path, "-T", "fields", "-e", "frame.protocols")]
    assert len(protocols) == len(segments) + len(inner)
    for layers, record, hidden in zip(protocols, from_kinds, opaque, strict=False):
        over_udp = record["tunnel"].startswith(("vxlan", "geneve"))
        seen = layers[layers.index("udp") + 1 :] if over_udp else layers
        assert hidden or record["inner_l4"] in seen, record["name"]
    for layers in protocols[len(segments) :]:
        assert "tcp" in layers or "udp" in layers


def test_it_would_complain(tmp_path):
    """The filter catches a wrong inner checksum, and what segments are when nothing is done."""
    record = next(r for r in chosen() if r["tunnel"] == "vxlan-csum" and len(r["outputs"]) > 1)
    size = record["input"]["gso_size"]
    bad = bytearray(gso.segment(frame(record), size)[0])
    bad[-1] ^= 1
    path = tmp_path / "bad.pcap"
    write_pcap(path, [bad, frame(record)])
    assert len(tshark(path, "-Y", known_fields(COMPLAINTS))) == 2
<<<<<<< HEAD
>>>>>>> lib
=======
>>>>>>> cap
