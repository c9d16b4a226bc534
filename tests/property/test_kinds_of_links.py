"""Packets behind every kind of link-layer header, with dpkt to read and RFC 1071 to judge.

dpkt finds the IP packets in what a command wrote, tests/reference sums them: neither shares
anything with the library. What is cut, stays, or is found follows from how a frame was made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.headers.followed import not_followed
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from gso.rules.frames import validate_frame
from kinds import PAIRS, TRIES, run
from reference.checksums import checksum, pseudo_header

MACS = handmade.ETHERNET
SIZE = 1448


@dataclass(frozen=True)
class Link:
    """What precedes an IP packet, and how its frame is read: `cut` if super-packets in it are."""

    link_type: str
    before: bytes
    tail: bytes = b""
    cut: bool = True
    has_length: bool = False

    def frame(self, packet: bytes) -> bytes:
        before = self.before
        if self.has_length:  # IEEE 802.3, or PPPoE: of what follows the field
            at = before.index(b"LL")
            size = len(before) - at - 2 + len(packet)
            before = before[:at] + struct.pack(">H", min(size, 0xFFFF)) + before[at + 2 :]
        return before + packet + self.tail


def ether_type(version: int) -> bytes:
    return b"\x86\xdd" if version == 6 else b"\x08\0"


def ppp_type(version: int) -> bytes:
    return b"\0\x57" if version == 6 else b"\0\x21"


TAGS = st.lists(
    st.tuples(st.sampled_from([b"\x81\0", b"\x88\xa8"]), st.binary(min_size=2, max_size=2)),
    max_size=2,
).map(lambda tags: b"".join(kind + tag for kind, tag in tags))
LABELS = st.lists(st.integers(16, 0xFFFFF), min_size=1, max_size=3).map(
    lambda labels: b"".join(
        struct.pack(">I", label << 12 | 64 | (i == len(labels) - 1) << 8)
        for i, label in enumerate(labels)
    )
)


@st.composite
def links(draw, version: int):
    """A link of any kind, for packets of this IP version."""
    kind = ether_type(version)
    tags, labels = draw(TAGS), draw(LABELS)
    sll = struct.pack(
        ">HHH8s", draw(st.integers(0, 4)), draw(st.sampled_from([1, 512, 772])), 6, bytes(8)
    )
    sll2 = struct.pack(">HIHBB8s", 0, 2, 1, draw(st.integers(0, 4)), 6, bytes(8))
    families = [2] if version == 4 else [10, 24, 28, 30]
    family = draw(st.sampled_from(families)).to_bytes(4, draw(st.sampled_from(["little", "big"])))
    ppp = draw(st.sampled_from([b"\xff\3", b""])) + (
        ppp_type(version) if draw(st.booleans()) else ppp_type(version)[1:]
    )
    session = b"\x11\0\0\7LL" + ppp_type(version)
    word = struct.pack(">I", draw(st.integers(0, 0xFFFF)))
    inside = MACS + draw(TAGS) + kind
    snap = b"LL\xaa\xaa\3\0\0\0" + kind
    return draw(
        st.sampled_from(
            [
                Link("linux_sll", sll + kind),
                Link("linux_sll2", kind + sll2),
                Link("linux_sll2", (tags + kind)[:2] + sll2 + (tags + kind)[2:]),
                Link("null", family),
                Link("loop", family[::-1] if family[0] else family),
                Link("ppp", ppp),
                Link("ppp_hdlc", ppp),
                Link("ppp_with_dir", draw(st.sampled_from([b"\0", b"\1"])) + ppp),
                Link("c_hdlc", draw(st.sampled_from([b"\x0f\0", b"\x8f\0"])) + kind),
                Link("raw", b""),
                Link("ipv6" if version == 6 else "ipv4", b""),
                Link("ethernet", MACS + tags + kind),
                Link("ethernet", MACS + tags + snap, has_length=True),
                Link("ethernet", MACS + tags + b"\x88\x64" + session, has_length=True),
                Link("ethernet", MACS + tags + b"\x88\x47" + labels),
                Link("ethernet", MACS + b"\x88\x47" + labels + word + inside, cut=False),
                Link("ethernet", MACS + b"\x88\x47" + labels + inside, cut=False),
            ]
        )
    )


def ip_packets(frame: bytes, link: Link):
    """The packet of IP in a frame, as dpkt or a plain search behind what was put there has it."""
    packet = frame[len(link.before) :]
    return (dpkt.ip.IP if packet[0] >> 4 == 4 else dpkt.ip6.IP6)(packet)


def sums_are_right(frame: bytes, link: Link) -> bool:
    """By RFC 1071, over what dpkt reads as the IP packet and its TCP header."""
    ip = ip_packets(frame, link)
    four = isinstance(ip, dpkt.ip.IP)
    size = ip.len - 20 if four else ip.plen
    start = len(link.before) + (20 if four else 40)
    whole = frame[start : start + size]
    total = pseudo_header(ip.src, ip.dst, 6, size)
    return checksum(whole, total) == 0 and (
        not four or checksum(frame[len(link.before) :][:20]) == 0
    )


def version_of(pair) -> int:
    return 6 if ":" in pair[0][0] else 4


def data_of(size: int) -> bytes:
    return bytes(i % 251 for i in range(size))


@TRIES
@given(PAIRS, st.integers(0, 6000), st.booleans(), st.data())
def test_a_super_packet_is_cut_behind_any_link(pair, size, offloaded, data):
    link = data.draw(links(version_of(pair)))
    packet = handmade.tcp(*pair, data_of(size))
    frame = link.frame(handmade.partial(packet) if offloaded and version_of(pair) == 4 else packet)
    made, summary = run(segment_capture, [frame], SIZE, link_type=link.link_type)
    if len(packet) <= 1500 or size <= SIZE:
        whole = link.frame(packet)
        assert made == ([whole] if link.cut else [frame])
        return
    if not link.cut:
        assert made == [frame]
        noted = [note.packets for note in summary.notes.values()]
        # Without a control word the MAC address may look like one, and hide what follows
        assert noted == [[1]] or (not noted and summary.not_looked_into == {"what follows mpls": 1})
        return
    assert summary.fine
    assert made == [link.frame(one) for one in gso.segment(packet, SIZE, link_type="raw").to_list()]
    assert all(sums_are_right(one, link) for one in made)
    assert b"".join(bytes(ip_packets(one, link).data.data) for one in made) == data_of(size)


@TRIES
@given(PAIRS, st.integers(1, 1400), st.data())
def test_a_flipped_bit_is_found_or_not_looked_into(pair, size, data):
    link = data.draw(links(version_of(pair)))
    frame = link.frame(handmade.tcp(*pair, data_of(size)))
    words = {"link_type": link.link_type}
    assert not list(validate_frame(frame, **words))
    bad = bytearray(frame)
    bad[len(frame) - 1 - data.draw(st.integers(0, size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert sums_are_right(frame, link)
    assert not sums_are_right(bytes(bad), link)
    # What follows MPLS is told apart by its checksums
    unknown = not_followed(bytes(bad), **words)
    found = [] if unknown == ("what follows mpls", True) else ["frame-checksum"]
    assert not unknown or not found
    assert [one.rule for one in validate_frame(bytes(bad), **words)] == found
    made, _ = run(segment_capture, [bytes(bad)], None, link_type=link.link_type)
    assert made == [bytes(bad)]


@TRIES
@given(PAIRS, st.integers(2, 6), st.data())
def test_segments_behind_any_link_are_merged_or_stay(pair, count, data):
    link = data.draw(links(version_of(pair)))
    frames = [
        link.frame(handmade.tcp(*pair, data_of(100), sequence=1000 + 100 * i, flags=0x10))
        for i in range(count)
    ]
    made, summary = run(coalesce_capture, frames, link_type=link.link_type)
    if summary.merged == 0:
        assert made == frames
        return
    assert len(made) == 1
    payload = bytes(ip_packets(made[0], link).data.data)
    assert payload == data_of(100) * count
    assert sums_are_right(made[0], link)


@pytest.mark.parametrize(("size", "noted"), [(1448, 0), (1449, 1), (1512, 1)])
def test_a_little_too_long_in_a_pseudowire_is_noted(size, noted):
    """The frame alone does not tell it: it is no longer than a wire's, with its labels and tags."""
    ethernet = bytes(12)
    packet = handmade.tcp(("10.0.0.1", 1024), ("10.0.0.2", 1024), data_of(size))
    labels = b"\x88\x47\x00\x01\x01\x40" + bytes(4)
    frame = ethernet + labels + ethernet + b"\x08\x00" + packet
    made, summary = run(segment_capture, [frame], SIZE, link_type="ethernet")
    assert made == [frame]
    assert summary.fine == (not noted)
    assert [note.packets for note in summary.notes.values()] == [[1]] * noted
