"""Packets that need no close look stay as they are, and so does what is said of the others."""

from __future__ import annotations

import io
import struct
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import capture_files as cf
import gso
import handmade
from gso.capture._records import without_words
from gso.capture.packets import Packets
from gso.capture.reader import Reader
from gso.rewriting import coalesce as merging
from gso.rewriting import segment as cutting
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture

PAYLOAD = bytes(range(251)) * 40
PORTS = st.sampled_from([40000, 40001])
TCP = st.builds(
    lambda size, port, back, flags: handmade.tcp(
        *[("10.0.0.1", port), ("10.0.0.2", 443)][:: -1 if back else 1],
        payload=PAYLOAD[:size],
        flags=flags,
    ),
    st.sampled_from([0, 5, 1448, 1449, 3000, 9000]),
    PORTS,
    st.booleans(),
    st.sampled_from([0x10, 0x18, 0x11, 0x98]),
)
SYN = st.builds(
    lambda port, mss, back: handmade.syn(
        *[("10.0.0.1", port), ("10.0.0.2", 443)][:: -1 if back else 1], mss
    ),
    PORTS,
    st.sampled_from([None, 500, 1460, 8960]),
    st.booleans(),
)
# Of one flow, whose datagrams tell the size of a super-packet of it.
UDP = st.builds(
    lambda size: handmade.udp(payload=PAYLOAD[:size]),
    st.sampled_from([1000, 1000, 1000, 1472, 1473, 5000]),
)
PACKETS = st.one_of(
    TCP,
    SYN,
    UDP,
    st.builds(handmade.partial, st.one_of(TCP, UDP)),
    st.builds(lambda one: one[:10] + b"\0\0" + one[12:], TCP),  # as before a device sums it
    st.builds(
        lambda one: handmade.network(("1.1.1.1", 0), ("2.2.2.2", 0), 4, one), st.one_of(TCP, UDP)
    ),
    st.builds(
        lambda body: handmade.network(handmade.CLIENT, handmade.SERVER, 50, body), st.binary()
    ),
)
SNAP = b"\xaa\xaa\3\0\0\0\x08\0"
LINKS = {
    1: handmade.ethernet,
    101: lambda packet: packet,
    113: lambda packet: bytes(14) + b"\x08\0" + packet,
    276: lambda packet: b"\x08\0" + bytes(18) + packet,
    0: lambda packet: struct.pack("<I", 2) + packet,
    9: lambda packet: b"\xff\x03\0\x21" + packet,
    147: lambda packet: packet,
}
COMMENTS = st.sampled_from([(), (), ((1, b"so"),), ((1, b"gso_size=700"),)])


@st.composite
def captures(draw) -> bytes:
    order, link = draw(st.sampled_from(cf.ORDERS)), draw(st.sampled_from(list(LINKS)))
    parts = [cf.section(order), cf.interface(order, link), cf.interface(order, 101)]
    for packet in draw(st.lists(PACKETS, max_size=14)) + draw(st.lists(UDP, max_size=10)):
        raw = draw(st.sampled_from([False] * 9 + [True]))
        frame = packet if raw else LINKS[link](packet)
        if link == 1 and draw(st.sampled_from([False] * 9 + [True])):
            frame = handmade.ETHERNET + struct.pack(">H", len(packet) + 8) + SNAP + packet
        have = draw(st.sampled_from([len(frame)] * 9 + [0, 1, 13, 30, 60]))
        items = draw(COMMENTS)
        parts.append(
            cf.enhanced(frame[:have], order=order, which=raw, original=len(frame), items=items)
        )
        if draw(st.sampled_from([False] * 9 + [True])):
            parts.append(cf.block(0xBAD, bytes(8), order))
    return b"".join(parts)


def none_is_plain(_buffer, records, *_, **__):
    return np.zeros(len(records), np.bool_)


def cut(capture: bytes, **options):
    target = io.BytesIO()
    summary = segment_capture(capture, target, **options)
    return target.getvalue(), vars(summary)


@given(
    captures(),
    st.sampled_from([None, 700, 1448]),
    st.sampled_from([None, 576, 9000]),
    st.sampled_from(["complete", "partial"]),
    st.sampled_from(["uso", "keep"]),
)
def test_what_is_not_looked_at_would_have_stayed(capture, size, mtu, checksum, udp):
    options = {"gso_size": size, "mtu": mtu, "checksum": checksum, "udp": udp}
    made, summary = cut(capture, **options)
    with mock.patch.object(cutting, "unremarkable", none_is_plain):
        expected, told = cut(capture, **options)
    assert hash(made) == hash(expected)
    assert repr(summary) == repr(told)
    if checksum == "complete":
        fixed, summary = cut(capture, gso_size=size, mtu=mtu, fix=True)
        with mock.patch.object(cutting, "unremarkable", none_is_plain):
            expected, told = cut(capture, gso_size=size, mtu=mtu, fix=True)
        assert hash(fixed) == hash(expected)
        assert repr(summary) == repr(told)


@given(captures(), st.sampled_from([None, 1000]))
def test_what_stays_alone_is_written_as_it_lies(capture, timeout):
    made, expected = io.BytesIO(), io.BytesIO()
    merged = coalesce_capture(capture, made, timeout=timeout)
    with mock.patch.object(merging, "_lie_together", return_value=False):
        told = coalesce_capture(capture, expected, timeout=timeout)
    assert hash(made.getvalue()) == hash(expected.getvalue())
    assert repr(merged) == repr(told)


@given(
    st.lists(st.binary(max_size=20), min_size=1),
    st.integers(0, 20),
    st.lists(st.sampled_from([0, 1, 0x0100, 0x0101])),
)
def test_packets_without_some_words_are_those_of_each_packet_alone(packets, start, words):
    with Reader(cf.pcap([(0, packet) for packet in packets])) as reader:
        (part,) = reader.packets()
        found = without_words(part.buffer, part.records, start, words).tolist()
    each = [int.from_bytes((one[start:] + bytes(2))[:2], "big") for one in packets]
    assert found == [i for i, word in enumerate(each) if word not in words]


class Counted:
    """Counts packets that are copied in memory, by the two functions that do it."""

    def __init__(self) -> None:
        self.gathered = self.packed = 0
        gather, pack = Packets.frames, cutting.Packer._pack

        def frames(packets: Packets, skip: int = 0) -> gso.Frames:
            self.gathered += len(packets.records)
            return gather(packets, skip)

        def packing(packer, packets, *arguments):
            self.packed += len(packets.records)
            return pack(packer, packets, *arguments)

        self.patches = (
            mock.patch.object(Packets, "frames", frames),
            mock.patch.object(cutting.Packer, "_pack", packing),
        )

    def __enter__(self) -> Counted:
        for patch in self.patches:
            patch.start()
        return self

    def __exit__(self, *_) -> None:
        for patch in self.patches:
            patch.stop()


def wire(count: int) -> list[tuple[int, bytes]]:
    """Packets that fit: so few that no sum is by chance one that a device is to complete."""
    few = [handmade.segment(i, PAYLOAD[:1300], size=1300) for i in range(50)]
    return [(i, few[i % len(few)]) for i in range(count)]


def test_with_nothing_to_do_no_packet_is_copied_in_memory():
    capture, target = cf.pcap(wire(9000)), io.BytesIO()  # three pieces of the file
    with Counted() as counted:
        summary = segment_capture(capture, target, 1448)
    assert hash(target.getvalue()) == hash(capture)
    assert (summary.packets, counted.gathered, counted.packed) == (9000, 0, 0)


def test_where_one_packet_is_cut_no_other_is_gathered():
    rows = wire(100)
    rows[50] = (50, handmade.ethernet(handmade.tcp(payload=PAYLOAD)))
    with Counted() as counted:
        summary = segment_capture(cf.pcap(rows), io.BytesIO(), 1448)
    assert (summary.segmented, counted.gathered, counted.packed) == (1, 1, 100)


def test_packets_that_are_not_merged_are_not_packed():
    rows = [(i * 10**9, packet) for i, packet in wire(9000)]  # too far apart
    capture, target = cf.pcap(rows), io.BytesIO()
    with Counted() as counted:
        merged = coalesce_capture(capture, target)
    assert merged.unchanged == 9000
    assert counted.packed < 9  # what waits for the next piece of the file
