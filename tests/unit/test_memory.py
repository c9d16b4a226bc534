"""No more memory than the output, in a process of its own so that its peak says so."""

import os
import subprocess
import sys

import pytest

MEASURE = """
import resource, sys
import numpy as np
import gso
from gso import Frames
from vectorset import record, frame

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

one = frame(record("vxlan6-csum/v4/tail12"))
mss = record("vxlan6-csum/v4/tail12")["input"]["gso_size"]
frames = Frames.from_list([one] * (96_000_000 // len(one)))
gso.segment_batch(frames[:1000], mss)
before = peak()
call = {
    "batch": lambda: gso.segment_batch(frames, mss),
    "threads": lambda: gso.segment_batch(frames, mss, threads=2),
    "one": lambda: gso.segment(one + bytes(96_000_000), 1400),
}[sys.argv[1]]
extra = 96_000_000 if sys.argv[1] == "one" else 0
segments = call()
own = len(segments.data) + segments.offsets.nbytes
own += segments.parent.nbytes if hasattr(segments, "parent") else 0
print(peak() - before - extra, own)
"""


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan keeps freed memory")
@pytest.mark.parametrize("kind", ["batch", "threads", "one"])
def test_peak_is_the_output_and_one_percent(kind):
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, kind],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
    )
    used, own = map(int, run.stdout.split())
    # Large pages are rounded up, and the peak is counted in batches by the kernel
    assert used < own * 1.01 + 8_000_000
