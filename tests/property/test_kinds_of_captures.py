"""More kinds of packets and files that are easily misread; see also test_case_kinds.

Each strategy makes packets, or files, of one kind of tests/vectors/cases/captures. What must come
out is known from how they were made, or read by dpkt, which shares nothing with the library.
"""

from __future__ import annotations

import io
import struct
from ipaddress import ip_address

import dpkt
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.cli import main
from gso.headers._fine import fine_frames
from gso.headers.followed import not_followed
from gso.headers.protocols import IP_PROTOCOLS
from gso.rewriting.coalesce import coalesce_capture
from gso.rewriting.segment import segment_capture
from gso.rules.frames import validate_frame
from kinds import BYTES, PACKET, PAIRS, TRIES, V4_PACKET, V4_PAIRS, padded, run, tagged
from reference.checksums import checksum, pseudo_header

MSS = st.integers(536, 1440)
MTU_MSS = {4: 1460, 6: 1440}


def silent(frame: bytes, link_type: str = "ethernet") -> bool:
    return not list(validate_frame(frame, link_type=link_type))


# --- 01, 13: what precedes the IP header ---


def nsh(spi: int, context: bytes, packet: bytes) -> bytes:
    words = 2 + len(context) // 4
    kind = 2 if packet[0] >> 4 == 6 else 1
    base = struct.pack(">BBBBI", 0x0F, 0xC0 | words, 2, kind, spi)
    return handmade.ETHERNET + b"\x89\x4f" + base + context + packet


NSH = st.builds(
    nsh, st.integers(0, 2**32 - 1), st.sampled_from([b"", b"\x45" * 16, bytes(24)]), PACKET
)


def cooked2(tags: list[int], packet: bytes) -> bytes:
    kinds = [0x8100] * len(tags) + [0x86DD if packet[0] >> 4 == 6 else 0x0800]
    head = struct.pack(">HHIHBB8s", kinds[0], 0, 2, 1, 0, 6, bytes(8))
    pairs = zip(tags, kinds[1:], strict=True)
    return head + b"".join(struct.pack(">HH", *pair) for pair in pairs) + packet


TAGS = st.lists(st.integers(0, 0xFFFF), max_size=3)


@TRIES
@given(st.lists(NSH, min_size=1, max_size=4), st.sampled_from([None, 1448, 536]))
def test_service_headers_stay_and_are_right(frames, size):
    made, summary = run(segment_capture, frames, size)
    assert made == frames
    assert summary.fine
    assert all(map(silent, frames))


@TRIES
@given(TAGS, PAIRS, st.integers(1, 6000), st.integers(0, 40))
def test_cooked_headers_with_tags_are_followed(tags, pair, size, padding):
    packet = handmade.tcp(*pair, bytes(i % 251 for i in range(size)))
    small = len(packet) <= 1500
    frame = cooked2(tags, packet) + bytes(padding if small else 0)
    made, summary = run(segment_capture, [frame], 1448, link_type="linux_sll2")
    assert silent(frame, "linux_sll2")
    assert summary.fine
    if small or size <= 1448:
        assert made == [frame]
        return
    pieces = gso.segment(packet, 1448, link_type="raw").to_list()
    assert made == [cooked2(tags, piece) for piece in pieces]


@TRIES
@given(st.integers(1500, 9000), st.sampled_from([33, 50, 51, 94, 97, 115, 132, 136]))
def test_what_is_not_segmented_is_named(size, protocol):
    packet = handmade.network(("10.0.0.1", 0), ("10.0.0.2", 0), protocol, bytes(size))
    made, summary = run(segment_capture, [handmade.ethernet(packet)], 1448)
    assert made == [handmade.ethernet(packet)]
    assert [note.packets for note in summary.notes.values()] == [[1]]


# --- 13: which checksums a super-packet can have ---


def with_sum(packet: bytes, value: int) -> bytes:
    at = 56 if packet[0] >> 4 == 6 else 36
    return packet[:at] + struct.pack(">H", value) + packet[at + 2 :]


def sum_of(packet: bytes, l4: bytes, length: int | None = None) -> int:
    """Of the pseudo header with this length, or of the whole."""
    six = packet[0] >> 4 == 6
    ends = (packet[8:24], packet[24:40]) if six else (packet[12:16], packet[16:20])
    if length is not None:
        return pseudo_header(*ends, 6, length)
    l4 = l4[:16] + b"\0\0" + l4[18:]
    return checksum(l4, pseudo_header(*ends, 6, len(l4)))


@st.composite
def super_packets(draw):
    """A TCP packet as a host shows it, whole, and whether its checksum is one it can have."""
    size = draw(st.integers(2000, 20000))
    flags = draw(st.sampled_from([0x10, 0x18, 0x19]))
    packet = handmade.tcp(*draw(PAIRS), bytes(i % 251 for i in range(size)), flags=flags)
    l4 = packet[40 if packet[0] >> 4 == 6 else 20 :]
    first = l4[: 32 + 1448]
    fewer = first[:13] + b"\x10" + first[14:]
    right = sum_of(packet, l4)
    sums = {
        "right": right,
        "partial": sum_of(packet, l4, len(l4)),
        "without length": sum_of(packet, l4, 0),
        "zero": 0,
        "first segment": sum_of(packet, draw(st.sampled_from([first, fewer]))),
    }
    if draw(st.booleans()):
        return with_sum(packet, draw(st.sampled_from(list(sums.values())))), packet, True
    may = {*sums.values(), sum_of(packet, fewer), sum_of(packet, first)}
    # FIN and PSH alone may differ, too.
    may |= {sum_of(packet, first[:13] + bytes([one]) + first[14:]) for one in (0x10, 0x11, 0x18)}
    other = draw(st.integers(1, 0xFFFE).filter(lambda value: value not in may))
    return with_sum(packet, other), packet, False


@TRIES
@given(super_packets())
def test_a_checksum_that_no_super_packet_has_is_no_super_packets(made):
    packet, right, possible = made
    out, summary = run(segment_capture, [handmade.ethernet(packet)], 1448)
    if possible:
        assert summary.fine
        pieces = gso.segment(right, 1448, link_type="raw").to_list()
        assert out == [handmade.ethernet(one) for one in pieces]
        return
    assert out == [handmade.ethernet(packet)]
    (reason,) = summary.notes
    assert reason == "its TCP checksum is neither right nor left to a device"


# --- 02: the segment size of a connection ---


@TRIES
@given(PAIRS, MSS, MSS, st.integers(1, 9000), st.booleans())
def test_segments_are_as_large_as_the_peer_takes(pair, own, peer, size, timestamps):
    options = handmade.TIMESTAMPS if timestamps else b""
    there, back = pair
    if there == back:
        return
    data = bytes(i % 251 for i in range(size))
    packet = handmade.tcp(there, back, data, options=options)
    shake = [handmade.syn(there, back, own), handmade.syn(back, there, peer, flags=0x12)]
    frames = [handmade.ethernet(one) for one in (*shake, packet)]
    made, summary = run(segment_capture, frames, None)
    assert made[:2] == frames[:2]
    assert summary.fine
    if len(packet) <= 1500:
        assert made[2:] == frames[2:]
        return
    most = min(peer, MTU_MSS[packet[0] >> 4]) - len(options)
    payloads = [dpkt.ethernet.Ethernet(frame).data.data.data for frame in made[2:]]
    assert b"".join(payloads) == data
    assert [len(one) for one in payloads[:-1]] == [most] * (len(payloads) - 1)


# --- 04: fragments ---


@st.composite
def fragments(draw):
    """The pieces of a packet of IPv4 or IPv6, padded to a frame's least size or in a tunnel."""
    pair = draw(PAIRS)
    make = draw(st.sampled_from([handmade.tcp, handmade.udp]))
    packet = make(*pair, draw(BYTES))
    six = packet[0] >> 4 == 6
    body, pieces, at = packet[40 if six else 20 :], [], 0
    tunnel = draw(st.booleans())
    while at < len(body):
        size = draw(st.integers(1, 30)) * 8
        more = at + size < len(body)
        part = body[at : at + size]
        if six:
            head = struct.pack(">BBHI", packet[6], 0, at | more, 77)
            piece = packet[:4] + struct.pack(">HBB", 8 + len(part), 44, 64) + packet[8:40] + head
        else:
            mutable = bytearray(packet[:20])
            mutable[2:4] = struct.pack(">H", 20 + len(part))
            mutable[6:8] = struct.pack(">H", (0x2000 if more else 0) | at // 8)
            mutable[10:12] = b"\0\0"
            mutable[10:12] = gso.checksum(mutable).to_bytes(2, "big")
            piece = bytes(mutable)
        frame = padded(piece + part)
        if tunnel:
            outer = ("10.9.0.1", 50000), ("10.9.0.2", 4789)
            frame = handmade.ethernet(handmade.udp(*outer, b"\x08\0\0\0\0\0\7\0" + frame))
        pieces.append(frame)
        at += size
    return pieces


@TRIES
@given(fragments(), st.sampled_from([None, 1448, 100]))
def test_fragments_are_ordinary(frames, size):
    made, summary = run(segment_capture, frames, size)
    assert made == frames
    assert summary.fine
    assert all(map(silent, frames))
    assert run(coalesce_capture, frames)[0] == frames


# --- 06: each level has an end of its own ---


def in_vxlan(frame):
    outer = ("10.9.0.1", 50000), ("10.9.0.2", 4789)
    return handmade.ethernet(handmade.udp(*outer, b"\x08\0\0\0\0\0\7\0" + frame))


def in_geneve(frame):
    outer = ("10.9.0.1", 50000), ("10.9.0.2", 6081)
    return handmade.ethernet(handmade.udp(*outer, b"\1\0\x65\x58\0\0\7\0" + bytes(4) + frame))


def in_gretap(frame):
    carried = b"\x20\0\x65\x58\0\0\0\7" + frame
    return handmade.ethernet(handmade.network(("10.9.0.1", 0), ("10.9.0.2", 0), 47, carried))


WRAPS = st.lists(st.sampled_from([in_vxlan, in_geneve, in_gretap]), max_size=2)


@TRIES
@given(PACKET, st.integers(0, 4), WRAPS, st.integers(0, 4))
def test_padding_at_any_level_is_no_payload(packet, inside, wraps, outside):
    frame = padded(packet) + bytes(inside)
    for wrap in wraps:
        frame = wrap(frame)
    frame += bytes(outside)
    assert silent(frame)
    made, summary = run(segment_capture, [frame], 1448)
    assert made == [frame]
    assert summary.fine


# --- 05: what is behind the packet is no payload ---


@TRIES
@given(
    PAIRS,
    st.integers(1, 1440),
    st.sampled_from(["zero", "without length", "other"]),
    st.tuples(st.binary(min_size=1, max_size=64), st.booleans()),
    st.tuples(WRAPS, st.sampled_from([None, 1448, 500])),
)
def test_a_trailer_is_none_where_no_checksum_tells(pair, size, what, behind, way):
    (trailer, inside), (wraps, most) = behind, way
    packet = handmade.tcp(*pair, bytes(i % 251 for i in range(size)), options=b"")
    l4 = packet[40 if packet[0] >> 4 == 6 else 20 :]
    value = {"zero": 0, "without length": sum_of(packet, l4, 0), "other": sum_of(packet, l4) ^ 0x55}
    if value[what] in (sum_of(packet, l4, len(l4)), sum_of(packet, l4 + trailer)):
        return
    frame = handmade.ethernet(with_sum(packet, value[what])) + trailer * inside
    for wrap in wraps:
        frame = wrap(frame)
    frame += trailer * (not inside)
    assert [one.rule for one in validate_frame(frame)] == [
        "frame-partial-checksum" if what == "zero" else "frame-checksum"
    ]
    made, summary = run(segment_capture, [frame], most)
    assert made == [frame]
    assert summary.fine


@TRIES
@given(
    PAIRS,
    st.integers(1461, 9000),
    st.sampled_from(["complete", "partial"]),
    st.tuples(st.binary(min_size=1, max_size=200), st.booleans()),
    st.tuples(WRAPS, st.integers(1, 1448)),
)
def test_a_trailer_of_a_super_packet_is_no_payload(pair, size, what, behind, way):
    """Neither a segment gets it, nor is it lost: the packet stays, and that is said."""
    (trailer, inside), (wraps, most) = behind, way
    packet = handmade.tcp(*pair, bytes(i % 251 for i in range(size)))
    l4 = packet[40 if packet[0] >> 4 == 6 else 20 :]
    if what == "partial":
        packet = with_sum(packet, sum_of(packet, l4, len(l4)))
    frame = handmade.ethernet(packet) + trailer * inside
    for wrap in wraps:
        frame = wrap(frame)
    frame += trailer * (not inside)
    made, summary = run(segment_capture, [frame], most)
    assert made == [frame]
    assert not summary.fine
    assert list(summary.notes) == ["bytes that follow its IP packet would become payload"]


@TRIES
@given(st.integers(1, 1000), st.integers(0, 1), BYTES)
def test_a_later_fragment_has_no_header_to_complete(offset, more, payload):
    inner = handmade.tcp(payload=payload)
    inner = inner[:10] + b"\0\0" + inner[12:]
    packet = bytearray(handmade.network(("10.9.0.1", 0), ("10.9.0.2", 0), 4, inner))
    packet[6:8] = struct.pack(">H", more << 13 | offset)
    packet[10:12] = b"\0\0"
    packet[10:12] = gso.checksum(bytes(packet[:20])).to_bytes(2, "big")
    frame = handmade.ethernet(bytes(packet))
    made, summary = run(segment_capture, [frame], None)
    assert made == [frame]
    assert summary.completed == 0


# --- 01, 11: the frame of a pseudowire may begin as an IP header does ---


@TRIES
@given(
    st.sampled_from([0x45, 0x46, 0x4F, 0x60, 0x6E]),
    st.binary(min_size=11, max_size=11),
    st.sampled_from([0x88CC, 0x9000, 0x0026, 0x88E5]),
    st.binary(min_size=46, max_size=400),
)
def test_a_pseudowires_frame_is_not_judged_as_ip(first, rest, kind, payload):
    wire = bytes([first]) + rest + struct.pack(">H", kind) + payload
    fits = struct.unpack(">H", wire[2:4] if first >> 4 == 4 else wire[4:6])[0]
    spare = len(wire) - fits - (40 if first >> 4 == 6 else 0)
    if 0 <= spare <= 64 or (first >> 4 == 6 and wire[6] in IP_PROTOCOLS):
        return
    frame = handmade.ETHERNET + b"\x88\x47\0\1\1\x40" + wire
    assert silent(frame)
    assert not_followed(frame) == ("what follows mpls", True)
    made, summary = run(segment_capture, [frame], 1448)
    assert made == [frame]
    assert summary.not_looked_into.total() == 1


# --- 07: UDP shorter than its packet ---


@TRIES
@given(V4_PAIRS, BYTES, st.binary(min_size=1, max_size=100))
def test_udp_may_be_shorter_than_its_packet(pair, payload, surplus):
    packet = bytearray(handmade.udp(*pair, payload) + surplus)
    packet[2:4] = struct.pack(">H", len(packet))
    packet[10:12] = b"\0\0"
    packet[10:12] = gso.checksum(packet[:20]).to_bytes(2, "big")
    frame = handmade.ethernet(bytes(packet))
    assert silent(frame)
    assert run(segment_capture, [frame], 1448)[0] == [frame]


# --- 10: pseudo headers with another address ---


@st.composite
def routed(draw):
    """A packet on its way along a source route: the checksum is that of the last address."""
    final = ip_address(draw(st.integers(0x0B000000, 0x0BFFFFFF))).packed
    hops = [draw(st.binary(min_size=4, max_size=4)) for _ in range(draw(st.integers(0, 3)))]
    route = b"".join(hops) + final
    option = struct.pack("BBB", draw(st.sampled_from([131, 137])), 3 + len(route), 4) + route
    option += b"\0" * (-len(option) % 4)
    whole = handmade.tcp(("10.0.0.1", 1), (str(ip_address(final)), 2), draw(BYTES))
    head = bytearray(whole[:20])
    head[0] = 0x45 + len(option) // 4
    head[2:4] = struct.pack(">H", len(whole) + len(option))
    head[16:20] = b"\x0a\0\0\x63"
    head[10:12] = b"\0\0"
    head[10:12] = gso.checksum(bytes(head) + option).to_bytes(2, "big")
    return handmade.ethernet(bytes(head) + option + whole[20:])


@TRIES
@given(routed(), st.data())
def test_source_routes_are_summed_with_the_last_address(frame, data):
    assert silent(frame)
    bad = bytearray(frame)
    bad[-1] ^= data.draw(st.integers(1, 255))
    assert [one.rule for one in validate_frame(bytes(bad))] == ["frame-checksum"]


@TRIES
@given(st.binary(min_size=15, max_size=15), BYTES, st.data())
def test_a_home_address_is_the_source(home, payload, data):
    source = b"\x20" + home
    option = b"\x06\2\1\2\0\0\xc9\x10" + source
    whole = handmade.tcp((str(ip_address(source)), 1), ("2001:db8::2", 2), payload)
    care_of = ip_address("2001:db8::c").packed
    size = struct.pack(">HBB", len(option) + len(whole) - 40, 60, 64)
    packet = whole[:4] + size + care_of + whole[24:40] + option + whole[40:]
    assert silent(handmade.ethernet(packet))
    bad = bytearray(packet)
    bad[-1] ^= data.draw(st.integers(1, 255))
    assert [one.rule for one in validate_frame(handmade.ethernet(bytes(bad)))] == ["frame-checksum"]


# --- 11: judged, or counted ---

HEADS = {
    "ppp": [b"\xff\3\0\x21", b"\0\x21", b"\x21"],
    "ppp_hdlc": [b"\xff\3\0\x21", b"\x0f\0\x08\0"],
    "ppp_with_dir": [b"\0\xff\3\0\x21", b"\1\0\x21"],
    "linux_sll": [bytes(14) + b"\x08\0"],
    "null": [b"\2\0\0\0", b"\0\0\0\2"],
    "user0": [b"", b"\x45\0"],
    "ieee802_11": [bytes(24)],
    "linktype_220": [bytes(64)],
}


@TRIES
@given(st.sampled_from(list(HEADS)), V4_PACKET, st.data())
def test_what_is_wrong_is_found_or_not_looked_into(link_type, packet, data):
    bad = bytearray(packet)
    bad[-1] ^= data.draw(st.integers(1, 255))
    frame = data.draw(st.sampled_from(HEADS[link_type])) + bytes(bad)
    unknown = not_followed(frame, link_type=link_type)
    rules = [one.rule for one in validate_frame(frame, link_type=link_type)]
    assert rules == ([] if unknown else ["frame-checksum"])
    assert (unknown == (f"link type {link_type}", True)) == (
        link_type in ("user0", "ieee802_11", "linktype_220")
    )


# --- 12: findings ---


@TRIES
@given(st.sampled_from([(4, 5), (4, 0), (4, 15), (6, 4), (6, 7)]), BYTES)
def test_another_version_than_announced_is_found(versions, payload):
    announced, version = versions
    hosts = ("2001:db8::1", 1), ("2001:db8::2", 2)
    packet = bytearray(handmade.udp(*(hosts if announced == 6 else ()), payload=payload))
    packet[0] = version << 4 | packet[0] & 15
    frame = handmade.ETHERNET + (b"\x86\xdd" if announced == 6 else b"\x08\0") + bytes(packet)
    assert [one.rule for one in validate_frame(frame)] == ["frame-header"]
    assert run(segment_capture, [frame], 1448)[0] == [frame]


def in_ip6(frame):
    return handmade.ethernet(
        handmade.network(
            ("10.9.0.1", 0), ("10.9.0.2", 0), 41 if frame[12] == 0x86 else 4, frame[14:]
        )
    )


@TRIES
@given(
    st.integers(4100, 4300),
    BYTES,
    st.lists(st.sampled_from([in_vxlan, in_geneve, in_gretap]), max_size=2) | st.just([in_ip6]),
)
def test_udp_without_checksum_is_found_in_ipv6_alone(port, payload, wraps):
    for hosts, rules in (
        (("10.0.0.1", "10.0.0.2"), []),
        (("2001:db8::1", "2001:db8::2"), ["frame-checksum"]),
    ):
        packet = bytearray(handmade.udp((hosts[0], 1000), (hosts[1], port), payload))
        at = 46 if rules else 26
        packet[at : at + 2] = b"\0\0"
        frame = handmade.ethernet(bytes(packet))
        for wrap in wraps:
            frame = wrap(frame)
        assert [one.rule for one in validate_frame(frame)] == rules
        fine = fine_frames(gso.Frames.from_list([frame]), "ethernet")
        assert not (fine[0] and rules)


@TRIES
@given(PACKET, st.sampled_from([4789, 8472, 6081]))
def test_a_tunnels_udp_needs_no_checksum(packet, port):
    head = b"\x08\0\0\0\0\0\7\0" if port != 6081 else b"\0\0\x65\x58\0\0\7\0"
    outer = ("2001:db8::1", 1000), ("2001:db8::2", port)
    whole = bytearray(handmade.udp(*outer, head + handmade.ethernet(packet)))
    whole[46:48] = b"\0\0"
    assert silent(handmade.ethernet(bytes(whole)))


# --- 15: the report says what happened ---


def left_to_a_device(packet: bytes, what: str) -> bytes:
    if what == "partial":
        return handmade.partial(packet)
    return packet[:10] + b"\0\0" + packet[12:] if what == "blank" else packet


@TRIES
@given(
    st.lists(
        st.tuples(V4_PACKET, st.sampled_from(["", "partial", "blank"])), min_size=1, max_size=6
    )
)
def test_completed_packets_are_counted(packets):
    frames = [handmade.ethernet(left_to_a_device(*one)) for one in packets]
    made, summary = run(segment_capture, frames, None)
    assert made == [handmade.ethernet(packet) for packet, _ in packets]
    assert summary.completed == sum(one != two for one, two in zip(made, frames, strict=True))
    assert summary.unchanged == len(frames) - summary.completed


# --- 08, 09, 14, 16: files ---


def pcap(frames, order, magic, minor, extra=0):
    out = struct.pack(order + "IHHiIII", magic, 2, minor, 0, 0, 65535, 1)
    for i, frame in enumerate(frames):
        sizes = len(frame), len(frame)
        out += struct.pack(order + "IIII", i, 0, *sizes) + bytes(extra) + frame
    return out


PADDED = PACKET.map(padded)
FRAMES = st.lists(
    PADDED | st.builds(tagged, PADDED, st.just(5), st.just(1)), min_size=1, max_size=5
)
OLD = st.sampled_from([(0xA1B2C3D4, 0), (0xA1B23C4D, 0), (0xA1B2CD34, 8)])


@TRIES
@given(FRAMES, st.sampled_from("<>"), OLD, st.integers(0, 4), st.data())
def test_old_files_and_what_precedes_damage(frames, order, magic, minor, data):
    raw = pcap(frames, order, magic[0], minor, magic[1])
    assert gso.read_capture(io.BytesIO(raw)).frames.to_list() == frames
    target = io.BytesIO()
    assert segment_capture(io.BytesIO(raw), target).packets == len(frames)
    assert target.getvalue() == raw
    good = data.draw(st.integers(0, len(frames) - 1))
    at = len(pcap(frames[:good], order, magic[0], minor, magic[1]))
    bad = raw[: at + 8] + struct.pack(order + "II", 2**31, 2**31) + raw[at + 16 :]
    whole = raw[:at]
    for command in (segment_capture, coalesce_capture):
        target = io.BytesIO()
        if not good:
            continue
        result = command(io.BytesIO(bad), target, damage="report")
        assert f"byte {at}" in result.damage
        assert result.packets == good
        assert target.getvalue()[24:] == whole[24:] or command is coalesce_capture
    cut = data.draw(st.integers(at + 1, at + 15))
    target = io.BytesIO()
    assert f"byte {at}," in segment_capture(io.BytesIO(raw[:cut]), target).truncated
    assert target.getvalue() == whole


def block(kind: int, body: bytes, order: str) -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str, snaplen: int, options: bytes = b"") -> bytes:
    head = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    return head + block(1, struct.pack(order + "HHI", 1, 0, snaplen) + options, order)


@TRIES
@given(FRAMES, st.sampled_from("<>"), st.integers(1, 200))
def test_simple_packets_cut_by_the_snaplen_stay_as_they_are(frames, order, snaplen):
    raw = section(order, snaplen) + b"".join(
        block(3, struct.pack(order + "I", len(frame)) + frame[:snaplen], order) for frame in frames
    )
    target = io.BytesIO()
    segment_capture(io.BytesIO(raw), target)
    assert target.getvalue() == raw
    target = io.BytesIO()
    coalesce_capture(io.BytesIO(raw), target, timeout=None)
    made = gso.read_capture(io.BytesIO(target.getvalue()))
    lengths = zip(made.frames, made.original_lengths.tolist(), strict=True)
    left = [(bytes(frame), length) for frame, length in lengths if len(frame) < length]
    assert left == [(f[:snaplen], len(f)) for f in frames if len(f) > snaplen]
    # dpkt reads no simple packet block; those that were cut are spelled out.
    spelled = [data for _, data in dpkt.pcapng.Reader(io.BytesIO(target.getvalue()))]
    assert {data for data, _ in left} <= set(spelled)


@TRIES
@given(FRAMES, st.sampled_from("<>"), st.integers(0, 2**64 - 1),
       st.sampled_from([b"", b"\x00", b"\x06", b"\x09", b"\x94", b"\x13", b"\xbf"]),
       st.integers(-(2**63), 2**63 - 1))  # fmt: skip
def test_odd_times_are_kept(frames, order, ticks, resolution, offset):
    options = struct.pack(order + "HHq", 14, 8, offset)
    if resolution:
        options += struct.pack(order + "HH", 9, 1) + resolution + bytes(3)
    raw = section(order, 0, options + bytes(4)) + b"".join(
        block(6, struct.pack(order + "IIIII", 0, ticks >> 32, ticks & 0xFFFFFFFF, *2 * (len(one),))
              + one, order)
        for one in frames
    )  # fmt: skip
    target = io.BytesIO()
    segment_capture(io.BytesIO(raw), target)
    assert target.getvalue() == raw
    target = io.BytesIO()
    coalesce_capture(io.BytesIO(raw), target)
    assert (
        gso.read_capture(io.BytesIO(target.getvalue())).timestamps.tolist()[:1]
        == (gso.read_capture(io.BytesIO(raw)).timestamps.tolist()[:1])
    )


@TRIES
@given(FRAMES)
def test_commands_take_what_is_ordinary(tmp_path_factory, frames):
    source = tmp_path_factory.mktemp("kinds") / "in.pcap"
    gso.write_capture(source, frames)
    for command in ("validate", "info", "explain"):
        assert main([command, str(source)]) == 0


# --- one answer at each door ---


@st.composite
def odd_packets(draw):
    """A packet with a checksum blank, partial or changed, a length changed, or cut off."""
    frame = bytearray(handmade.ethernet(draw(PACKET)))
    start = 14 + (40 if frame[14] >> 4 == 6 else 20)
    what = draw(st.sampled_from(["sum", "ip sum", "length", "cut", "type", "version", "byte"]))
    value = draw(st.sampled_from([b"\0\0", b"\xff\xff", b"\x12\x34"]))
    if what == "sum":
        at = start + (16 if frame[23 if frame[14] >> 4 == 4 else 20] == 6 else 6)
        frame[at : at + 2] = value
    elif what == "ip sum":
        frame[24:26] = value
    elif what == "length":
        frame[16:18] = value
    elif what == "type":
        frame[12:14] = value
    elif what == "version":
        frame[14] = draw(st.integers(0, 255))
    elif what == "byte":
        frame[draw(st.integers(0, len(frame) - 1))] ^= draw(st.integers(1, 255))
    whole = len(frame)
    size = draw(st.integers(1, whole)) if what == "cut" else whole
    return bytes(frame[:size]), whole


@TRIES
@given(odd_packets())
def test_validate_and_explain_answer_alike(tmp_path_factory, made):
    frame, whole = made
    source = tmp_path_factory.mktemp("doors") / "in.pcap"
    gso.write_capture(source, [frame], original_lengths=[whole])
    status = main(["validate", str(source)])
    assert main(["explain", str(source)]) == status
    assert (main(["info", str(source)]) == 2) == (status == 2)
    for command in ("segment", "coalesce"):
        assert (main([command, str(source), f"{source}.out"]) == 2) == (status == 2)
