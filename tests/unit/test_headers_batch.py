"""Headers of many super-packets in one call, to be sent with the payload where it is."""

from __future__ import annotations

import pickle
import socket

import numpy as np
import pytest

import cases
import gso
from gso import Frames, GsoError, GsoType


def frames_of(*kinds: tuple[str, int, str]) -> Frames:
    return Frames.from_list([cases.case(*kind).frame for kind in kinds])


MIXED = frames_of(
    ("VXLAN", 4, cases.BIG), ("VXLAN", 4, cases.BIG), ("plain", 6, cases.INCIDENT),
    ("GUE", 6, "16 x 1448"), ("GRE", 4, cases.INCIDENT),
)  # fmt: skip


def test_iovecs_are_the_segments():
    headers = gso.segment_headers_batch(MIXED, 1448)
    segments = gso.segment_batch(MIXED, 1448)
    assert len(headers) == len(segments) == 44 + 44 + 2 + 16 + 2
    assert [b"".join(headers.iovecs(i)) for i in range(len(headers))] == segments.to_list()
    assert np.array_equal(headers.parent, segments.parent)
    assert headers.frames is MIXED
    assert repr(headers) == "<gso.SegmentHeadersBatch: 108 segments>"


def test_iovecs_are_sent_as_they_are():
    headers = gso.segment_headers_batch(MIXED, 1448)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        for i in (0, 43, 44, -1):
            left.sendmsg(headers.iovecs(i))
            assert right.recv(65536) == b"".join(headers.iovecs(i))


def test_no_payload_is_copied():
    headers = gso.segment_headers_batch(MIXED, 1448)
    start = MIXED.data.ctypes.data
    for i in range(len(headers)):
        payload = np.frombuffer(headers.iovecs(i)[1], np.uint8)
        assert start <= payload.ctypes.data < start + MIXED.nbytes
        assert not payload.flags.writeable


def test_a_slice_of_a_batch_has_its_own_offsets():
    part = MIXED[2:]
    headers = gso.segment_headers_batch(part, 1448)
    assert [b"".join(headers.iovecs(i)) for i in range(len(headers))] == gso.segment_batch(
        part, 1448
    ).to_list()
    assert headers.payload[0, 0] == cases.case("plain", 6, cases.INCIDENT).headers


def test_headers_outlive_their_frames():
    frames = frames_of(("VXLAN", 4, cases.INCIDENT))
    want = gso.segment_batch(frames, 1448).to_list()
    headers = gso.segment_headers_batch(frames, 1448)
    parts = [headers.iovecs(i) for i in range(2)]
    del frames, headers
    others = [Frames.from_list([b"\xff" * 3000]) for _ in range(20)]
    assert [b"".join(part) for part in parts] == want
    assert len(others) == 20


@pytest.mark.parametrize("i", [108, -109, 1 << 70])
def test_a_segment_that_is_not_there(i):
    with pytest.raises(IndexError, match=r"frame .* of a batch of 108"):
        gso.segment_headers_batch(MIXED, 1448).iovecs(i)


def test_what_is_refused_is_named_or_passed():
    frames = Frames.from_list([MIXED[2], b"no packet at all", MIXED[2]])
    with pytest.raises(GsoError, match="frame 1: "):
        gso.segment_headers_batch(frames, 1448)
    headers = gso.segment_headers_batch(frames, 1448, errors="pass")
    assert headers.parent.tolist() == [0, 0, 1, 2, 2]
    assert [bytes(part) for part in headers.iovecs(2)] == [b"", b"no packet at all"]


def test_ufo_that_would_cut_the_udp_header():
    udp = bytes.fromhex(
        "02000000000c 02000000000a 0800 4500 0000 1234 0000 4011 0000 0a0a0005 0a0a0009"
        "cda5 1389 0000 1234"
    ) + bytes(64)
    frames = Frames.from_list([udp] * 2)
    with pytest.raises(GsoError, match="frame 0: gso_size 4 cuts the UDP header"):
        gso.segment_headers_batch(frames, 4, gso_type=GsoType.UDP)
    headers = gso.segment_headers_batch(frames, 16, gso_type=GsoType.UDP)
    assert [b"".join(headers.iovecs(i)) for i in range(len(headers))] == gso.segment_batch(
        frames, 16, gso_type=GsoType.UDP
    ).to_list()


@pytest.mark.parametrize("gso_size", [0, 1, 7, 1448])
def test_any_size(gso_size):
    frames = Frames.from_list([cases.case("VXLAN", 4, cases.INCIDENT).frame] * 3)
    headers = gso.segment_headers_batch(frames, gso_size)
    segments = gso.segment_batch(frames, gso_size)
    assert [b"".join(headers.iovecs(i)) for i in range(len(headers))] == segments.to_list()


def test_no_frames_no_headers():
    headers = gso.segment_headers_batch(Frames(), 1448)
    assert len(headers) == 0
    assert headers.payload.shape == (0, 2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="errors is"):
        gso.segment_headers_batch(MIXED, 1448, errors="ignore")
    with pytest.raises(ValueError, match="shape"):
        gso.segment_headers_batch(MIXED, [1448])
    with pytest.raises(TypeError, match="comes from"):
        gso.SegmentHeadersBatch()
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(gso.segment_headers_batch(MIXED, 1448))
