"""Runs of frames of one flow: whatever differs from one to the next, each is segmented as alone.

The frames are those that a kernel segmented, one of each tunnel device and transport.
"""

from functools import cache

import pytest

import gso
from effort import some
from gso import Frames, GsoError, GsoType
from vectorset import PORTS, frame, records

FLIPS = (0x01, 0x10, 0xFF)


def one_of_each():
    chosen = {}
    for r in records():
        if not r["dropped"] and r["input"]["gso_size"] > 8 and 256 <= len(frame(r)) < 5000:
            kind = r["config"], r["inner_l4"], r["inner_family"]
            chosen.setdefault(kind, (frame(r), r["input"]["gso_size"], r["input"]["gso_type"]))
    return list(chosen.values())


KINDS = one_of_each()
CASES = some(KINDS)


def alone(one, size, **options):
    try:
        return gso.segment(one, size, tunnel_ports=PORTS, **options).to_list()
    except GsoError:
        return [one]


def together(frames, size, **options):
    segments = gso.segment_batch(
        Frames.from_list(frames), size, tunnel_ports=PORTS, errors="pass", **options
    )
    found = [[] for _ in frames]
    for parent, segment in zip(segments.parent.tolist(), segments.to_list(), strict=True):
        found[parent].append(segment)
    return found


def flipped(one, at, bits):
    return one[:at] + bytes([one[at] ^ bits]) + one[at + 1 :]


def check(frames, size, **options):
    threads = options.pop("threads", 1)
    # Most frames of a run are the same one.
    segments = cache(lambda one: alone(one, size, **options))
    expected = map(segments, frames)
    found = together(frames, size, threads=threads, **options)
    for number, (mine, wanted) in enumerate(zip(found, expected, strict=True)):
        assert mine == wanted, f"frame {number} of {len(frames)}"


def test_there_are_many_cases():
    assert len(KINDS) > 100


@pytest.mark.parametrize("bits", FLIPS)
@pytest.mark.parametrize("checksum", ["complete", "partial"])
def test_every_byte_of_the_headers(checksum, bits):
    for one, size, _ in CASES:
        frames = [one]
        for at in range(gso.parse(one, tunnel_ports=PORTS).payload):
            frames += [flipped(one, at, bits), one]
        check(frames, size, checksum=checksum)


@pytest.mark.parametrize("threads", [2, 3])
def test_frames_that_are_measured_first(threads):
    for one, size, _ in CASES:
        headers = gso.parse(one, tunnel_ports=PORTS).payload
        frames = [one] + [flipped(one, at, 0xFF) for at in range(headers)] + [one] * 3
        check(frames, size, threads=threads)


@pytest.mark.parametrize("extra", [0, GsoType.TCP_FIXEDID, GsoType.PARTIAL, GsoType.TCP_ACCECN])
def test_types_given_by_the_caller(extra):
    for one, size, gso_type in CASES:
        headers = gso.parse(one, tunnel_ports=PORTS).payload
        frames = [one] + [flipped(one, at, 0x03) for at in range(headers)] + [one]
        check(frames, size, gso_type=gso_type | extra)


def test_lengths():
    for one, size, _ in CASES:
        headers = gso.parse(one, tunnel_ports=PORTS).payload
        ends = [len(one), headers + size + 1, headers + size, headers, headers - 1, 255, 256, 257]
        frames = [one[:end] for end in ends for _ in range(2)] + [one]
        check(frames, size)


def test_sizes_and_types_of_their_own():
    for one, size, gso_type in CASES:
        sizes = [size, size, size - 1, 0, size, size, size - 8, size - 8]
        types = [gso_type, gso_type, gso_type, gso_type, gso_type, 0, gso_type, gso_type]
        segments = gso.segment_batch(
            Frames.from_list([one] * len(sizes)), sizes, gso_type=types, tunnel_ports=PORTS
        )
        expected = [
            segment
            for n, kind in zip(sizes, types, strict=True)
            for segment in gso.segment(one, n, gso_type=kind, tunnel_ports=PORTS).to_list()
        ]
        assert segments.to_list() == expected


def test_last_segments():
    """Whatever the last segment's length and flags are, and were in the frame before."""
    for one, size, _ in CASES:
        layout = gso.parse(one, tunnel_ports=PORTS)
        if layout.l4 != gso.L4.TCP:
            continue
        th = layout.inner_transport_header or layout.transport_header
        payload = one[layout.payload :] * 4
        wraps = one[: th + 4] + b"\xff\xff\xff\x00" + one[th + 8 : layout.payload]
        frames = []
        for pieces in (1, 2, 1, 3):
            for rest in (12, 12, size, size, 13, 12):
                for bits in (0x00, 0x00, 0x80, 0x09):  # CWR; PSH and FIN
                    frames.append(flipped(wraps, th + 13, bits) + payload[: pieces * size + rest])
        check(frames, size)
