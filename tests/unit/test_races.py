"""Memory that another thread changes meanwhile: any answer or refusal, but nothing out of bounds.

The sanitizers' build is what finds out (make sanitize); a wild length would show here too.
"""

import contextlib
import io
import operator
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


HEADER = bytes.fromhex("01010000780522001000")
SUPER = vectorset.frame(next(r for r in vectorset.records() if r["name"] == "odd/ok4"))
MANY = 40
LOG = (
    b"0xffff888100000000 3 [a] ip_rcv inner_mac_header=254 inner_network_header=268 "
    b"transport_header=256\n"
)


def doors():
    """Each function that reads frames, with them in memory that changes: name, memory, call."""
    memory = bytearray(HEADER + SUPER * MANY)
    packet = memoryview(memory)[len(HEADER) : len(HEADER) + len(SUPER)]
    batch = Frames(memoryview(memory)[len(HEADER) :], np.arange(MANY + 1) * len(SUPER))
    layout = gso.parse(SUPER)
    way = {"source": "192.0.2.1", "destination": "192.0.2.2"}
    out = bytearray(2 * len(memory))
    calls = {
        "segment": lambda: gso.segment(packet, 1400),
        "segment, layout": lambda: gso.segment(packet, 1400, layout=layout),
        "segment_batch": lambda: gso.segment_batch(batch, 1400, errors="pass"),
        "segment_batch, out": lambda: gso.segment_batch(batch, 1400, out=out, errors="pass"),
        "segment_batch, threads": lambda: gso.segment_batch(batch, 1400, threads=2, errors="pass"),
        "segment_headers": lambda: gso.segment_headers(packet, 1400),
        "segment_headers_batch": lambda: gso.segment_headers_batch(batch, 1400, errors="pass"),
        "segment_vnet": lambda: gso.segment_vnet(memoryview(memory)[: len(HEADER) + len(SUPER)]),
        "parse": lambda: gso.parse(packet),
        "parse_batch": lambda: gso.parse_batch(batch, errors="mark"),
        "coalesce": lambda: gso.coalesce(batch),
        "encapsulate": lambda: gso.encapsulate(batch, "gue", **way),
        "validate": lambda: gso.validate(packet),
        "checksum": lambda: gso.checksum(packet),
        "checksum_batch": lambda: gso.checksum_batch(batch),
        "take": lambda: batch.take([0, 1]).to_list(),
    }
    for name, call in calls.items():
        yield name, memory, 80, call
    outer = gso.encapsulate(Frames.from_list([SUPER] * MANY), "gue", **way)
    tunnelled = bytearray(outer.data)
    inside = Frames(tunnelled, outer.offsets)
    yield "decapsulate", tunnelled, 120, lambda: gso.decapsulate(inside)
    capture = io.BytesIO()
    gso.write_capture(capture, Frames.from_list([SUPER] * MANY))
    file = bytearray(capture.getvalue())
    yield "read_capture", file, 200, lambda: gso.read_capture(file)
    log = bytearray(LOG * 8)
    yield "read_trace", log, 200, lambda: gso.read_trace(log, "pwru")


@pytest.mark.parametrize("door", list(doors()), ids=operator.itemgetter(0))
def test_every_door(door):
    _, memory, headers, call = door
    good = bytes(memory[:headers])

    def restore():
        memory[:headers] = good

    with scribbling(memory, np.arange(headers)):
        outcomes = repeat(call, restore, 100)
    restore()
    call()
    assert outcomes["answer"] + outcomes["refusal"] == 100
