"""UDP super-packets without a size: cut where headers of their own, or their flow, tell it."""

from __future__ import annotations

import io
import struct

import pytest

import gso
import handmade
from gso.rewriting.segment import segment_capture

ENDS = ("10.0.0.1", 4000), ("10.0.0.2", 41641)
SIZE = 1252


def wireguard(count, *, step=1, last=SIZE):
    heads = [struct.pack("<IIQ", 4, 77, 1000 + i * step) for i in range(count)]
    parts = [head + bytes([65 + i]) * (SIZE - 16) for i, head in enumerate(heads)]
    return b"".join(parts)[: (count - 1) * SIZE + last]


def quic(count, *, last=SIZE, odd=None):
    parts = [bytes([0x40 + i]) + b"identity" + bytes([97 + i]) * (SIZE - 9) for i in range(count)]
    if odd is not None:
        parts[odd] = b"\xc3" + parts[odd][1:]
    return b"".join(parts)[: (count - 1) * SIZE + last]


def segmented(payloads, *, whole=False, **options):
    packets = [handmade.udp(*ENDS, payload) for payload in payloads]
    if not whole:
        packets[-1] = handmade.partial(packets[-1])
    frames = [handmade.ethernet(packet) for packet in packets]
    source, target = io.BytesIO(), io.BytesIO()
    gso.write_capture(source, frames)
    source.seek(0)
    summary = segment_capture(source, target, **options)
    target.seek(0)
    return frames, gso.read_capture(target).frames.to_list(), summary


@pytest.mark.parametrize(
    "payload", [wireguard(3), wireguard(4, last=60), quic(3), quic(5, last=30)]
)
def test_headers_tell_the_size(payload):
    frames, made, summary = segmented([payload])
    assert made == gso.segment(frames[0], SIZE).to_list()
    assert summary.fine
    (how,) = summary.udp_sizes
    assert how.startswith("1252 bytes by")


@pytest.mark.parametrize(
    "payload",
    [
        wireguard(3, step=2),
        wireguard(3, last=9),
        quic(3, odd=1),
        quic(3, odd=0),
        quic(3, last=5),
        b"\x40" * 4000,
        bytes(4000),
        b"GET / HTTP/1.1" * 300,
        (b"A record of " + b"a" * 88) * 40,
        (b"A record of " + b"b" * 1288) * 4 + b"record of",
    ],
    ids=range(10),
)
def test_what_is_not_sure_stays(payload):
    frames, made, summary = segmented([payload])
    assert made == frames
    assert not summary.fine
    assert not summary.udp_sizes


def test_other_datagrams_of_the_flow_tell_the_size():
    full, some = [b"x" * 1200] * 8, [b"y" * 300]
    frames, made, summary = segmented([*full, *some, b"z" * 3600])
    assert made == [*frames[:9], *gso.segment(frames[9], 1200).to_list()]
    assert summary.udp_sizes == {"1200 bytes by the other datagrams of the flow": 1}
    for payloads in (
        [*full, b"z" * 3601],
        [*full[1:], b"z" * 3600],
        [*full, *some * 9, b"z" * 3600],
    ):
        frames, made, summary = segmented(payloads)
        assert made == frames
        assert not summary.fine


def test_a_size_that_is_given_wins():
    frames, made, _ = segmented([wireguard(3)], udp_size=1000, whole=True)
    assert made == gso.segment(frames[0], 1000).to_list()
