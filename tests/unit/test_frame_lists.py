"""Lists of frames: what is taken over from the first, and what is refused."""

from random import Random

import pytest
from gso.kernel.conformance.types import lists

import gso
from gso import Frames, GsoError, GsoType, Reason

PAYLOAD = 100
UDP = GsoType.UDP_L4 | GsoType.FRAGLIST
TCP4 = GsoType.TCPV4 | GsoType.FRAGLIST


def ipv4(protocol, l4, ident, source=b"\x0a\0\0\1", ttl=64):
    head = bytearray(b"\x45\0" + (20 + len(l4)).to_bytes(2, "big") + ident.to_bytes(2, "big"))
    head += b"\x40\0" + bytes([ttl, protocol, 0, 0]) + source + b"\x0a\0\0\2"
    head[10:12] = gso.checksum(head).to_bytes(2, "big")
    return bytes(12) + b"\x08\0" + bytes(head) + l4


def udp(ident, data, *, source=b"\x0a\0\0\1", port=5000, ttl=64, summed=True):
    head = port.to_bytes(2, "big") + b"\x1f\x40" + (8 + len(data)).to_bytes(2, "big") + b"\0\0"
    total = gso.pseudo_header(source, b"\x0a\0\0\2", 17, 8 + len(data))
    check = gso.checksum(head + data, total) if summed else 0
    return ipv4(17, head[:6] + check.to_bytes(2, "big") + data, ident, source, ttl)


def datagrams(**first):
    tail = [udp(7 + i, bytes([i]) * (PAYLOAD - i)) for i in (1, 2)]
    return [udp(7, bytes(PAYLOAD), **first), *tail]


def test_frames_that_nobody_changed_are_given_back():
    frames = datagrams()
    assert gso.segment(frames, PAYLOAD, gso_type=UDP).to_list() == frames
    assert gso.segment(Frames.from_list(frames), PAYLOAD, gso_type=UDP).to_list() == frames


def test_coalesce_makes_the_list():
    frames = datagrams()
    made = gso.coalesce(frames, fraglist=True, udp_gro=False)
    assert made.gso_segs.tolist() == [2, 1]  # a shorter one ends it
    assert made.gso_type.tolist() == [UDP, 0]
    packet = bytes(made[0])
    assert packet[42:] == bytes(PAYLOAD) + b"\1" * (PAYLOAD - 1)
    assert int.from_bytes(packet[38:40], "big") == 8 + 2 * PAYLOAD - 1
    assert packet[40:42] == frames[0][40:42]  # the checksum as it came
    with pytest.raises(GsoError) as caught:
        made.vnet_headers()
    assert caught.value.reason is Reason.UNSUPPORTED


def test_translated_addresses_are_taken_over_with_right_checksums():
    new = {"source": b"\xc0\0\2\1", "port": 40000}
    made = gso.segment(datagrams(ttl=63, **new), PAYLOAD, gso_type=UDP).to_list()
    tail = [udp(7 + i, bytes([i]) * (PAYLOAD - i), **new) for i in (1, 2)]
    assert made == [udp(7, bytes(PAYLOAD), ttl=63, **new), *tail]  # the TTL is not


def test_a_checksum_that_is_absent_stays_absent():
    frames = [udp(1 + i, bytes(PAYLOAD), summed=False) for i in range(2)]
    frames[0] = udp(1, bytes(PAYLOAD), port=9, summed=False)
    assert bytes(gso.segment(frames, PAYLOAD, gso_type=UDP)[1])[40:42] == bytes(2)


def test_6_1_leaves_tcp_checksums_over_ipv6_wrong():
    for seed in range(50):
        request = lists.make(Random(seed), "list-tcp-6")
        frames, given = [request.frame, *request.listed], {"gso_type": request.gso_type}
        old = gso.segment(frames, request.gso_size, kernel="6.1", **given).to_list()
        new = gso.segment(frames, request.gso_size, kernel="6.12", **given).to_list()
        if old != new:
            return
    pytest.fail("no list of 50 has other checksums on 6.1")


@pytest.mark.parametrize(
    ("frames", "size", "gso_type", "reason", "field"),
    [
        (datagrams()[:1], PAYLOAD, UDP, Reason.NOT_GSO, "frame"),
        (datagrams(), PAYLOAD - 1, UDP, Reason.GSO_SIZE, "gso_size"),
        (datagrams(), 0, UDP, Reason.GSO_SIZE, "gso_size"),
        (datagrams(), PAYLOAD, GsoType.UDP_L4, Reason.GSO_TYPE, "gso_type"),
        (datagrams(), PAYLOAD, None, Reason.GSO_TYPE, "gso_type"),
        (datagrams(), PAYLOAD, TCP4, Reason.GSO_TYPE, "gso_type"),
        (datagrams(), PAYLOAD, UDP | GsoType.DODGY, Reason.GSO_TYPE, "gso_type"),
        ([*datagrams(), ipv4(6, b"\0" * 12 + b"\x50" + b"\0" * 7, 9)], PAYLOAD, UDP,
         Reason.LAYOUT, "protocol"),
        ([*datagrams(), ipv4(1, bytes(40), 9)], PAYLOAD, UDP, Reason.UNSUPPORTED, "protocol"),
        ([*datagrams(), bytes(20)], PAYLOAD, UDP, None, None),
        ([*datagrams(), udp(9, bytes(60), port=1)[:30]], PAYLOAD, UDP, None, None),
    ],
)  # fmt: skip
def test_refused(frames, size, gso_type, reason, field):
    with pytest.raises(GsoError) as caught:
        gso.segment(frames, size, gso_type=gso_type)
    if reason:
        assert (caught.value.reason, caught.value.field) == (reason, field)


def test_a_list_has_no_layout_and_no_partial_checksum():
    frames = datagrams()
    with pytest.raises(ValueError, match="layout"):
        gso.segment(frames, PAYLOAD, gso_type=UDP, layout=gso.parse(frames[0]))
    with pytest.raises(ValueError, match="checksum"):
        gso.segment(frames, PAYLOAD, gso_type=UDP, checksum="partial")
