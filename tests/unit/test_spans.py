"""Frames where they lie in a buffer."""

import pytest

import gso
import handmade
from gso.buffers._spans import Spans

DATA = b"..one.....three.two"
STARTS, ENDS = [2, 10, 16], [5, 15, 19]


def test_they_are_counted_and_measured():
    spans = Spans(DATA, STARTS, ENDS)
    assert (len(spans), spans.nbytes) == (3, 11)
    assert len(Spans(b"", [], [])) == 0


def test_some_are_taken_in_the_order_asked_for():
    some = Spans(DATA, STARTS, ENDS).take([2, 0])
    assert (len(some), some.nbytes) == (2, 6)
    assert len(some.take([])) == 0


@pytest.mark.parametrize("number", [3, -1])
def test_none_is_taken_that_is_not_there(number):
    with pytest.raises(IndexError, match=f"frame {number} of 3"):
        Spans(DATA, STARTS, ENDS).take([0, number])


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 2), (0, len(DATA) + 1), (30, 31)])
def test_none_is_outside_the_data(start, end):
    with pytest.raises(ValueError, match=f"frame 1 is at {start} to {end}, but data has 19"):
        Spans(DATA, [0, start], [1, end])


def test_they_do_not_change():
    spans = Spans(DATA, STARTS, ENDS)
    with pytest.raises(TypeError, match="immutable"):
        spans.__init__(DATA, [0], [1])
    assert len(spans) == 3


def test_frames_are_parsed_where_they_lie():
    frames = handmade.stream(2)
    size = len(frames[0])
    data = bytearray(b"-".join([b"", *frames, b""]))
    spans = Spans(data, [1, size + 2], [size + 1, 2 * size + 2])
    expected = gso.parse_batch(frames)
    assert (gso.parse_batch(spans) == expected).all()
    assert (gso.parse_batch(spans.take([1])) == expected[1:]).all()


def test_frames_without_a_byte_lie_somewhere():
    none = Spans(b"", [0, 0], [0, 0])
    assert (gso.parse_batch(none, errors="mark")["network_header"] == -1).all()
    assert gso.coalesce(none).into.tolist() == [0, 1]
