"""What is told to be fine at once, the slow judge finds nothing in, and follows to its end."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
import handmade
import packets
import vectorset
from effort import examples
from gso import Frames
from gso.headers._fine import fine_frames
from gso.headers.ends import in_fragment, packet_ends, pseudo_sum
from gso.headers.fields import read_headers
from gso.headers.followed import not_followed
from gso.rules.frames import validate_frame

MAPPED = {5555: "fou", 7777: "gue", 8888: ("fou", 47), 4789: None, 6081: "geneve"}
# A link type, and what is in front of the type in its header, and behind it.
LINKS = {
    "ethernet": (None, b""),
    "ieee802_11": (None, b""),
    "raw": (b"", b""),
    "ipv4": (b"", b""),
    "ipv6": (b"", b""),
    "linux_sll": (bytes(14), b""),
    "linux_sll2": (b"", bytes(18)),
    "null": (b"\2\0\0\0", b""),
    "loop": (b"\0\0\0\2", b""),
    "ppp": (b"\xff\3\0\x21", b""),
}
TYPED = ("linux_sll", "linux_sll2")
MUTATIONS = st.lists(
    st.tuples(st.integers(0, 160), st.sampled_from([0, 1, 4, 6, 17, 0x40, 0x45, 0x60, 0x80, 0xFF])),
    max_size=3,
)
BEHIND = st.sampled_from([b"", b"", b"", b"\0\0\0\0", b"\1\2\3\4", bytes(6), bytes(18), b"\7" * 70])


def on_link(frame: bytes, link_type: str) -> bytes:
    """The frame, of Ethernet, with the header of another link."""
    before, after = LINKS[link_type]
    if before is None:
        return frame
    if frame[12:14] == b"\x86\xdd" and link_type in ("null", "loop"):
        before = before.replace(b"\2", b"\x1e")
    return before + (frame[12:14] if link_type in TYPED else b"") + after + frame[14:]


def icmp(version: int) -> bytes:
    one, two = ("192.0.2.1", 0), ("192.0.2.2", 0)
    if version == 6:
        one, two = ("2001:db8::1", 0), ("2001:db8::2", 0)
        whole = handmade.transport((one, two), 58, b"\x80\0\0\0", b"\0\1\0\2" + b"x" * 20, 2)
        return handmade.network(one, two, 58, whole)
    echo = b"\x08\0\0\0\0\1\0\2" + b"x" * 20
    echo = echo[:2] + gso.checksum(echo).to_bytes(2, "big") + echo[4:]
    return handmade.network(one, two, 1, echo)


def arp() -> bytes:
    return handmade.ETHERNET + bytes.fromhex("0806 0001080006040001") + bytes(20)


@cache
def good() -> tuple[bytes, ...]:
    """Frames with right lengths and checksums: those that a kernel sent, and some by hand."""
    found = [handmade.ethernet(one) for one in sctp()]
    found += [bytes(out) for record in vectorset.records() for out in vectorset.outputs(record)]
    ports = ("192.0.2.1", 40000), ("192.0.2.2", 53)
    found += [handmade.ethernet(handmade.tcp(payload=b"x" * n)) for n in (0, 1, 100)]
    found += [handmade.ethernet(handmade.udp(*ports, b"x" * n)) for n in (0, 1, 100)]
    found += [handmade.ethernet(icmp(version)) for version in (4, 6)]
    found += [handmade.ethernet(handmade.network(*ports, 4, icmp(4))), arp()]
    for packet in (handmade.tcp(payload=b"x" * 100), handmade.udp(*ports, b"x" * 100), icmp(4)):
        found += [handmade.ethernet(with_options(packet, option)) for option in OPTIONS]
        found += [handmade.ethernet(piece) for piece in pieces(packet)]
    not_read = [unread(packet, where) for packet in (arp()[14:], ipv6()) for where in UNREAD]
    labels = b"\x88\x47\0\1\0\x40\0\2\1\x40"
    not_read += [handmade.ETHERNET + labels + one for one in (handmade.tcp(payload=b"x"), ipv6())]
    not_read += [fragment6(offset, more) for offset in (0, 8, 1024) for more in (0, 1)]
    return *not_read, *found


def sctp() -> list[bytes]:
    """Whole packets, with IPv4's options, in a tunnel, and fragments."""
    six = ("2001:db8::1", 1000), ("2001:db8::2", 2000)
    packet = handmade.sctp(payload=b"x" * 100)
    made = [handmade.sctp(payload=b"x" * n) for n in (0, 1, 100, 1400)]
    made += [handmade.sctp(*six, b"x" * n) for n in (0, 1, 100)]
    made += [with_options(packet, option) for option in OPTIONS]
    made.append(handmade.network(*six, 4, packet))
    return made + pieces(packet)


UNREAD = (50, 33, 2, 115, 0x9000, 0x88CC, 0x26, 0x10026, 0x19000, 4500, 51820, 2152, 1701)
"""IP protocols, types of Ethernet, the same behind a tag, and UDP ports: none is followed."""


def ipv6() -> bytes:
    return handmade.network(("2001:db8::1", 0), ("2001:db8::2", 0), 59, b"")


def fragment6(offset: int, more: int) -> bytes:
    head = b"\x11\0" + (offset | more).to_bytes(2, "big") + b"\0\0\0\7"
    ends = ("2001:db8::1", 0), ("2001:db8::2", 0)
    return handmade.ethernet(handmade.network(*ends, 44, head + b"\x10\0\x10\1\0\x40\0\1" * 8))


def unread(packet: bytes, where: int) -> bytes:
    """The packet behind a header that announces what is not followed."""
    hosts = ("2001:db8::1", "2001:db8::2") if packet[0] == 0x60 else ("10.9.0.1", "10.9.0.2")
    ends = (hosts[0], 1000), (hosts[1], where)
    if where < 256 and where != 0x26:
        return handmade.ethernet(handmade.network(*ends, where, packet))
    if where in (4500, 51820, 2152, 1701):
        return handmade.ethernet(handmade.udp(*ends, packet))
    tag = b"\x81\0\0\5" if where > 0xFFFF else b""
    return handmade.ETHERNET + tag + (where & 0xFFFF).to_bytes(2, "big") + packet


OPTIONS = (b"\x94\4\0\0", b"\1\1\1\0", b"\7\7\4\0\0\0\0\0", bytes(40))


def with_options(packet: bytes, option: bytes) -> bytes:
    header = bytearray(packet[:20])
    header[0] += len(option) // 4
    header[2:4] = (len(packet) + len(option)).to_bytes(2, "big")
    header[10:12] = b"\0\0"
    header[10:12] = gso.checksum(bytes(header) + option).to_bytes(2, "big")
    return bytes(header) + option + packet[20:]


def pieces(packet: bytes) -> list[bytes]:
    """Fragments of 16 bytes, and the rest."""
    made = []
    for start, stop in ((0, 16), (16, 32), (32, len(packet) - 20)):
        body = packet[20:][start:stop]
        header = bytearray(packet[:20])
        header[2:4] = (20 + len(body)).to_bytes(2, "big")
        more = 0x2000 if 20 + stop < len(packet) else 0
        header[6:8] = (more | start // 8).to_bytes(2, "big")
        header[10:12] = b"\0\0"
        header[10:12] = gso.checksum(header).to_bytes(2, "big")
        made.append(bytes(header) + body)
    return made


def check(frame: bytes, link_type: str, ports, mtu: int | None) -> bool:
    options = {"link_type": link_type, "tunnel_ports": ports}
    may_be_piece = np.zeros(1, np.bool_)
    words = {"mtu": mtu, "fragments": may_be_piece, **options}
    [fine] = fine_frames(Frames.from_list([frame]), **words).tolist()
    if not may_be_piece[0]:
        assert not in_fragment(read_headers(frame, **options)), frame.hex()
    if fine:
        assert validate_frame(frame, mtu=mtu, **options) == [], frame.hex()
        assert not_followed(frame, **options) is None, frame.hex()
    return fine


@settings(max_examples=examples(4000), deadline=None)
@given(
    st.integers(0, 1 << 20),
    MUTATIONS,
    st.tuples(BEHIND, st.booleans()),
    st.tuples(
        st.sampled_from(list(LINKS)),
        st.sampled_from([None, vectorset.PORTS, MAPPED]),
        st.sampled_from([None, None, 576, 1500, 9000]),
    ),
)
def test_frames_that_a_kernel_made_and_then_something_changed(number, mutations, end, words):
    behind, cut = end
    frame = bytearray(on_link(good()[number % len(good())] + behind, words[0]))
    for at, value in mutations:
        if at < len(frame):
            frame[at] = value
    if cut:
        del frame[number % (len(frame) + 1) :]
    check(bytes(frame), *words)


@settings(max_examples=examples(1000), deadline=None)
@given(packets.frames(), st.sampled_from([0, 100, 1448]), st.binary(max_size=8))
def test_frames_with_any_headers(frame_and_link, size, behind):
    frame, link = frame_and_link
    try:
        made = gso.segment(frame, size, link_type=link, tunnel_ports=packets.PORTS).to_list()
    except gso.GsoError:
        made = [frame]
    for one in (made[0], made[-1], frame):
        for whole in (bytes(one), bytes(one) + behind):
            check(whole, link, packets.PORTS, None)


def test_most_of_what_a_kernel_sends_is_fine_at_once():
    """All but what is rare: IPv6 extension headers, MPLS, NSH, remote checksums..."""
    frames = [frame for frame in good() if not validate_frame(frame, tunnel_ports=vectorset.PORTS)]
    fine = fine_frames(Frames.from_list(frames), "ethernet", tunnel_ports=vectorset.PORTS)
    assert fine.sum() >= len(frames) * 2 // 3
    assert fine[-32:-21].all()
    assert fine_frames(
        Frames.from_list(
            [
                handmade.ETHERNET + b"\x88\x47\0\2\1\x40" + handmade.tcp(payload=b"x"),
                fragment6(1024, 0),
                handmade.ethernet(handmade.tcp(payload=b"x" * 100)) + b"\1\2\3\4\5\6\7\x08",
            ]
        ),
        "ethernet",
    ).all()
    # All but the first fragment of TCP, which has less than its header.
    assert fine[-21:].sum() == 20


def test_right_sctp_is_fine_at_once():
    fine = fine_frames(Frames.from_list([handmade.ethernet(one) for one in sctp()]), "ethernet")
    assert fine.all()


def test_what_is_surely_no_fragment_is_told_at_once():
    piece = pieces(handmade.udp(payload=b"x" * 100))[0]
    whole = handmade.tcp(payload=b"x")
    frames = [handmade.ethernet(one) for one in (whole, handmade.partial(whole), piece)]
    found = np.zeros(3, np.bool_)
    fine = fine_frames(Frames.from_list(frames), "ethernet", fragments=found)
    assert fine.tolist() == [True, False, True]
    assert found.tolist() == [False, False, True]


@pytest.mark.parametrize("family", ["02000000", "00000002"])
def test_loopback_headers_are_fine_in_either_byte_order(family):
    frame = bytes.fromhex(family) + handmade.tcp(payload=b"x" * 100)
    assert check(frame, "null", None, None)
    six = handmade.tcp(("2001:db8::1", 1), ("2001:db8::2", 2), b"x" * 100)
    assert not check(frame[:4] + six, "null", None, None)
    for number in (10, 24, 28, 30):
        assert check(number.to_bytes(4, "little") + six, "null", None, None)


def test_every_bit_of_a_header_counts_or_does_not_matter():
    for kind in ("udp", "tcp", "sctp"):
        frame = bytearray(handmade.ethernet(getattr(handmade, kind)(payload=b"x" * 100)))
        for at in range(14, len(frame)):
            for bit in range(8):
                frame[at] ^= 1 << bit
                assert not check(bytes(frame), "ethernet", None, None)
                frame[at] ^= 1 << bit


def test_padding_and_trailers_are_fine():
    ack = handmade.ethernet(handmade.tcp(options=b""))
    full = handmade.ethernet(handmade.tcp(payload=b"x" * 1448))
    for frame in (ack + bytes(6), ack + bytes(10), full + b"\1\2\3\4", full + bytes(64)):
        assert check(frame, "ethernet", None, None)
    assert not check(full + bytes(65), "ethernet", None, None)
    assert not check(full, "ethernet", None, 1499)
    assert check(full, "ethernet", None, 1500)


def left_to_a_device(frame: bytes, link_type: str, which: int) -> bytes:
    """The frame with some of its checksums as a host leaves them to a device, by the bits."""
    made = bytearray(frame)
    options = {"link_type": link_type, "tunnel_ports": vectorset.PORTS}
    headers = read_headers(frame, **options)
    ends = packet_ends(headers, frame)
    for place, header in enumerate(headers):
        kind = header.protocol.name
        if kind not in ("ipv4", "tcp", "udp", "sctp") or "checksum" not in header.values:
            continue
        at = next(one.offset for one in header.fields if one.name == "checksum")
        if kind == "sctp":
            made[at : at + 4] = bytes(4)
            continue
        how, which = which & 3, which >> 2
        seed = pseudo_sum(headers, place, frame, ends[place]) if kind != "ipv4" and how == 1 else 0
        if seed is not None and how in (1, 2):
            made[at : at + 2] = seed.to_bytes(2, "big")
    return bytes(made)


def fields_found(frame: bytes, link_type: str, **options) -> list[tuple[str, str, str]]:
    """What is the same in frames whose checksums are left to a device: all but the numbers."""
    found = validate_frame(frame, link_type=link_type, **options)
    return [(one.rule, one.severity, one.message.partition(" is ")[0]) for one in found]


@settings(max_examples=examples(400), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 1 << 10)), max_size=40),
    st.sampled_from(["ethernet", "raw", "linux_sll2"]),
    st.sampled_from([b"", b"", b"\0\0\0\0"]),
    MUTATIONS,
)
def test_frames_told_to_be_alike_are_alike_to_the_slow_judge(chosen, link, behind, changes):
    """Under one number the same is found, and the same is not followed."""
    options = {"tunnel_ports": vectorset.PORTS}
    frames = []
    for number, which in chosen:
        frame = on_link(good()[number % len(good())], link)
        frames.append(left_to_a_device(frame, link, which) + behind)
        changed = bytearray(frames[-1])
        for at, value in changes:
            changed[at % len(changed)] = value
        frames.append(bytes(changed))
    alike = np.ones(len(frames), np.uint64)
    fine = fine_frames(Frames.from_list(frames), link, alike=alike, **options)
    assert not (fine & (alike > 0)).any()
    known: dict[int, tuple[list[tuple[str, str, str]], tuple[str, bool] | None]] = {}
    for frame, number in zip(frames, alike.tolist(), strict=True):
        if number:
            found = fields_found(frame, link, **options)
            unread = not_followed(frame, link_type=link, **options)
            assert found or unread, frame.hex()
            assert {rule for rule, _, _ in found} <= {"frame-partial-checksum"}, frame.hex()
            assert known.setdefault(number, (found, unread)) == (found, unread), frame.hex()


def test_most_of_what_is_left_to_a_device_is_told_at_once():
    frames = [
        left_to_a_device(frame, "ethernet", which)
        for frame in good()[::7]
        for which in (0x155, 0x2AA)
    ]
    whole = Frames.from_list(frames)
    alike = np.zeros(len(frames), np.uint64)
    fine = fine_frames(whole, "ethernet", tunnel_ports=vectorset.PORTS, alike=alike)
    slow = [fields_found(one, "ethernet", tunnel_ports=vectorset.PORTS) for one in frames]
    only = np.array(
        [bool(one) and {r for r, _, _ in one} == {"frame-partial-checksum"} for one in slow]
    )
    assert only.sum() > 100
    assert (alike > 0).sum() >= only.sum() * 2 // 3
    assert not (fine & only).any()


def test_what_is_not_followed_is_told_at_once():
    frames = [unread(ipv6(), where) for where in UNREAD for _ in range(2)]
    alike = np.zeros(len(frames), np.uint64)
    assert not fine_frames(Frames.from_list(frames), "ethernet", alike=alike).any()
    assert alike.all()
    assert len(set(alike.tolist())) == len(UNREAD)
    fine_frames(Frames.from_list(frames), "ieee802_11", alike=alike)
    assert len(set(alike.tolist())) == 1
    assert alike.all()


def test_the_number_says_what_is_left_whatever_the_sum():
    """A sum of 0xffff might stand for 0, which is never that of a pseudo header."""
    flows = [("10.0.0.1", port) for port in range(1, 60_000, 701)]
    packets = [handmade.partial(handmade.tcp(flow, payload=b"x" * 100)) for flow in flows]
    alike = np.zeros(len(packets), np.uint64)
    fine_frames(Frames.from_list([*map(handmade.ethernet, packets)]), "ethernet", alike=alike)
    assert alike.tolist() == [14 + 20 + 16 << 48] * len(packets)
    for value in (0xFFFF, 0x1234):
        wrong = bytearray(handmade.ethernet(packets[0]))
        wrong[50:52] = value.to_bytes(2, "big")
        fine_frames(Frames.from_list([bytes(wrong)]), "ethernet", alike=alike[:1])
        assert alike[0] == 0
