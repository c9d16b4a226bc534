"""The programs of examples/ do what they say."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gso
from programs import EXAMPLES, example

GUE = bytes.fromhex(
    "020000000002 020000000001 0800 4500002800010000401100000a0000010a000002 c00017c000000000"
    "00040000 4500002800010000400600000a0000010a000002 9c40005000000001000000015010020000000000"
)


@pytest.fixture
def capture(tmp_path):
    """A super-packet in GUE, and one in plain UDP that is no super-packet."""
    path = tmp_path / "in.pcap"
    plain = GUE[:36] + (9).to_bytes(2, "big") + GUE[38:42] + bytes(20)
    gso.write_capture(path, [GUE + bytes(5000), plain])
    return path


def printed(capsys, name, *arguments):
    example(name).main(*arguments)
    return capsys.readouterr().out


def test_capture_to_wire(capsys, capture, tmp_path):
    out = printed(capsys, "capture_to_wire", str(capture), str(tmp_path / "out.pcap"))
    assert out == "2 packets, 5 on the wire, up to 1534 bytes\n"


def test_gue_by_hand(capsys):
    assert printed(capsys, "gue_by_hand") == "tnl_hlen 12\nsegments of [1486, 1486, 1286] bytes\n"


def test_million_rows(capsys):
    assert printed(capsys, "million_rows", "1000") == "NONE   500\nGUE    500\n"


def test_round_trip(capsys):
    said = "37 segments, 1 merged, equal: True\nthe same without the tunnel: True\n"
    assert printed(capsys, "round_trip") == said


def test_to_pandas(capsys, capture):
    pytest.importorskip("pandas")
    lines = printed(capsys, "to_pandas", str(capture)).splitlines()
    assert [line.split() for line in lines[-2:]] == [["0", "17", "1", "0"], ["6", "6", "1", "12"]]


def test_perf_line(capsys):
    out = printed(capsys, "perf_line")
    assert out.startswith("tunnel-header-negative: ")
    assert "tnl_hlen is -2" in out


def test_big_tcp(capsys):
    first, second = printed(capsys, "big_tcp").splitlines()
    assert first == "up to 64474 bytes, the same again: True"
    assert second == "up to 168082 bytes, the same again: True"


def test_arrow_table(capsys, capture):
    pytest.importorskip("pyarrow")
    out = printed(capsys, "arrow_table", str(capture))
    assert out == f"2 packets, the largest has {len(GUE) + 5000} bytes\n"


def test_scapy_segments(capsys):
    lines = printed(capsys, "scapy_segments").splitlines()
    assert lines == ["7 1 A 1400", "8 1401 A 1400", "9 2801 PA 1200"]


def test_send_segments():
    sent = []
    program = example("send_segments")
    frame = GUE + bytes(range(250)) * 20

    def sendmsg(parts):
        sent.append(b"".join(parts))
        return len(sent[-1])

    assert program.send_segments(sendmsg, memoryview(frame), 1448) == 4
    assert sent == gso.segment(frame, 1448).to_list()


V4, V6 = bytes([0x45]) + bytes(39), bytes([0x60]) + bytes(59)


@given(st.lists(st.sampled_from([V4, V4, V4[:30], V6, V4[:1], b""]), max_size=200))
def test_runs_of_the_gateway(packets):
    program = example("gue_gateway")
    packets = [packet for packet in packets if packet] * 20  # a TUN device gives no empty packet
    runs = [run.to_list() for run in program.runs(gso.Frames.from_list(packets))]
    assert [packet for run in runs for packet in run] == packets
    for run in runs:
        assert len(run) <= program.MAX_SEGMENTS
        assert len({packet[0] >> 4 for packet in run}) == 1
        assert {len(packet) for packet in run[:-1]} <= {len(run[0])}
        assert len(run[-1]) <= len(run[0])


@given(
    st.lists(
        st.sampled_from(
            [
                bytes([0, 4, 0, 0]) + V4,
                bytes([0, 4, 0, 0]) + V4,
                bytes([0, 41, 0, 0]) + V4,  # another version than it says
                bytes([0, 41, 0, 0]) + V6[:40],
                bytes([1, 4, 0, 0]) + bytes(4) + V4[:36],
                bytes([0x20, 4, 0, 0]) + V4,
                V4 + bytes(4),  # version 1
            ]
        ),
        max_size=6,
    ),
    st.binary(max_size=43),
)
def test_packets_out_of_merged_datagrams(datagrams, last):
    program = example("gue_gateway")
    data = b"".join(datagrams) + last
    found = [program.inner_packet(memoryview(one)) for one in [*datagrams, last]]
    expected = [bytes(packet) for packet in found if packet]
    assert program.inner_packets(data, 44).to_list() == expected


def test_every_program_has_a_test_says_what_it_is_and_is_short():
    tested = {name.removeprefix("test_") for name in globals()} | {"gue_gateway"}
    for path in sorted(EXAMPLES.glob("*.py")):
        text = path.read_text()
        assert path.stem in tested
        assert ast.get_docstring(ast.parse(text))
        assert len(text.splitlines()) <= 150
