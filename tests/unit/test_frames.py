import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
from gso import Frames, Segments

ITEMS = [b"abc", b"", b"defgh", b"i"]


@pytest.fixture
def frames():
    return Frames.from_list(ITEMS)


def test_reads_back_what_was_put_in(frames):
    assert len(frames) == 4
    assert frames.to_list() == ITEMS
    assert [bytes(f) for f in frames] == ITEMS
    assert frames.offsets.tolist() == [0, 3, 3, 8, 9]
    assert frames.lengths.tolist() == [3, 0, 5, 1]
    assert frames.data.tobytes() == b"abcdefghi"
    assert frames.nbytes == 9


def test_arrays_have_the_documented_types(frames):
    assert frames.data.dtype == np.uint8
    assert frames.data.ndim == 1
    assert frames.data.flags.c_contiguous
    assert frames.offsets.dtype == np.int64


def test_indexing_is_zero_copy_and_read_only(frames):
    view = frames[2]
    assert isinstance(view, memoryview)
    assert view.readonly
    assert np.shares_memory(np.frombuffer(view, np.uint8), frames.data)
    assert bytes(frames[-1]) == b"i"
    with pytest.raises(TypeError):
        view[0] = 1


def test_nothing_can_be_written(frames):
    for array in (frames.data, frames.offsets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        frames.data = b""
    with pytest.raises(TypeError, match="immutable"):
        frames.__init__(b"x", [0, 1])


@pytest.mark.parametrize("index", [4, -5, 1 << 70])
def test_index_out_of_range(frames, index):
    with pytest.raises(IndexError):
        frames[index]


@pytest.mark.parametrize(
    "key",
    [
        slice(1, 3), slice(None), slice(3, 1), slice(-2, None), slice(None, None, 2),
        slice(None, None, -1), slice(10, 20), slice(4, None),
    ],
)  # fmt: skip
def test_slices(frames, key):
    part = frames[key]
    assert isinstance(part, Frames)
    assert part.to_list() == ITEMS[key]
    assert part.offsets[0] == 0
    assert part.offsets[-1] == len(part.data)


def test_plain_slices_share_memory(frames):
    assert np.shares_memory(frames[1:4].data, frames.data)


def test_picks_by_numbers_and_mask(frames):
    assert frames[[2, -1, 0]].to_list() == [b"defgh", b"i", b"abc"]
    assert frames[np.array([True, False, False, True])].to_list() == [b"abc", b"i"]
    assert frames[[]].to_list() == []
    with pytest.raises(IndexError, match="frame 9 of a batch of 4"):
        frames[[9]]
    with pytest.raises(IndexError, match="mask"):
        frames[np.array([True])]
    with pytest.raises(TypeError):
        frames["data"]


def test_empty():
    for empty in (Frames(), Frames.from_list([]), Frames.__new__(Frames)):
        assert len(empty) == 0
        assert empty.offsets.tolist() == [0]
        assert empty.data.shape == (0,)
        assert empty.lengths.shape == (0,)
        assert empty.to_list() == list(empty) == []
        assert empty == Frames()
        assert empty[:].to_list() == []
        assert empty[::-1].to_list() == []
        assert pickle.loads(pickle.dumps(empty)) == empty


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        bytearray,
        memoryview,
        lambda b: np.frombuffer(b, np.uint8),
        lambda b: memoryview(b"".join(bytes([c, 0]) for c in b))[::2],
        lambda b: np.frombuffer(b, np.uint8)[::-1].copy()[::-1],
    ],
)
def test_any_buffer(make):
    assert Frames.from_list([make(b"abcd"), make(b"ef")]).to_list() == [b"abcd", b"ef"]
    assert Frames(make(b"abcdef"), [0, 4, 6]).to_list() == [b"abcd", b"ef"]


def test_items_that_are_not_bytes_are_taken_as_their_bytes():
    words = np.array([[1, 2], [3, 4]], ">u2")
    assert Frames.from_list([words]).to_list() == [words.tobytes()]
    assert Frames(words, [0, 8]).to_list() == [words.tobytes()]


def test_refers_to_the_callers_bytes():
    data = np.arange(6, dtype=np.uint8)
    assert np.shares_memory(Frames(data, [0, 6]).data, data)


def test_offsets_are_private():
    offsets = np.array([0, 2, 6])
    frames = Frames(b"abcdef", offsets)
    offsets[1] = 1 << 40
    assert frames.to_list() == [b"ab", b"cdef"]


def test_unused_bytes_are_left_out():
    frames = Frames(b"..abcdef..", [2, 4, 8])
    assert frames.to_list() == [b"ab", b"cdef"]
    assert frames.offsets.tolist() == [0, 2, 6]
    assert frames.data.tobytes() == b"abcdef"


@pytest.mark.parametrize(
    ("offsets", "message"),
    [
        ([], "at least one"),
        ([[0, 1]], "one dimension"),
        ([0, 7], "last offset is 7, but data has 6"),
        ([-1, 2], "offset 0 is -1"),
        ([0, 4, 3], "offset 2 is 3, less than the 4"),
        (np.array([0, 2**63], np.uint64), "beyond the 6"),
    ],
)
def test_bad_offsets(offsets, message):
    with pytest.raises(ValueError, match=message):
        Frames(b"abcdef", offsets)


def test_offsets_must_be_integers():
    with pytest.raises(TypeError, match="integers"):
        Frames(b"abcdef", [0.0, 6.0])


def test_not_a_buffer():
    with pytest.raises(TypeError):
        Frames.from_list(["text"])
    with pytest.raises(TypeError):
        Frames("text", [0])


def test_equality(frames):
    assert frames == Frames(b"abcdefghi", [0, 3, 3, 8, 9])
    assert frames != Frames(b"abcdefghi", [0, 3, 4, 8, 9])
    assert frames != Frames(b"abcdefghj", [0, 3, 3, 8, 9])
    assert frames != frames[:3]
    assert frames != ITEMS
    with pytest.raises(TypeError, match="unhashable"):
        hash(frames)


def test_repr(frames):
    assert repr(frames) == "<gso.Frames: 4 frames, 9 bytes>"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(frames, protocol):
    assert pickle.loads(pickle.dumps(frames, protocol)) == frames
    segments = Segments(b"abc", [0, 1, 3], [7, 8])
    again = pickle.loads(pickle.dumps(segments, protocol))
    assert again == segments
    assert again.parent.tolist() == [7, 8]


def test_arrow_round_trip(frames):
    array = frames.to_arrow()
    assert array.type == pa.large_binary()
    assert array.to_pylist() == ITEMS
    again = Frames.from_arrow(array)
    assert again == frames
    assert np.shares_memory(again.data, frames.data)
    assert Frames.from_arrow(array[1:3]).to_list() == ITEMS[1:3]
    assert Frames.from_arrow(pa.chunked_array([array, array])).to_list() == ITEMS + ITEMS
    assert Frames.from_arrow(pa.array(ITEMS, pa.binary())) == frames
    assert len(Frames.from_arrow(Frames().to_arrow())) == 0
    assert len(Frames.from_arrow(pa.chunked_array([], pa.binary()))) == 0


def test_arrow_refuses_what_is_not_frames():
    with pytest.raises(ValueError, match="1 of 2"):
        Frames.from_arrow(pa.array([b"a", None], pa.large_binary()))
    with pytest.raises(TypeError, match="int64"):
        Frames.from_arrow(pa.array([1]))


def test_segments_have_parents():
    segments = Segments(b"abc", [0, 1, 3], [0, 4])
    assert isinstance(segments, Frames)
    assert segments.parent.dtype == np.int64
    assert segments.parent.tolist() == [0, 4]
    assert segments == Frames(b"abc", [0, 1, 3])
    assert segments[1:].parent.tolist() == [4]
    assert segments[1:].to_list() == [b"bc"]
    assert segments[::-1].parent.tolist() == [4, 0]
    assert segments[[1, 1]].parent.tolist() == [4, 4]
    assert segments[np.array([False, True])].parent.tolist() == [4]
    with pytest.raises(ValueError, match="2 frames but parents of shape"):
        Segments(b"abc", [0, 1, 3], [0])


class Producer:
    """What exports Arrow data, and nothing else."""

    def __init__(self, array):
        self.array = array

    def __arrow_c_array__(self, requested_schema=None):
        return self.array.__arrow_c_array__(requested_schema)


class StreamProducer:
    def __init__(self, array):
        self.array = array

    def __arrow_c_stream__(self, requested_schema=None):
        return self.array.__arrow_c_stream__(requested_schema)


@pytest.mark.parametrize("made", [
    pa.array(ITEMS), pa.array(ITEMS, pa.large_binary()), Producer(pa.array(ITEMS)),
    pa.chunked_array([ITEMS[:1], ITEMS[1:]]), StreamProducer(pa.chunked_array([ITEMS])),
])  # fmt: skip
def test_arrow_data_is_taken_where_frames_are(made, tmp_path):
    assert Frames.concat([made, ITEMS]).to_list() == ITEMS * 2
    gso.write_capture(tmp_path / "out.pcap", made)
    capture = gso.read_capture(tmp_path / "out.pcap")
    assert capture.frames.to_list() == ITEMS
    assert capture.with_frames(made).frames.to_list() == ITEMS


def test_arrow_data_of_another_type_is_refused():
    with pytest.raises(TypeError, match="expected an Arrow array of binary, not of int64"):
        gso.parse_batch(pa.array([1, 2]))
    with pytest.raises(ValueError, match="1 of 2 Arrow values are null"):
        gso.parse_batch(pa.array([b"a", None]))


@pytest.mark.parametrize("index", [1 << 63, (1 << 64) - 1])
def test_an_index_that_no_batch_has_is_none_from_the_end(index):
    """64 bits without a sign are not read as a negative number."""
    frames = gso.Frames.from_list([b"a", b"b"])
    for indices in ([index], np.array([0, index], np.uint64)):
        with pytest.raises(IndexError, match=f"no batch has a frame {index}"):
            frames.take(indices)
    assert frames.take(np.array([1, 0], np.uint64)).to_list() == [b"b", b"a"]


@given(st.binary(max_size=200), st.integers(1, 60), st.integers(0, 60))
def test_splitting_is_slicing(data, size, skip):
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    if pieces and skip > len(pieces[-1]):
        with pytest.raises(ValueError, match=f"{skip} bytes cannot be left out of a piece of "):
            Frames.split(data, size, skip=skip)
    else:
        expected = [piece[skip:] for piece in pieces]
        for kind in (bytes, bytearray, lambda data: np.frombuffer(data, np.uint8)):
            assert Frames.split(kind(data), size, skip=skip).to_list() == expected


def test_splitting_refers_to_the_bytes_unless_some_are_left_out():
    data = bytearray(range(10))
    assert np.shares_memory(Frames.split(data, 4).data, np.frombuffer(data, np.uint8))
    part = Frames.split(data, 4, skip=1)
    data[:] = bytes(10)
    assert part.to_list() == [bytes([1, 2, 3]), bytes([5, 6, 7]), bytes([9])]


def test_splitting_refuses():
    with pytest.raises(ValueError, match="pieces have 1 byte or more, not 0"):
        Frames.split(b"abc", 0)
    with pytest.raises(ValueError, match="-1 bytes cannot be left out"):
        Frames.split(b"abc", 2, skip=-1)
    assert len(Frames.split(b"", 9, skip=9)) == 0


def test_prefixed(frames):
    assert frames.prefixed(b"12").to_list() == [b"12" + item for item in ITEMS]
    assert frames.prefixed(bytearray()) == frames
    assert frames[1:3].prefixed(memoryview(b"-")).data.tobytes() == b"--defgh"
    assert frames[::2].prefixed(b"-").to_list() == [b"-abc", b"-defgh"]
    assert len(Frames().prefixed(b"12")) == 0
    segments = Segments(b"abc", [0, 1, 3], [0, 0])
    assert type(segments.prefixed(b"x")) is Frames
    with pytest.raises(TypeError):
        frames.prefixed(5)
