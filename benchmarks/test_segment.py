"""One super-packet into its segments, all checksums complete, by everything that can do it.

pytest benchmarks --benchmark-group-by=group --benchmark-columns=min,median,ops
"""

import ctypes

import numpy as np
import peers
import pytest
from peers import BIG, HEADERS, INCIDENT, MSS

import gso
from gso import Frames

PACKETS = {"44 x 1448": BIG, "1448 + 12": INCIDENT}
COLD = 256 << 20


@pytest.fixture(params=PACKETS)
def packet(request, benchmark):
    benchmark.group = f"VXLAN, {request.param}"
    return PACKETS[request.param]


def test_gso(benchmark, packet):
    benchmark(gso.segment, packet, MSS)


def test_gso_headers(benchmark, packet):
    benchmark(gso.segment_headers, packet, MSS)


def test_gso_batch(benchmark, packet):
    frames = Frames.from_list([packet] * 16)
    out = bytearray(2 * len(frames.data))
    benchmark(gso.segment_batch, frames, MSS, out=out)


def test_memcpy(benchmark, packet):
    if peers.limits() is None:
        pytest.skip("no C compiler")
    out = ctypes.create_string_buffer(2 * len(packet))
    arguments = (out, packet, 1, len(HEADERS), len(packet) - len(HEADERS), MSS)
    peers.limits().copy_strided(*arguments)
    for segment, offset in zip(
        expected(packet), np.cumsum([0, *map(len, expected(packet))]), strict=False
    ):
        start = int(offset) + len(HEADERS)
        assert out.raw[start : int(offset) + len(segment)] == segment[len(HEADERS) :]
    benchmark(peers.limits().copy_strided, *arguments)


def test_scapy(benchmark, packet):
    assert peers.with_scapy(packet) == expected(packet)
    benchmark.pedantic(peers.with_scapy, (packet,), rounds=5, iterations=1)


def test_dpkt(benchmark, packet):
    pytest.importorskip("dpkt")
    assert peers.with_dpkt(packet) == expected(packet)
    benchmark.pedantic(peers.with_dpkt, (packet,), rounds=10, iterations=1)


def test_numpy(benchmark):
    """Vectorised, full segments only."""
    benchmark.group = "VXLAN, 44 x 1448"
    assert [row.tobytes() for row in peers.with_numpy(BIG)] == expected(BIG)
    benchmark(peers.with_numpy, BIG)


@pytest.mark.parametrize("threads", [1, 2])
def test_cold(benchmark, threads):
    """More than any cache holds, per call."""
    benchmark.group = "256 MiB, cold"
    frames = Frames.from_list([BIG] * (COLD // len(BIG)))
    out = np.zeros(len(frames.data) + len(frames) * 44 * len(HEADERS), np.uint8)
    options = {"out": out, "threads": threads}
    benchmark.pedantic(gso.segment_batch, (frames, MSS), options, rounds=5, warmup_rounds=1)


def test_cold_memcpy(benchmark):
    if peers.limits() is None:
        pytest.skip("no C compiler")
    benchmark.group = "256 MiB, cold"
    frames = Frames.from_list([BIG] * (COLD // len(BIG)))
    out = np.zeros(len(frames.data) + len(frames) * 44 * len(HEADERS), np.uint8)
    arguments = (
        out.ctypes.data, frames.data.ctypes.data, len(frames), len(HEADERS), 44 * MSS, MSS,
    )  # fmt: skip
    benchmark.pedantic(peers.limits().copy_strided, arguments, rounds=5, warmup_rounds=1)


def expected(packet):
    return gso.segment(packet, MSS).to_list()
