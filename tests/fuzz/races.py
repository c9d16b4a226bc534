"""Calls from several threads at once, for ThreadSanitizer: run_threads.py starts this.

    python tests/fuzz/races.py [--seconds N]    each door, and a thread that writes what they read
    python tests/fuzz/races.py --seeded         a race on purpose, which has to be reported

The interpreter is not instrumented, so memory is written by the library itself: copy_and_checksum
puts the same or other headers over those that the other threads are reading. That race is the
caller's, and a report with copy_and_checksum in it is suppressed (races.supp). All others are
faults.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))
sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

import test_races

import gso
import vectorset
from gso.segmentation import _batch

READERS = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeded", action="store_true")
    options = parser.parse_args()
    _batch._THREAD_WORK = 1
    calls = list(test_races.doors())
    if options.seeded:
        call, memory, headers = next(
            (call, memory, headers)
            for name, memory, headers, call in calls
            if name == "segment_batch"
        )
        print(run([call], memory, headers, 2), "calls with a race")
        return 0
    each = options.seconds / (len(calls) + 2)
    for name, memory, headers, call in calls:
        print(f"races: {name}: {run([call], memory, headers, each)} calls", flush=True)
    print(f"races: memory of results: {run(list(results()), bytearray(1), 1, each)} calls")
    print(f"races: all at once: {run([call for *_, call in calls], memory, 1, each)} calls")
    return 0


def run(calls: list[Callable[[], Any]], memory: bytearray, headers: int, seconds: float) -> int:
    """Let some threads make these calls, and one change the bytes; returns how many were made."""
    stop = threading.Event()
    good = bytes(memory)  # all of it is written: little work is done with the GIL held
    bad = bytes(byte ^ 1 for byte in good[:headers]) + good[headers:]
    made = [0] * READERS
    failed: list[BaseException] = []

    def read(number: int) -> None:
        kept: list[Any] = []
        while not stop.is_set():
            for call in calls:
                try:
                    kept.append(call())
                except gso.GsoError:
                    pass
                except BaseException as error:
                    failed.append(error)
                    return
                made[number] += 1
            del kept[: -2 * READERS]  # others free what this thread took

    def write() -> None:
        while not stop.is_set():
            for some in (bad, good):
                gso.copy_and_checksum(memory, some)
                # A report names a writer whose last accesses are still known.
                time.sleep(0.001)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    threads.append(threading.Thread(target=write))
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()
    memory[:] = good
    if failed:
        raise failed[0]
    return sum(made)


def results() -> Iterator[Callable[[], Any]]:
    """Calls that take, resize, keep and give back memory of results, and change what is kept."""
    frame = vectorset.frame(vectorset.record("odd/ok4"))
    for count in (1, 16, 300):
        batch = gso.Frames.from_list([frame] * count)
        yield lambda batch=batch: gso.segment_batch(batch, 1400, errors="pass")
        yield lambda batch=batch: gso.parse_batch(batch, errors="mark")
    yield gso.trim_memory
    yield lambda: gso.memory_limit(8 << 20)


if __name__ == "__main__":
    sys.exit(main())
