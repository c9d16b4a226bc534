"""Wireshark's opinion of what ``gso segment`` writes, with every checksum verified."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from itertools import islice
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
FIELDS = ("frame.protocols", "_ws.malformed", "_ws.expert.message", *STATUSES)
GOOD, ABSENT = "1", "3"
# Remarks of Wireshark on the traffic of the vectors, not on how it is written. A zero checksum in
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


PORT_OPTIONS = [word for port in PORTS for word in ("--tunnel-port", port)]


def segmented(folder: Path, tunnel: str, size: int) -> gso.Frames:
    frames = [vectorset.frame(record) for record in WHOLE if record["tunnel"] == tunnel]
    gso.write_capture(folder / "in.pcapng", frames, timestamps=range(len(frames)))
    files = [str(folder / "in.pcapng"), str(folder / "out.pcapng")]
    sizes = ["--gso-size", str(size), "--udp-size", str(size), "--mtu", "28"]
    assert main(["segment", *files, *sizes, *PORT_OPTIONS]) == 0
    return gso.read_capture(folder / "out.pcapng").frames


def merged(folder: Path, tunnel: str) -> gso.Frames:
    records = [
        record
        for record in WHOLE
        if record["tunnel"] == tunnel and not record["input"]["gso_type"] & gso.GsoType.UDP
    ]
    frames = [frame for record in records for frame in vectorset.outputs(record)]
    gso.write_capture(folder / "in.pcapng", frames, timestamps=range(len(frames)))
    files = [str(folder / "in.pcapng"), str(folder / "out.pcapng")]
    assert main(["coalesce", *files, "--fixed-ids", *PORT_OPTIONS]) == 0
    found = gso.read_capture(folder / "out.pcapng").frames
    assert len(found) < len(frames) or "remcsum" in tunnel
    return found


@pytest.fixture(scope="module")
def rows_of(tshark, tmp_path_factory):
    """Wireshark's rows for a tunnel; it starts once for all tunnels, as that takes the longest."""

    @cache
    def of_all(size: int | None, remcsum: bool) -> dict[str, list[list[str]]]:
        folder = tmp_path_factory.mktemp("wireshark")
        made = {
            tunnel: (segmented(folder, tunnel, size) if size else merged(folder, tunnel)).to_list()
            for tunnel in TUNNELS
            if ("remcsum" in tunnel) == remcsum
        }
        frames = [frame for some in made.values() for frame in some]
        gso.write_capture(folder / "all.pcapng", frames, timestamps=range(len(frames)))
        rows = iter(wireshark(tshark, folder / "all.pcapng", *FIELDS, remcsum=remcsum))
        found = {tunnel: list(islice(rows, len(some))) for tunnel, some in made.items()}
        assert next(rows, None) is None
        return found

    return lambda tunnel, size: of_all(size, "remcsum" in tunnel)[tunnel]


def check(rows: list[list[str]]) -> None:
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


@pytest.mark.parametrize("tunnel", TUNNELS)
@pytest.mark.parametrize("size", [1001, 1448])
def test_wireshark_finds_no_fault(rows_of, tunnel, size):
    rows = rows_of(tunnel, size)
    assert len(rows) >= sum(record["tunnel"] == tunnel for record in WHOLE)
    check(rows)


def test_wireshark_does_find_faults(tshark, tmp_path):
    """Or else the test above proves nothing."""
    frames = [bytearray(vectorset.outputs(record)[0]) for record in WHOLE if record["outputs"]]
    for frame in frames:
        frame[-1] ^= 0x55
    gso.write_capture(tmp_path / "bad.pcapng", frames)
    rows = wireshark(tshark, tmp_path / "bad.pcapng", *STATUSES)
    bad = sum("0" in ",".join(row).split(",") for row in rows)
    assert bad > 0.9 * len(rows)


@pytest.mark.parametrize("tunnel", TUNNELS)
def test_wireshark_finds_no_fault_in_super_packets(rows_of, tunnel):
    """The output of ``gso coalesce`` has right lengths and checksums too."""
    check(rows_of(tunnel, None))
