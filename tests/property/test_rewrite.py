"""Rewriting a capture is the same as segmenting its packets one by one."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.rewriting.segment import segment_capture

PAYLOAD = bytes(range(251)) * 40
TCP = st.builds(
    lambda size, flags: handmade.tcp(payload=PAYLOAD[:size], flags=flags),
    st.integers(0, 9000),
    st.sampled_from([0x10, 0x18, 0x11, 0x98]),
)
UDP = st.builds(lambda size: handmade.udp(payload=PAYLOAD[:size]), st.integers(1, 4000))
PACKET = st.one_of(TCP, UDP)
TUNNELLED = st.builds(
    lambda packet: handmade.network(("1.1.1.1", 0), ("2.2.2.2", 0), 4, packet), PACKET
)
FRAME = st.one_of(
    st.builds(handmade.ethernet, st.one_of(PACKET, TUNNELLED)), st.binary(max_size=100)
)
ROWS = st.lists(
    st.tuples(FRAME, st.integers(0, 2**40), st.none() | st.sampled_from(["a", "gso_size=5"])),
    max_size=6,
)


def expected(rows, size):
    for frame, when, comment in rows:
        pieces = [frame]
        try:
            layout = gso.parse(frame)
        except gso.GsoError:
            layout = None
        if layout and layout.l4 and len(frame) - layout.payload > size:
            pieces = gso.segment(frame, size).to_list()
        yield pieces[0], when, comment
        yield from ((piece, when, None) for piece in pieces[1:])


@given(ROWS, st.integers(100, 3000))
def test_rewriting_is_segmenting_one_by_one(rows, size):
    source, target = io.BytesIO(), io.BytesIO()
    frames, times, comments = zip(*rows, strict=True) if rows else ((), (), ())
    gso.write_capture(source, list(frames), timestamps=list(times), comments=list(comments))
    source.seek(0)
    summary = segment_capture(source, target, size, udp_size=size, mtu=68)
    result = gso.read_capture(io.BytesIO(target.getvalue()))
    got = zip(result.frames.to_list(), result.timestamps.tolist(), result.comments, strict=True)
    assert list(got) == list(expected(rows, size))
    assert summary.packets == len(rows)
    assert summary.written == len(result)
