"""SCTP super-packets: cut where the caller says, a CRC32c in each segment, and what is refused."""

from __future__ import annotations

import itertools
import struct

import numpy as np
import pytest

import gso
import reference
from gso import GSO_BY_FRAGS, GsoError, GsoType, Reason, Tunnel
from gso.buffers._crc32c import crc_paths, use_crc
from handmade import network

COMMON = struct.pack(">HHII", 5000, 38412, 0xDEADBEEF, 0)
CLIENT, SERVER = ("10.0.0.1", 0), ("10.0.0.2", 0)
CLIENT6, SERVER6 = ("fd00::1", 0), ("fd00::2", 0)
ETHERNET = bytes.fromhex("020000000b01020000000a01")
SCTP = 132


def chunk(length, number=0):
    """A DATA chunk with its padding."""
    head = struct.pack(">BBHIHHI", 0, 3, 16 + length, number, 1, number, 0)
    return head + bytes(range(length % 256)) + bytes(length - length % 256) + bytes(-length % 4)


CHUNKS = [chunk(100, 1), chunk(33, 2), chunk(1, 3), chunk(200, 4)]
SIZES = [len(one) for one in CHUNKS]
ALL = COMMON + b"".join(CHUNKS)
PIECES = [SIZES[0] + SIZES[1], SIZES[2], SIZES[3]]


def ip(data=ALL, protocol=SCTP):
    return network(CLIENT, SERVER, protocol, data)


def ip6(data=ALL, protocol=SCTP):
    return network(CLIENT6, SERVER6, protocol, data)


def framed(packet, *, tags=0):
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    return ETHERNET + b"\x81\0\0\x07" * tags + kind.to_bytes(2, "big") + packet


def cut(frame, pieces=PIECES, **given):
    return [bytes(one) for one in gso.segment(frame, GSO_BY_FRAGS, pieces=pieces, **given)]


def refused(frame, pieces=PIECES, size=GSO_BY_FRAGS, **given):
    with pytest.raises(GsoError) as caught:
        gso.segment(frame, size, pieces=pieces, **given)
    error = caught.value
    for number in (error.offset, error.limit):
        assert any(one in str(error) for one in (str(number), f"{number:04x}", hex(number)))
    return error.reason, error.field, error.offset, error.limit


@pytest.fixture(params=crc_paths())
def path(request):
    use_crc(request.param)
    yield request.param
    use_crc(None)


@pytest.mark.usefixtures("path")
def test_each_segment_is_a_packet_of_its_own():
    segments = cut(framed(ip()), gso_type=GsoType.SCTP)
    assert len(segments) == 3
    at = 0
    for number, (one, length) in enumerate(zip(segments, PIECES, strict=True)):
        data = b"".join(CHUNKS)[at : at + length]
        crc = reference.crc32c(COMMON + data).to_bytes(4, "little")
        assert one[34:] == COMMON[:8] + crc + data
        assert int.from_bytes(one[16:18], "big") == len(one) - 14
        assert int.from_bytes(one[18:20], "big") == 7 + number
        assert gso.checksum(one[14:34]) == 0
        assert one[:16] + one[20:24] == framed(ip())[:16] + framed(ip())[20:24]
        assert not gso.validate(one)
        at += length


def test_the_type_may_be_left_to_the_frame():
    frame = framed(ip())
    assert cut(frame) == cut(frame, gso_type=0) == cut(frame, gso_type=GsoType.SCTP)
    others = GsoType.DODGY | GsoType.TCP_ECN | GsoType.PARTIAL
    others |= GsoType.TCPV4 | GsoType.TCPV6 | GsoType.UDP_L4 | GsoType.FRAGLIST
    others |= GsoType.FCOE | GsoType.ESP
    assert cut(frame, gso_type=GsoType.SCTP | others) == cut(frame)


def test_the_checksum_left_to_a_device_stays_as_it_is():
    frame = bytearray(framed(ip()))
    frame[42:46] = b"left"
    complete, partial = cut(frame), cut(frame, checksum="partial")
    assert all(one[42:46] == b"left" for one in partial)
    assert [one[:42] + one[46:] for one in partial] == [one[:42] + one[46:] for one in complete]


def test_ids_stay_where_they_are_told_to():
    ids = [one[18:20] for one in cut(framed(ip()), gso_type=GsoType.SCTP | GsoType.TCP_FIXEDID)]
    assert ids == [b"\0\x07"] * 3


@pytest.mark.parametrize("tags", [0, 1, 2])
@pytest.mark.parametrize("packet", [ip(), ip6()], ids=["IPv4", "IPv6"])
def test_links(packet, tags):
    frame = framed(packet, tags=tags)
    assert cut(frame) == reference.segment_sctp(frame, PIECES)
    raw = [frame[14 + 4 * tags :] for frame in cut(frame)]
    assert cut(packet, link_type="raw") == raw


def test_ipv4_options_and_extension_headers_are_repeated():
    options = bytes.fromhex("94040000")
    plain = ip()
    long = bytes([0x46]) + plain[1:20] + options + plain[20:]
    route = bytes([SCTP, 0, 1, 4, 0, 0, 0, 0])
    extended = ip6(route + COMMON + b"".join(CHUNKS), 60)
    for packet, hlen in ((long, 24), (extended, 48)):
        frame = framed(packet)
        assert cut(frame) == reference.segment_sctp(frame, PIECES)
        assert {one[14 + hlen - 4 : 14 + hlen] for one in cut(frame)} == {packet[hlen - 4 : hlen]}


def udp(data, port, check=0):
    return struct.pack(">HHHH", 50000, port, 8 + len(data), check) + data


VXLAN = bytes.fromhex("0800000000000100")
TUNNELS = {
    "ipip": network(CLIENT, SERVER, 4, ip()),
    "sit": network(CLIENT, SERVER, 41, ip6()),
    "gre": network(CLIENT6, SERVER6, 47, b"\0\0\x08\0" + ip()),
    "gre sum": network(CLIENT, SERVER, 47, b"\x80\0\x86\xdd\0\0\0\0" + ip6()),
    "vxlan": network(CLIENT, SERVER, 17, udp(VXLAN + framed(ip()), 4789)),
    "vxlan sum": network(CLIENT, SERVER, 17, udp(VXLAN + framed(ip6(), tags=1), 4789, 1)),
    "gue sum": network(CLIENT6, SERVER6, 17, udp(b"\0\x04\0\0" + ip(), 6080, 1)),
    "right in gue": network(CLIENT, SERVER, 17, udp(b"\0\x84\0\0" + ALL, 6080)),
    "right in gue sum": network(CLIENT6, SERVER6, 17, udp(b"\0\x84\0\0" + ALL, 6080, 1)),
}


@pytest.mark.parametrize("tunnel", TUNNELS)
@pytest.mark.parametrize("checksum", ["complete", "partial"])
def test_tunnels(tunnel, checksum):
    frame = framed(TUNNELS[tunnel])
    segments = cut(frame, checksum=checksum)
    assert segments == reference.segment_sctp(frame, PIECES, checksum=checksum)
    start = frame.index(COMMON)
    left = checksum == "partial" and "sum" not in tunnel
    for one in segments:
        assert (one[start + 8 : start + 12] == bytes(4)) == left
        assert [found.rule for found in gso.validate(one)] == ["frame-partial-checksum"] * left


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], (Reason.NOT_GSO, "pieces", 0, 1)),
        ([0, *PIECES], (Reason.LAYOUT, "pieces", 0, 4)),
        ([-4, *PIECES], (Reason.LAYOUT, "pieces", -4, 4)),
        ([*PIECES, 3], (Reason.LAYOUT, "pieces", 3, 4)),
        ([1 << 80], (Reason.LAYOUT, "pieces", 0x7FFFFFFF, 4)),
        (PIECES[:2], (Reason.LAYOUT, "pieces", sum(PIECES[:2]), sum(SIZES))),
        ([*PIECES, 4], (Reason.LAYOUT, "pieces", sum(SIZES) + 4, sum(SIZES))),
        ([SIZES[0] + 4, sum(SIZES[1:]) - 4], (Reason.LAYOUT, "pieces", 46 + 116, 46 + 116 + 4)),
        (itertools.repeat(4), (Reason.TOO_LONG, "pieces", 65536, 65535)),
    ],
)
def test_pieces_that_are_not_the_chunks(pieces, expected):
    assert refused(framed(ip()), pieces) == expected


def test_a_chunk_that_is_shorter_than_its_header():
    frame = bytearray(framed(ip()))
    at = 46 + SIZES[0]
    frame[at + 2 : at + 4] = b"\0\3"
    assert refused(frame) == (Reason.BAD_HEADER, "length", at, 4)


def test_segments_end_at_65535():
    fits, longer = chunk(65535 - 20 - 12 - 16 - 3), chunk(65535 - 20 - 12 - 16)
    assert len(fits) == 65500
    frame = framed(ip(COMMON + fits + CHUNKS[0]))
    assert [len(one) for one in cut(frame, [len(fits), SIZES[0]])] == [65546, 46 + SIZES[0]]
    frame = framed(ip(COMMON + CHUNKS[0] + longer))
    too_long = (Reason.TOO_LONG, "tot_len", 65536, 65535)
    assert refused(frame, [SIZES[0], len(longer)]) == too_long


@pytest.mark.parametrize("size", [0, 100, 65534, 65536, -1])
def test_the_size_is_none(size):
    assert refused(framed(ip()), size=size) == (Reason.GSO_SIZE, "gso_size", size, GSO_BY_FRAGS)


@pytest.mark.parametrize(
    "other", [GsoType.TCPV4, GsoType.UDP_L4, GsoType.SCTP | GsoType.UDP, GsoType.FRAGLIST]
)
def test_other_types(other):
    assert refused(framed(ip()), gso_type=other)[:3] == (Reason.GSO_TYPE, "gso_type", int(other))


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (framed(ip(bytes(12) + b"\x50" + bytes(99), 6)), ("protocol", 14, SCTP)),
        (framed(ip(bytes(100), 17)), ("protocol", 14, SCTP)),
        (framed(ip(bytes(100), 1)), ("protocol", 23, 1)),
        (framed(ip6(bytes(100), 44)), ("nexthdr", 20, 44)),
        (ETHERNET + b"\x08\x06" + bytes(100), ("h_proto", 12, 0x0806)),
        # The same number is no IP protocol there
        (framed(ip(udp(b"\0\0\0\x84\0\0\1\0" + COMMON, 6081), 17)), ("h_proto", 44, SCTP)),
    ],
    ids=["TCP", "UDP", "ICMP", "a fragment header", "ARP", "Geneve"],
)
def test_other_frames(frame, expected):
    assert refused(frame) == (Reason.UNSUPPORTED, *expected)


def test_a_common_header_that_is_cut():
    for n in range(12):
        frame = framed(ip(COMMON[:n]))
        assert refused(frame) == (Reason.TRUNCATED, "sctphdr", 34, 34 + n)


@pytest.mark.parametrize("check", [0, 1])
@pytest.mark.parametrize("checksum", ["complete", "partial"])
def test_sctp_in_udp_without_an_ip_header_of_its_own(check, checksum):
    """RFC 6951: the port says it, as in FOU."""
    frame = framed(ip(udp(ALL, 9899, check), 17))
    ports = {9899: (Tunnel.FOU, SCTP)}
    segments = cut(frame, tunnel_ports=ports, checksum=checksum)
    assert segments == reference.segment_sctp(frame, PIECES, tunnel_ports=ports, checksum=checksum)
    left = checksum == "partial" and not check
    for one, size in zip(segments, PIECES, strict=True):
        assert len(one) == 14 + 20 + 8 + 12 + size
        assert one[38:40] == (8 + 12 + size).to_bytes(2, "big")
        found = [found.rule for found in gso.validate(one, tunnel_ports=ports)]
        assert found == ["frame-partial-checksum"] * left
    assert refused(frame)[:3] == (Reason.UNSUPPORTED, "protocol", 14)
    fragment = framed(ip(udp(b"\0\x84\0\0" + COMMON, 6080)[:20], 17))
    assert refused(fragment, [4])[:2] == (Reason.TRUNCATED, "sctphdr")


def test_without_pieces_it_is_refused():
    with pytest.raises(GsoError, match="gso_size 65535 is not between 0 and 65534"):
        gso.segment(framed(ip()), GSO_BY_FRAGS, gso_type=GsoType.SCTP)
    with pytest.raises(GsoError, match="no segmentation of protocol 132"):
        gso.segment(framed(ip()), 100, gso_type=GsoType.SCTP)


def test_arguments_of_other_kinds():
    frame = framed(ip())
    with pytest.raises(ValueError, match="pieces go without a layout"):
        cut(frame, layout=gso.parse(frame))
    with pytest.raises(ValueError, match='checksum is "complete" or "partial"'):
        cut(frame, checksum="none")
    with pytest.raises(TypeError):
        cut(frame, [1.5])
    with pytest.raises(TypeError):
        cut(frame, 100)
    with pytest.raises(TypeError):
        cut([frame], PIECES)


def test_any_pieces_and_any_buffer():
    frame = framed(ip())
    right = cut(frame)
    for pieces in (tuple(PIECES), np.array(PIECES), np.array(PIECES, np.uint16), iter(PIECES)):
        assert cut(bytearray(frame), pieces) == right
    assert cut(np.repeat(np.frombuffer(frame, np.uint8), 2)[::2]) == right


def test_one_piece_is_one_segment():
    frame = framed(ip())
    (one,) = cut(frame, [sum(SIZES)])
    assert one[:42] + one[46:] == frame[:42] + frame[46:]


def test_more_than_64_kilobytes():
    """A sender's limit may be above what the length of one packet can say."""
    chunks = [chunk(1400, number) for number in range(700)]
    packet = bytearray(ip(COMMON))
    frame = framed(bytes(packet) + b"".join(chunks))
    pieces = [len(one) for one in chunks]
    segments = cut(frame, pieces)
    assert len(segments) == 700
    assert segments[-1][46:] == chunks[-1]
    assert segments == reference.segment_sctp(frame, pieces)
