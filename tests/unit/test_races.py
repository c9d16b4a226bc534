"""Memory that another thread changes meanwhile: any answer or refusal, but nothing out of bounds.

The sanitizers' build is what finds out (make sanitize); a wild length would show here too.
"""

import contextlib
import threading

import numpy as np
import pytest

import gso
import vectorset
from gso import Frames, GsoError

RECORD = next(r for r in vectorset.records() if r["name"] == "gue-ipip-csum/v4/zero-outer")
PIECES = vectorset.outputs(RECORD)
HEADERS = 110


@contextlib.contextmanager
def scribbling(memory, places):
    """Change bytes at these places all the time."""
    stop = threading.Event()
    view = np.frombuffer(memory, np.uint8)

    def scribble():
        rng = np.random.default_rng(1)
        while not stop.is_set():
            view[rng.choice(places)] ^= rng.integers(1, 256, dtype=np.uint8)

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def repeat(call, restore, times=300):
    """How often the call answered, and how often it refused."""
    outcomes = {"answer": 0, "refusal": 0}
    for _ in range(times):
        restore()
        try:
            call()
            outcomes["answer"] += 1
        except GsoError:
            outcomes["refusal"] += 1
    return outcomes


def test_coalesce():
    good = b"".join(PIECES)
    memory = bytearray(good)
    ends = np.cumsum([0, *map(len, PIECES)])
    frames = Frames(memory, ends)
    places = np.concatenate([start + np.arange(HEADERS) for start in ends[:-1]])

    def call():
        made = gso.coalesce(frames, tunnel_ports=vectorset.PORTS)
        assert made.gso_segs.sum() == len(PIECES)
        assert made.nbytes <= len(good)

    def restore():
        memory[:] = good

    with scribbling(memory, places):
        outcomes = repeat(call, restore)
    assert outcomes["answer"]


@pytest.mark.parametrize("what", ["segment_headers", "parse_batch", "segment_vnet"])
def test_super_packet(what):
    header = bytes.fromhex("01010000780522001000")
    frame = header + vectorset.frame(next(r for r in vectorset.records() if r["name"] == "odd/ok4"))
    memory = bytearray(frame)
    packet = memoryview(memory)[len(header) :]
    batch = Frames(packet, [0, len(packet)])
    calls = {
        "segment_headers": lambda: gso.segment_headers(packet, 1400),
        "parse_batch": lambda: gso.parse_batch(batch),
        "segment_vnet": lambda: gso.segment_vnet(memory),
    }

    def restore():
        memory[:80] = frame[:80]

    with scribbling(memory, np.arange(60)):
        outcomes = repeat(calls[what], restore)
    assert outcomes["answer"]
