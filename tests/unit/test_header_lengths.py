"""Headers that say they are longer than their packet, and fragments shorter than a header."""

from __future__ import annotations

import struct

import pytest

import gso
import handmade
from gso.headers.fields import dissect
from gso.rules.frames import validate_frame


def summed(packet: bytes) -> bytes:
    """The IPv4 packet of TCP with the right checksum, whatever its headers say."""
    seed = gso.pseudo_header(packet[12:16], packet[16:20], 6, len(packet) - 20)
    body = packet[20:36] + b"\0\0" + packet[38:]
    return packet[:36] + gso.checksum(body, seed).to_bytes(2, "big") + packet[38:]


def in_vxlan(frame: bytes) -> bytes:
    ends = ("10.9.0.1", 50000), ("10.9.0.2", 4789)
    return handmade.ethernet(handmade.udp(*ends, b"\x08\0\0\0\0\0\7\0" + frame))


@pytest.mark.parametrize("words", range(7, 16))
@pytest.mark.parametrize("size", [0, 1, 4, 7])
@pytest.mark.parametrize("padding", [0, 6, 100])
@pytest.mark.parametrize("wrap", [bytes, in_vxlan])
def test_a_data_offset_beyond_the_packet_is_found(words, size, padding, wrap):
    packet = bytearray(handmade.tcp(payload=b"x" * size, options=b""))
    packet[32] = words << 4
    frame = wrap(handmade.ethernet(summed(bytes(packet))) + bytes(padding))
    rules = [one.rule for one in validate_frame(frame)]
    assert rules == (["frame-header"] if words * 4 > 20 + size else [])
    assert sum(one.end - one.offset for one in dissect(frame) if one.bits % 8 == 0) <= len(frame)


def test_an_extension_header_beyond_the_packet_is_found():
    inside = b"\6\x05" + bytes(6) + b"x" * 20
    packet = handmade.network(("2001:db8::1", 0), ("2001:db8::2", 0), 60, inside)
    assert [one.rule for one in validate_frame(handmade.ethernet(packet))] == ["frame-header"]


@pytest.mark.parametrize("size", range(1, 4))
@pytest.mark.parametrize("padded", [0, 60, 64])
def test_a_fragment_shorter_than_its_tcp_header_may_be_padded(size, padded):
    packet = handmade.tcp(payload=b"x" * 40)
    header = bytearray(packet[:20])
    header[2:4] = struct.pack(">H", 20 + 8 * size)
    header[6:8] = b"\x20\0"
    header[10:12] = b"\0\0"
    header[10:12] = gso.checksum(header).to_bytes(2, "big")
    frame = handmade.ethernet(bytes(header) + packet[20 : 20 + 8 * size]).ljust(padded, b"\0")
    assert list(validate_frame(frame)) == []
