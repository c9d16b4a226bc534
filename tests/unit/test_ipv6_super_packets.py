"""IPv6 super-packets with extension headers: cut right, or left as they are with the reason."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.rewriting.segment import segment_capture
from reference.checksums import checksum, pseudo_header

SOURCE, HOP, LAST = (bytes.fromhex("20010db8" + "00" * 11) + bytes([i]) for i in (1, 2, 9))
SIZE = 1448
PAD = b"\1\4\0\0\0\0"
ALERT = b"\5\2\0\0\1\0"


def hop_by_hop(following, options):
    return bytes([following, (len(options) + 2) // 8 - 1]) + options


def srh(left):
    return bytes([6, 4, 4, left, 1, 0, 0, 0]) + LAST + HOP


def jumbo(length):
    return b"\xc2\4" + struct.pack(">I", length)


def tcp(payload, target):
    header = struct.pack(">HHIIBBHHH", 1000, 80, 7, 9, 0x50, 0x10, 100, 0, 0)
    partial = ~checksum(b"", pseudo_header(SOURCE, target, 6, 20 + len(payload))) & 0xFFFF
    return header[:16] + struct.pack(">H", partial) + header[18:] + payload


def frame(first, extensions, segment, *, length=None):
    whole = len(extensions) + len(segment)
    length = (whole if whole <= 0xFFFF else 0) if length is None else length
    head = b"\x60\0\0\0" + struct.pack(">HBB", length, first, 64) + SOURCE + HOP
    return handmade.ETHERNET + b"\x86\xdd" + head + extensions + segment


def segmented(one):
    source, target = io.BytesIO(), io.BytesIO()
    gso.write_capture(source, [one])
    source.seek(0)
    summary = segment_capture(source, target, SIZE)
    target.seek(0)
    return gso.read_capture(target).frames.to_list(), summary


def check(made, before, target, payload):
    """Right lengths, the same extension headers, and right checksums by RFC 1071."""
    taken = b""
    for piece in made:
        at = 14 + 40 + len(before)
        assert int.from_bytes(piece[18:20], "big") == len(piece) - 54
        assert piece[54:at] == before
        rest = piece[at:]
        assert checksum(rest, pseudo_header(SOURCE, target, 6, len(rest))) == 0
        taken += rest[20:]
    assert taken == payload


@given(
    st.lists(st.sampled_from([PAD, ALERT]), max_size=2),
    st.sampled_from([None, 0, 1]),
    st.integers(SIZE + 100, 9000),
)
def test_segments_repeat_extension_headers(options, left, size):
    payload = bytes(i % 251 for i in range(size))
    route = b"" if left is None else srh(left)
    first = 6 if left is None else 43
    before = route
    if options:
        body = b"".join(options)
        body += bytes(-(len(body) + 2) % 8)  # Pad1
        before, first = hop_by_hop(first, body) + route, 0
    target = LAST if left else HOP
    made, summary = segmented(frame(first, before, tcp(payload, target)))
    assert len(made) == -(-size // SIZE)
    assert summary.fine
    check(made, before, target, payload)


def test_a_partial_sum_with_the_next_hop_is_no_partial_sum():
    one = frame(43, srh(1), tcp(bytes(4000), HOP))
    made, summary = segmented(one)
    assert made == [one]
    assert list(summary.notes) == ["its TCP checksum is neither right nor left to a device"]


@pytest.mark.parametrize("with_option", [True, False])
def test_a_jumbo_packet_is_cut_without_its_option(with_option):
    payload = bytes(range(256)) * 300
    before = hop_by_hop(6, jumbo(8 + 20 + len(payload))) if with_option else b""
    one = frame(0 if with_option else 6, before, tcp(payload, HOP), length=0)
    made, summary = segmented(one)
    assert summary.fine
    check(made, b"", HOP, payload)


@pytest.mark.parametrize(
    ("size", "route", "length"), [(4000, b"", 0), (4000, b"", None), (80000, srh(1), 0)]
)
def test_a_jumbo_option_that_would_stay_leaves_the_packet(size, route, length):
    option = jumbo(8 + len(route) + 20 + size)
    before = hop_by_hop(43 if route else 6, option) + route
    one = frame(0, before, tcp(bytes(size), LAST if route else HOP), length=length)
    made, summary = segmented(one)
    assert made == [one]
    assert list(summary.notes) == ["its jumbo payload option would stay in the segments"]
