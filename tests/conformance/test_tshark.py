"""Wireshark finds nothing to complain about in segments of any tunnel kind."""

import struct
import subprocess

import pytest

import gso
from gso import Frames, GsoType
from vectorset import PORTS, frame, records

# Skips where tshark is missing, and fails in CI.
pytestmark = pytest.mark.usefixtures("tshark")

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
    """Make the packet in FOU or GUE, which tshark does not look into, a frame of its own."""
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
