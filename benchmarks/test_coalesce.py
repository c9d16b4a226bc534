"""Segments into super-packets, by everything that merges as the kernel's GRO does.

What each peer merges is compared with ours before anything is timed. Peers leave checksums to a
device in ways of their own, so these fields do not count.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

import cases
import gso
from cases import SIZES, VERSIONS, Case
from contest import Contest, Contestant, python
from gso import Frames
from peers import native

AREA = "coalescing"
MEMCPY = "copies the payload only: no headers, no checksums"
MANY = [size for size in SIZES if size != cases.INCIDENT]
IPV4_CHECK, TCP_CHECK, UDP_CHECK, TCP_FLAGS, ACK = 10, 16, 6, 13, 0x10
TTL, HOP_LIMIT = 8, 7


@pytest.fixture(params=MANY)
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def segments_of(case: Case, link_type: gso.LinkType = "ethernet") -> list[bytes]:
    """Segments that arrive one after the other; none has PSH, with which DPDK merges nothing."""
    frame = bytearray(case.frame)
    frame[case.tcp + TCP_FLAGS] = ACK
    return gso.segment(bytes(frame), case.mss, link_type=link_type).to_list()


def merged(segments: list[bytes], case: Case, link_type: gso.LinkType = "ethernet") -> bytes:
    """The one packet that they become, without its checksums."""
    (whole,) = gso.coalesce(segments, link_type=link_type).to_list()
    assert len(whole) == len(case.frame)
    return without_checksums(whole, case)


def without_checksums(packet: bytes, case: Case) -> bytes:
    fields = [case.tcp + TCP_CHECK]
    fields += [ip + IPV4_CHECK for ip in case.ips if case.version == 4]
    fields += [case.udp + UDP_CHECK] if case.udp else []
    bare = bytearray(packet)
    for at in fields:
        bare[at : at + 2] = b"\0\0"
    return bytes(bare)


def ours(segments: Iterable[bytes], link_type: gso.LinkType = "ethernet") -> Contestant:
    frames = Frames.from_list(list(segments))
    return python(
        f"coalesce of {len(frames)}",
        lambda: gso.coalesce(frames, link_type=link_type),
        items=len(frames),
        unit="segment",
    )


def memcpy(segments: list[bytes], case: Case) -> Contestant:
    """Payloads put together: checked to be the payload that the merged packet has."""
    length = len(segments[0])
    assert {len(one) for one in segments} == {length}
    source = np.frombuffer(b"".join(segments), np.uint8).reshape(-1, length)[:, case.headers :]
    target = np.empty((len(segments), length - case.headers), np.uint8)
    np.copyto(target, source)
    assert target.tobytes() == case.payload
    facts = {"items": len(segments), "unit": "segment", "leaves_out": MEMCPY}
    return python("memcpy (L)", lambda: np.copyto(target, source), limit=True, **facts)


@pytest.mark.parametrize("kind", cases.KINDS)
@pytest.mark.parametrize("version", VERSIONS, ids="IPv{}".format)
def test_memcpy(contest: Contest, kind: str, version: int, size: str) -> None:
    case = cases.case(kind, version, size)
    segments = segments_of(case)
    merged(segments, case)
    contest(AREA, case.name, ours(segments), memcpy(segments, case))


CHAINED = "leaves the payloads where they are, and looks at no checksum"
FINISHED = "librte_gro, checksums verified before and payloads put together after it with DPDK"


@pytest.mark.parametrize("mode", ["chained", "finished"])
@pytest.mark.parametrize("kind", ["plain", "VXLAN"])
def test_dpdk(contest: Contest, kind: str, size: str, mode: str, tmp_path: Path) -> None:
    """librte_gro merges TCP over IPv4, alone and in VXLAN."""
    case = cases.case(kind, 4, size)
    segments = segments_of(case)
    program, theirs = native.dpdk_merger(case, segments, tmp_path)
    assert [without_checksums(one, case) for one in theirs] == [merged(segments, case)]
    facts = {"how": FINISHED} if mode == "finished" else {}
    dpdk = program.contestant(
        f"DPDK, {mode}", mode, items=len(segments), unit="segment",
        leaves_out=CHAINED if mode == "chained" else "",
    )  # fmt: skip
    contest(AREA, case.name, ours(segments), dpdk, **facts)
    program.close()


@pytest.mark.parametrize("version", VERSIONS, ids="IPv{}".format)
def test_wireguard(contest: Contest, version: int, size: str, tmp_path: Path) -> None:
    named = cases.case("plain", version, size)
    case = named.without_ethernet()
    segments = segments_of(case, "raw")
    program, theirs = native.wireguard_merger(case, segments, tmp_path)
    assert [without_checksums(one, case) for one in theirs] == [merged(segments, case, "raw")]
    wireguard = program.contestant(
        "wireguard-go", "merge", items=len(segments), unit="segment", leaves_out="knows no tunnels"
    )
    how = "handleGRO of its tun package, called through go:linkname"
    contest(AREA, named.name, ours(segments, "raw"), wireguard, how=how)
    program.close()


ROUTED = "does more: a system call and a copy a packet, routing and queueing"


@pytest.mark.parametrize("version", VERSIONS, ids="IPv{}".format)
def test_kernel(contest: Contest, version: int, size: str, tmp_path: Path) -> None:
    """Packets come in at a TUN device with IFF_NAPI, so that the kernel's GRO gets them."""
    named = cases.case("plain", version, size)
    case = named.without_ethernet()
    segments = segments_of(case, "raw")
    program, theirs = native.kernel_merger(case, segments, tmp_path)
    expected = a_hop_on(merged(segments, case, "raw"), version)
    assert [without_checksums(one, case) for one in theirs] == [expected]
    kernel = program.contestant(
        "kernel's GRO through TUN", "merged", items=len(segments), unit="segment",
        leaves_out=ROUTED,
    )  # fmt: skip
    apart = min(program.seconds("apart", 100) for _ in range(5)) / len(segments)
    how = f"the way without GRO takes it {apart * 1e9:.0f} ns a segment"
    contest(AREA, named.name, ours(segments, "raw"), kernel, how=how)
    program.close()


def a_hop_on(packet: bytes, version: int) -> bytes:
    """The packet after a router, but for its checksum."""
    at = TTL if version == 4 else HOP_LIMIT
    return packet[:at] + bytes([packet[at] - 1]) + packet[at + 1 :]
