"""Kinds of packets that are easily misread: no byte changes where none must, by dpkt's account.

Each strategy makes packets of one kind of tests/vectors/cases/captures. dpkt, which shares nothing
with the library, reads them and what the commands wrote.
"""

from __future__ import annotations

import struct

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from gso.rules.frames import validate_frame
from kinds import (
    BYTES,
    PACKET,
    PAIRS,
    TRIES,
    V4_PACKET,
    V4_PAIRS,
    padded,
    run,
    tagged,
)

FULL = st.builds(
    lambda pair, options: handmade.tcp(
        *pair, b"f" * (1500 - 40 - len(options) - 20 * (":" in pair[0][0])), options=options
    ),
    PAIRS,
    st.sampled_from([b"", handmade.TIMESTAMPS]),
)


VLAN = st.builds(tagged, PACKET.map(padded), st.integers(0, 4095), st.integers(0, 7))
TRAILER = st.builds(
    lambda packet, tail: handmade.ethernet(packet) + tail, PACKET, st.binary(max_size=28)
)
LABELS = st.lists(st.integers(16, 0xFFFFF), min_size=1, max_size=3)


def labelled(labels, inside: bytes) -> bytes:
    stack = [label << 12 | 64 for label in labels]
    stack[-1] |= 0x100
    return (
        handmade.ETHERNET + b"\x88\x47" + b"".join(struct.pack(">I", one) for one in stack) + inside
    )


MPLS = st.builds(labelled, LABELS, V4_PACKET)
PSEUDOWIRE = st.builds(
    lambda labels, word, mac, packet: labelled(labels, word + mac + handmade.ethernet(packet)[6:]),
    LABELS,
    st.sampled_from([b"", bytes(4)]),
    st.binary(min_size=6, max_size=6),
    V4_PACKET,
)
VXLAN = st.builds(
    lambda vni, packet: handmade.ethernet(
        handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", 8472), b"\x08\0\0\0" + vni + b"\0" + packet)
    ),
    st.binary(min_size=3, max_size=3),
    FULL.map(handmade.ethernet),
)
WIREGUARD = st.builds(
    lambda port, index, data: handmade.ethernet(
        handmade.udp(("10.9.0.1", 50000), ("10.9.0.2", port), b"\4\0\0\0" + index + data)
    ),
    st.integers(1024, 65535),
    st.binary(min_size=12, max_size=12),
    st.just(b"w" * 1452),
)


@st.composite
def fragments(draw):
    """The pieces of a packet of UDP or TCP, of any sizes."""
    packet = draw(V4_PACKET | st.builds(lambda p, d: handmade.udp(*p, d), V4_PAIRS, BYTES))
    body, pieces, at = packet[20:], [], 0
    while at < len(body):
        size = draw(st.integers(1, 20)) * 8
        more = at + size < len(body)
        header = bytearray(packet[:20])
        header[2:4] = struct.pack(">H", 20 + len(body[at : at + size]))
        header[6:8] = struct.pack(">H", (0x2000 if more else 0) | at // 8)
        header[10:12] = b"\0\0"
        header[10:12] = struct.pack(">H", gso.checksum(header))
        pieces.append(handmade.ethernet(bytes(header) + body[at : at + size]))
        at += size
    return pieces


ALONE = PACKET.map(padded) | FULL.map(handmade.ethernet) | VLAN | TRAILER | MPLS | PSEUDOWIRE
KINDS = st.lists(ALONE | VXLAN | WIREGUARD, min_size=1, max_size=8) | fragments()


@TRIES
@given(KINDS, st.sampled_from([None, 1448, 1000, 536]))
def test_packets_of_a_wire_stay_byte_for_byte(frames, size):
    made, summary = run(segment_capture, frames, size)
    assert made == frames
    assert summary.fine
    assert summary.unchanged == len(frames)


@TRIES
@given(KINDS)
def test_nothing_is_wrong_with_ordinary_packets(frames):
    for frame in frames:
        assert list(validate_frame(frame)) == []


@TRIES
@given(PACKET | FULL, st.data())
def test_a_flipped_bit_of_the_payload_is_found(packet, data):
    frame = bytearray(handmade.ethernet(packet))
    least = 14 + (40 if packet[0] >> 4 == 6 else 20) + (20 if 6 in (packet[9], packet[6]) else 8)
    at = data.draw(st.integers(least, len(frame) - 1))
    frame[at] ^= 1 << data.draw(st.integers(0, 7))
    assert "frame-checksum" in {one.rule for one in validate_frame(bytes(frame))}


def dpkt_streams(frames):
    """The payload of each TCP flow in the order of sequence numbers, as dpkt reads it."""
    streams: dict[tuple[bytes, bytes, int, int], list[tuple[int, bytes]]] = {}
    for frame in frames:
        tcp = dpkt.ethernet.Ethernet(frame).data.data
        ip = dpkt.ethernet.Ethernet(frame).data
        key = ip.src, ip.dst, tcp.sport, tcp.dport
        streams.setdefault(key, []).append((tcp.seq, tcp.data))
    return {key: b"".join(data for _, data in sorted(parts)) for key, parts in streams.items()}


@TRIES
@given(
    st.lists(
        st.tuples(V4_PAIRS, st.integers(1, 5000)), min_size=1, max_size=4, unique_by=lambda x: x[0]
    ),
    st.sampled_from([536, 1000, 1448]),
)
def test_streams_stay_the_same_through_both_commands(flows, size):
    frames = [
        handmade.ethernet(handmade.tcp(*pair, bytes(i % 251 for i in range(count)), flags=0x10))
        for pair, count in flows
    ]
    wire, _ = run(segment_capture, frames, size, mtu=size + 52)
    assert dpkt_streams(wire) == dpkt_streams(frames)
    assert max(len(frame) for frame in wire) <= 14 + 52 + size
    host, merged = run(coalesce_capture, wire)
    assert dpkt_streams(host) == dpkt_streams(frames)
    assert merged.written == len(host)


@pytest.mark.parametrize(("link_type", "header"), [
    ("linux_sll", struct.pack(">HHH8sH", 0, 1, 6, bytes(8), 0x0800)),
    ("linux_sll2", struct.pack(">HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, bytes(8))),
    ("null", b"\2\0\0\0"),
    ("loop", b"\0\0\0\2"),
    ("raw", b""),
])  # fmt: skip
@TRIES
@given(V4_PACKET, st.binary(max_size=6))
def test_other_link_types_stay_byte_for_byte(link_type, header, packet, tail):
    frames = [header + packet + tail]
    made, summary = run(segment_capture, frames, 1448, link_type=link_type)
    assert made == frames
    assert summary.fine
    assert list(validate_frame(frames[0], link_type=link_type)) == []
