"""Packet trains on every SIMD path, through the caches and past them, against the reference."""

import random
from functools import cache

import numpy as np
import pytest

import gso
import reference
from gso import Frames
from gso.buffers._checksum import simd_path, simd_paths, use_simd
from handmade import tcp, udp, with_id

STREAMED = 1 << 24
"""Bytes of output memory from which segments are written past the caches."""

CUTS = [1, 2, 7, 31, 63, 64, 65, 100, 127, 128, 129, 191, 192, 255, 500, 1447, 1448]
PAYLOAD = random.Random(1).randbytes(3001)
V6 = ("fd00::1", 40000), ("fd00::2", 5201)


def with_options(packet: bytes) -> bytes:
    """The IPv6 packet with 256 bytes of destination options before its payload."""
    header = bytearray(packet[:40])
    options = bytes([header[6], 31, 1, 252]) + bytes(252)
    header[4:6] = (len(packet) - 40 + len(options)).to_bytes(2, "big")
    header[6] = 60
    return bytes(header) + options + packet[40:]


PACKETS = {
    "the shortest headers": udp(payload=PAYLOAD),
    "no options": tcp(payload=PAYLOAD, options=b""),
    "CWR": tcp(payload=PAYLOAD, flags=0x98),
    "FIN": tcp(payload=PAYLOAD, flags=0x11),
    "an ID that wraps": with_id(tcp(payload=PAYLOAD), 0xFFFE),
    "a number that wraps": tcp(payload=PAYLOAD, sequence=(1 << 32) - 1000),
    "IPv6": tcp(*V6, payload=PAYLOAD),
    "headers of several lines": with_options(tcp(*V6, payload=PAYLOAD)),
    "headers too long to be put aside": with_options(with_options(udp(*V6, payload=PAYLOAD))),
    "zeros": udp(payload=bytes(3000)),
}


@cache
def expected(name: str) -> list[list[bytes]]:
    """Segments of the packet for each of CUTS."""
    return [reference.segment(PACKETS[name], cut, link_type="raw") for cut in CUTS]


@pytest.fixture(params=simd_paths(), autouse=True)
def path(request):
    before = simd_path()
    use_simd(request.param)
    yield
    use_simd(before)


@pytest.mark.parametrize("name", PACKETS)
def test_headers(name):
    for cut, segments in zip(CUTS, expected(name), strict=True):
        headers, payload = gso.segment_headers(PACKETS[name], cut, link_type="raw")
        pieces = [PACKETS[name][at : at + n] for at, n in payload.tolist()]
        found = [head + piece for head, piece in zip(headers.to_list(), pieces, strict=True)]
        assert found == segments, cut


@pytest.mark.parametrize("name", PACKETS)
def test_segments(name):
    for cut, segments in zip(CUTS, expected(name), strict=True):
        assert gso.segment(PACKETS[name], cut, link_type="raw").to_list() == segments, cut


@pytest.mark.parametrize("offset", [0, 1, 33, 62, 63])
@pytest.mark.parametrize("name", PACKETS)
def test_streamed_segments(name, offset):
    segments = [segment for cut in expected(name) for segment in cut]
    out = np.full(STREAMED + 64, 0xA5, np.uint8)
    frames = Frames.from_list([PACKETS[name]] * len(CUTS))
    found = gso.segment_batch(frames, CUTS, link_type="raw", out=out[offset:])
    assert found.to_list() == segments
    assert (out[:offset] == 0xA5).all()
    assert (out[offset + found.nbytes :] == 0xA5).all()
