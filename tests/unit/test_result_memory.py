"""Memory of results stays: kept results cost no page faults, and what is freed is bounded.

Everything is counted in processes of their own: minor page faults (getrusage) and resident bytes.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.buffers._memory import Memory, memory_state, new_array

HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
ASAN = "asan" in os.environ.get("LD_PRELOAD", "")
pytestmark = pytest.mark.skipif(ASAN, reason="a build for ASan gives every block back at once")

PRELUDE = """
import json, resource, sys, threading
import gso
from gso import Frames
import cases

PAGE = resource.getpagesize()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * PAGE

def tcp(payload):
    case = cases.case("plain", 4, cases.BIG)
    return case.frame[: case.headers + payload]

big = Frames.from_list([tcp(44 * 1448)] * 16)          # 1.1 MB of segments
small = Frames.from_list([tcp(1448 + 12)] * 64)
many = Frames.from_list([tcp(20)] * 4000)
one = tcp(44 * 1448)
merged = gso.segment(one, 1448)

def batch():
    return gso.segment_batch(big, 1448)

CALLS = {
    "1.1 MB": batch,
    "64 packets": lambda: gso.segment_batch(small, 1448),
    "one packet": lambda: gso.segment(one, 1448),
    "headers": lambda: gso.segment_headers(one, 1448),
    "coalesce": lambda: gso.coalesce(merged),
    "parse": lambda: gso.parse_batch(many),
    "two threads in a batch": lambda: gso.segment_batch(big, 1448, threads=2),
}
"""

ROUNDS = """
name, kept, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
call = CALLS[name]
call()
gso.trim_memory()
counts = []
for _ in range(rounds):
    before = faults()
    results = [call() for _ in range(kept)]
    counts.append(faults() - before)
    held = sum(getattr(r, "nbytes", 0) for r in results)
    del results
print(json.dumps({"counts": counts, "pages": held // PAGE}))
"""


def run(script: str, *arguments: object, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ, "PYTHONPATH": ":".join(sys.path), "OPENBLAS_NUM_THREADS": "1",
            **environment,
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def huge_pages() -> bool:
    return HUGE.exists() and "[never]" not in HUGE.read_text()


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("1.1 MB", 30), ("64 packets", 200), ("one packet", 300), ("headers", 300),
        ("coalesce", 200), ("parse", 100), ("two threads in a batch", 30),
    ],
)  # fmt: skip
def test_kept_results_cost_no_page_faults(name, kept):
    found = run(ROUNDS, name, kept, 4)
    assert all(count <= 3 * kept for count in found["counts"][1:]), found
    # Far fewer, in truth: what little there is comes from Python's own objects.
    assert min(found["counts"][1:]) <= kept / 2, found


def test_the_first_round_takes_huge_pages():
    if not huge_pages():
        pytest.skip("this system gives no transparent huge pages: a first round maps every page")
    found = run(ROUNDS, "1.1 MB", 30, 1)
    assert found["pages"] > 7500
    assert found["counts"][0] <= found["pages"] / 20, found


def test_without_the_arenas_every_kept_result_is_mapped_anew():
    # The C library raises its threshold for mapped blocks by itself, and may then keep all of them.
    found = run(ROUNDS, "1.1 MB", 30, 3, GSO_MEMORY_LIMIT="0", MALLOC_MMAP_THRESHOLD_="131072")
    assert min(found["counts"]) > 3 * 30, found


ALTERNATING = """
sizes = [Frames.from_list([tcp(44 * 1448)] * n) for n in (16, 3, 40, 1, 9)]
counts = []
for r in range(6):
    before = faults()
    results = [gso.segment_batch(sizes[(i + r) % 5], 1448 - 8 * (i % 3)) for i in range(30)]
    counts.append(faults() - before)
    if r % 2:
        results.reverse()
    del results
print(json.dumps(counts))
"""


def test_alternating_sizes_find_the_memory_of_others():
    counts = run(ALTERNATING)
    assert all(count <= 3 * 30 for count in counts[2:]), counts


THREADS = """
from queue import Queue
queue, counts = Queue(8), []
def take():
    while (item := queue.get()) is not None:
        assert len(item) == 704
        del item

for _ in range(3):
    taker = threading.Thread(target=take)
    taker.start()
    before = faults()
    for _ in range(60):
        queue.put(batch())
    queue.put(None)
    taker.join()
    counts.append(faults() - before)
print(json.dumps(counts))
"""


def test_a_thread_that_frees_what_another_made():
    counts = run(THREADS)
    assert all(count <= 3 * 60 for count in counts[1:]), counts


MANY = """
import random
random.seed(1)
gso.memory_limit(32 << 20)
sizes = [Frames.from_list([tcp(p)] * n) for p, n in
         ((1460, 1), (1460, 64), (44 * 1448, 1), (44 * 1448, 16), (20, 500), (9000, 7))]
held, peaks = [], []
inputs = gso.buffers._memory.memory_state()["used"]
for block in range(8):
    for _ in range(400):
        held.append(gso.segment_batch(random.choice(sizes), random.choice((1448, 1400, 536)),
                                      errors="pass"))
        if len(held) > 24:
            held.pop(random.randrange(len(held)))
    peaks.append(resident())
live = sum(held.nbytes for held in held)
del held
state = gso.buffers._memory.memory_state()
print(json.dumps({"peaks": peaks, "live": live, "inputs": inputs, "state": state}))
"""


def test_memory_is_flat_over_mixed_sizes_and_under_the_limit():
    found = run("import gso.buffers._memory\n" + MANY)
    assert max(found["peaks"][2:]) - min(found["peaks"][2:]) < 48 << 20, found
    assert found["state"]["used"] == found["inputs"]
    assert found["state"]["kept"] <= 32 << 20, found


def test_trimming_gives_everything_back():
    results = [gso.Frames.from_list([bytes(300_000)]) for _ in range(20)]
    before = memory_state()
    assert before["used"] >= 20 * 300_000
    del results
    gso.trim_memory()
    assert memory_state()["kept"] == 0
    assert memory_state()["used"] <= before["used"] - 20 * 300_000


def test_the_limit_is_kept():
    before = gso.memory_limit(4 << 20)
    try:
        assert gso.memory_limit() == 4 << 20
        results = [gso.Frames.from_list([bytes(1_000_000)]) for _ in range(100)]
        del results
        assert memory_state()["kept"] <= 4 << 20
    finally:
        assert gso.memory_limit(before) == 4 << 20
    with pytest.raises(ValueError, match="not -1"):
        gso.memory_limit(-1)


def test_switched_off_and_on_again():
    before = gso.memory_limit(0)
    try:
        plain = gso.Frames.from_list([bytes(range(256)) * 100])
        assert memory_state()["kept"] == 0
    finally:
        gso.memory_limit(before)
    assert plain.to_list() == [bytes(range(256)) * 100]
    used = memory_state()["used"]
    del plain  # goes back to where it came from
    assert memory_state()["used"] == used


def test_a_bad_limit_in_the_environment_is_said():
    done = subprocess.run(
        [sys.executable, "-c", "import gso; gso.segment_batch"],
        capture_output=True, text=True, check=False,
        env={**os.environ, "GSO_MEMORY_LIMIT": "64M"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "GSO_MEMORY_LIMIT is a number of bytes, not '64M'" in done.stderr


def test_a_size_that_no_machine_has_is_refused():
    with pytest.raises(MemoryError, match="no memory for"):
        new_array(1 << 50, np.uint8)


def test_views_outlive_their_owner():
    frames = gso.Frames.from_list([bytes([i]) * 5000 for i in range(20)])
    data, offsets, part, first = frames.data, frames.offsets, frames[3:5], frames[0]
    used = memory_state()["used"]
    del frames
    others = [gso.Frames.from_list([b"\xff" * 100_000]) for _ in range(20)]
    assert bytes(first) == bytes(5000)
    assert data[7 * 5000] == 7
    assert offsets[-1] == 100_000
    assert [bytes(f) for f in part] == [b"\3" * 5000, b"\4" * 5000]
    del others
    assert memory_state()["used"] <= used
    del data, first, part
    assert memory_state()["used"] < used


def test_an_array_keeps_its_memory_through_its_views():
    array = new_array(10_000, np.int64)
    array[:] = 7
    view = array[5000:].reshape(2, -1).T
    del array
    new_array(10_000, np.int64)[:] = 1
    assert (view == 7).all()
    owner: object = view
    while isinstance(owner, np.ndarray):
        owner = owner.base
    assert isinstance(owner, Memory)


def test_an_array_is_writable_and_frames_are_not():
    assert new_array(1000, np.int32).flags.writeable
    assert not gso.Frames.from_list([bytes(5000)]).data.flags.writeable
    with pytest.raises(TypeError, match="not writable"):
        (ctypes.c_char * 5000).from_buffer(gso.Frames.from_list([bytes(5000)]).data.base)


def poisoned(byte: int) -> None:
    """Leave a known byte in the memory that the next results get."""
    arrays = [new_array(size, np.uint8) for size in (600, 6000, 60_000, 600_000, 2_000_000) * 3]
    for array in arrays:
        array[:] = byte


def test_results_do_not_depend_on_what_was_in_the_memory():
    segments = gso.Frames.from_list([bytes(40 + i) for i in range(400)])
    outcomes = []
    for byte in (0xA5, 0x5A):
        poisoned(byte)
        parsed = gso.parse_batch(segments, link_type="ethernet", errors="mark")
        poisoned(byte)
        merged = gso.coalesce(segments)
        poisoned(byte)
        rows = gso.skb_array([gso.SkbState(network_header=i) for i in range(200)])
        judged = gso.validate_batch(rows)
        poisoned(byte)
        sums = gso.checksum_batch(segments)
        outcomes.append(
            [
                parsed.tobytes(), merged.data.tobytes(), merged.offsets.tobytes(),
                merged.into.tobytes(), merged.gso_size.tobytes(), merged.gso_type.tobytes(),
                merged.first.tobytes(), rows.tobytes(), judged.tobytes(), sums.tobytes(),
                segments[::3].data.tobytes(), segments[::3].offsets.tobytes(),
            ]
        )  # fmt: skip
    assert outcomes[0] == outcomes[1]


FORK = """
import os
kept = [batch() for _ in range(5)]
want = [r.data.tobytes() for r in kept]
stop = threading.Event()
def work():
    while not stop.is_set():
        batch()
threads = [threading.Thread(target=work) for _ in range(2)]
for t in threads: t.start()
codes = []
for _ in range(20):
    pid = os.fork()
    if not pid:
        some = [batch() for _ in range(3)]
        fine = [r.data.tobytes() for r in kept] == want and some[2] == kept[0]
        del some, kept[:]
        gso.trim_memory()
        os._exit(0 if fine else 1)
    codes.append(os.waitpid(pid, 0)[1])
stop.set()
for t in threads: t.join()
print(json.dumps([codes, [r.data.tobytes() for r in kept] == want]))
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_in_the_middle_of_work():
    codes, intact = run(FORK)
    assert codes == [0] * 20
    assert intact


steps = st.lists(
    st.tuples(st.sampled_from(["take", "drop", "trim"]), st.integers(0, 1 << 40)), max_size=60
)


@given(steps)
@settings(max_examples=examples(200), deadline=None)
def test_blocks_never_overlap(plan):
    held: dict[int, np.ndarray] = {}
    start = memory_state()["used"]
    for number, (what, value) in enumerate(plan):
        if what == "take":
            size = 1 + value % (1 << value % 22)
            held[number] = new_array(size, np.uint8)
            held[number][:] = number
        elif what == "drop" and held:
            del held[list(held)[value % len(held)]]
        elif what == "trim":
            gso.trim_memory()
        assert all((array == mark).all() for mark, array in held.items())
    held.clear()
    assert memory_state()["used"] == start
