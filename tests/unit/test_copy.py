"""Copies of captures: pieces of any size arrive in order, whole, and before an error is raised."""

from __future__ import annotations

import io
import os
import struct
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
import gso
import handmade
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.copy import copy_capture
from gso.rewriting.segment import segment_capture

SIZES = st.lists(st.sampled_from([1, 100, 16383, 16384, 20000, 300000]), max_size=12)


@given(SIZES, st.sampled_from([{0}, {0, 1}]))
def test_pieces_last_until_the_next_but_one(tmp_path_factory, sizes, cores):
    source = cf.pcap([(0, b"x" * 60)])
    target = tmp_path_factory.mktemp("copy") / "out"
    buffers = [np.zeros(300000, np.uint8), np.zeros(300000, np.uint8)]

    def replace(_):
        for number, size in enumerate(sizes):
            piece = buffers[number % 2][:size]
            piece[:] = number
            yield piece.data

    with (
        mock.patch.object(os, "sched_getaffinity", return_value=cores),
        target.open("wb") as file,
    ):
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


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(0, 2), st.booleans())
def test_blocks_between_packets_stay_where_they_are(kinds, first, cut):
    """Interfaces of two link types, comments and packets in any order, some of which are cut."""
    long = handmade.tcp(payload=bytes(i % 251 for i in range(3000)))
    short = handmade.tcp(payload=b"x")
    whole, expected = [cf.section()], []
    links = []
    for kind in [*[0] * first, 0, *kinds]:
        if kind < 2:
            links.append(("ethernet", 1) if kind == 0 else ("raw", 101))
            whole.append(cf.interface(link=links[-1][1]))
            expected.append(whole[-1])
        elif kind == 2:
            whole.append(cf.block(0x0BAD, b"note"))
            expected.append(whole[-1])
        else:
            which = (kind * 7 + len(whole)) % len(links)
            name, _ = links[which]
            packet = long if kind == 3 else short
            frame = handmade.ethernet(packet) if name == "ethernet" else packet
            whole.append(cf.enhanced(frame, which=which, ticks=len(whole)))
            pieces = gso.segment(frame, 1448, link_type=name).to_list() if kind == 3 else [frame]
            expected += [cf.enhanced(one, which=which, ticks=len(whole) - 1) for one in pieces]
    target = io.BytesIO()
    damage = [cf.block(6, bytes(8))] * cut
    segment_capture(io.BytesIO(b"".join(whole + damage)), target, 1448, damage="report") if (
        any(kind > 2 for kind in kinds)
    ) else segment_capture(io.BytesIO(b"".join(whole)), target, 1448)
    assert target.getvalue()[len(whole[0]) :] == b"".join(expected)


def coalesced(*parts):
    target = io.BytesIO()
    coalesce_capture(io.BytesIO(b"".join(parts)), target)
    return target.getvalue()


@given(st.lists(st.lists(st.integers(0, 2), max_size=6), min_size=1, max_size=6))
def test_packets_merge_up_to_the_next_block(stretches):
    """Each stretch of packets becomes what it becomes in a file of its own."""
    links = [1, 101, 1]
    head = cf.section() + b"".join(cf.interface(link=link) for link in links)
    whole, expected = [head], head
    number = 0
    for kinds in stretches:
        stretch = b""
        for which in kinds:
            frame = handmade.segment(number)
            frame = frame if links[which] == 1 else frame[14:]
            stretch += cf.enhanced(frame, which=which, ticks=number)
            number += 1
        note = cf.interface() + cf.block(0x0BAD, b"note")
        whole.append(stretch + note)
        expected += coalesced(head, stretch)[len(head) :] + note
    assert coalesced(*whole) == expected


@pytest.mark.parametrize("copy", [segment_capture, coalesce_capture])
def test_a_capture_is_copied_by_names(tmp_path, copy):
    source, target = tmp_path / "in.pcap", tmp_path / "out.pcap"
    gso.write_capture(source, handmade.stream(4))
    kept, file = source.read_bytes(), io.BytesIO()
    copy(source, file)
    assert copy(source, str(target)).packets == 4
    assert target.read_bytes() == file.getvalue()
    for same in (source, str(source), tmp_path / "." / "in.pcap"):
        with pytest.raises(ValueError, match=r"in\.pcap is the capture that is read"):
            copy(source, same)
    assert source.read_bytes() == kept
    with pytest.raises(gso.GsoError):
        copy(b"no capture at all", tmp_path / "none")
    assert not (tmp_path / "none").exists()


SECTIONS = st.lists(
    st.tuples(
        st.sampled_from(cf.ORDERS), st.integers(0, 3), st.sampled_from([None, -1, 8, 1 << 40])
    ),
    min_size=1,
    max_size=3,
)


def sections(described):
    """Sections with packets; what a header says of its section: its length (None), or a number."""
    long = handmade.ethernet(handmade.tcp(payload=bytes(3000)))
    for order, packets, length in described:
        blocks = [cf.enhanced(long, order=order, ticks=number) for number in range(packets)]
        rest = cf.interface(order) + b"".join(blocks)
        yield cf.section(order, length=len(rest) if length is None else length) + rest


def lengths_of(data):
    """What each section header says, and how many bytes there are up to the next one."""
    at, found = 0, []
    while at < len(data):
        order = "<" if data[at + 8] == 0x4D else ">"
        size = struct.unpack_from(order + "I", data, at + 4)[0]
        (said,) = struct.unpack_from(order + "q", data, at + 16)
        start = at = at + size
        while at < len(data) and data[at : at + 4] != b"\n\r\r\n":
            at += struct.unpack_from(order + "I", data, at + 4)[0]
        found.append((said, at - start))
    return found


@given(SECTIONS, st.sampled_from([None, 1000]), st.booleans())
def test_a_section_has_the_length_that_its_header_says(described, size, merge):
    source, target = b"".join(sections(described)), io.BytesIO()
    target.write(b"before")
    if merge:
        coalesce_capture(source, target)
    else:
        segment_capture(source, target, size)
    assert target.tell() == len(target.getvalue())
    written = target.getvalue()[6:]
    found = lengths_of(written)
    for (_, _, length), (said, actual) in zip(described, found, strict=True):
        assert said == (-1 if length == -1 else actual)
    if not merge and size is None and all(length in (None, -1) for _, _, length in described):
        assert written == source


@pytest.mark.parametrize("kind", ["file", "appended", "pipe"])
def test_where_a_file_goes_back_section_lengths_are_put_in(kind, tmp_path):
    (source,) = sections([("<", 1, None)])
    path = tmp_path / "out"
    if kind == "pipe":
        end, start = os.pipe()
        with os.fdopen(start, "wb") as file:
            segment_capture(source, file, 1000)
        with os.fdopen(end, "rb") as file:
            made = file.read()
    else:
        with path.open("wb" if kind == "file" else "ab") as file:
            segment_capture(source, file, 1000)
        made = path.read_bytes()
    ((said, actual),) = lengths_of(made)
    assert actual > len(source) - 28
    assert said == (actual if kind == "file" else -1)
