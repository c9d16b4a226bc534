"""Where the pieces end in which a capture is read makes no difference to what becomes of it."""

from __future__ import annotations

import io
import tempfile
from functools import partial
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
import handmade
from gso.capture import reader as reading
from gso.rewriting import coalesce as merging
from gso.rewriting import copy as copying
from gso.rewriting import survey as surveying
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from gso.rewriting.survey import Survey, survey_capture


@st.composite
def captures(draw) -> bytes:
    """Streams whose segments take turns, with other packets and blocks between them."""
    order = draw(st.sampled_from(cf.ORDERS))
    parts = [cf.section(order), cf.interface(order, 1)]
    streams = [
        handmade.stream(draw(st.integers(1, 12)), source=("10.0.0.9", 5000 + i)) for i in range(3)
    ]
    large = handmade.tcp(payload=bytes(4000))
    while any(streams):
        stream = draw(st.sampled_from([one for one in streams if one]))
        for _ in range(min(draw(st.integers(1, 5)), len(stream))):
            parts.append(cf.enhanced(stream.pop(0), order=order))
        other = draw(st.sampled_from(["", "", "", "", "block", "large"]))
        if other == "block":
            parts.append(cf.block(0xBAD, bytes(8), order))
        elif other == "large":
            parts.append(cf.enhanced(handmade.ethernet(large), order=order))
    return b"".join(parts)


def in_pieces(rewrite, capture: bytes, chunk: int, room: int | None, records: int):
    """What is written in pieces of so many bytes and packets; to a disk, as a thread does it."""

    def open_reader(source, *, room: int = 0, own: int | None = room):
        return reading.Reader(source, chunk_size=chunk, room=room if own is None else own)

    with (
        mock.patch.object(copying, "Reader", open_reader),
        mock.patch.object(reading, "MOST_RECORDS", records),
        tempfile.TemporaryFile() as target,
    ):
        summary = rewrite(capture, target)
        target.seek(0)
        return target.read(), repr(summary)


def whole(rewrite, capture: bytes):
    target = io.BytesIO()
    summary = rewrite(capture, target)
    return target.getvalue(), repr(summary)


PIECES = (st.integers(64, 3000), st.sampled_from([None, 0, 200, 1000]), st.integers(1, 20))


@given(captures(), *PIECES)
def test_segments_go_on_in_the_next_piece(capture, chunk, room, records):
    assert in_pieces(coalesce_capture, capture, chunk, room, records) == whole(
        coalesce_capture, capture
    )


@given(captures(), *PIECES)
def test_super_packets_are_cut_in_any_piece(capture, chunk, room, records):
    rewrite = partial(segment_capture, gso_size=100, mtu=576)
    assert in_pieces(rewrite, capture, chunk, room, records) == whole(rewrite, capture)


def told(survey: Survey) -> dict[str, object]:
    """All that a survey says."""
    return {**vars(survey), "tunnels": survey.tunnels.agreed}


@given(captures(), PIECES[0], PIECES[2])
def test_a_capture_is_surveyed_in_any_pieces(capture, chunk, records):
    with (
        mock.patch.object(surveying, "Reader", partial(reading.Reader, chunk_size=chunk)),
        mock.patch.object(reading, "MOST_RECORDS", records),
    ):
        made = survey_capture(io.BytesIO(capture))
    assert told(made) == told(survey_capture(capture))


@given(captures(), *PIECES)
def test_fixed_in_any_pieces(capture, chunk, room, records):
    rewrite = partial(segment_capture, gso_size=100, mtu=576, fix=True)
    assert in_pieces(rewrite, capture, chunk, room, records) == whole(rewrite, capture)


@given(captures(), *PIECES)
def test_room_makes_no_difference_where_little_is_kept(capture, chunk, room, records):
    with mock.patch.object(merging, "_MOST_KEPT", 700):
        made = in_pieces(coalesce_capture, capture, chunk, room, records)
        assert made == in_pieces(coalesce_capture, capture, chunk, 0, records)


def test_flows_that_take_turns_end_with_the_file():
    """All that would be kept at the end belongs to super-packets that are written already."""
    flows = [
        [
            handmade.segment(i, b"x" * 1400, size=1400, source=("10.0.0.9", 5000 + flow))
            for i in range(40)
        ]
        for flow in range(10)
    ]
    frames = [segment for turn in zip(*flows, strict=True) for segment in turn]
    capture = cf.pcap([(0, frame) for frame in frames])
    assert len(capture) > 2 * merging._MOST_KEPT
    merged = coalesce_capture(capture, io.BytesIO())
    assert (merged.super_packets, merged.merged) == (10, 400)
