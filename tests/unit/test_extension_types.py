"""No object of a compiled module crashes Python, not even one made without its constructor."""

import ctypes
import os
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

import gso
from gso.buffers._memory import Memory

EXERCISE = """
import contextlib, copy, importlib, itertools, pickle, pkgutil, sys
import numpy as np
import gso

def compiled():
    for found in pkgutil.walk_packages(gso.__path__, "gso."):
        if not found.name.startswith("gso.kernel") and not found.name.endswith("__main__"):
            module = importlib.import_module(found.name)
            if not module.__file__.endswith(".py"):
                yield module

def attempt(call, *arguments):
    with contextlib.suppress(Exception):
        return call(*arguments)

VALUES = (None, 0, -1, b"abcdefgh", (), {}, slice(0, 1), np.zeros(3, np.int64))
PROTOCOLS = (
    len, iter, list, bytes, memoryview, repr, str, hash, bool, copy.copy, copy.deepcopy,
    pickle.dumps, reversed, lambda o: o == o, lambda o: o < o, lambda o: o in o,
    *[lambda o, key=key: o[key] for key in VALUES],
)

def exercise(thing):
    for protocol in PROTOCOLS:
        attempt(protocol, thing)
    for name in dir(thing):
        member = attempt(getattr, thing, name)
        if callable(member) and name != "__class__":
            for count in range(4):
                for arguments in itertools.product(VALUES, repeat=count):
                    attempt(member, *arguments)
    attempt(gso.segment, bytes(range(256)) * 6, 100)
    for call in (
        lambda: gso.segment(bytes(range(256)) * 6, 100, layout=thing),
        lambda: gso.segment_batch(thing, 100),
        lambda: gso.segment_batch(thing, 100, threads=2),
        lambda: gso.parse_batch(thing),
        lambda: gso.coalesce(thing),
        lambda: gso.Frames(thing, [0]),
    ):
        attempt(call)

seen = 0
for module in compiled():
    for kind in list(vars(module).values()):
        if isinstance(kind, type) and kind.__module__ == module.__name__:
            for arguments in ((), (1,), ((), ""), (None, None), (None, b"", None)):
                thing = attempt(kind.__new__, kind, *arguments)
                if isinstance(thing, kind):
                    print(kind.__module__, kind.__name__, arguments, flush=True)
                    exercise(thing)
            seen += 1
print("types:", seen)
"""


def run(code):
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )


def test_no_extension_type_crashes_before_it_is_initialised():
    done = run(EXERCISE)
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-2000:]
    assert int(done.stdout.split("types:")[1]) >= 10


def test_a_layout_without_its_constructor_is_refused():
    with pytest.raises(TypeError, match=r"gso\.parse"):
        gso.segment(bytes(1500), 100, layout=gso.Layout.__new__(gso.Layout))


def routed(length, check=0):
    """A super-packet whose IPv6 routing header says that it has this length."""
    tcp = struct.pack("!HHIIHHHH", 1, 2, 0, 0, 0x5010, 1, check, 0)
    ipv6 = struct.pack("!IHBB", 0x60000000, 0, 43, 64) + bytes(32)
    routing = bytes([6, length, 0, 1]) + bytes(4 + 32)
    return bytes(12) + b"\x86\xdd" + ipv6 + routing + tcp + bytes(3000)


def test_a_layout_of_a_frame_with_a_shorter_routing_header_is_refused():
    layout = gso.parse(routed(4))
    assert gso.segment(routed(4), 1000, layout=layout) == gso.segment(routed(4), 1000)
    for length in (255, 254, 100, 10):
        with pytest.raises(gso.GsoError, match="routing header") as refused:
            gso.segment(routed(length), 1000, layout=layout)
        assert refused.value.reason == gso.Reason.LAYOUT


@pytest.mark.parametrize("length", [0, 1, 8, 9, 10**6])
def test_a_mapping_of_ports_may_lie_about_its_length(length):
    class Lying(dict):
        def __len__(self):
            return length

        def __bool__(self):
            return True

    ports = dict.fromkeys(range(1, 5000), gso.Tunnel.GUE)
    frame = bytes(100)
    assert gso.parse(frame, tunnel_ports=Lying(ports)) == gso.parse(frame, tunnel_ports=ports)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None is not counted any more")
def test_an_export_leaks_no_reference():
    memory = Memory.__new__(Memory)
    before = sys.getrefcount(None)
    for _ in range(1000):
        bytes(memory)
    assert sys.getrefcount(None) < before + 100


def test_the_memory_of_segments_is_a_plain_read_only_buffer():
    view = memoryview(gso.segment_batch(gso.Frames.from_list([routed(4)]), 1000).data)
    assert view.readonly
    assert view.ndim == view.itemsize == 1
    with pytest.raises((BufferError, TypeError)):
        ctypes.c_char.from_buffer(Memory.__new__(Memory))


JUMBO_RACE = """
import mmap, os, signal, struct, sys, time
import numpy as np
import gso

N, PAYLOAD = 100, 1400
def segment(i):
    ip6 = struct.pack("!IHBB", 0x60000000, 20 + PAYLOAD, 6, 64)
    ip6 += bytes(15) + b"\\1" + bytes(15) + b"\\2"
    tcp = struct.pack("!HHIIBBHHH", 1, 2, 1000 + i * PAYLOAD, 5, 0x50, 0x10, 100, 0, 0)
    payload = bytes([i]) * PAYLOAD
    check = gso.checksum(ip6[8:40] + struct.pack("!IxxxB", 20 + PAYLOAD, 6) + tcp + payload)
    tcp = tcp[:16] + struct.pack("!H", check) + tcp[18:]
    return bytes(12) + b"\\x86\\xdd" + ip6 + tcp + payload

frames = [segment(i) for i in range(N)]
shared = mmap.mmap(-1, sum(map(len, frames)))
shared[:] = b"".join(frames)
ipv6 = frames[0][:74]
# 7 VLAN tags, IPv4 with 4 bytes of options, UDP: as long as Ethernet, IPv6 and TCP
ipv4 = bytes(12) + b"\\x81\\0" + b"\\0\\1\\x81\\0" * 6 + b"\\0\\1\\x08\\0" + b"\\x46\\0"
ipv4 += bytes(7) + b"\\x11" + bytes(14) + bytes(8)
assert len(ipv4) == len(ipv6) == gso.parse(ipv4 + bytes(100)).payload
writer = os.fork()
if writer == 0:
    signal.alarm(30)
    view = memoryview(shared)
    while True:
        view[:74] = ipv4
        view[:74] = ipv6
batch = gso.Frames(shared, np.cumsum([0, *map(len, frames)]))
end = time.monotonic() + 4
try:
    while time.monotonic() < end:
        try:
            gso.coalesce(batch, gro_max_size=300000)
        except gso.GsoError:
            pass
finally:
    os.kill(writer, signal.SIGKILL)
"""


def test_another_process_may_change_the_frames_of_a_jumbogram():
    done = run(JUMBO_RACE)
    assert done.returncode == 0, done.stderr[-2000:]


INTERRUPTED = """
import random, signal, time
import gso

ethernet = bytes(12) + b"\\x08\\0"
ipv4 = bytes([0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0]) + bytes(8)
frame = ethernet + ipv4 + bytes(12) + b"\\x50\\x10" + bytes(6) + bytes(20000)
frames = gso.Frames.from_list([frame] * 100)
right = gso.segment_batch(frames, 1448)
chance = random.Random(1)
signal.signal(signal.SIGALRM, signal.default_int_handler)
end, interrupts = time.monotonic() + 5, 0
while time.monotonic() < end:
    try:
        signal.setitimer(signal.ITIMER_REAL, chance.random() * 0.003 + 1e-4)
        gso.segment_batch(frames, 1448, threads=2)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupts += 1
signal.setitimer(signal.ITIMER_REAL, 0)
assert gso.segment_batch(frames, 1448, threads=2) == right
print(interrupts)
"""


def test_many_interrupts_of_threads_leave_nothing_hanging():
    begun = time.monotonic()
    done = run(INTERRUPTED)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 10
    assert time.monotonic() - begun < 120


def test_errors_of_threads_are_raised_and_later_calls_work():
    good = gso.Frames.from_list([routed(4)] * 8)
    bad = gso.Frames.from_list([routed(4)] * 7 + [b"x"])
    for _ in range(20):
        with pytest.raises(gso.GsoError, match="frame 7"):
            gso.segment_batch(bad, 1000, threads=4)
        parts = gso.segment_batch(good, 1000, threads=4)
        assert parts == gso.segment_batch(good, 1000)
        assert np.array_equal(parts.parent, np.repeat(np.arange(8), 3 if len(parts) == 24 else 4))
