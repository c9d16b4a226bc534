"""The compiled judgement of super-packets' checksums against the plain one, packet by packet."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.buffers._frames import Frames
from gso.rewriting._packet_info import packet_info
from gso.rewriting._sums import can_be_cut
from kinds import PAIRS
from reference.checksums import checksum, pseudo_header
from reference.sums import can_be_cut as one_can_be_cut

FIELD_AT = {6: 16, 17: 6}
SIZES = st.sampled_from([1, 536, 1447, 1448, 9000])


@st.composite
def packets(draw, size):
    """An IP packet of TCP or UDP whose checksum is one of those that are known, or any."""
    pair, payload = draw(PAIRS), draw(st.binary(max_size=40)) * draw(st.integers(1, 90))
    if draw(st.booleans()):
        packet, protocol = handmade.tcp(*pair, payload, flags=draw(st.integers(0, 0xFF))), 6
    else:
        packet, protocol = handmade.udp(*pair, payload), 17
    six = packet[0] >> 4 == 6
    ends = (packet[8:24], packet[24:40]) if six else (packet[12:16], packet[16:20])
    start = 40 if six else 20
    at, l4 = FIELD_AT[protocol], packet[start:]
    hlen = 8 if protocol == 17 else (l4[12] >> 4) * 4
    blank = l4[:at] + b"\0\0" + l4[at + 2 :]
    first = blank[: hlen + size]
    if protocol == 17:
        first = first[:4] + struct.pack(">H", len(first)) + first[6:]
    else:
        first = first[:13] + bytes([first[13] & ~draw(st.sampled_from([0, 1, 8, 9]))]) + first[14:]
    field = draw(
        st.one_of(
            st.sampled_from(
                [
                    0,
                    pseudo_header(*ends, protocol, 0),
                    pseudo_header(*ends, protocol, len(l4)),
                    checksum(blank, pseudo_header(*ends, protocol, len(l4))),
                    checksum(first, pseudo_header(*ends, protocol, len(first))),
                ]
            ),
            st.integers(0, 0xFFFF),
        )
    )
    return packet[: start + at] + struct.pack(">H", field) + packet[start + at + 2 :]


def described(frames: list[bytes]) -> tuple[Frames, np.ndarray]:
    batch = Frames.from_list(frames)
    return batch, packet_info(batch, gso.parse_batch(batch, link_type="raw"))


@given(st.data(), SIZES)
def test_each_checksum_is_judged_as_by_the_plain_way(data, size):
    frames, info = described(data.draw(st.lists(packets(size), min_size=1, max_size=4)))
    told = can_be_cut(frames, info, np.full(len(frames), size))
    expected = [one_can_be_cut(frame, info[i], size) for i, frame in enumerate(frames)]
    assert told.tolist() == expected


def test_both_answers_are_given_and_a_packet_that_stays_is_not_judged():
    right = handmade.tcp(handmade.CLIENT, handmade.SERVER, bytes(4000))
    wrong = right[:37] + bytes([right[37] ^ 1]) + right[38:]
    frames, info = described([right, wrong, wrong])
    assert can_be_cut(frames, info, np.array([1448, 1448, 0])).tolist() == [True, False, True]


@pytest.mark.parametrize("field", ["hlen", "tcp_hlen", "payload"])
def test_a_description_of_another_packet_reads_nothing_beyond_the_frame(field):
    frames, info = described([handmade.tcp(handmade.CLIENT, handmade.SERVER, bytes(100))])
    for value in (0, 255, np.iinfo(info.dtype[field]).max, np.iinfo(info.dtype[field]).min):
        info[field] = value
        assert can_be_cut(frames, info, np.array([10])).shape == (1,)


def test_what_does_not_fit_together_is_refused():
    frames, info = described([handmade.tcp(handmade.CLIENT, handmade.SERVER, bytes(100))])
    with pytest.raises(ValueError, match=r"1 frames, but \(1,\) of packets and \(2,\) of sizes"):
        can_be_cut(frames, info, np.array([1, 2]))
    with pytest.raises(TypeError, match="PACKET_INFO_DTYPE, not of int64"):
        can_be_cut(frames, np.zeros(1, np.int64), np.array([1]))
