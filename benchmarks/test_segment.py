"""Super-packets into segments with all checksums, by everything that can do it.

Every peer's segments are compared with ours byte for byte before anything is timed.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import cases
import gso
from cases import BIG, INCIDENT, KINDS, SIZES, VERSIONS, Case
from contest import Contest, Contestant, python
from gso import Frames
from peers import native
from peers.python import with_dpkt, with_scapy
from peers.vectorised import as_list, with_numpy

AREA = "segmentation"
COLD = 256 << 20
MEMCPY = "copies the payload only: no headers, no checksums"
SAME_SHAPE = "knows the headers' offsets beforehand, one shape for all packets"

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


@pytest.fixture(params=SIZES)
def size(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=VERSIONS, ids="IPv{}".format)
def case(request: pytest.FixtureRequest, kind: str, size: str) -> Case:
    return cases.case(kind, request.param, size)


def expected(case: Case) -> list[bytes]:
    return gso.segment(case.frame, case.mss).to_list()


def one_call(case: Case) -> Contestant:
    return python("segment", lambda: gso.segment(case.frame, case.mss))


@dataclass
class Batch:
    """Many times the same super-packet, and room for its segments."""

    case: Case
    n: int

    def __post_init__(self) -> None:
        self.frames = Frames.from_list([self.case.frame]) if self.n == 1 else self._repeated()
        self.size = self.n * (len(self.case.payload) + self.case.segments * self.case.headers)
        self.out = np.zeros(self.size + 64, np.uint8)
        self.pool = ThreadPoolExecutor()

    def _repeated(self) -> Frames:
        length = len(self.case.frame)
        data = np.tile(np.frombuffer(self.case.frame, np.uint8), self.n)
        return Frames(data, np.arange(self.n + 1) * length)

    @classmethod
    def hot(cls, case: Case) -> Batch:
        """As many as fit, with their segments, in half of a megabyte: caches that cores have."""
        return cls(case, max(1, min(64, (1 << 18) // len(case.frame))))

    def ours(self, threads: int = 1) -> Contestant:
        """The whole batch in one call."""
        return python(
            f"segment_batch of {self.n}" + (f", {threads} threads" if threads > 1 else ""),
            lambda: gso.segment_batch(self.frames, self.case.mss, out=self.out, threads=threads),
            items=self.n,
        )

    def memcpy(self, threads: int = 1) -> Contestant:
        """Payloads into their slots: checked to be the payloads that the segments have."""
        case, each = self.case, self.size // self.n
        out, frames = self.out.ctypes.data, self.frames.data.ctypes.data
        cuts = [self.n * i // threads for i in range(threads + 1)]
        pieces = [
            (
                out + begin * each, frames + begin * len(case.frame), end - begin,
                case.headers, len(case.payload), case.mss,
            )
            for begin, end in pairwise(cuts)
        ]  # fmt: skip
        copy = native.limits().copy_strided

        def on_threads() -> None:
            list(self.pool.map(lambda piece: copy(*piece, 1), pieces))

        def alone(repeats: int) -> float:
            start = perf_counter()
            copy(*pieces[0], repeats)
            return (perf_counter() - start) / repeats

        self.out[:] = 0
        on_threads()
        at = self.size - each
        for segment in expected(case):
            mine = self.out[at + case.headers : at + len(segment)]
            assert mine.tobytes() == segment[case.headers :]
            at += len(segment)
        facts: dict[str, Any] = {"items": self.n, "leaves_out": MEMCPY, "limit": True}
        if threads > 1:
            return python(f"memcpy (L), {threads} threads", on_threads, **facts)
        return Contestant("memcpy (L)", alone, **facts)

    def numpy(self) -> Contestant:
        rows = self.frames.data.reshape(self.n, -1)
        assert as_list(with_numpy(rows[-1:], self.case)) == expected(self.case)
        return python(
            "NumPy", lambda: with_numpy(rows, self.case), items=self.n, leaves_out=SAME_SHAPE
        )

    def checked(self) -> Batch:
        """The batch's own answer is that of single calls."""
        segments = gso.segment_batch(self.frames, self.case.mss, out=self.out)
        last = [bytes(segments[i]) for i in range(-self.case.segments, 0)]
        assert last == expected(self.case)
        return self


# ---- one super-packet in one call, from Python -----------------------------------------------


def test_scapy(contest: Contest, case: Case) -> None:
    assert with_scapy(case) == expected(case)
    contest(AREA, case.name, one_call(case), python("scapy", lambda: with_scapy(case)))


def test_dpkt(contest: Contest, case: Case) -> None:
    assert with_dpkt(case) == expected(case)
    contest(AREA, case.name, one_call(case), python("dpkt", lambda: with_dpkt(case)))


def test_numpy(contest: Contest, case: Case) -> None:
    contest(AREA, case.name, one_call(case), Batch(case, 1).numpy())


# ---- in batches, beside compiled code --------------------------------------------------------


def test_memcpy(contest: Contest, case: Case) -> None:
    batch = Batch.hot(case).checked()
    contest(AREA, case.name, batch.ours(), batch.memcpy())


DPDK_KINDS = [k for k in KINDS if k in ("plain", "VXLAN", "GRE")]
ZERO_COPY = "leaves the payload where it is and all checksums undone"
FINISHED = "librte_gso, then linearised and summed with DPDK's own functions"


@pytest.fixture(params=DPDK_KINDS)
def dpdk_case(request: pytest.FixtureRequest, size: str) -> Case:
    """librte_gso knows only IPv4."""
    return cases.case(request.param, 4, size)


@pytest.fixture
def dpdk(dpdk_case: Case, tmp_path: Path) -> Iterator[Any]:
    program, segments = native.dpdk_segmenter(dpdk_case, tmp_path)
    assert segments == expected(dpdk_case)
    yield program
    program.close()


def test_dpdk_finished(contest: Contest, dpdk_case: Case, dpdk: Any) -> None:
    theirs = dpdk.contestant("DPDK, finished", "finished")
    contest(AREA, dpdk_case.name, Batch.hot(dpdk_case).ours(), theirs, how=FINISHED)


def test_dpdk_zero_copy(contest: Contest, dpdk_case: Case, dpdk: Any) -> None:
    theirs = dpdk.contestant("DPDK, zero-copy", "zero_copy", leaves_out=ZERO_COPY)
    contest(AREA, dpdk_case.name, Batch.hot(dpdk_case).ours(), theirs)


def test_headers_against_dpdk_zero_copy(contest: Contest, dpdk_case: Case, dpdk: Any) -> None:
    ours = python("segment_headers", lambda: gso.segment_headers(dpdk_case.frame, dpdk_case.mss))
    theirs = dpdk.contestant(
        "DPDK, zero-copy", "zero_copy", leaves_out="leaves all checksums undone"
    )
    contest(AREA, dpdk_case.name, ours, theirs)


@pytest.mark.parametrize("version", VERSIONS, ids="IPv{}".format)
def test_wireguard(contest: Contest, version: int, size: str, tmp_path: Path) -> None:
    case = cases.case("plain", version, size).without_ethernet()
    program, segments = native.wireguard_segmenter(case, tmp_path)
    assert segments == gso.segment(case.frame, case.mss, link_type="raw").to_list()
    batch = Batch.hot(case)
    ours = python(
        f"segment_batch of {batch.n}",
        lambda: gso.segment_batch(batch.frames, case.mss, out=batch.out, link_type="raw"),
        items=batch.n,
    )
    theirs = program.contestant(
        "wireguard-go", "split", leaves_out="is told where the headers are; no tunnels"
    )
    name = cases.case("plain", version, size).name
    contest(AREA, name, ours, theirs, how="gsoSplit of its tun package, called through go:linkname")
    program.close()


def test_kernel(contest: Contest, case: Case, tmp_path: Path) -> None:
    program, segments = native.kernel_segmenter(case, tmp_path)
    parent = super_packet_of(segments, case)
    # One TUN device in, another out, so neither frame has an Ethernet header of its own.
    assert gso.segment(parent, case.mss, link_type="raw").to_list() == segments
    theirs = program.contestant(
        "kernel through TUN",
        "segmented",
        leaves_out="does more: a system call, one copy in, routing and queueing",
    )
    facts = {}
    if case.kind == "plain":
        whole = min(program.seconds("whole", 100) for _ in range(5))
        facts["how"] = f"the way without segmentation takes it {whole * 1e6:.1f} us"
    contest(AREA, case.name, Batch.hot(case).ours(), theirs, **facts)
    program.close()


def super_packet_of(segments: list[bytes], case: Case) -> bytes:
    """The super-packet that the kernel's devices made of ours, as its segments show it.

    Its headers are the first segment's (the kernel chose their IDs and ports), the flags are the
    last one's, its payload is ours.
    """
    assert len(segments) == case.segments
    payload = case.payload
    head = len(segments[0]) - min(len(payload), case.mss)
    assert b"".join(segment[head:] for segment in segments) == payload
    flags = head - (case.headers - case.tcp) + 13
    first = bytearray(segments[0][:head])
    first[flags] = segments[-1][flags]
    return bytes(first) + payload


# ---- batches, cold memory, threads -----------------------------------------------------------


@pytest.fixture(params=[INCIDENT, BIG])
def vxlan(request: pytest.FixtureRequest) -> Case:
    return cases.case("VXLAN", 4, request.param)


@pytest.mark.parametrize("n", [1, 64, 4096])
def test_batch_against_memcpy(contest: Contest, vxlan: Case, n: int) -> None:
    batch = Batch(vxlan, n)
    contest(AREA, f"{vxlan.name}, batch of {n}", batch.ours(), batch.memcpy(), batch=n)


@pytest.mark.parametrize("n", [4, 64, 4096])
def test_batch_against_numpy(contest: Contest, vxlan: Case, n: int) -> None:
    if vxlan.size == BIG and n > 64:
        pytest.skip("NumPy on 4096 large packets: its arrays would not fit many a machine's memory")
    batch = Batch(vxlan, n)
    contest(AREA, f"{vxlan.name}, batch of {n}", batch.ours(), batch.numpy(), batch=n)


@pytest.fixture(scope="module")
def cold() -> Batch:
    case = cases.case("VXLAN", 4, BIG)
    return Batch(case, COLD // len(case.frame)).checked()


COLD_NAME = f"VXLAN IPv4, {BIG}, 256 MiB cold"


def test_cold(contest: Contest, cold: Batch) -> None:
    contest(AREA, COLD_NAME, cold.ours(), cold.memcpy())


def test_cold_threads(contest: Contest, cold: Batch, all_cores: int) -> None:
    if all_cores < 2:
        pytest.skip("one core only")
    one = cold.ours()
    one.name = "our own single thread"
    contest(AREA, COLD_NAME, cold.ours(threads=2), one)


def test_cold_threads_against_memcpy(contest: Contest, cold: Batch, all_cores: int) -> None:
    """How much of two threads' gain the memory allows."""
    if all_cores < 2:
        pytest.skip("one core only")
    contest(AREA, COLD_NAME, cold.ours(threads=2), cold.memcpy(threads=2))


def test_memcpy_threads(contest: Contest, cold: Batch, all_cores: int) -> None:
    if all_cores < 2:
        pytest.skip("one core only")
    contest(AREA, COLD_NAME, cold.memcpy(threads=2), cold.memcpy())


def hot() -> Batch:
    return Batch(cases.case("VXLAN", 4, INCIDENT), 4096)


def test_hot_threads(contest: Contest, all_cores: int) -> None:
    if all_cores < 2:
        pytest.skip("one core only")
    batch = hot()
    one = batch.ours()
    one.name = "our own single thread"
    contest(AREA, f"{batch.case.name}, batch of 4096", batch.ours(threads=2), one)


def test_memcpy_hot_threads(contest: Contest, all_cores: int) -> None:
    """How much of two threads' gain the machine allows."""
    if all_cores < 2:
        pytest.skip("one core only")
    batch = hot()
    name = f"{batch.case.name}, batch of 4096"
    contest(AREA, name, batch.memcpy(threads=2), batch.memcpy())
