"""UDP payloads on unknown ports that are a tunnel by all their fields are no datagrams."""

from __future__ import annotations

import random

import pytest

import gso
import handmade
from gso import Frames
from gso.constants import Reason
from gso.headers._ambiguous import guess_tunnels
from gso.segmentation.virtio import VirtioNetFlags, VirtioNetGso, VirtioNetHeader

SIZE, PORT = 1448, 7777
INSIDE = {4: (handmade.CLIENT, handmade.SERVER), 6: (("2001:db8::1", 40000), ("2001:db8::2", 80))}
OUTER = ("192.0.2.1", 50000), ("192.0.2.2", PORT)
VNI = b"\0\0\1\0"
VXLAN = b"\x08\0\0\0" + VNI
OPTION = b"\1\2\3\1" + bytes(4)
REMCSUM = bytes([0, 1, 0x80, 0, 0, 0, 0, 20, 0, 16])
ARP = bytes.fromhex("0001080006040001020000000a01c0000201000000000000c0000202")


def inner(version: int, payload: bytes = b"x" * 4000, *, l4=handmade.tcp) -> bytes:
    return l4(*INSIDE[version], payload)


def ethertype(packet: bytes) -> bytes:
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"


def protocol(packet: bytes) -> bytes:
    return b"\x29" if packet[0] >> 4 == 6 else b"\4"


def next_protocol(packet: bytes) -> bytes:
    return b"\2" if packet[0] >> 4 == 6 else b"\1"


def vlan(packet: bytes) -> bytes:
    return handmade.ETHERNET + b"\x81\0\0\5" + ethertype(packet) + packet


# The payload of a UDP packet that carries this IP packet, and the value to give for its port.
HEADERS = {
    "vxlan": (lambda p: VXLAN + handmade.ethernet(p), "vxlan"),
    "vxlan, VLAN": (lambda p: VXLAN + vlan(p), "vxlan"),
    "vxlan, group policy": (lambda p: b"\x88\0\0\7" + VNI + handmade.ethernet(p), "vxlan"),
    "vxlan-gpe": (lambda p: b"\x0c\0\0" + next_protocol(p) + VNI + p, "vxlan-gpe"),
    "geneve": (lambda p: b"\0\0\x65\x58" + VNI + handmade.ethernet(p), "geneve"),
    "geneve, option": (lambda p: b"\2\0" + ethertype(p) + VNI + OPTION + p, "geneve"),
    "gue": (lambda p: b"\0" + protocol(p) + b"\0\0" + p, "gue"),
    "gue, remcsum": (lambda p: b"\2" + protocol(p) + REMCSUM + p, "gue"),
    "fou": (lambda p: p, "fou"),
    "GRE": (lambda p: b"\0\0" + ethertype(p) + p, "fou:47"),
    "GRE, key": (lambda p: b"\x20\0\x65\x58" + VNI + handmade.ethernet(p), "fou:47"),
}
KINDS = [(name, version) for name in HEADERS for version in (4, 6)]


def carry(payload: bytes, port: int = PORT) -> bytes:
    return handmade.ethernet(handmade.udp(OUTER[0], (OUTER[1][0], port), payload))


def with_length(packet: bytes, length: int, *, summed: bool = True) -> bytes:
    """The packet with another length in its IP header, that of one segment or none."""
    if packet[0] >> 4 == 6:
        return packet[:4] + max(length - 40, 0).to_bytes(2, "big") + packet[6:]
    header = packet[:2] + length.to_bytes(2, "big") + packet[4:10] + b"\0\0" + packet[12:20]
    total = gso.checksum(header) if summed else 0
    return header[:10] + total.to_bytes(2, "big") + header[12:] + packet[20:]


def refused(frame: bytes, **options) -> gso.GsoError:
    with pytest.raises(gso.GsoError) as caught:
        gso.segment(frame, SIZE, **options)
    assert caught.value.reason is Reason.AMBIGUOUS
    assert caught.value.field == "dest"
    return caught.value


@pytest.mark.parametrize(("name", "version"), KINDS)
def test_it_is_refused_with_the_mapping_to_give(name, version):
    wrap, kind = HEADERS[name]
    frame = carry(wrap(inner(version)))
    error = refused(frame)
    assert (error.offset, error.limit) == (36, PORT)
    told = eval(str(error).split("tunnel_ports=")[1].split("}")[0] + "}")
    layout = gso.parse(frame, tunnel_ports=told)
    assert layout.inner_network_header == len(frame) - len(inner(version))
    assert len(gso.segment(frame, SIZE, tunnel_ports=told)) == 3
    frames = Frames.from_list([carry(b"x"), frame])
    assert guess_tunnels(frames) == [(1, PORT, kind)]


@pytest.mark.parametrize(("name", "version"), KINDS)
def test_none_says_that_it_is_plain_udp(name, version):
    frame = carry(HEADERS[name][0](inner(version)))
    plain = {PORT: None}
    segments = gso.segment(frame, SIZE, tunnel_ports=plain)
    assert b"".join(bytes(one[42:]) for one in segments) == frame[42:]
    layout = gso.parse(frame, tunnel_ports=plain)
    assert gso.segment(frame, SIZE, layout=layout) == segments
    assert guess_tunnels(Frames.from_list([frame]), tunnel_ports=plain) == []


@pytest.mark.parametrize(("name", "version"), KINDS)
def test_lengths_that_segmentation_offload_leaves_do_not_hide_it(name, version):
    packet = inner(version)
    for length in (0, len(packet) - len(packet) % SIZE, 576):
        if name != "fou" or version == 4:
            refused(carry(HEADERS[name][0](with_length(packet, length))))
    if version == 4:  # the length is right, and the checksum is left to a device
        refused(carry(HEADERS[name][0](with_length(packet, len(packet), summed=False))))


@pytest.mark.parametrize("name", HEADERS)
def test_every_door_refuses_it(name):
    frame = carry(HEADERS[name][0](inner(4)))
    plain = carry(b"y" * 4000)
    refused(frame, gso_type=None)
    refused(frame, layout=gso.parse(frame))
    with pytest.raises(gso.GsoError, match="not known") as caught:
        gso.segment_headers(frame, SIZE)
    assert caught.value.reason is Reason.AMBIGUOUS
    # The plan of a frame before is not used for it.
    for frames in ([frame], [plain, frame], [plain, plain, frame]):
        with pytest.raises(gso.GsoError, match=f"frame {len(frames) - 1}: UDP port 7777") as caught:
            gso.segment_batch(Frames.from_list(frames), SIZE)
        assert caught.value.reason is Reason.AMBIGUOUS
    passed = gso.segment_batch(Frames.from_list([plain, frame, plain]), SIZE, errors="pass")
    assert passed.parent.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert bytes(passed[3]) == frame


@pytest.mark.parametrize("name", HEADERS)
def test_what_is_called_datagrams_is_cut_as_the_kernel_does(name):
    frame = carry(HEADERS[name][0](inner(4)))
    plain = gso.segment(frame, SIZE, tunnel_ports={PORT: None})
    assert gso.segment(frame, SIZE, gso_type=gso.GsoType.UDP_L4) == plain
    frames = Frames.from_list([frame, frame])
    together = gso.segment_batch(frames, SIZE, gso_type=[gso.GsoType.UDP_L4, 0], errors="pass")
    assert together.to_list() == [*plain.to_list(), frame]
    header = VirtioNetHeader(
        flags=VirtioNetFlags.NEEDS_CSUM, gso_type=VirtioNetGso.UDP_L4, hdr_len=42, gso_size=SIZE,
        csum_start=34, csum_offset=6,
    )  # fmt: skip
    # There the checksum's field counts as the sum of the pseudo header, so the sums differ.
    segments = gso.segment_vnet(header.pack() + frame)
    assert [bytes(one[42:]) for one in segments] == [bytes(one[42:]) for one in plain]


def test_a_tunnel_in_a_tunnel_is_seen_too():
    middle = handmade.udp(*OUTER, HEADERS["vxlan"][0](inner(4)))
    frame = carry(HEADERS["geneve"][0](middle), 6081)
    assert refused(frame).limit == PORT


def test_fragments_by_ufo_are_what_the_caller_asks_for():
    frame = carry(HEADERS["vxlan"][0](inner(4)))
    assert len(gso.segment(frame, SIZE, gso_type=gso.GsoType.UDP)) == 3


@pytest.mark.parametrize(("name", "version"), KINDS)
def test_datagrams_that_each_carry_a_packet_are_cut(name, version):
    """UDP_SEGMENT of a program that is a tunnel itself."""
    one = HEADERS[name][0](inner(version, b"x" * 900))
    short = HEADERS[name][0](inner(version, b"x" * 300))
    segments = gso.segment(carry(one * 3 + short), len(one))
    assert [bytes(piece[42:]) for piece in segments] == [one, one, one, short]
    if (name, version) != ("fou", 6):  # with a length that is not the payload's, it is data
        refused(carry(one * 3 + short))


@pytest.mark.parametrize(("name", "version"), KINDS)
@pytest.mark.parametrize("l4", [handmade.tcp, handmade.udp])
def test_it_is_not_merged_as_datagrams(name, version, l4):
    frames = [carry(HEADERS[name][0](inner(version, bytes([i]) * 500, l4=l4))) for i in range(4)]
    frames = [frame[:14] + handmade.with_id(frame[14:], i) for i, frame in enumerate(frames)]
    frames = Frames.from_list(frames)
    assert gso.coalesce(frames).to_list() == frames.to_list()
    assert len(gso.coalesce(frames, tunnel_ports={PORT: None})) == 1


def test_vxlan_on_8472_needs_no_mapping():
    frame = carry(HEADERS["vxlan"][0](inner(4)), 8472)
    assert gso.parse(frame).tunnel is gso.Tunnel.VXLAN
    assert len(gso.segment(frame, SIZE)) == 3
    arp = [carry(VXLAN + handmade.ETHERNET + b"\x08\6" + ARP, 8472)] * 4
    assert len(gso.coalesce(Frames.from_list(arp))) == 4
    arp = [carry(VXLAN + handmade.ETHERNET + b"\x08\6" + ARP)] * 4
    assert [kind for _, _, kind in guess_tunnels(Frames.from_list(arp))] == ["vxlan"] * 4


@pytest.mark.parametrize(
    "change",
    [
        {0: 0x00},  # no VNI flag
        {3: 0x01, 0: 0x0C},  # GPE whose next protocol is IP, but Ethernet follows
        {20: 0x12},  # no Ethernet type that is known
        {22: 0x35},  # no IP version
        {22: 0x44},  # a header shorter than any
        {24: 0xFF, 31: 0},  # longer than the payload, and the wrong checksum
        {30: 0},  # a TTL of 0
    ],
)
def test_one_wrong_field_makes_it_data(change):
    payload = bytearray(HEADERS["vxlan"][0](inner(4)))
    for at, value in change.items():
        payload[at] = value
    assert len(gso.segment(carry(bytes(payload)), SIZE)) == 3


def test_random_payloads_are_data():
    """Also those that begin as tunnels and QUIC do."""
    draw = random.Random(7)
    starts = [
        b"",
        b"\x08\0\0\0",
        b"\0\4\0\0",
        b"\0\0\x65\x58",
        b"\0\0\x08\0",
        b"E\0",
        b"`\0\0\0",
        b"@",
    ]
    for count in range(8000):
        payload = draw.choice(starts) + draw.randbytes(draw.choice((60, 200, 1500)))
        assert guess_tunnels(Frames.from_list([carry(payload)])) == [], (count, payload.hex())


def test_what_is_short_is_read_no_further():
    whole = [HEADERS[name][0](inner(version, b"x" * 4)) for name, version in KINDS]
    for payload in whole:
        for end in range(len(payload)):
            guess_tunnels(Frames.from_list([carry(payload[:end])]))
