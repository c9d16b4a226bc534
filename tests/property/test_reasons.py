"""What speaks against segmenting packets: the compiled judgement and the plain one of each."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.buffers._frames import Frames
from gso.rewriting import _reasons as why
from gso.rewriting._packet_info import packet_info
from kinds import PAIRS
from reference.checksums import checksum, pseudo_header
from reference.sums import can_be_cut

FIELD_AT = {6: 16, 17: 6}
MTU, LONGEST = 1500, 1628
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
    return batch, packet_info(batch, gso.parse_batch(batch, link_type="raw", errors="mark"))


def found(frames: Frames, info: np.ndarray, sizes: list[int], cut: list[bool] | None = None):
    gone = np.array(cut or [False] * len(frames))
    return why.reasons(frames, info, np.array(sizes), gone, mtu=MTU, longest=LONGEST)


@given(st.data(), SIZES)
def test_each_checksum_is_judged_as_by_the_plain_way(data, size):
    frames, info = described(data.draw(st.lists(packets(size), min_size=1, max_size=4)))
    told = found(frames, info, [size] * len(frames)) & why.WRONG_SUM == 0
    expected = [can_be_cut(frame, info[i], size) for i, frame in enumerate(frames)]
    assert told.tolist() == expected


def test_both_answers_are_given_and_a_packet_that_stays_is_not_judged():
    right = handmade.tcp(handmade.CLIENT, handmade.SERVER, bytes(4000))
    wrong = right[:37] + bytes([right[37] ^ 1]) + right[38:]
    frames, info = described([right, wrong, wrong, wrong])
    told = found(frames, info, [1448, 1448, 0, 1448], [False, False, False, True])
    assert told.tolist() == [0, why.WRONG_SUM, 0, why.CUT]


def expected(frame: memoryview, row: np.void, size: int, cut: bool) -> int:
    """The reasons of one packet, in the words of the module."""
    reasons = 0
    if size > 0:
        at = int(row["network"]) + 6
        hop_options = row["version"] == 6 and 0 <= at < len(frame) and frame[at] == 0
        reasons |= why.CUT * cut
        reasons |= why.UNSURE * (row["sure"] == 0)
        reasons |= why.HOP_OPTIONS * hop_options
        reasons |= why.IMPLAUSIBLE * (row["plausible"] == 0)
        reasons |= why.TRAILED * (int(row["hlen"]) + int(row["payload"]) < len(frame))
        reasons |= why.DATAGRAM * (row["protocol"] == 17)
        reasons |= why.WRONG_SUM * (not cut and not can_be_cut(frame, row, size))
    unknown = row["protocol"] == 0
    reasons |= why.OTHER * (row["length"] > MTU and unknown and row["fragment"] == 0)
    little = len(frame) > LONGEST and row["length"] <= MTU and unknown
    return int(reasons | why.OPAQUE * (row["length"] == 0 or little))


@st.composite
def odd(draw):
    """A packet with a few bytes of its headers changed, cut off, or with others behind it."""
    packet = bytearray(draw(packets(1448)))
    for at in draw(st.lists(st.integers(0, 27), max_size=3)):
        packet[at] ^= draw(st.integers(1, 255))
    if draw(st.booleans()):
        packet[6] = 0
    end = draw(st.sampled_from([len(packet), len(packet), 60, 1700]))
    return bytes(packet[:end]) + bytes(draw(st.sampled_from([0, 0, 4, 1700])))


@given(st.data())
def test_all_reasons_are_those_of_the_plain_way(data):
    frames, info = described(data.draw(st.lists(odd(), min_size=1, max_size=6)))
    which = st.lists(st.booleans(), min_size=len(frames), max_size=len(frames))
    carried = (info["protocol"] != 0).tolist()
    sizes = [1448 * (a and b) for a, b in zip(data.draw(which), carried, strict=True)]
    cut = data.draw(which)
    told = found(frames, info, sizes, cut).tolist()
    assert told == [expected(*one) for one in zip(frames, info, sizes, cut, strict=True)]


def test_every_reason_is_met():
    protocol = handmade.network(handmade.CLIENT, handmade.SERVER, 132, bytes(4000))
    datagram = handmade.udp(handmade.CLIENT, handmade.SERVER, bytes(4000))
    frames, info = described([b"", protocol, datagram + b"trailer", datagram])
    info["sure"][3] = info["plausible"][3] = 0
    met = found(frames, info, [0, 0, 1448, 1448], [False, False, False, True]).tolist()
    assert met == [
        why.OPAQUE,
        why.OTHER,
        why.TRAILED | why.DATAGRAM,
        why.CUT | why.UNSURE | why.IMPLAUSIBLE | why.DATAGRAM,
    ]


@pytest.mark.parametrize("field", ["hlen", "tcp_hlen", "payload", "network", "length"])
def test_a_description_of_another_packet_reads_nothing_beyond_the_frame(field):
    frames, info = described([handmade.tcp(handmade.CLIENT, handmade.SERVER, bytes(100))])
    for version in (4, 6):
        info["version"] = version
        for value in (0, 255, np.iinfo(info.dtype[field]).max, np.iinfo(info.dtype[field]).min):
            info[field] = value
            assert found(frames, info, [10]).shape == (1,)


def test_what_does_not_fit_together_is_refused():
    frames, info = described([handmade.tcp(handmade.CLIENT, handmade.SERVER, bytes(100))])
    with pytest.raises(ValueError, match=r"1 frames, but \(1,\) of packets, \(2,\) of sizes"):
        found(frames, info, [1, 2])
    with pytest.raises(TypeError, match="PACKET_INFO_DTYPE, not of int64"):
        found(frames, np.zeros(1, np.int64), [1])
