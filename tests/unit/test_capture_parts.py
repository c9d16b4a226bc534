"""Parts of captures, other frames in them, and captures as Arrow tables."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pytest

import gso
import handmade
from gso.capture import Interface

SUPER = handmade.ethernet(handmade.tcp(handmade.CLIENT, handmade.SERVER, b"x" * 3000))
SMALL = handmade.ethernet(handmade.tcp(handmade.CLIENT, handmade.SERVER, b"y" * 10))


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "three.pcapng"
    gso.write_capture(
        path,
        [SUPER, SMALL, SMALL[:40]],
        [1_700_000_000_000_000_001, 2, 3],
        interfaces=[Interface(name="eth0"), Interface("linux_sll", name="any")],
        interface_ids=[0, 1, 0],
        comments=["big", None, "cut"],
        original_lengths=[len(SUPER), len(SMALL), len(SMALL)],
        options=[((2, b"\1\0\0\0"),), (), ()],
    )
    return gso.read_capture(path)


def facts(capture):
    return list(
        zip(
            capture.frames.to_list(),
            capture.timestamps.tolist(),
            [capture.interfaces[i].name for i in capture.interface_ids],
            capture.original_lengths.tolist(),
            capture.comments,
            strict=True,
        )
    )


def test_one_packet_is_its_bytes(capture):
    assert bytes(capture[1]) == SMALL
    assert bytes(capture[-1]) == SMALL[:40]
    with pytest.raises(IndexError, match="frame 3 of a batch of 3"):
        capture[3]


@pytest.mark.parametrize(
    ("key", "numbers"),
    [
        (slice(1, None), [1, 2]),
        (slice(None, None, -1), [2, 1, 0]),
        ([2, 0, 2], [2, 0, 2]),
        ([-1], [2]),
        ([True, False, True], [0, 2]),
        ([], []),
    ],
)
def test_some_packets_keep_all_they_have(capture, key, numbers):
    part = capture[np.array(key, int) if key == [] else key]
    assert facts(part) == [facts(capture)[i] for i in numbers]
    assert list(part.options) == [capture.options[i] for i in numbers]
    assert part.interfaces == capture.interfaces
    out = io.BytesIO()
    gso.write_capture(out, part)
    assert facts(gso.read_capture(out.getvalue())) == facts(part)


def test_segments_follow_their_packet(capture):
    segments = gso.segment_batch(capture.frames, 1448, errors="pass")
    made = capture.with_frames(segments)
    assert segments.parent.tolist() == [0, 0, 0, 1, 2]
    assert made.frames == segments
    assert made.timestamps.tolist() == capture.timestamps[segments.parent].tolist()
    assert list(made.comments) == ["big", None, None, None, "cut"]
    assert list(made.options) == [capture.options[0], (), (), (), ()]
    assert made.original_lengths.tolist() == [*map(len, segments[:4]), len(SMALL)]


def test_frames_one_for_one_and_by_number(capture):
    turned = capture.frames[::-1]
    assert capture.with_frames(turned).timestamps.tolist() == capture.timestamps.tolist()
    one = capture.with_frames(turned[:1], [2])
    assert facts(one) == facts(capture)[2:]
    with pytest.raises(ValueError, match=r"1 frames, and packets of shape \(3,\)"):
        capture.with_frames(turned[:1])
    with pytest.raises(IndexError):
        capture.with_frames(turned[:1], [7])


def test_tables_to_and_fro(capture):
    table = capture.to_arrow()
    assert table.column_names == [
        *("frame", "timestamp", "interface", "link_type", "original_length", "comment")
    ]
    assert table["timestamp"].type == pa.timestamp("ns", "UTC")
    again = gso.Capture.from_arrow(table)
    assert facts(again) == facts(capture)
    kinds = [again.interfaces[i].link_type for i in again.interface_ids]
    assert kinds == ["ethernet", "linux_sll", "ethernet"]


def test_a_table_with_frames_alone():
    made = gso.Capture.from_arrow(pa.table({"frame": [SMALL, SUPER]}))
    assert made.frames.to_list() == [SMALL, SUPER]
    assert made.timestamps.tolist() == [0, 0]
    assert made.original_lengths.tolist() == [len(SMALL), len(SUPER)]
    assert made.link_type == "ethernet"
    assert (
        len(
            gso.Capture.from_arrow(
                gso.Capture.from_arrow(pa.table({"frame": pa.array([], pa.binary())})).to_arrow()
            )
        )
        == 0
    )


def test_tables_that_are_no_captures():
    with pytest.raises(ValueError, match="no column is called frame: packet"):
        gso.Capture.from_arrow(pa.table({"packet": [SMALL]}))
    with pytest.raises(ValueError, match="1 of 2 Arrow values are null"):
        gso.Capture.from_arrow(pa.table({"frame": [SMALL, None]}))
    with pytest.raises(TypeError, match="binary"):
        gso.Capture.from_arrow(pa.table({"frame": [1]}))


def test_the_bytes_of_files_are_read(capture):
    out = io.BytesIO()
    gso.write_capture(out, capture)
    for content in (out.getvalue(), bytearray(out.getvalue()), memoryview(out.getvalue())):
        assert facts(gso.read_capture(content)) == facts(capture)
    segmented = io.BytesIO()
    assert gso.segment_capture(out.getvalue(), segmented, 1448).segments == 3
    line = b"0xffff888123456789 0 [curl:7] ip_output netns=4026531840 mark=0x0 len=60\n"
    assert gso.read_trace(line).function.tolist() == ["ip_output"]


class Producer:
    """What speaks Arrow's protocol, and is not pyarrow's."""

    def __init__(self, array):
        self.array = array

    def __arrow_c_array__(self, requested_schema=None):
        return self.array.__arrow_c_array__(requested_schema)


class Stream:
    def __init__(self, array):
        self.array = array

    def __arrow_c_stream__(self, requested_schema=None):
        return self.array.__arrow_c_stream__(requested_schema)


def test_batches_speak_arrow_s_protocol():
    frames = gso.Frames.from_list([b"ab", b"", b"xyz"])
    array = pa.array(Producer(frames))
    assert array.type == pa.large_binary()
    assert array.to_pylist() == [b"ab", b"", b"xyz"]
    assert array.buffers()[2].address == frames.data.ctypes.data
    array.validate(full=True)
    del frames
    assert array.to_pylist() == [b"ab", b"", b"xyz"]
    assert pa.array(Producer(gso.Frames())).to_pylist() == []
    assert pa.field(gso.Frames()).type == pa.large_binary()


def test_what_arrow_takes_is_let_go_again():
    class Kept(bytearray):
        pass

    data = Kept(b"abc")
    frames = gso.Frames(data, [0, 3])
    capsules = [frames.__arrow_c_array__() for _ in range(10)]
    array = pa.Array._import_from_c_capsule(*capsules[0])
    with pytest.raises(BufferError):
        data.append(1)
    del capsules, frames
    with pytest.raises(BufferError):
        data.append(1)
    del array
    data.append(1)


@pytest.mark.parametrize("kind", ["binary", "large_binary", "binary_view", "chunks", "stream"])
def test_any_producer_is_taken(kind):
    values = [b"ab", b"", b"c" * 40]
    if kind == "binary_view" and not hasattr(pa, "binary_view"):
        pytest.skip("this pyarrow has no views")
    array = {
        "chunks": lambda: pa.chunked_array([values[:1], values[1:]]),
        "stream": lambda: Stream(pa.chunked_array([values[:1], values[1:]])),
    }.get(kind, lambda: Producer(pa.array(values, getattr(pa, kind)())))()
    assert gso.Frames.from_arrow(array).to_list() == values


@pytest.mark.parametrize("wrong", [5, [b"a"], pa.array([1])])
def test_what_is_no_binary_array_is_refused(wrong):
    with pytest.raises(TypeError, match="expected an Arrow array"):
        gso.Frames.from_arrow(wrong)


def test_batches_are_joined_and_picked():
    one, two = gso.Frames.from_list([b"1", b"22"]), gso.Frames.from_list([b"", b"4444"])
    joined = gso.Frames.concat([one, [b"3", bytearray(b"x")], gso.Frames(), two[1:]])
    assert joined.to_list() == [b"1", b"22", b"3", b"x", b"4444"]
    assert gso.Frames.concat([]) == gso.Frames()
    assert joined.take([4, 0, -2]).to_list() == [b"4444", b"1", b"x"]
    with pytest.raises(IndexError):
        joined.take([5])
    for mask in ([True] * len(joined), np.zeros(len(joined), bool), [0.0]):
        with pytest.raises(TypeError, match="indices are integers, not"):
            joined.take(mask)
    assert len(joined.take([])) == 0
    with pytest.raises(TypeError):
        gso.Frames.concat([b"ab"])
