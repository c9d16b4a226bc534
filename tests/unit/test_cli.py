"""The gso command, as a user meets it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import subprocess
import sys

import pytest

import capture_files as build
import gso
import handmade as packets
import vectorset
from gso.capture import Interface
from gso.cli import main
from gso.rewriting.segment import segment_capture

START = 1_700_000_000 * 10**9
PAYLOAD = bytes(range(256)) * 20
SUPER = packets.ethernet(packets.tcp(payload=PAYLOAD[:4000]))
SMALL = packets.ethernet(packets.tcp(payload=b"small"))
COMMAND = [sys.executable, "-c", "import sys; from gso.cli import main; sys.exit(main())"]


@pytest.fixture
def paths(tmp_path):
    return tmp_path / "in.pcapng", tmp_path / "out.pcapng"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def payload_of(frames: list[bytes], header: int) -> bytes:
    return b"".join(frame[header:] for frame in frames)


def rewritten(data: bytes, *size: int, **options) -> tuple[bytes, object]:
    out = io.BytesIO()
    summary = segment_capture(io.BytesIO(data), out, *size, **options)
    return out.getvalue(), summary


# --- segment: what changes ---


def test_a_super_packet_becomes_segments_with_its_time_and_comment(paths, capsys):
    source, target = paths
    gso.write_capture(
        source,
        [SMALL, SUPER, SMALL],
        timestamps=[START, START + 5, START + 9],
        comments=["one", "gso_size=1448", None],
        interfaces=[Interface(name="eth0"), Interface(name="eth1")],
        interface_ids=[0, 1, 0],
    )
    assert run("segment", source, target, "--gso-size", 1448) == 0
    result = gso.read_capture(target)
    segments = gso.segment(SUPER, 1448).to_list()
    assert result.frames.to_list() == [SMALL, *segments, SMALL]
    assert result.timestamps.tolist() == [START, *[START + 5] * 3, START + 9]
    assert result.comments == ["one", "gso_size=1448", None, None, None]
    assert result.interface_ids.tolist() == [0, 1, 1, 1, 0]
    assert [interface.name for interface in result.interfaces] == ["eth0", "eth1"]
    assert result.original_lengths.tolist() == result.frames.lengths.tolist()
    text = capsys.readouterr().out
    assert "3 packets read, 5 written" in text
    assert "1 super-packet became 3 segments\n" in text
    assert "2 packets unchanged" in text


def test_every_vector_gives_the_kernels_packets(paths, capsys):
    for size in {record["input"]["gso_size"] for record in vectorset.records()} - {0}:
        some = [
            record
            for record in vectorset.records()
            if record["input"]["gso_size"] == size
            and record["input_source"] != "injected"
            and not record["dropped"]
            and not {"UDP", "TCP_FIXEDID"} & set(record["input"]["gso_type_names"])
        ]
        gso.write_capture(paths[0], [vectorset.frame(record) for record in some])
        ports = ["5501=gue", "5555=fou", "5556=fou", "5557=fou:47", "5558=fou"]
        words = [word for port in ports for word in ("--tunnel-port", port)]
        sizes = ("--gso-size", size, "--udp-size", size, "--mtu", 28)
        assert run("segment", *paths, *sizes, *words) == 0
        expected = [frame for record in some for frame in vectorset.outputs(record)]
        assert gso.read_capture(paths[1]).frames.to_list() == expected
    capsys.readouterr()


def test_a_checksum_that_waits_for_an_offload_is_completed():
    for packet in (packets.tcp(payload=b"x" * 101), packets.udp(payload=b"x" * 101)):
        waiting = packets.ethernet(packets.partial(packet))
        data = build.pcap([(START, waiting)])
        result, summary = rewritten(data, 1448)
        assert result == build.pcap([(START, packets.ethernet(packet))])
        assert summary.completed == 1


def test_a_checksum_that_is_simply_wrong_stays_wrong():
    wrong = bytearray(SMALL)
    wrong[-1] ^= 1
    data = build.pcap([(START, bytes(wrong))])
    assert rewritten(data, 1448)[0] == data


def test_udp_is_segmented_unless_it_is_to_be_kept(paths):
    whole = packets.udp(payload=PAYLOAD[:3000])
    data = build.pcap([(START, packets.ethernet(whole))])
    offloaded = build.pcap([(START, packets.ethernet(packets.partial(whole)))])
    for kept in (data, offloaded):
        for options in ({}, {"mtu": 1500}):
            result, summary = rewritten(kept, 1200, **options)
            assert result == kept
            ((reason, note),) = summary.notes.items()
            assert "--udp-size" in reason
            assert note.count == 1
    sized, _ = rewritten(data, udp_size=1200)
    result, _ = rewritten(offloaded, 100, udp_size=1200)
    assert result == sized
    assert gso.read_capture(io.BytesIO(result)).frames.lengths.tolist() == [1242, 1242, 642]
    assert rewritten(data, udp_size=1200, udp="keep")[0] == data
    paths[0].write_bytes(data)
    assert run("segment", *paths, "--gso-size", 1200, "--keep-udp") == 0
    assert paths[1].read_bytes() == data


def test_tunnels_on_other_ports_are_named_by_the_user(paths, capsys):
    record = next(
        r
        for r in vectorset.records()
        if r["tunnel"] == "gue-csum" and r["via_ipvs"] and r["input"]["gso_size"]
    )
    gso.write_capture(paths[0], [vectorset.frame(record)])
    size = record["input"]["gso_size"]
    assert run("segment", *paths, "--gso-size", size, "--tunnel-port", "5501=gue") == 0
    assert gso.read_capture(paths[1]).frames.to_list() == vectorset.outputs(record)
    capsys.readouterr()


# --- segment: what does not ---


def everything(order: str) -> bytes:
    """A pcapng file with all that such files may have, and no super-packet."""
    arp = packets.ETHERNET + b"\x08\x06" + bytes(46)
    return b"".join(
        [
            build.section(order, [(2, b"hardware"), (4, b"dumpcap")]),
            build.interface(order, 1, 262144, [(2, b"eth0"), (9, b"\x06"), (11, b"\0tcp")]),
            build.interface(order, 113, 0, [(2, b"any"), (14, bytes(8))]),
            build.enhanced(SMALL, order=order, ticks=1 << 40, items=[(1, b"c"), (3, b"\1crc")]),
            build.block(4, bytes(16), order),
            build.simple(arp, order=order),
            build.obsolete(SMALL, order=order, ticks=7, items=[(1, b"old")]),
            build.enhanced(b"short", order=order, which=1, original=90),
            build.enhanced(b"", order=order),
            build.block(0x0BAD, b"custom..", order),
            build.section(order),
            build.interface(order, 147),
            build.enhanced(b"?" * 1000, order=order),
            build.block(5, bytes(12), order),
        ]
    )


@pytest.mark.parametrize("order", build.ORDERS)
def test_a_pcapng_without_super_packets_stays_as_it_is(order):
    data = everything(order)
    result, summary = rewritten(data, 1448)
    assert result == data
    assert (summary.packets, summary.written, summary.unchanged) == (6, 6, 6)
    assert summary.fine


@pytest.mark.parametrize("order", build.ORDERS)
@pytest.mark.parametrize("ticks", build.RESOLUTIONS)
def test_a_pcap_without_super_packets_stays_as_it_is(order, ticks):
    rows = [(START + 1000, SMALL), (START + 2000, b"noise"), (START, SMALL[:30], 71), (0, b"")]
    data = build.pcap(rows, order=order, ticks=ticks, snaplen=77)
    assert rewritten(data, 1448)[0] == data
    assert rewritten(data)[0] == data


@pytest.mark.parametrize("order", build.ORDERS)
def test_segments_keep_byte_order_and_ticks(order):
    items = [(2, b"\1\0\0\0"), (1, b"note"), (3, b"\1abcd"), (6, b"\5\0\0\0")]
    data = (
        build.section(order, length=1234)
        + build.interface(order, items=[(9, b"\x80")])
        + build.enhanced(SUPER, order=order, ticks=77, items=items)
        + build.simple(SUPER, order=order)
        + build.obsolete(SUPER, order=order, ticks=78)
    )
    result, summary = rewritten(data, 2000)
    first, second = gso.segment(SUPER, 2000).to_list()
    kept = [(2, b"\1\0\0\0"), (1, b"note"), (6, b"\5\0\0\0")]
    others = [(2, b"\1\0\0\0"), (6, b"\5\0\0\0")]
    rest = (
        build.interface(order, items=[(9, b"\x80")])
        + build.enhanced(first, order=order, ticks=77, items=kept)
        + build.enhanced(second, order=order, ticks=77, items=others)
        + build.simple(first, order=order)
        + build.simple(second, order=order)
        + build.enhanced(first, order=order, ticks=78)
        + build.enhanced(second, order=order, ticks=78)
    )
    assert result == build.section(order, length=len(rest)) + rest
    assert summary.segments == 6


@pytest.mark.parametrize(
    ("link", "header"),
    [
        (101, b""),
        (228, b""),
        (113, bytes.fromhex("0000000100060200000000010000") + b"\x08\0"),
        (276, b"\x08\0" + bytes(18)),
        (0, b"\2\0\0\0"),
        (108, b"\0\0\0\2"),
    ],
)
def test_other_link_types_keep_their_headers(link, header):
    packet = SUPER[14:]
    data = build.pcap([(START, header + packet), (START, header + SMALL[14:])], link=link)
    result, _ = rewritten(data, 1448)
    pieces = [header + bytes(p) for p in gso.segment(packet, 1448, link_type="raw")]
    rows = [(START, frame) for frame in [*pieces, header + SMALL[14:]]]
    assert result == build.pcap(rows, link=link)


def test_interfaces_of_different_link_types_may_alternate():
    raw = SUPER[14:]
    data = build.section() + build.interface(link=1) + build.interface(link=101)
    data += build.enhanced(SUPER) + build.enhanced(raw, which=1) + build.enhanced(SMALL)
    result = gso.read_capture(io.BytesIO(rewritten(data, 2000)[0]))
    ether = gso.segment(SUPER, 2000).to_list()
    plain = gso.segment(raw, 2000, link_type="raw").to_list()
    assert result.frames.to_list() == [*ether, *plain, SMALL]
    assert result.interface_ids.tolist() == [0, 0, 1, 1, 0]


def test_ethernet_trailers_are_not_payload():
    padded = packets.ethernet(packets.tcp(payload=b"x" * 1448)) + b"\1\2\3\4"
    data = build.pcap([(START, padded)])
    assert rewritten(data, 1448)[0] == data


def test_fragments_are_left_alone():
    fragment = bytearray(packets.udp(payload=PAYLOAD[:3000]))
    fragment[6] = 0x20  # more fragments
    data = build.pcap([(START, packets.ethernet(bytes(fragment)))])
    assert rewritten(data, 1000)[0] == data


# --- segment: sizes from the handshake ---


def conversation(first: int | None, second: int | None, *, tunnel: bool = False) -> bytes:
    frames = []
    if first is not None:
        frames.append(packets.syn(packets.CLIENT, packets.SERVER, first))
    if second is not None:
        frames.append(packets.syn(packets.SERVER, packets.CLIENT, second, flags=0x12))
    data = packets.tcp(payload=PAYLOAD[:4000])
    if tunnel:
        data = packets.network(("1.1.1.1", 0), ("2.2.2.2", 0), 4, data)
    frames += [data, packets.tcp(packets.SERVER, packets.CLIENT, PAYLOAD[:3000], options=b"")]
    return build.pcap([(START, packets.ethernet(frame)) for frame in frames])


@pytest.mark.parametrize(
    ("announced", "there", "back", "words"),
    [
        ((1460, 1460), 1448, 1460, "its SYN says 1460, the peer's SYN says 1460"),
        ((1460, 1400), 1388, 1460, "its SYN says 1460, the peer's SYN says 1400"),
        ((8960, None), 0, 0, "the peer's SYN was not captured"),
        ((None, 1300), 1288, 0, "its SYN was not captured, the peer's SYN says 1300"),
    ],
)
def test_the_size_comes_from_the_peers_syn_less_the_options(paths, announced, there, back, words):
    paths[0].write_bytes(conversation(*announced))
    report = io.StringIO()
    with contextlib.redirect_stdout(report):
        assert run("segment", *paths) == (1 if announced == (None, 1300) else 0)
    frames = gso.read_capture(paths[1]).frames.to_list()
    lengths = [len(frame) for frame in frames if len(frame) > 100]
    expected = [66 + n for n in pieces(4000, there)] + [54 + n for n in pieces(3000, back)]
    assert lengths == expected
    text = report.getvalue()
    if there:
        assert "flow 10.0.0.1:40000 > 10.0.0.2:5201: MSS" in text
        assert words in text
        assert f"of {there} bytes of payload" in text
    if back:
        assert f"of {back} bytes of payload" in text


def pieces(total: int, size: int) -> list[int]:
    return [min(size, total - at) for at in range(0, total, size)] if size else [total]


def test_a_handshake_outside_the_tunnel_counts_inside():
    _, summary = rewritten(conversation(1460, 1460, tunnel=True))
    assert summary.segmented == 2
    assert {size for flow in summary.flows for size in flow.gso_sizes} == {1448, 1460}


def test_a_syn_without_the_option_means_the_default():
    data = build.pcap(
        [
            (START, packets.ethernet(packets.syn(packets.SERVER, packets.CLIENT, None))),
            (START, packets.ethernet(packets.tcp(payload=PAYLOAD[:1600], options=b""))),
        ]
    )
    _, summary = rewritten(data)
    assert [flow.gso_sizes for flow in summary.flows if flow.packets] == [{536}]


def test_without_a_handshake_nothing_is_guessed(paths, capsys):
    data = conversation(None, None)
    paths[0].write_bytes(data)
    assert run("segment", *paths) == 1
    assert paths[1].read_bytes() == data
    text = capsys.readouterr().out
    assert "no handshake in the capture" in text
    assert "--gso-size N" in text
    assert run("segment", *paths, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["unchanged"] == 2
    assert report["flows"][0]["mss"] is None
    assert report["flows"][0]["skipped"] == 1


def test_the_newest_handshake_counts():
    rows = []
    for mss in (1460, 1000):
        rows += [
            packets.syn(packets.CLIENT, packets.SERVER, mss),
            packets.syn(packets.SERVER, packets.CLIENT, mss, flags=0x12),
            packets.tcp(payload=PAYLOAD[:4000], options=b""),
        ]
    _, summary = rewritten(build.pcap([(START, packets.ethernet(row)) for row in rows]))
    assert [sorted(flow.gso_sizes) for flow in summary.flows if flow.packets] == [[1000, 1460]]


def test_large_udp_without_a_size_is_a_finding(paths, capsys):
    small, large = (packets.ethernet(packets.udp(payload=PAYLOAD[:n])) for n in (1472, 1473))
    gso.write_capture(paths[0], [small, large])
    assert run("segment", *paths) == 1
    assert gso.read_capture(paths[1]).frames.to_list() == [small, large]
    assert "(number 2): UDP has no handshake" in capsys.readouterr().out


# --- segment: findings, pipes, wrong usage ---


def test_a_super_packet_that_the_capture_cut_is_a_finding(paths, capsys):
    gso.write_capture(paths[0], [SUPER[:3000]], original_lengths=[len(SUPER)])
    assert run("segment", *paths, "--gso-size", 1448) == 1
    assert gso.read_capture(paths[1]).frames.to_list() == [SUPER[:3000]]
    assert "1 packet left unchanged (number 1): the capture" in capsys.readouterr().out


def test_long_frames_that_cannot_be_looked_into_are_a_finding(paths, capsys):
    gso.write_capture(paths[0], [b"?" * 1000, b"?" * 1500], link_type=147)
    assert run("segment", *paths, "--gso-size", 1448) == 2
    text = capsys.readouterr().out
    assert "1 packet left unchanged (number 2): link type user0 cannot be looked into" in text
    assert "2 packets cannot be looked into: link type user0" in text
    assert gso.read_capture(paths[1]).frames.lengths.tolist() == [1000, 1500]


def test_what_the_kernel_refuses_is_a_finding(paths, capsys):
    """GRE with a checksum inside GUE."""
    gre = struct.pack(">HHHH", 0x8000, 0x0800, 0, 0) + packets.tcp(payload=PAYLOAD[:4000])
    gue = struct.pack(">HHHHBBH", 900, 6080, 12 + len(gre), 0, 0, 47, 0) + gre
    frame = packets.ethernet(packets.network(("1.1.1.1", 0), ("2.2.2.2", 0), 17, gue))
    gso.write_capture(paths[0], [SUPER, frame, SUPER])
    assert run("segment", *paths, "--gso-size", 2000, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["segmented"] == 2
    assert report["notes"][0]["packets"] == [2]
    assert "refuse" in report["notes"][0]["reason"]
    pieces = gso.segment(SUPER, 2000).to_list()
    assert gso.read_capture(paths[1]).frames.to_list() == [*pieces, frame, *pieces]


def test_a_cut_off_capture_is_a_finding(paths, capsys):
    gso.write_capture(paths[0], [SMALL, SMALL])
    paths[0].write_bytes(paths[0].read_bytes()[:-5])
    assert run("segment", *paths, "--gso-size", 1448) == 1
    assert "cut off" in capsys.readouterr().out
    assert gso.read_capture(paths[1]).frames.to_list() == [SMALL]


def test_pipes_work_on_both_sides():
    data = build.pcap([(START, SUPER)])
    done = subprocess.run(
        [*COMMAND, "segment", "-", "-", "--gso-size", "2000"],
        input=data,
        capture_output=True,
        check=True,
    )
    expected = [(START, bytes(frame)) for frame in gso.segment(SUPER, 2000)]
    assert done.stdout == build.pcap(expected)
    assert b"became 2 segments" in done.stderr


def test_a_reader_that_goes_away_is_no_error_message(tmp_path):
    path = tmp_path / "long.pcap"
    path.write_bytes(build.pcap([(START, SUPER)] * 1000))
    process = subprocess.Popen(
        [*COMMAND, "segment", str(path), "-", "--gso-size", "100"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


def test_the_output_may_be_a_device(paths, capsys):
    gso.write_capture(paths[0], [SUPER])
    assert run("segment", paths[0], "/dev/null", "--gso-size", 1448) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04" + bytes(50), "neither pcap nor pcapng"),
        (b"", "empty"),
        (build.pcap([]) + struct.pack("<IIII", 0, 0, 1 << 30, 1), "at byte"),
    ],
)
def test_a_bad_input_is_refused_and_leaves_nothing_behind(paths, capsys, content, words):
    paths[0].write_bytes(content)
    paths[1].write_bytes(b"precious")
    assert run("segment", *paths, "--gso-size", 1448) == 2
    assert words in capsys.readouterr().err
    assert paths[1].read_bytes() == b"precious"
    assert len(list(paths[0].parent.iterdir())) == 2
    assert run("explain", paths[0], "-n", 9) == 2


def test_input_and_output_must_differ(paths, capsys):
    gso.write_capture(paths[0], [SUPER])
    before = paths[0].read_bytes()
    assert run("segment", paths[0], paths[0], "--gso-size", 1448) == 2
    assert "same file" in capsys.readouterr().err
    assert paths[0].read_bytes() == before


def test_missing_files_and_directories_are_named(tmp_path, capsys):
    assert run("explain", tmp_path / "none.pcap") == 2
    assert "none.pcap: No such file" in capsys.readouterr().err
    assert run("segment", tmp_path, tmp_path / "x", "--gso-size", 1) == 2
    assert "directory" in capsys.readouterr().err
    (tmp_path / "a.pcap").write_bytes(build.pcap([]))
    assert run("segment", tmp_path / "a.pcap", tmp_path / "no" / "x", "--gso-size", 1) == 2
    assert str(tmp_path / "no") in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["frobnicate"],
        ["segment", "a"],
        ["segment", "a", "b", "--gso-size", "0"],
        ["segment", "a", "b", "--gso-size", "-5"],
        ["segment", "a", "b", "--gso-size", "x"],
        ["segment", "a", "b", "--tunnel-port", "gue"],
        ["segment", "a", "b", "--tunnel-port", "70000=gue"],
        ["segment", "a", "b", "--tunnel-port", "5501=gre"],
        ["segment", "a", "b", "--tunnel-port", "5501=gue:47"],
        ["segment", "a", "b", "--tunnel-port", "5501=fou:300"],
        ["explain", "a", "-n", "0"],
    ],
)
def test_wrong_usage_is_status_2(words, capsys):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert capsys.readouterr().err


def test_version_and_help(capsys):
    for words in (["--version"], ["--help"], ["segment", "--help"], ["explain", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("gso ")
    assert "examples:" in text
    assert "exit status:" in text


# --- explain ---


def test_explain_draws_headers_offsets_and_verdicts(paths, capsys):
    record = next(
        r
        for r in vectorset.records()
        if r["tunnel"] == "gue-csum" and r["via_ipvs"] and r["outputs"]
    )
    frame = vectorset.outputs(record)[0]
    gso.write_capture(
        paths[0],
        [SMALL, frame],
        timestamps=[0, START + 3],
        interfaces=[Interface(name="veth\x1b[31m")],
        comments=[None, "two\nlines\x07"],
    )
    assert run("explain", paths[0], "-n", 2, "--tunnel-port", "5501=gue") == 0
    text = capsys.readouterr().out
    assert f"packet 2: {len(frame)} bytes, 2023-11-14 22:13:20.000000003 UTC" in text
    assert "\x1b" not in text
    assert "veth\\x1b[31m" in text
    assert "comment: lines\\x07" in text
    layout = gso.parse(frame, tunnel_ports=vectorset.PORTS)
    assert f"tnl_hlen {layout.tnl_hlen}" in text
    assert f"inner_mac_header {layout.inner_mac_header}" in text
    assert "gue, bytes" in text
    assert "right" in text
    assert "wrong" not in text


def test_explain_finds_what_is_wrong(paths, capsys):
    frame = bytearray(SMALL)
    frame[16] ^= 1
    frame[-1] ^= 1
    gso.write_capture(paths[0], [frame])
    assert run("explain", paths[0]) == 1
    text = capsys.readouterr().out
    assert f"wrong, should be {len(frame) - 14}" in text
    assert text.count("wrong, should be 0x") == 2
    assert run("explain", paths[0], "--json") == 1
    report = json.loads(capsys.readouterr().out)
    fields = {(h["name"], f["name"]): f for h in report["headers"] for f in h["fields"]}
    assert fields["tcp", "checksum"]["status"] == "wrong"
    assert fields["ipv4", "total length"]["expected"] == len(frame) - 14
    assert report["layout"]["transport_header"] == 34


def test_explain_shows_what_cannot_be_parsed(paths, capsys):
    gso.write_capture(paths[0], [SMALL[:30], b"", b"\xff" * 99], original_lengths=[99, 0, 99])
    for number, status in ((1, 2), (2, 1), (3, 2)):
        assert run("explain", paths[0], "-n", number) == status
    text = capsys.readouterr().out
    assert "69 bytes are missing" in text
    gso.write_capture(paths[0], [b"something"], link_type=147)
    assert run("explain", paths[0]) == 2
    assert "link type user0" in capsys.readouterr().out


def test_explain_of_every_vector_in_json_and_text(paths, capsys):
    frames = [vectorset.frame(record) for record in vectorset.records()[::7]]
    gso.write_capture(paths[0], frames)
    for number in range(1, len(frames) + 1):
        run("explain", paths[0], "-n", number, "--json")
        report = json.loads(capsys.readouterr().out)
        assert sum(h["length"] for h in report["headers"]) == len(frames[number - 1])
        run("explain", paths[0], "-n", number)
        assert capsys.readouterr().out.startswith(f"packet {number}:")


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_only_terminals_get_colours(paths, environment, coloured):
    gso.write_capture(paths[0], [SMALL])
    terminal, slave = os.openpty()
    variables = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    subprocess.run(
        [*COMMAND, "explain", str(paths[0])],
        stdout=slave,
        stderr=subprocess.PIPE,
        env={**variables, **environment},
        check=True,
    )
    os.close(slave)
    assert (b"\x1b[1mpacket 1" in os.read(terminal, 1 << 16)) == coloured
    os.close(terminal)


def test_explain_counts_packets(paths, capsys):
    gso.write_capture(paths[0], [SMALL])
    assert run("explain", paths[0], "-n", 5) == 2
    assert "no packet 5, the capture has 1 packet" in capsys.readouterr().err
