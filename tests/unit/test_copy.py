"""Copies of captures: pieces of any size arrive in order, whole, and before an error is raised."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
import gso
from gso.rewriting.copy import copy_capture
from gso.rewriting.segment import segment_capture

SIZES = st.lists(st.sampled_from([1, 100, 16383, 16384, 20000, 300000]), max_size=12)


@given(SIZES)
def test_pieces_last_until_the_next_but_one(tmp_path_factory, sizes):
    source = cf.pcap([(0, b"x" * 60)])
    target = tmp_path_factory.mktemp("copy") / "out"
    buffers = [np.zeros(300000, np.uint8), np.zeros(300000, np.uint8)]

    def replace(_):
        for number, size in enumerate(sizes):
            piece = buffers[number % 2][:size]
            piece[:] = number
            yield piece.data

    with target.open("wb") as file:
        copy_capture(io.BytesIO(source), file, replace)
    expected = source[:24] + b"".join(bytes([i]) * size for i, size in enumerate(sizes))
    assert target.read_bytes() == expected


@pytest.mark.parametrize("count", [1, 3, 300, 3000])
def test_what_precedes_damage_is_on_the_disk(tmp_path, count):
    blocks = [cf.section()]
    for number in range(count):
        blocks += [cf.interface(), cf.enhanced(b"x" * 60, which=number)]
    whole = b"".join(blocks)
    target = tmp_path / "out"
    with target.open("wb") as file, pytest.raises(gso.GsoError, match=f"byte {len(whole)}"):
        segment_capture(io.BytesIO(whole + cf.block(6, bytes(8))), file)
    assert target.read_bytes() == whole
