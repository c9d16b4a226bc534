"""Captures: reading, streaming and rewriting, beside what else does it.

One file for all: super-packets or wire-sized packets of VXLAN, `MEGABYTES` long, in memory
(/dev/shm) where there is such a place. Every benchmark notes its `GB_per_s` of input, so that
within a run they can be divided by each other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gso
from gso.capture import Reader

MEGABYTES = int(os.environ.get("BENCHMARK_MEGABYTES", "500"))
MSS = 1448
ROUNDS = {"rounds": 5, "warmup_rounds": 1}


def vxlan_super_packet() -> bytes:
    """44 segments' worth of TCP over IPv4 over VXLAN, with right lengths and no checksums."""
    payload = bytes(range(256)) * 250
    payload = payload[: 44 * MSS]

    def ipv4(protocol: int, content: bytes) -> bytes:
        size = (20 + len(content)).to_bytes(2, "big")
        head = b"\x45\0" + size + bytes.fromhex("00014000 40") + bytes([protocol, 0, 0])
        return head + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + content

    tcp = bytes.fromhex("9c40145100000001000000018018ffff00000000 0101080a0000000100000002")
    inner = bytes(12) + b"\x08\0" + ipv4(6, tcp + payload)
    content = bytes.fromhex("0800000000002a00") + inner
    udp = bytes.fromhex("c00012b5") + (8 + len(content)).to_bytes(2, "big") + bytes(2)
    return bytes(12) + b"\x08\0" + ipv4(17, udp + content)


def written(path: Path, frames: list[bytes]) -> Path:
    size = sum(map(len, frames))
    with gso.capture.Writer(path) as writer:
        for second in range(MEGABYTES * 10**6 // size):
            writer.write(frames, [second * 10**9] * len(frames))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Iterator[Path]:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        yield tmp_path_factory.mktemp("captures")
        return
    path = shared / f"gso-benchmark-{os.getpid()}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def super_packets(folder) -> Path:
    return written(folder / "super.pcapng", [vxlan_super_packet()])


@pytest.fixture(scope="module", params=["pcap", "pcapng"])
def packets(folder, request) -> Path:
    frames = gso.segment(vxlan_super_packet(), MSS).to_list()
    return written(folder / f"wire.{request.param}", frames)


def measured(benchmark, path: Path, function, *arguments) -> None:
    benchmark.extra_info["format"] = path.suffix
    benchmark.pedantic(function, arguments, **ROUNDS)
    benchmark.extra_info["GB_per_s"] = path.stat().st_size / benchmark.stats["min"] / 1e9


def consume(items) -> int:
    return sum(1 for _ in items)


def run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


def tool(name: str) -> str:
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


# --- reading every packet of a file ---


@pytest.mark.benchmark(group="read a capture")
def test_read_capture(benchmark, packets):
    measured(benchmark, packets, gso.read_capture, packets)


@pytest.mark.benchmark(group="read a capture")
def test_reader(benchmark, packets):
    measured(benchmark, packets, lambda: consume(Reader(packets)))


@pytest.mark.benchmark(group="read a capture")
def test_dpkt(benchmark, packets):
    dpkt = pytest.importorskip("dpkt")
    reader = dpkt.pcap.Reader if packets.suffix == ".pcap" else dpkt.pcapng.Reader

    def read() -> int:
        with packets.open("rb") as file:
            return consume(reader(file))

    measured(benchmark, packets, read)


@pytest.mark.benchmark(group="read a capture")
def test_scapy_raw(benchmark, packets):
    scapy = pytest.importorskip("scapy.utils")
    reader = scapy.RawPcapReader if packets.suffix == ".pcap" else scapy.RawPcapNgReader

    def read() -> int:
        with reader(str(packets)) as file:
            return consume(file)

    measured(benchmark, packets, read)


# --- rewriting a file: a program of its own each, with its start ---

SEGMENT = [
    sys.executable,
    "-c",
    "import sys; from gso.cli import main; sys.exit(main())",
    "segment",
]


@pytest.mark.benchmark(group="rewrite a capture")
def test_gso_segment_super_packets(benchmark, super_packets, folder):
    command = [*SEGMENT, super_packets, folder / "out", "--gso-size", MSS]
    measured(benchmark, super_packets, run, *command)


@pytest.mark.benchmark(group="rewrite a capture")
def test_gso_segment_nothing_to_do(benchmark, packets, folder):
    measured(benchmark, packets, run, *SEGMENT, packets, folder / "out", "--gso-size", MSS)


@pytest.mark.benchmark(group="rewrite a capture")
def test_gso_segment_from_handshakes(benchmark, packets, folder):
    measured(benchmark, packets, run, *SEGMENT, packets, folder / "out")


@pytest.mark.benchmark(group="rewrite a capture")
def test_editcap_copies(benchmark, packets, folder):
    measured(benchmark, packets, run, tool("editcap"), packets, folder / "out")


@pytest.mark.benchmark(group="rewrite a capture")
def test_tshark_copies(benchmark, packets, folder):
    measured(benchmark, packets, run, tool("tshark"), "-r", packets, "-w", folder / "out")


@pytest.mark.benchmark(group="rewrite a capture")
def test_cp(benchmark, packets, folder):
    measured(benchmark, packets, run, tool("cp"), packets, folder / "out")
