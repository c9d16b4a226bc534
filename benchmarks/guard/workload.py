"""The core cases whose instructions are counted. Runs under callgrind, started by `guard.measure`.

    python workload.py CLIENT_LIBRARY [CASE]

Each case is a function of no arguments over data made beforehand; data, order and SIMD path are
always the same, so that only the code decides what is counted. A CASE that is named runs once more
and does a tenth more work than it should: with it the guard shows that it sees that.
"""

from __future__ import annotations

import ctypes
import io
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

import cases
import gso
from gso import Frames
from gso.buffers._checksum import simd_paths, use_simd

Work = Callable[[], object]

REPEATS = 10
SIMD = "avx2"
DEARER = ", a tenth more"
"""Ends the title of a case that did more than it should."""
PORTABLE = "portable"
"""Marks the cases that use the simplest path; the others use AVX2, the best that valgrind knows."""

PWRU = (
    "0xffff947712f34400 9 [<empty>] ip_vs_tunnel_xmit netns=4026531840 mark=0x0 ifindex=7 "
    "proto=8 mtu=1600 len=1558 172.70.4.34:33259->172.70.64.149:5501(udp)\n"
)
PERF = (
    "swapper     0 [030] 79090.376153:    probe:ip_vs_in_hook: (ffffffffc0feebe0) "
    'dev="vlan100" skb=0xffff9ca661e90200 inner_mac_header=0x44 inner_network_header=0x52 '
    "inner_transport_header=0x66 mac_header=0x44 network_header=0x32 transport_header=0x46 "
    "len=1544 data_len=12\n"
)


def aligned(content: bytes, times: int = 1) -> np.ndarray:
    """The bytes so many times, from a cache line's start: how loops begin depends on that."""
    room = np.empty(len(content) * times + 64, np.uint8)
    start = -room.ctypes.data % 64
    data = room[start : start + len(content) * times]
    data[:] = np.tile(np.frombuffer(content, np.uint8), times)
    return data


def repeated(frame: bytes, n: int) -> Frames:
    return Frames(aligned(frame, n), np.arange(n + 1) * len(frame))


def batch(kind: str, version: int, size: str, n: int) -> Work:
    case = cases.case(kind, version, size)
    frames = repeated(case.frame, n)
    out = aligned(bytes(frames.nbytes + n * case.segments * case.headers + 64))
    return lambda: gso.segment_batch(frames, case.mss, out=out)


def datagrams(n: int) -> Work:
    """USO on a port that is not known: is the payload a tunnel?"""
    payload = bytes(i * 7 % 256 for i in range(44 * cases.MSS))
    udp = bytes.fromhex("c000 1e61") + (len(payload) + 8 & 0xFFFF).to_bytes(2, "big") + b"\x12\x34"
    ip = bytes.fromhex("4500 0000 0001 4000 4011 0000 0a090001 0a090002")
    frames = repeated(cases.ethernet(4) + ip + udp + payload, n)
    out = aligned(bytes(frames.nbytes + n * 44 * 42 + 64))
    return lambda: gso.segment_batch(frames, cases.MSS, out=out)


def checksums(length: int, n: int) -> Work:
    frames = repeated(bytes(i * 7 % 256 for i in range(length)), n)
    return lambda: gso.checksum_batch(frames)


def parsing() -> Work:
    frames = Frames.from_list(
        [
            cases.case(kind, version, cases.INCIDENT).frame
            for kind in cases.KINDS
            for version in cases.VERSIONS
        ]
        * 20
    )
    return lambda: gso.parse_batch(frames)


def validation() -> Work:
    state = gso.SkbState(
        inner_mac_header=0x44, inner_network_header=0x52, inner_transport_header=0x66,
        mac_header=0x44, network_header=0x32, transport_header=0x46, len=1544, data_len=12,
    )  # fmt: skip
    rows = gso.skb_array([state, replace(state, inner_mac_header=0x52)] * 250)
    return lambda: gso.validate_batch(rows)


def validation_of_different() -> Work:
    rows = gso.skb_array([gso.SkbState(len=1544 + i, data_len=12) for i in range(2000)])
    return lambda: gso.validate_batch(rows)


def scanning(line: str) -> Work:
    log = line.encode() * 300
    return lambda: gso.read_trace(io.BytesIO(log))


def capture() -> Work:
    path = Path(tempfile.mkdtemp(prefix="guard-")) / "packets.pcapng"
    frames = [cases.case("VXLAN", 4, cases.INCIDENT).frame] * 300
    gso.write_capture(path, Frames.from_list(frames))
    return lambda: gso.read_capture(path)


def coalescing() -> Work:
    case = cases.case("VXLAN", 4, cases.BIG)
    segments = gso.segment(case.frame, case.mss)
    return lambda: gso.coalesce(segments)


def encapsulation(checksum: bool) -> Work:
    frames = repeated(cases.case("plain", 4, cases.INCIDENT).frame, 64)
    ends = {"source": "192.0.2.1", "destination": "192.0.2.2"}
    return lambda: gso.encapsulate(frames, "vxlan", key=42, checksum=checksum, **ends)


def decapsulation() -> Work:
    frame = gso.segment(cases.case("VXLAN", 4, cases.INCIDENT).frame, cases.MSS)[0]
    frames = repeated(bytes(frame), 64)
    return lambda: gso.decapsulate(frames)


def one_call() -> Work:
    frame = cases.case("VXLAN", 4, cases.INCIDENT).frame
    return lambda: [gso.segment(frame, cases.MSS) for _ in range(20)]


def one_call_with_ports() -> Work:
    frame, ports = cases.case("VXLAN", 4, cases.INCIDENT).frame, {5501: gso.Tunnel.GUE}
    return lambda: [gso.segment(frame, cases.MSS, tunnel_ports=ports) for _ in range(20)]


def headers_of_batch() -> Work:
    frames = repeated(cases.case("VXLAN", 4, cases.INCIDENT).frame, 64)
    return lambda: gso.segment_headers_batch(frames, cases.MSS)


def headers_only() -> Work:
    frame = cases.case("VXLAN", 4, cases.BIG).frame
    return lambda: gso.segment_headers(frame, cases.MSS)


def one_call_of_headers() -> Work:
    frame = cases.case("VXLAN", 4, cases.INCIDENT).frame
    return lambda: [gso.segment_headers(frame, cases.MSS) for _ in range(20)]


def two_flows_in_turn() -> Work:
    frame = cases.case("VXLAN", 4, cases.INCIDENT).frame
    other = frame[:28] + bytes([frame[28] ^ 1]) + frame[29:]  # another outer source
    return lambda: [gso.segment(one, cases.MSS) for _ in range(10) for one in (frame, other)]


CASES: dict[str, Callable[[], Work]] = {
    "segment, VXLAN, 1448 + 12": one_call,
    "segment, VXLAN, 1448 + 12, ports given": one_call_with_ports,
    "segment, VXLAN, 1448 + 12, two flows in turn": two_flows_in_turn,
    "segment_headers, VXLAN, 1448 + 12": one_call_of_headers,
    "segment_headers, VXLAN, 44 x 1448": headers_only,
    "segment_headers_batch, VXLAN, 1448 + 12": headers_of_batch,
    "segment_batch, VXLAN, 1448 + 12": lambda: batch("VXLAN", 4, cases.INCIDENT, 64),
    "segment_batch, GUE over IPv6, 1448 + 12": lambda: batch("GUE", 6, cases.INCIDENT, 64),
    "segment_batch, plain, 16 x 1448": lambda: batch("plain", 4, "16 x 1448", 4),
    "segment_batch, VXLAN, 44 x 1448": lambda: batch("VXLAN", 4, cases.BIG, 2),
    f"segment_batch, VXLAN, 44 x 1448, {PORTABLE}": lambda: batch("VXLAN", 4, cases.BIG, 2),
    "segment_batch, USO, 44 x 1448": lambda: datagrams(2),
    "coalesce, VXLAN, 44 x 1448": coalescing,
    "encapsulate, VXLAN, 64 packets": lambda: encapsulation(checksum=False),
    "encapsulate, VXLAN, checksum, 64 packets": lambda: encapsulation(checksum=True),
    "decapsulate, VXLAN, 64 packets": decapsulation,
    "checksum_batch, 64 bytes": lambda: checksums(64, 500),
    "checksum_batch, 1448 bytes": lambda: checksums(1448, 40),
    f"checksum_batch, 1448 bytes, {PORTABLE}": lambda: checksums(1448, 40),
    "parse_batch, ten kinds": parsing,
    "validate_batch": validation,
    "validate_batch, no two rows alike": validation_of_different,
    "read_trace, pwru": lambda: scanning(PWRU),
    "read_trace, perf": lambda: scanning(PERF),
    "read_capture, pcapng": capture,
}


def main() -> None:
    """Run the cases, each between the two calls that tell callgrind."""
    library, *dearer = sys.argv[1:]
    client = ctypes.CDLL(library)
    for name in CASES:
        count(client, name, name, REPEATS)
    for name in dearer:
        count(client, f"{name}{DEARER}", name, REPEATS + REPEATS // 10)


def count(client: ctypes.CDLL, title: str, name: str, repeats: int) -> None:
    """Run a case so often, under a title."""
    use_simd(simd_paths()[0] if name.endswith(PORTABLE) else SIMD)
    work = CASES[name]()
    work()
    work()
    client.begin()
    for _ in range(repeats):
        work()
    client.end(title.encode())


if __name__ == "__main__":
    main()
