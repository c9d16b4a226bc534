"""Packets for a file whose frames lie in two places."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.capture._records import pack, packed_size
from gso.capture.reader import Reader

PACKET = bytes(range(60))


def records_of(count):
    """A capture's bytes and the records of its packets."""
    file = io.BytesIO()
    gso.write_capture(file, [PACKET] * count)
    with Reader(file.getvalue()) as reader:
        (part,) = [one for one in reader.stretches() if hasattr(one, "records")]
        return np.array(part.buffer), part.records.copy()


def packed(count, heads, behind=None, tails=None):
    """Each packet replaced by the frames of its list of numbers of bytes."""
    buffer, records = records_of(count)
    offsets = np.cumsum([0, *map(len, heads)])
    data = np.frombuffer(b"".join(heads) or b"\0", np.uint8)
    first = np.array([len(heads) * i // count for i in range(count + 1)])
    skips = np.zeros(1, np.uint32)
    need = packed_size(records, offsets, first, skips, tails)
    out = np.empty(min(max(need, 0), 1 << 16), np.uint8)
    rest = (False, behind, tails)
    return bytes(out[: pack(buffer, records, data, offsets, first, skips, False, out, *rest)])


@settings(max_examples=examples(200), deadline=None)
@given(
    st.integers(1, 3),
    st.binary(min_size=1, max_size=90),
    st.lists(st.tuples(st.binary(max_size=70), st.integers(0, 89), st.integers(0, 90)), max_size=7),
)
def test_a_head_and_a_tail_are_one_frame(count, behind, parts):
    tails = [
        (min(at, len(behind)), min(n, len(behind) - min(at, len(behind)))) for _, at, n in parts
    ]
    whole = [head + behind[at : at + n] for (head, _, _), (at, n) in zip(parts, tails, strict=True)]
    rows = np.array(tails, np.int64).reshape(-1, 2)
    heads = [head for head, _, _ in parts]
    assert packed(count, heads, np.frombuffer(behind, np.uint8), rows) == packed(count, whole)


@pytest.mark.parametrize("tail", [(-1, 1), (0, 11), (11, 0), (10, 1), (0, -1), (1, 1 << 62)])
def test_a_tail_that_is_not_there(tail):
    with pytest.raises(IndexError, match=f"tail 0 has {tail[1]} bytes from {tail[0]} of 10"):
        packed(1, [b"head"], np.zeros(10, np.uint8), np.array([tail], np.int64))


def test_a_tail_of_nothing():
    with pytest.raises(IndexError, match="tail 0 has 1 bytes from 0 of 0"):
        packed(1, [b"head"], None, np.array([(0, 1)], np.int64))
    with pytest.raises(ValueError, match="2 x 2 tails for 1 frames"):
        packed(1, [b"head"], np.zeros(10, np.uint8), np.zeros((2, 2), np.int64))
