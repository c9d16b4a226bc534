"""PPPoE sessions (RFC 2516): parsed, segmented, merged and shown."""

import struct

import pytest

import gso
import reference
from gso import L4, Frames, GsoError, GsoType, Reason, Tunnel
from gso.headers.checks import check
from gso.headers.fields import dissect
from handmade import ETHERNET, tcp, udp, with_id

SIX = ("fd00::1", 40000), ("fd00::2", 5201)
VXLAN = bytes.fromhex("08000000 00000500")


def pppoe(packet, *, first=0x1100, session=0x1234, length=None, protocol=None, link=ETHERNET):
    protocol = protocol or (0x0057 if packet[0] >> 4 == 6 else 0x0021)
    length = (len(packet) + 2) & 0xFFFF if length is None else length
    return link + b"\x88\x64" + struct.pack(">HHHH", first, session, length, protocol) + packet


def stream(count, **options):
    return [
        pppoe(with_id(tcp(payload=bytes(100), flags=0x10, sequence=1 + 100 * i), i), **options)
        for i in range(count)
    ]


@pytest.mark.parametrize("packet", [tcp(payload=bytes(3000)), udp(payload=bytes(3000)),
                                    tcp(*SIX, bytes(3000)), udp(*SIX, bytes(3000))])  # fmt: skip
def test_segments(packet):
    made = gso.segment(pppoe(packet), 1000)
    assert len(made) == 3
    assert made.to_list() == reference.segment(pppoe(packet), 1000)
    for segment in made:
        assert int.from_bytes(segment[18:20], "big") == len(segment) - 20
    whole = gso.coalesce(made, checksum="complete")
    assert whole.gso_segs.tolist() == [3]
    assert gso.segment(pppoe(packet), 0).to_list() == [bytes(whole[0])]


def test_layout():
    layout = gso.parse(pppoe(tcp(payload=b"x")))
    assert (layout.network_header, layout.transport_header, layout.payload) == (22, 42, 74)
    assert (layout.tunnel, layout.l4, layout.inner_version) == (Tunnel.NONE, L4.TCP, 4)


def test_after_vlan_tags():
    packet = pppoe(tcp(payload=bytes(3000)), link=ETHERNET + bytes.fromhex("88a80001 81000002"))
    assert gso.segment(packet, 1000).to_list() == reference.segment(packet, 1000)


@pytest.mark.parametrize("gso_type", [0, GsoType.UDP_TUNNEL_CSUM, GsoType.PARTIAL])
def test_inside_a_tunnel(gso_type):
    inner = pppoe(tcp(payload=bytes(5000)))
    packet = ETHERNET + b"\x08\0" + udp(destination=("10.9.9.9", 4789), payload=VXLAN + inner)
    made = gso.segment(packet, 1000, gso_type=gso_type)
    assert made.to_list() == reference.segment(packet, 1000, gso_type=gso_type)
    assert gso.parse(packet).inner_network_header == 14 + 20 + 8 + 8 + 22


def test_the_next_frame_of_a_flow():
    """It is segmented by the plan of the one before."""
    frames = [pppoe(tcp(payload=bytes([i]) * (3000 + 7 * i))) for i in range(5)]
    frames.insert(3, pppoe(tcp(payload=bytes(3000)), session=7))
    expected = [segment for one in frames for segment in reference.segment(one, 1000)]
    assert gso.segment_batch(Frames.from_list(frames), 1000).to_list() == expected


def test_headers_that_only_segmentation_reads():
    """It copies version, type, code and session, whatever they are, and counts the length anew."""
    packet = pppoe(tcp(payload=bytes(3000)), first=0x2309, length=1)
    made = gso.segment(packet, 1000)
    assert {bytes(segment[14:18]) for segment in made} == {b"\x23\x09\x12\x34"}
    assert made.to_list() == reference.segment(packet, 1000)


@pytest.mark.parametrize("protocol", [0xC021, 0x0281, 0x2145])
def test_other_protocols(protocol):
    packet = pppoe(tcp(payload=bytes(3000)), protocol=protocol)
    assert gso.parse(packet).l4 is L4.NONE
    with pytest.raises(GsoError, match=f"no segmentation of ppp_proto {protocol}") as info:
        gso.segment(packet, 1000)
    assert (info.value.reason, info.value.offset) == (Reason.UNSUPPORTED, 20)


def test_cut_short():
    with pytest.raises(GsoError, match="pppoe_hdr at byte 14 ends at byte 22") as info:
        gso.parse(pppoe(tcp())[:21])
    assert info.value.reason is Reason.TRUNCATED


def merged(frames):
    made = gso.coalesce(Frames.from_list(frames))
    numbers = [[i for i, k in enumerate(made.into) if k == n] for n in range(len(made))]
    assert [n for n, _ in reference.coalesce(frames)] == numbers
    return made.gso_segs.tolist()


def test_merged():
    made = gso.coalesce(Frames.from_list(stream(5)))
    assert (made.gso_segs.tolist(), made.gso_type.tolist()) == ([5], [GsoType.TCPV4])
    assert int.from_bytes(made[0][18:20], "big") == len(made[0]) - 20
    assert gso.segment(made[0], 100).to_list() == stream(5)


@pytest.mark.parametrize("wrong", [{"first": 0x1101}, {"first": 0x2100}, {"length": 5}])
def test_not_merged(wrong):
    assert merged(stream(3, **wrong)) == [1, 1, 1]


def test_sessions_are_flows():
    one, other = stream(4), stream(4, session=9)
    assert merged([one[0], other[0], one[1], other[1]]) == [2, 2]


def test_fields_and_checks():
    packet = pppoe(tcp(payload=b"x"))
    shown = {(field.header, field.name): field.text for field in dissect(packet)}
    assert shown["ethernet", "type"] == "0x8864 (PPPoE session)"
    assert shown["pppoe", "session"] == "0x1234"
    assert shown["pppoe", "ppp protocol"] == "0x0021 (IPv4)"
    assert shown["ipv4", "ttl"] == "64"
    assert {str(one.status) for one in check(packet)} == {"right"}
    wrong = [one for one in check(pppoe(tcp(payload=b"x"), length=5)) if one.header == "pppoe"]
    assert str(wrong[0]) == "wrong, should be 55"
