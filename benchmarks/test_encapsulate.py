"""Packets put into tunnels, and taken out of them, beside the copy that both have to make.

What comes out is compared before anything is timed: with scapy's packet, and with what went in.
"""

from __future__ import annotations

import numpy as np
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN

import cases
import gso
from contest import Contest, Contestant, python
from gso import Frames

INTO, OUT = "encapsulation", "decapsulation"
MEMCPY = "copies the packets only, all at once: no headers"
PORT = 50000
ENDS = {"source": "192.0.2.1", "destination": "192.0.2.2"}
TUNNELS = {
    "VXLAN": ("vxlan", {"key": 42}),
    "VXLAN, checksum": ("vxlan", {"key": 42, "checksum": True}),
    "Geneve": ("geneve", {"key": 42}),
    "GUE": ("gue", {}),
}
BATCHES = {
    "64 of 1448": (64, 1448),
    "1024 of 1448": (1024, 1448),
    "16 of 44 x 1448": (16, 44 * 1448),
}
COLD = {"32 MiB cold": 32 << 20, "256 MiB cold": 256 << 20}
"""Results of 256 MiB are more than what is kept for the next call, which gets new pages."""


@pytest.fixture(params=TUNNELS)
def tunnel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=BATCHES)
def batch(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def packets(count: int, length: int) -> Frames:
    """TCP packets of flows of their own, with so many bytes of payload."""
    case = cases.case("plain", 4, cases.BIG)
    head, payload = bytearray(case.frame[: case.headers]), case.payload[:length]
    head[16:18] = (len(head) - 14 + length).to_bytes(2, "big")
    frames = []
    for number in range(count):
        head[case.tcp : case.tcp + 2] = (1024 + number % 60000).to_bytes(2, "big")
        frames.append(bytes(head) + payload)
    return Frames.from_list(frames)


def memcpy(frames: Frames) -> Contestant:
    source = np.array(frames.data)
    target = np.empty_like(source)
    return python(
        "memcpy (L)", lambda: np.copyto(target, source), items=len(frames), limit=True,
        unit="packet", leaves_out=MEMCPY,
    )  # fmt: skip


def into(frames: Frames, tunnel: str) -> Contestant:
    kind, header = TUNNELS[tunnel]
    made = gso.encapsulate(frames, kind, **ENDS, **header)
    ports = {6080: "gue"}
    assert gso.decapsulate(made, tunnel_ports=ports)[-1] == frames[-1]
    return python(
        "encapsulate", lambda: gso.encapsulate(frames, kind, **ENDS, **header), items=len(frames)
    )


def out_of(frames: Frames, tunnel: str) -> Contestant:
    kind, header = TUNNELS[tunnel]
    made = gso.encapsulate(frames, kind, **ENDS, **header)
    assert gso.decapsulate(made).to_list() == frames.to_list()
    return python("decapsulate", lambda: gso.decapsulate(made), items=len(frames))


def test_memcpy(contest: Contest, tunnel: str, batch: str) -> None:
    frames = packets(*BATCHES[batch])
    contest(INTO, f"{tunnel} IPv4, {batch}", into(frames, tunnel), memcpy(frames))


def test_memcpy_of_decapsulated(contest: Contest, tunnel: str, batch: str) -> None:
    frames = packets(*BATCHES[batch])
    contest(OUT, f"{tunnel} IPv4, {batch}", out_of(frames, tunnel), memcpy(frames))


@pytest.mark.parametrize("size", COLD)
def test_memcpy_cold(contest: Contest, tunnel: str, size: str) -> None:
    length = 44 * 1448
    frames = packets(COLD[size] // length, length)
    contest(INTO, f"{tunnel} IPv4, 44 x 1448, {size}", into(frames, tunnel), memcpy(frames))


def test_scapy(contest: Contest) -> None:
    """One packet; scapy is asked for the bytes that we make."""
    frames = packets(1, 1448)

    def theirs() -> bytes:
        inside = Ether(bytes(frames[0]))
        front = Ether(src=inside.src, dst=inside.dst) / IP(src="192.0.2.1", dst="192.0.2.2", id=0)
        udp = UDP(sport=PORT, dport=4789, chksum=0)
        return bytes(front / udp / VXLAN(vni=42, flags="Instance") / inside)

    def ours() -> Frames:
        return gso.encapsulate(frames, "vxlan", key=42, source_port=PORT, **ENDS)

    assert theirs() == bytes(ours()[0])
    contest(INTO, "VXLAN IPv4, one of 1448", python("encapsulate", ours), python("scapy", theirs))
