"""The Internet checksum, of one buffer in a call and of many, against all who compute it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dpkt
import numpy as np
import pytest
from scapy.utils import checksum as scapy_checksum

import gso
from contest import Contest, python
from gso import Frames
from peers import native
from peers.vectorised import fold

AREA = "checksum"
LENGTHS = [64, 256, 1448, 9000, 65536]
HOT = 60000
COLD = 64 << 20


def content(size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes that dpdk_parts has, too."""
    return np.resize((np.arange(256) * 7).astype(np.uint8), size)


# ---- one call from Python --------------------------------------------------------------------


def numpy_checksum(data: bytes) -> int:
    total = int(np.frombuffer(data, np.uint16).sum(dtype=np.uint64))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - ((total & 0xFF) << 8 | total >> 8)


@pytest.mark.parametrize(
    ("name", "function"),
    [("scapy", scapy_checksum), ("dpkt", dpkt.in_cksum), ("NumPy", numpy_checksum)],
    ids=["scapy", "dpkt", "numpy"],
)
@pytest.mark.parametrize("length", LENGTHS)
def test_one_call(contest: Contest, length: int, name: str, function: Any) -> None:
    data = content(length).tobytes()
    expected = gso.checksum(data)
    assert function(data) == expected
    contest(
        AREA,
        f"{length} bytes, one call",
        python("checksum", lambda: gso.checksum(data)),
        python(name, lambda: function(data), unit="buffer"),
        bytes=length,
    )


# ---- many in a call --------------------------------------------------------------------------


@dataclass
class Buffers:
    """Buffers of one length side by side; the first stands `offset` bytes after a cache line."""

    length: int
    size: int
    offset: int

    def __post_init__(self) -> None:
        self.n = max(1, self.size // self.length)
        room = np.empty(self.n * self.length + 128, np.uint8)
        start = -room.ctypes.data % 64 + self.offset
        self.data = room[start : start + self.n * self.length]
        self.data[:] = content(len(self.data))
        self.frames = Frames(self.data, np.arange(self.n + 1) * self.length)

    def numpy(self) -> Any:
        sums = fold(self.data.view(np.uint16).reshape(self.n, -1).sum(axis=1, dtype=np.int64))
        return 0xFFFF - ((sums & 0xFF) << 8 | sums >> 8)


PLACES = {"hot": (HOT, 0), "hot, unaligned": (HOT, 1), "cold": (COLD, 0)}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=LENGTHS)
def buffers(request: pytest.FixtureRequest, place: str) -> Buffers:
    return Buffers(request.param, *PLACES[place])


def race(contest: Contest, buffers: Buffers, place: str, theirs: Any) -> None:
    ours = python("checksum_batch", lambda: gso.checksum_batch(buffers.frames), items=buffers.n)
    case = f"{buffers.length} bytes, a batch, {place}"
    contest(AREA, case, ours, theirs, bytes=buffers.length)


def test_read_and_add(contest: Contest, buffers: Buffers, place: str) -> None:
    function = native.limits().read_and_add
    arguments = (buffers.data.ctypes.data, buffers.n, buffers.length)
    words = buffers.data[: buffers.length * buffers.n].reshape(buffers.n, -1)
    tail = words[:, buffers.length // 8 * 8 :].sum(dtype=np.uint64)
    whole = words[:, : buffers.length // 8 * 8].copy().view(np.uint64).sum(dtype=np.uint64)
    assert function(*arguments) == (int(whole) + int(tail)) % 2**64
    theirs = python(
        "read and add",
        lambda: function(*arguments),
        items=buffers.n,
        limit=True,
        leaves_out="adds 64-bit words and loses the carries",
        unit="buffer",
    )
    race(contest, buffers, place, theirs)


def test_dpdk(contest: Contest, buffers: Buffers, place: str) -> None:
    size = buffers.n * buffers.length
    program = native.dpdk_parts(buffers.length, buffers.offset, size)
    assert int(program.said) == gso.checksum(buffers.data[: buffers.length])
    race(
        contest, buffers, place, program.contestant("DPDK rte_raw_cksum", "checksum", unit="buffer")
    )
    program.close()


def test_numpy(contest: Contest, buffers: Buffers, place: str) -> None:
    assert (buffers.numpy() == gso.checksum_batch(buffers.frames)).all()
    race(contest, buffers, place, python("NumPy", buffers.numpy, items=buffers.n, unit="buffer"))
