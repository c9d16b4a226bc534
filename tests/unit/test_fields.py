"""Dissection and differences, on packets built by hand and on the kernel's."""

from __future__ import annotations

import struct

import pytest

import vectorset
from gso import Tunnel
from gso.headers.fields import Field, differences, dissect

ETHERNET = bytes.fromhex("020000000b01 020000000a01")
IPV4 = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 60, 7, 0x4000, 64, 6, 0, b"\n\0\0\1", b"\n\0\0\2")
TCP = bytes.fromhex("9c40 1451 00000001 00000002 a0 18 01f5 1234 0000")
TCP_OPTIONS = bytes.fromhex("020405b4 0402 080a 00000005 00000006 01 030307")
PLAIN = ETHERNET + b"\x08\0" + IPV4 + TCP + TCP_OPTIONS


def udp(port: int, payload: bytes) -> bytes:
    return struct.pack(">HHHH", 40000, port, 8 + len(payload), 0) + payload


def ipv4(protocol: int, payload: bytes) -> bytes:
    head = bytearray(IPV4)
    head[9] = protocol
    head[2:4] = (20 + len(payload)).to_bytes(2, "big")
    return bytes(head) + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, len(payload), protocol, 64)
    return head + bytes(15) + b"\1" + bytes(15) + b"\2" + payload


def ethernet(kind: int, payload: bytes) -> bytes:
    return ETHERNET + kind.to_bytes(2, "big") + payload


def shown(fields: list[Field]) -> dict[tuple[str, str], str]:
    return {(one.header, one.name): one.text for one in fields}


def headers(frame: bytes, **options) -> list[str]:
    return list(dict.fromkeys(one.header for one in dissect(frame, **options)))


def test_a_plain_segment_field_by_field():
    fields = {(one.header, one.name): one for one in dissect(PLAIN + b"wxyz")}
    expected = [
        ("ethernet", "source", 6, 48, "02:00:00:00:0a:01"),
        ("ethernet", "type", 12, 16, "0x0800 (IPv4)"),
        ("ipv4", "header length", 14, 4, "5 (20 bytes)"),
        ("ipv4", "flags", 20, 3, "0x2 (DF)"),
        ("ipv4", "protocol", 23, 8, "6 (TCP)"),
        ("ipv4", "destination", 30, 32, "10.0.0.2"),
        ("tcp", "source port", 34, 16, "40000"),
        ("tcp", "flags", 46, 9, "0x018 (ACK PSH)"),
        ("tcp", "mss", 56, 16, "1460"),
        ("tcp", "timestamp value", 62, 32, "5"),
        ("tcp", "timestamp echo reply", 66, 32, "6"),
        ("tcp", "window scale", 73, 8, "7"),
        ("trailer", "data", 74, 32, "4 bytes: 77 78 79 7a"),
    ]
    for header, name, offset, bits, text in expected:
        field = fields[header, name]
        assert (field.offset, field.bits, field.text) == (offset, bits, text)
    assert fields["ipv4", "header length"].bit == 4
    assert fields["tcp", "flags"].value == 0x18
    assert fields["tcp", "flags"].end == 48


INNER = ipv4(6, TCP + TCP_OPTIONS)
GRE_ALL = bytes.fromhex("b000 6558 1111 0000 22222222 33333333")
IN_TUNNEL = ["outer ethernet", "outer ipv4", "outer udp"]
CARRIED = ["inner ipv4", "inner tcp"]


@pytest.mark.parametrize(
    ("frame", "names", "options"),
    [
        (
            ethernet(0x8100, b"\x20\x05\x88\xa8\0\1\x08\0" + INNER),
            ["ethernet", "vlan", "vlan 2", "ipv4", "tcp"],
            {},
        ),
        (ethernet(0x0800, ipv4(4, INNER)), ["outer ethernet", "outer ipv4", *CARRIED], {}),
        (
            ethernet(0x0800, ipv4(41, ipv6(4, INNER))),
            ["outer ethernet", "outer ipv4", "middle ipv6", *CARRIED],
            {},
        ),
        (
            ethernet(
                0x86DD, ipv6(0, bytes([60, 0, 1, 4, 0, 0, 0, 0, 4, 0, 4, 1, 4, 1, 1, 0]) + INNER)
            ),
            [
                "outer ethernet",
                "outer ipv6",
                "outer hop-by-hop options",
                "outer destination options",
                *CARRIED,
            ],
            {},
        ),
        (
            ethernet(0x0800, ipv4(47, GRE_ALL + ethernet(0x0800, INNER))),
            ["outer ethernet", "outer ipv4", "gre", "inner ethernet", *CARRIED],
            {},
        ),
        (
            ethernet(0x0800, ipv4(17, udp(4789, bytes(8) + ethernet(0x0800, INNER)))),
            [*IN_TUNNEL, "vxlan", "inner ethernet", *CARRIED],
            {},
        ),
        (
            ethernet(0x0800, ipv4(17, udp(4790, b"\x0c\0\0\1\0\0\7\0" + INNER))),
            [*IN_TUNNEL, "vxlan-gpe", *CARRIED],
            {},
        ),
        (
            ethernet(
                0x0800,
                ipv4(17, udp(6081, bytes.fromhex("02000800000007000001020112345678") + INNER)),
            ),
            [*IN_TUNNEL, "geneve", *CARRIED],
            {},
        ),
        (
            ethernet(0x0800, ipv4(17, udp(6080, b"\0\4\0\0" + INNER))),
            [*IN_TUNNEL, "gue", *CARRIED],
            {},
        ),
        (ethernet(0x0800, ipv4(17, udp(6080, INNER))), [*IN_TUNNEL, *CARRIED], {}),
        (
            ethernet(0x0800, ipv4(17, udp(6080, b"\x20\1\0\0abc"))),
            ["ethernet", "ipv4", "udp", "gue", "payload"],
            {},
        ),
        (ethernet(0x0800, ipv4(17, udp(5555, INNER))), ["ethernet", "ipv4", "udp", "payload"], {}),
        (
            ethernet(0x0800, ipv4(17, udp(5555, INNER))),
            [*IN_TUNNEL, *CARRIED],
            {"tunnel_ports": {5555: Tunnel.FOU}},
        ),
        (
            ethernet(0x0800, ipv4(17, udp(5557, b"\0\0\x08\0" + INNER))),
            [*IN_TUNNEL, "gre", *CARRIED],
            {"tunnel_ports": {5557: (Tunnel.FOU, 47)}},
        ),
        (
            ethernet(0x8847, b"\0\1\0\x40\0\2\1\x40" + INNER),
            ["ethernet", "mpls", "mpls 2", "ipv4", "tcp"],
            {},
        ),
        (
            ethernet(0x894F, bytes.fromhex("0fc6010100000304") + bytes(16) + INNER),
            ["outer ethernet", "nsh", *CARRIED],
            {},
        ),
        (INNER, ["ipv4", "tcp"], {"link_type": "raw"}),
        (ipv6(6, TCP + TCP_OPTIONS), ["ipv6", "tcp"], {"link_type": "ipv6"}),
        (bytes(14) + b"\x08\0" + INNER, ["linux_sll", "ipv4", "tcp"], {"link_type": "linux_sll"}),
        (b"\x08\0" + bytes(18) + INNER, ["linux_sll2", "ipv4", "tcp"], {"link_type": "linux_sll2"}),
        (b"\2\0\0\0" + INNER, ["loopback", "ipv4", "tcp"], {"link_type": "null"}),
        (b"whatever", ["payload"], {"link_type": "linktype_147"}),
        (b"", [], {}),
        (ethernet(0x0806, bytes(28)), ["ethernet", "arp"], {}),
    ],
)
def test_chains_of_headers(frame, names, options):
    assert headers(frame, **options) == names


def test_options_of_tunnels_are_named():
    frame = ethernet(0x0800, ipv4(47, GRE_ALL + ethernet(0x0800, INNER)))
    fields = shown(dissect(frame))
    assert fields["gre", "checksum"] == "0x1111"
    assert fields["gre", "key"] == "0x22222222"
    assert fields["gre", "sequence number"] == str(0x33333333)
    gue = b"\2\4\0\1\x80\0\0\0\0\x14\0\x24"
    fields = shown(dissect(ethernet(0x0800, ipv4(17, udp(6080, gue + INNER)))))
    assert fields["gue", "private flags"] == "0x80000000 (REMCSUM)"
    assert fields["gue", "remcsum start"] == "20"
    assert fields["gue", "remcsum offset"] == "36"
    geneve = bytes.fromhex("02000800000007000001020112345678")
    fields = shown(dissect(ethernet(0x0800, ipv4(17, udp(6081, geneve + INNER)))))
    assert fields["geneve", "option class"] == "0x0001"
    assert fields["geneve", "option data"] == "4 bytes: 12 34 56 78"


def test_three_levels_have_a_middle():
    frame = ethernet(0x0800, ipv4(4, ipv4(4, INNER)))
    names = ["outer ethernet", "outer ipv4", "middle ipv4", "inner ipv4", "inner tcp"]
    assert headers(frame) == names


def test_what_does_not_fit_is_bytes():
    assert headers(PLAIN[:40]) == ["ethernet", "ipv4", "tcp"]
    short = bytearray(PLAIN)
    short[14] = 0x44  # an IPv4 header of 16 bytes
    assert headers(short) == ["ethernet", "ipv4", "payload"]
    long = bytearray(PLAIN)
    long[46] = 0xF0  # a TCP header longer than the frame
    fields = dissect(long)
    assert fields[-1].end == len(long)
    assert headers(ethernet(0x0800, ipv4(17, udp(4789, b"abc")))) == [
        "ethernet",
        "ipv4",
        "udp",
        "vxlan",
    ]


def covers(fields: list[Field], size: int) -> bool:
    at = 0
    for one in fields:
        if one.offset * 8 + one.bit != at:
            return False
        at += one.bits
    return at == size * 8


def test_the_kernels_packets_are_understood_to_the_last_bit():
    for record in vectorset.records():
        for text in (record["input"]["frame"], *record["outputs"]):
            frame = bytes.fromhex(text)
            fields = dissect(frame, tunnel_ports=vectorset.PORTS)
            assert covers(fields, len(frame))
            assert differences(frame, frame) == []
            if record["input_source"] == "injected":
                continue
            inside = "" if record["tunnel"] == "none" else "inner "
            names = {one.header for one in fields}
            assert f"{inside}ipv{record['inner_family']}" in names
            last = [one for one in fields if one.header == "payload"]
            assert len(last) == 1


# --- differences ---


def changed(frame: bytes, at: int, new: bytes) -> bytes:
    return frame[:at] + new + frame[at + len(new) :]


def test_differing_fields_are_named_with_both_values():
    frame = ethernet(0x0800, ipv4(4, INNER))
    other = changed(changed(frame, 18, b"\0\x09"), 34 + 20 + 16, b"\0\0")
    found = differences(frame, other)
    assert [(one.header, one.name, one.offset) for one in found] == [
        ("outer ipv4", "identification", 18),
        ("inner tcp", "checksum", 70),
    ]
    assert str(found[0]) == "outer ipv4 identification at 18: expected 0x0007, actual 0x0009"
    assert found[1].expected.value == 0x1234
    assert found[1].actual.value == 0


def test_differing_payload_is_given_in_ranges():
    payload = bytes(range(100))
    frame = ethernet(0x0800, ipv4(6, TCP[:12] + b"\x50" + TCP[13:] + payload))
    other = bytearray(frame)
    start = len(frame) - 100
    for at in (3, 4, 5, 50):
        other[start + at] ^= 0xFF
    found = differences(frame, other)
    assert [(one.name, one.offset) for one in found] == [
        ("data bytes 3 to 5", start + 3),
        ("data bytes 50 to 50", start + 50),
    ]
    assert found[0].expected.value == b"\3\4\5"
    for i in range(0, 100, 2):
        other[start + i] = 255
    found = differences(frame, other)
    assert len(found) == 16
    assert found[-1].expected.end == start + 99


def test_a_missing_end_and_a_missing_header_are_differences():
    found = differences(PLAIN, PLAIN[:-20])
    assert {(one.header, one.name) for one in found} >= {("tcp", "mss"), ("tcp", "timestamp value")}
    assert all(one.actual is None for one in found if one.name == "mss")
    assert "actual absent" in str(next(one for one in found if one.name == "mss"))
    frame = ethernet(0x88B5, bytes(50))
    found = differences(frame, frame + b"ab")
    assert [str(one) for one in found] == [
        "payload data length at 14: expected 50 bytes, actual 52 bytes"
    ]
