"""Whatever the packets, they come back; whatever the damage, it ends in packets or GsoError."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

import capture_files as build
import gso
from gso.capture import Interface, Reader

PACKETS = st.lists(
    st.tuples(
        st.binary(max_size=70),
        st.integers(0, 2**63 - 1),
        st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9),
        st.integers(0, 2),
    ),
    max_size=8,
)
INTERFACES = (Interface(name="a"), Interface("raw", description="b"), Interface("linux_sll2"))


def written(packets) -> bytes:
    file = io.BytesIO()
    columns = zip(*packets, strict=True) if packets else ((), (), (), ())
    frames, times, comments, ids = (list(column) for column in columns)
    gso.write_capture(
        file,
        frames,
        timestamps=times,
        comments=comments,
        interface_ids=ids,
        interfaces=INTERFACES,
    )
    return file.getvalue()


@given(PACKETS, st.integers(1, 300))
def test_packets_come_back(packets, chunk_size):
    data = written(packets)
    whole = gso.read_capture(io.BytesIO(data))
    rows = zip(
        whole.frames.to_list(),
        whole.timestamps.tolist(),
        whole.comments,
        whole.interface_ids.tolist(),
        strict=True,
    )
    assert list(rows) == packets
    assert whole.interfaces == INTERFACES
    batches = list(Reader(io.BytesIO(data), chunk_size=chunk_size))
    assert [f for b in batches for f in b.frames.to_list()] == whole.frames.to_list()
    assert [c for b in batches for c in b.comments] == whole.comments


@given(
    st.lists(st.tuples(st.integers(0, 2**32 * 10**9 - 1), st.binary(max_size=70)), max_size=8),
    st.sampled_from(build.ORDERS),
)
def test_pcap_comes_back(packets, order):
    capture = gso.read_capture(io.BytesIO(build.pcap(packets, order=order, ticks=10**9)))
    rows = zip(capture.timestamps.tolist(), capture.frames.to_list(), strict=True)
    assert list(rows) == packets


BASES = [
    build.pcap([(5, b"abcdef"), (6, b"ghi")]),
    build.section()
    + build.interface(items=[(2, b"eth0"), (9, b"\x09"), (14, bytes(8))])
    + build.enhanced(b"abcde", items=[(1, b"comment"), (2, bytes(4))])
    + build.block(5, bytes(12))
    + build.simple(b"xyz")
    + build.obsolete(b"12345678")
    + build.section(">")
    + build.interface(">", 101)
    + build.enhanced(b"q", order=">", items=[(1, b"c")]),
]
DAMAGE = st.lists(
    st.tuples(st.integers(0, 400), st.binary(max_size=5), st.integers(0, 5)), max_size=4
)


@given(st.sampled_from(BASES), DAMAGE, st.integers(1, 100))
def test_damaged_files_give_packets_or_an_error(base, damage, chunk_size):
    data = bytearray(base)
    for at, new, removed in damage:
        data[at % len(data) : at % len(data) + removed] = new
    whole = outcome(lambda: [gso.read_capture(io.BytesIO(data))], len(data))
    batches = outcome(lambda: Reader(io.BytesIO(data), chunk_size=chunk_size), len(data))
    assert whole == batches


def outcome(captures, size):
    try:
        return [frame for capture in captures() for frame in capture.frames.to_list()]
    except gso.GsoError as error:
        assert 0 <= error.offset <= size  # noqa: PT017
        return str(error)


@given(st.binary(max_size=200))
def test_noise_is_no_capture(data):
    with pytest.raises(gso.GsoError):
        gso.read_capture(io.BytesIO(data))


def test_both_readers_say_the_same_of_a_block_that_is_too_long():
    data = bytearray(BASES[1])
    at = data.index(b"\6\0\0\0\x40\0\0\0")
    data[at + 4 : at + 8] = b"\0\0\0\x40"
    whole = outcome(lambda: [gso.read_capture(io.BytesIO(data))], len(data))
    assert "block total length 1073741824 is more than 16777216" in whole
    assert whole == outcome(lambda: Reader(io.BytesIO(data), chunk_size=80), len(data))
