"""No more memory than needed, in a process of its own so that its peak says so."""

import os
import subprocess
import sys

import pytest

MEASURE = """
import sys
import numpy as np
import gso
from gso import Frames
from vectorset import record, frame

def peak():
    # Not ru_maxrss, which counts what the process was before exec() too
    row = next(row for row in open("/proc/self/status") if row.startswith("VmHWM:"))
    return int(row.split()[1]) * 1024

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


STREAM = """
import io, sys
import gso

line = b"0xffff%012x 9 [<empty>] %s netns=1 mark=0x0 ifindex=4 proto=8 mtu=1600 len=1512 "
line += b"172.70.2.6:%d->198.51.100.150:8000(tcp)%s\\n"
bad = b" inner_mac_header=68 transport_header=70 inner_network_header=82 network_header=50"

class Log(io.RawIOBase):
    sent = number = 0
    def readable(self):
        return True
    def read(self, size=-1):
        if self.sent > MEGABYTES * 10**6:
            return b""
        self.number += 1
        some = [line % (self.number << 16 | n, b"f%d" % (n % 50), self.number * 1000 + n,
                        bad * (n % 100 == 0)) for n in range(1500)]
        data = b"".join(some)[:size]
        self.sent += len(data)
        return data

with gso.TraceReader(Log(), "pwru") as reader:
    diagnosis = gso.diagnose(reader)
peak = next(row for row in open("/proc/self/status") if row.startswith("VmHWM:")).split()[1]
print(diagnosis.events, len(diagnosis.cases), peak)
"""


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan keeps freed memory")
def test_a_log_needs_no_more_memory_for_its_length():
    """Each event with a pointer and a flow of its own; a hundredth of the packets are wrong."""
    used = {}
    for megabytes in (60, 120):
        done = subprocess.run(
            [sys.executable, "-c", STREAM.replace("MEGABYTES", str(megabytes))],
            capture_output=True,
            text=True,
            check=True,
        )
        events, cases, kilobytes = map(int, done.stdout.split())
        assert events > 5000 * megabytes
        assert cases == 1
        used[megabytes] = kilobytes / 1000
    assert used[120] < 200
    assert used[120] < used[60] * 1.2


CAPTURE = """
import io
import gso
from gso.rewriting.segment import segment_capture
from vectorset import record, frame

def pcapng(frames):
    file = io.BytesIO()
    gso.write_capture(file, frames, format="pcapng")
    return file.getvalue()

one = record("vxlan6-csum/v4/tail12")
header = pcapng([])
block = pcapng([frame(one)] * 100).removeprefix(header)

class Capture(io.RawIOBase):
    left, rest = MEGABYTES * 10**6 // len(block), header
    def readinto(self, room):
        if not self.rest and self.left:
            self.left, self.rest = self.left - 1, block
        data, self.rest = self.rest[:len(room)], self.rest[len(room):]
        room[:len(data)] = data
        return len(data)

class Nowhere(io.RawIOBase):
    def write(self, data):
        return len(data)

summary = segment_capture(Capture(), Nowhere(), one["input"]["gso_size"])
peak = next(row for row in open("/proc/self/status") if row.startswith("VmHWM:")).split()[1]
print(summary.packets, summary.segmented, peak)
"""


@pytest.mark.skipif("asan" in os.environ.get("LD_PRELOAD", ""), reason="ASan keeps freed memory")
def test_a_capture_needs_no_more_memory_for_its_length():
    used = {}
    for megabytes in (30, 120):
        done = subprocess.run(
            [sys.executable, "-c", CAPTURE.replace("MEGABYTES", str(megabytes))],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        packets, segmented, kilobytes = map(int, done.stdout.split())
        assert packets == segmented > 300 * megabytes
        used[megabytes] = kilobytes / 1000
    assert used[120] < 200
    assert used[120] < used[30] * 1.2
