"""Threads share a batch only where there is enough to do for each."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RUN = """
import os, sys
import cases, gso
frames, size = int(sys.argv[1]), sys.argv[2]
before = len(os.listdir("/proc/self/task"))
batch = gso.Frames.from_list([cases.case("VXLAN", 4, size).frame] * frames)
segments = gso.segment_batch(batch, 1448, threads=2)
assert segments == gso.segment_batch(batch, 1448)
print(len(os.listdir("/proc/self/task")) - before)
"""


def started(frames: int, size: str, **environment: str) -> int:
    settings = {k: v for k, v in os.environ.items() if k != "GSO_THREAD_WORK"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(frames), size],
        capture_output=True, text=True, check=True,
        env={**settings, "PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1",
             **environment},
    )  # fmt: skip
    return int(done.stdout)


TSAN = "tsan" in os.environ.get("LD_PRELOAD", "")
pytestmark = [
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU"),
    pytest.mark.skipif(TSAN, reason="ThreadSanitizer starts a thread of its own"),
]


@pytest.mark.parametrize(
    ("frames", "size", "threads"),
    [
        (64, "1448 + 12", 0), (1024, "1448 + 12", 0), (16, "44 x 1448", 0), (1, "44 x 1448", 0),
        (4096, "1448 + 12", 1), (200, "44 x 1448", 1),
    ],
)  # fmt: skip
def test_little_work_starts_no_thread(frames, size, threads):
    assert started(frames, size) == threads


def test_the_least_work_is_a_setting():
    assert started(64, "1448 + 12", GSO_THREAD_WORK="1") == 1
