"""Super-packets behind link-layer headers of several forms: cut where all of it is certain."""

from __future__ import annotations

import struct

import pytest

import gso
import handmade
from gso.cli import main

SIZE = ["--gso-size", "1448"]
SUPER = handmade.tcp(payload=bytes(i % 251 for i in range(4000)))
PIECES = gso.segment(SUPER, 1448, link_type="raw").to_list()
SUPER6 = handmade.tcp(("2001:db8::1", 4), ("2001:db8::2", 5), payload=b"6" * 4000)
PIECES6 = gso.segment(SUPER6, 1448, link_type="raw").to_list()
SLL2 = struct.Struct(">HHIHBB8s")
MACS = handmade.ETHERNET


def snap(packet: bytes, tags: bytes = b"", length: int | None = None) -> bytes:
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\0"
    inside = b"\xaa\xaa\3\0\0\0" + kind + packet
    size = len(inside) if length is None else length
    return MACS + tags + struct.pack(">H", size & 0xFFFF) + inside


def cut(tmp_path, capsys, frames, link_type, status=0):
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    gso.write_capture(source, frames, link_type=link_type)
    assert main(["segment", str(source), str(out), *SIZE]) == status
    return gso.read_capture(out).frames.to_list(), capsys.readouterr().out


def sll2(kind: int) -> bytes:
    return SLL2.pack(kind, 0, 2, 1, 0, 6, bytes(8))


@pytest.mark.parametrize(("link_type", "head", "head6"), [
    ("ppp", b"\xff\3\0\x21", b"\xff\3\0\x57"),
    ("ppp", b"\0\x21", b"\0\x57"),
    ("ppp", b"\xff\3\x21", b"\xff\3\x57"),
    ("ppp", b"\x21", b"\x57"),
    ("ppp_hdlc", b"\xff\3\0\x21", b"\x57"),
    ("ppp_hdlc", b"\x0f\0\x08\0", b"\x8f\0\x86\xdd"),
    ("c_hdlc", b"\x0f\0\x08\0", b"\x8f\0\x86\xdd"),
    ("ppp_with_dir", b"\0\xff\3\0\x21", b"\1\x57"),
    ("ppp_with_dir", b"\1\0\x21", b"\0\xff\3\x57"),
    ("linux_sll2", sll2(0x8100) + b"\0\x05\x08\0", sll2(0x88A8) + b"\0\5\x81\0\0\6\x86\xdd"),
    ("linux_sll2", sll2(0x8847) + b"\x05\xdc\x01\x40", sll2(0x8847) + b"\0\x01\0\x40\0\0\x21\x40"),
])  # fmt: skip
def test_each_segment_has_the_header_of_its_packet(link_type, head, head6, tmp_path, capsys):
    small = handmade.tcp(payload=b"small")
    frames = [head + SUPER, head6 + SUPER6, head + small, head + SUPER]
    made, _ = cut(tmp_path, capsys, frames, link_type)
    first, second = ([h + p for p in pieces] for h, pieces in ((head, PIECES), (head6, PIECES6)))
    assert made == [*first, *second, head + small, *first]
    assert main(["validate", str(tmp_path / "out.pcapng")]) == 0
    assert "looked into" not in capsys.readouterr().out
    assert main(["explain", str(tmp_path / "in.pcapng")]) == 0
    assert "tcp" in capsys.readouterr().out


@pytest.mark.parametrize(("link_type", "head"), [
    ("ppp", b"\xff\3\xc0\x21"), ("ppp", b"\x80\x21"), ("ppp", b"\x57"), ("ppp", b"\0\x57"),
    ("ppp_hdlc", b"\x0f\0\x80\x35"), ("ppp_with_dir", b"\0\xff\3\0\x57"),
])  # fmt: skip
def test_what_ppp_announces_as_another_protocol_is_left(link_type, head, tmp_path, capsys):
    frames = [head + SUPER, b"", head[:1]]
    made, text = cut(tmp_path, capsys, frames, link_type, status=1)
    assert made == frames
    assert "1 packet left unchanged (number 1)" in text


@pytest.mark.parametrize("tags", [b"", b"\x81\0\0\5", b"\x88\xa8\0\5\x81\0\0\6"])
def test_segments_in_snap_have_lengths_of_their_own(tags, tmp_path, capsys):
    small = snap(handmade.tcp(payload=b"s"), tags).ljust(60 + len(tags), b"\0")
    plain = handmade.ethernet(SUPER)
    made, _ = cut(
        tmp_path, capsys, [snap(SUPER, tags), plain, small, snap(SUPER6, tags)], "ethernet"
    )
    first, last = ([snap(p, tags) for p in pieces] for pieces in (PIECES, PIECES6))
    assert made == [*first, *gso.segment(plain, 1448), small, *last]
    assert main(["validate", str(tmp_path / "out.pcapng")]) == 0
    assert main(["validate", str(tmp_path / "in.pcapng")]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("length", [0, 1460, len(SUPER) + 7])
def test_snap_whose_length_is_not_its_own_is_left(length, tmp_path, capsys):
    frames = [snap(SUPER, length=length)]
    made, text = cut(tmp_path, capsys, frames, "ethernet", status=1)
    assert made == frames
    assert "1 packet left unchanged (number 1)" in text


def test_snap_is_not_merged(tmp_path, capsys):
    frames = [snap(frame[14:]) for frame in handmade.stream(4)]
    source, out = tmp_path / "in.pcapng", tmp_path / "out.pcapng"
    gso.write_capture(source, frames)
    assert main(["coalesce", str(source), str(out)]) == 0
    assert gso.read_capture(out).frames.to_list() == frames
    capsys.readouterr()


@pytest.mark.parametrize("head", [b"\xff\3\0\x21", b"\0\x21", b"\x21"])
def test_segments_in_ppp_are_merged_and_cut_again(head, tmp_path, capsys):
    frames = [head + frame[14:] for frame in handmade.stream(4)]
    source, out, again = (tmp_path / name for name in ("in.pcap", "out.pcap", "again.pcap"))
    gso.write_capture(source, frames, link_type="ppp")
    assert main(["coalesce", str(source), str(out)]) == 0
    assert len(gso.read_capture(out)) == 1
    assert main(["segment", str(out), str(again), "--gso-size", "100", "--mtu", "200"]) == 0
    assert gso.read_capture(again).frames.to_list() == frames
    capsys.readouterr()
