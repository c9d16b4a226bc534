"""The Internet checksum against what reading and adding costs at the least."""

import numpy as np
import peers
import pytest

import gso
from gso import Frames

LENGTHS = [64, 1448, 9000, 60000]


@pytest.fixture(params=LENGTHS)
def buffers(request, benchmark):
    """A batch of buffers of one length that stays in the second-level cache."""
    benchmark.group = f"checksum of {request.param} bytes, {60000 // request.param} a call"
    data = np.random.default_rng(1).integers(0, 256, 60000, np.uint8)
    return [data[i : i + request.param] for i in range(0, 60001 - request.param, request.param)]


def test_gso_batch(benchmark, buffers):
    benchmark(gso.checksum_batch, Frames.from_list(buffers))


def test_read_and_add(benchmark, buffers):
    if peers.limits() is None:
        pytest.skip("no C compiler")
    data = np.concatenate(buffers)
    benchmark(peers.limits().read_and_add, data.ctypes.data, len(buffers), len(buffers[0]))


def test_numpy(benchmark, buffers):
    block = np.stack(buffers)

    def checksums():
        return 0xFFFF - peers.fold(block.view(">u2").sum(axis=1, dtype=np.uint64))

    assert (checksums() == gso.checksum_batch(Frames.from_list(buffers))).all()
    benchmark(checksums)
