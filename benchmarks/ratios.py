"""Print how the library stands against its limits and its peers, in one run.

    taskset -c 1 python benchmarks/ratios.py

Every figure is the least of many rounds, in turn with what it is compared with, as absolute times
mean little on a machine that others use. Peers' output is compared byte for byte before they are
timed; DPDK's is compared after clearing what it is known to do differently.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from timeit import timeit

import numpy as np
import peers
from peers import BIG, HEADERS, INCIDENT, MSS

import gso
from gso import Frames

Call = Callable[[], object]


def least(*calls: Call, number: int, rounds: int = 15) -> list[float]:
    """Least nanoseconds of each call, measured in turn."""
    best = [float("inf")] * len(calls)
    for _ in range(rounds):
        for i, call in enumerate(calls):
            best[i] = min(best[i], timeit(call, number=number) / number * 1e9)
    return best


def row(what: str, ours: float, theirs: float | None, goal: str) -> None:
    """One line of the table; a peer that is not installed has no figure."""
    if theirs is None:
        print(f"| {what} | {ours:,.0f} | - | - | {goal} |")
    else:
        print(f"| {what} | {ours:,.0f} | {theirs:,.0f} | {theirs / ours:,.2f} | {goal} |")


def strided(frames: Frames, out: np.ndarray) -> Call:
    """memcpy of all payloads into the slots of their segments."""
    limits = peers.limits()
    assert limits is not None, "this needs a C compiler"
    n = len(frames)
    payload = frames.nbytes // n - len(HEADERS)
    arguments = (out.ctypes.data, frames.data.ctypes.data, n, len(HEADERS), payload, MSS)
    return lambda: limits.copy_strided(*arguments)


def hot() -> None:
    """One super-packet of 44 segments in the caches."""
    frames = Frames.from_list([BIG] * 8)
    out = np.zeros(2 * frames.nbytes, np.uint8)
    ours, copy = least(
        lambda: gso.segment_batch(frames, MSS, out=out), strided(frames, out), number=200
    )
    row("44 x 1448, batch of 8 : memcpy (L)", ours / 8, copy / 8, "0.7")
    one, headers = least(
        lambda: gso.segment(BIG, MSS), lambda: gso.segment_headers(BIG, MSS), number=1000
    )
    scapy, dpkt = least(
        lambda: peers.with_scapy(BIG), lambda: peers.with_dpkt(BIG), number=1, rounds=5
    )
    (vectorised,) = least(lambda: peers.with_numpy(BIG), number=50)
    library = peers.dpdk(BIG, 1000)
    times = {} if library is None else library[0]
    row("44 x 1448 : DPDK zero-copy, no checksums", one, times.get("zero_copy"), "1")
    row("44 x 1448 : DPDK finished", one, times.get("finished"), "4")
    row("segment_headers : DPDK zero-copy", headers, times.get("zero_copy"), "1.5")
    row("44 x 1448 : NumPy", one, vectorised, "15")
    row("44 x 1448 : dpkt", one, dpkt, "1000")
    row("44 x 1448 : scapy", one, scapy, "10000")


def small() -> None:
    """The packet of the incident: one full segment and 12 bytes."""
    frames = Frames.from_list([INCIDENT] * 1000)
    out = np.zeros(2 * frames.nbytes, np.uint8)
    batch, one = least(
        lambda: gso.segment_batch(frames, MSS, out=out),
        lambda: [gso.segment(INCIDENT, MSS) for _ in range(1000)],
        number=20,
    )
    library = peers.dpdk(INCIDENT, 20000)
    times = {} if library is None else library[0]
    row("1448 + 12 in a batch : DPDK zero-copy", batch / 1000, times.get("zero_copy"), "1")
    row("1448 + 12 in a batch : DPDK finished", batch / 1000, times.get("finished"), "2.3")
    row("1448 + 12 in a batch : 110 ns", batch / 1000, 110, "1")
    row("1448 + 12 in one call : 1 us", one / 1000, 1000, "1")


def cold() -> None:
    """256 MiB, more than the caches hold."""
    frames = Frames.from_list([BIG] * ((256 << 20) // len(BIG)))
    out = np.zeros(frames.nbytes + len(frames) * 44 * len(HEADERS), np.uint8)
    one, two, copy = least(
        lambda: gso.segment_batch(frames, MSS, out=out),
        lambda: gso.segment_batch(frames, MSS, out=out, threads=2),
        strided(frames, out),
        number=1,
    )
    n = len(frames)
    row("44 x 1448, cold : memcpy (L)", one / n, copy / n, "1.2")
    row("44 x 1448, cold, 2 threads : 1 thread", two / n, one / n, "1.8")


def checksums() -> None:
    """Many buffers of one length a call."""
    limits = peers.limits()
    assert limits is not None, "this needs a C compiler"
    for length in (64, 1448, 9000, 60000):
        n = 60000 // length
        data = np.random.default_rng(1).integers(0, 256, n * length, np.uint8)
        frames = Frames(data, np.arange(n + 1) * length)
        address = ctypes.c_void_p(data.ctypes.data)
        ours, limit = least(
            lambda: gso.checksum_batch(frames),  # noqa: B023
            lambda: limits.read_and_add(address, n, length),  # noqa: B023
            number=500,
        )
        row(f"checksum of {length} bytes x {n} : read and add", ours, limit, "0.9")
        if length == 64:
            each = peers.dpdk_checksum(length)
            row("checksum of 64 bytes : rte_raw_cksum in C", ours / n, each, "1")


def check() -> None:
    """All peers' segments are the library's."""
    expected = gso.segment(BIG, MSS).to_list()
    assert peers.with_scapy(BIG) == expected
    assert peers.with_dpkt(BIG) == expected
    assert [line.tobytes() for line in peers.with_numpy(BIG)] == expected
    library = peers.dpdk(BIG, 1)
    assert library is None or library[1] == expected


def main() -> None:
    """Print the table."""
    check()
    print(f"{platform.processor() or platform.machine()}, SIMD path {gso.simd_path()}\n")
    print("| ours : theirs | ours, ns | theirs, ns | ratio | goal |")
    print("| --- | ---: | ---: | ---: | ---: |")
    hot()
    small()
    cold()
    checksums()


if __name__ == "__main__":
    main()
