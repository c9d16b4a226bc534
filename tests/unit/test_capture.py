"""Reading and writing captures: the formats, and what damaged files do."""

from __future__ import annotations

import gzip
import io
import os
import struct
import subprocess
import threading

import numpy as np
import pytest

import capture_files as build
import gso
from gso.capture import Interface, Reader, Writer
from gso.capture.format import CHUNK

START = 1_700_000_000 * 10**9
FRAMES = [bytes(range(60)), b"x" * 61, b"", bytes(1514), b"yz" * 32000]
TIMES = [START + 123_456_789 * i for i in range(len(FRAMES))]


def read(data: bytes, **options: int) -> gso.Capture:
    """The file's packets, read whole; in every chunk size the result must be the same."""
    whole = gso.read_capture(io.BytesIO(data))
    reader = Reader(io.BytesIO(data), chunk_size=options.get("chunk_size", 1))
    batches = list(reader)
    assert [f for b in batches for f in b.frames.to_list()] == whole.frames.to_list()
    assert [t for b in batches for t in b.timestamps.tolist()] == whole.timestamps.tolist()
    assert [c for b in batches for c in b.comments] == whole.comments
    assert reader.truncated == whole.truncated
    assert reader.position + len(data) - reader.position == len(data)
    return whole


def refused(data: bytes) -> gso.GsoError:
    with pytest.raises(gso.GsoError) as caught:
        gso.read_capture(io.BytesIO(data))
    with pytest.raises(gso.GsoError):
        list(Reader(io.BytesIO(data), chunk_size=1))
    return caught.value


# --- pcap ---


@pytest.mark.parametrize("order", build.ORDERS)
@pytest.mark.parametrize("ticks", build.RESOLUTIONS)
def test_pcap_in_both_byte_orders_and_resolutions(order, ticks):
    packets = list(zip(TIMES, FRAMES, strict=True))
    capture = read(build.pcap(packets, order=order, ticks=ticks, link=101, snaplen=77))
    assert capture.frames.to_list() == FRAMES
    unit = 10**9 // ticks
    assert capture.timestamps.tolist() == [when // unit * unit for when in TIMES]
    assert capture.timestamps.dtype == np.int64
    assert capture.interfaces == (Interface("raw", snaplen=77, ticks_per_second=ticks),)
    assert capture.link_type == "raw"
    assert capture.format == "pcap"
    assert capture.comments == [None] * len(FRAMES)
    assert capture.truncated is None


def test_a_packet_cut_by_the_snaplen_keeps_its_original_length():
    capture = read(build.pcap([(START, b"abcd", 1514)]))
    assert capture.original_lengths.tolist() == [1514]
    assert capture.frames.lengths.tolist() == [4]


def test_times_of_the_whole_unsigned_range():
    capture = read(build.pcap([((2**32 - 1) * 10**9 + 5, b"")], ticks=10**9))
    assert capture.timestamps.tolist() == [(2**32 - 1) * 10**9 + 5]


@pytest.mark.parametrize(
    ("number", "name"), [(1, "ethernet"), (12, "raw"), (113, "linux_sll"), (9999, "linktype_9999")]
)
def test_link_types_have_names(number, name):
    assert read(build.pcap([], link=number)).link_type == name


def test_a_frame_check_sequence_length_is_not_part_of_the_link_type():
    assert read(build.pcap([], link=1 | 0x2400_0000)).link_type == "ethernet"


@pytest.mark.parametrize("cut", range(1, 16 + 61))
def test_a_cut_off_pcap_record_costs_only_itself(cut):
    data = build.pcap([(START, FRAMES[0]), (START, FRAMES[1])])
    capture = read(data[:-cut])
    assert capture.frames.to_list() == FRAMES[:1]
    if cut < 16 + 61:
        assert f"at byte {24 + 16 + 60}" in capture.truncated
        assert f"has {16 + 61 - cut} of" in capture.truncated
    else:
        assert capture.truncated is None


def test_a_pcap_length_that_cannot_be_is_refused_after_what_precedes_it():
    good = build.pcap([(START, FRAMES[0])])
    bad = good + struct.pack("<IIII", 0, 0, 1 << 30, 60)
    error = refused(bad)
    assert f"byte {len(good)}" in str(error)
    assert str(1 << 30) in str(error)
    assert error.offset == len(good)
    assert error.reason == gso.Reason.TOO_LONG
    reader = iter(Reader(io.BytesIO(bad)))
    assert next(reader).frames.to_list() == FRAMES[:1]
    with pytest.raises(gso.GsoError):
        next(reader)


@pytest.mark.parametrize("size", range(24))
def test_a_file_that_ends_in_its_header_is_refused(size):
    error = refused(build.pcap([])[:size])
    assert error.reason in (gso.Reason.TRUNCATED, gso.Reason.UNSUPPORTED)


def test_an_empty_pcap_is_an_empty_capture():
    capture = read(build.pcap([]))
    assert len(capture) == 0
    assert len(capture.frames) == 0
    assert capture.timestamps.shape == (0,)


@pytest.mark.parametrize("version", [(2, 5), (1, 0), (3, 4)])
def test_other_pcap_versions_are_refused(version):
    assert f"{version[0]}.{version[1]}" in str(refused(build.pcap([], version=version)))


@pytest.mark.parametrize(
    ("magic", "word"),
    [(b"PK\x03\x04", "504b0304"), (b"", "empty"), (b"\xd4", "d4")],
)
def test_what_is_no_capture_is_named(magic, word):
    assert word in str(refused(magic + bytes(100) if len(magic) > 1 else magic))


# --- pcapng ---


@pytest.mark.parametrize("order", build.ORDERS)
def test_packet_blocks_of_all_three_kinds(order):
    data = (
        build.section(order)
        + build.interface(order, 1, 1000, [(2, b"eth0"), (3, b"uplink\0"), (9, b"\x09")])
        + build.interface(order, 113, 0, [(2, b"any")])
        + build.enhanced(b"first", order=order, ticks=START, items=[(1, b"hello")])
        + build.obsolete(b"second", order=order, which=1, ticks=START // 1000)
        + build.simple(b"third!!", order=order)
        + build.enhanced(b"", order=order, which=1, ticks=1, original=9)
    )
    capture = read(data)
    assert capture.frames.to_list() == [b"first", b"second", b"third!!", b""]
    assert capture.timestamps.tolist() == [START, START, 0, 1000]
    assert capture.interface_ids.tolist() == [0, 1, 0, 1]
    assert capture.original_lengths.tolist() == [5, 6, 7, 9]
    assert capture.comments == ["hello", None, None, None]
    assert capture.interfaces == (
        Interface("ethernet", "eth0", "uplink", 1000),
        Interface("linux_sll", "any", ticks_per_second=10**6),
    )
    assert capture.link_type == "mixed"
    assert capture.format == "pcapng"


@pytest.mark.parametrize(
    ("resolution", "ticks", "nanoseconds"),
    [
        (0, 1_700_000_000, START),
        (3, 5, 5_000_000),
        (6, 5, 5000),
        (9, 5, 5),
        (12, 5999, 5),
        (19, 2**64 - 1, 1844674407),
        (0x80, 3, 3 * 10**9),
        (0x80 | 1, 3, 15 * 10**8),
        (0x80 | 20, (1 << 20) + 1, 10**9 + 953),
        (0x80 | 63, 2**63 + 2**62, 15 * 10**8),
    ],
)
def test_timestamp_resolutions(resolution, ticks, nanoseconds):
    data = (
        build.section()
        + build.interface(items=[(9, bytes([resolution]))])
        + build.enhanced(b"", ticks=ticks)
    )
    assert read(data).timestamps.tolist() == [nanoseconds]


@pytest.mark.parametrize("resolution", [20, 127, 0x80 | 64, 255])
def test_unusably_fine_resolutions_are_refused(resolution):
    data = build.section() + build.interface(items=[(9, bytes([resolution]))])
    assert f"-{resolution & 127}" in str(refused(data))


@pytest.mark.parametrize("order", build.ORDERS)
@pytest.mark.parametrize("seconds", [1000, -1000])
def test_timestamp_offsets(order, seconds):
    items = [(9, b"\x09"), (14, struct.pack(order + "q", seconds))]
    data = (
        build.section(order)
        + build.interface(order, items=items)
        + build.enhanced(b"", order=order, ticks=5)
    )
    assert read(data).timestamps.tolist() == [seconds * 10**9 + 5]
    assert read(data).interfaces[0].offset == seconds


@pytest.mark.parametrize(
    ("resolution", "ticks", "seconds"),
    [
        (0, 2**40, 0),
        (6, 2**63, 0),
        (9, 2**63, 0),
        (9, 5, 2**40),
        (9, 5, -(2**63)),
        (9, 2**62 + 2**61, 2**32),
    ],
)
def test_times_beyond_64_bits_are_no_times(resolution, ticks, seconds):
    items = [(9, bytes([resolution])), (14, struct.pack("<q", seconds))]
    head = build.section() + build.interface(items=items) + build.enhanced(b"", ticks=1)
    data = head[: -len(build.enhanced(b""))] + build.enhanced(b"", ticks=ticks)
    assert np.isnat(read(data).timestamps.view("datetime64[ns]")).tolist() == [True]


def test_sections_of_both_byte_orders_in_one_file():
    parts = []
    for order in "<><":
        parts += [
            build.section(order, [(4, b"dumpcap")]),
            build.block(5, bytes(12), order),  # statistics: skipped
            build.interface(order, items=[(2, b"if" + order.encode())]),
            build.block(0xBAD, b"", order),
            build.enhanced(order.encode(), order=order),
        ]
    capture = read(b"".join(parts))
    assert capture.frames.to_list() == [b"<", b">", b"<"]
    assert capture.interface_ids.tolist() == [0, 1, 2]
    assert [i.name for i in capture.interfaces] == ["if<", "if>", "if<"]
    assert capture.link_type == "ethernet"


def test_a_simple_packet_is_cut_by_its_interfaces_snaplen():
    data = build.section() + build.interface(snaplen=5) + build.simple(b"12345", original=1514)
    capture = read(data)
    assert capture.frames.to_list() == [b"12345"]
    assert capture.original_lengths.tolist() == [1514]


def test_several_comments_are_lines():
    items = [(1, b"one"), (2, bytes(4)), (1, "zwölf".encode()), (1, b"\xff")]
    data = build.section() + build.interface() + build.enhanced(b"", items=items)
    assert read(data).comments == ["one\nzwölf\n\ufffd"]


def test_options_that_leave_their_block_are_refused():
    body = struct.pack("<IIIII", 0, 0, 0, 0, 0) + struct.pack("<HH", 1, 100) + b"abcd"
    head = build.section() + build.interface()
    error = refused(head + build.block(6, body))
    assert error.offset == len(head) + 28
    assert "100 bytes" in str(error)
    assert error.limit == 4


HEAD = build.section() + build.interface()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (build.section() + build.enhanced(b"abc"), ["interface 0", "described 0"]),
        (HEAD + build.enhanced(b"abc", which=1), ["interface 1", "described 1"]),
        (HEAD + struct.pack("<II", 6, 31) + bytes(40), ["length 31"]),
        (HEAD + struct.pack("<II", 6, 28) + bytes(40), ["length 28", "32"]),
        (HEAD + struct.pack("<II", 6, 1 << 30) + bytes(40), [str(1 << 30), str(1 << 24)]),
        (HEAD + struct.pack("<II", 5, 1 << 30) + bytes(40), [str(1 << 30), str(1 << 24)]),
        (HEAD + struct.pack("<II", 5, 0) + bytes(40), ["length 0"]),
        (
            HEAD + build.enhanced(b"abc")[:-4] + bytes(4),
            ["36 at the block's start", "0 at its end"],
        ),
        (HEAD + build.block(5, bytes(8))[:-4] + b"\1\0\0\0", ["20 at the block's start", "1 at"]),
        (
            HEAD + build.block(6, struct.pack("<IIIII", 0, 0, 0, 5, 5) + bytes(4)),
            ["captured length 5", "4 bytes"],
        ),
        (
            HEAD + build.block(6, struct.pack("<IIIII", 0, 0, 0, 2**32 - 1, 5) + bytes(4)),
            [f"captured length {2**32 - 1}"],
        ),
        (build.section(version=(2, 0)), ["version 2.0"]),
        (build.section()[:8] + bytes(20), ["magic is 00000000"]),
        (build.section() + build.block(1, bytes(4)), ["interface description of 16 bytes"]),
    ],
)
def test_damaged_pcapng_is_refused_with_its_numbers(data, words):
    message = str(refused(data))
    assert "at byte" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("cut", range(1, 36))
def test_a_cut_off_block_costs_only_itself(cut):
    data = HEAD + build.enhanced(b"good") + build.enhanced(b"lost")
    capture = read(data[:-cut])
    assert capture.frames.to_list() == [b"good"]
    assert f"at byte {len(HEAD) + 36}" in capture.truncated
    assert f"has {36 - cut} of" in capture.truncated


def test_endless_interfaces_are_refused():
    data = build.section() + build.interface() * (1 << 16) + build.interface()
    with pytest.raises(gso.GsoError, match="65537 of the file"):
        gso.read_capture(io.BytesIO(data))


# --- sources ---


def test_gzip_is_read_as_it_is(tmp_path):
    data = build.pcap(list(zip(TIMES, FRAMES, strict=True)), ticks=10**9)
    path = tmp_path / "a.pcap.gz"
    path.write_bytes(gzip.compress(data))
    assert gso.read_capture(path).frames.to_list() == FRAMES
    path.write_bytes(gzip.compress(data)[:-9])
    assert "gzip" in gso.read_capture(path).truncated
    damaged = bytearray(gzip.compress(data, mtime=0))
    damaged[40:60] = bytes(20)
    path.write_bytes(damaged)
    with pytest.raises(gso.GsoError, match="at byte"):
        gso.read_capture(path)


def test_a_pipe_is_read_as_it_comes():
    data = build.pcap(list(zip(TIMES, FRAMES, strict=True)), ticks=10**9)
    for content in (data, gzip.compress(data)):
        end, start = os.pipe()

        def feed(start=start, content=content):
            with os.fdopen(start, "wb", buffering=0) as file:
                for i in range(0, len(content), 1000):
                    file.write(content[i : i + 1000])

        thread = threading.Thread(target=feed)
        thread.start()
        with os.fdopen(end, "rb", buffering=0) as file:
            capture = gso.read_capture(file)
        thread.join()
        assert capture.frames.to_list() == FRAMES
        assert capture.timestamps.tolist() == TIMES


def test_a_missing_file_or_a_directory_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        gso.read_capture(tmp_path / "none.pcap")
    with pytest.raises(IsADirectoryError):
        gso.read_capture(tmp_path)


def test_the_reader_wants_a_chunk():
    with pytest.raises(ValueError, match="chunk_size is 0"):
        Reader(io.BytesIO(build.pcap([])), chunk_size=0)


def test_memory_does_not_depend_on_the_file(tmp_path):
    record = build.pcap([(START, bytes(60000))])[24:]
    path = tmp_path / "long.pcap"
    with path.open("wb") as file:
        file.write(build.pcap([]))
        for _ in range(300):
            file.write(record)
    with Reader(path) as reader:
        sizes = [batch.frames.nbytes for batch in reader]
    assert sum(sizes) == 300 * 60000
    assert max(sizes) <= CHUNK


# --- writing ---


@pytest.mark.parametrize("format", ["pcap", "pcapng"])
def test_what_is_written_is_read_again(tmp_path, format):
    path = tmp_path / f"a.{format}"
    gso.write_capture(path, FRAMES, timestamps=TIMES, original_lengths=[70, 1, 0, 1514, 99999])
    capture = gso.read_capture(path)
    assert capture.format == format
    assert capture.frames.to_list() == FRAMES
    assert capture.timestamps.tolist() == TIMES
    assert capture.original_lengths.tolist() == [70, 61, 0, 1514, 99999]
    assert capture.link_type == "ethernet"


def test_interfaces_and_comments_are_written():
    interfaces = (Interface("ethernet", "veth0", "before"), Interface("raw", "tun0", snaplen=99))
    comments = ["gso_size=1448 gso_type=TCPV4", None, "", "a\nb", "ß" * 30000]
    file = io.BytesIO()
    gso.write_capture(
        file,
        gso.Frames.from_list(FRAMES),
        timestamps=np.array(TIMES, "datetime64[ns]"),
        interfaces=interfaces,
        interface_ids=np.array([0, 1, 1, 0, 1], np.uint8),
        comments=comments,
    )
    capture = read(file.getvalue())
    assert capture.interfaces == interfaces
    assert capture.interface_ids.tolist() == [0, 1, 1, 0, 1]
    assert capture.comments == comments
    assert capture.timestamps.tolist() == TIMES


def test_batches_longer_than_a_piece_are_written_whole():
    frames = [bytes([i % 256]) * (i % 200) for i in range(40000)]
    comments = [str(i) if i % 3 == 0 else None for i in range(len(frames))]
    file = io.BytesIO()
    with Writer(file) as writer:
        writer.write(frames, range(len(frames)), comments=comments)
        writer.write([], [])
        writer.write(frames[:1], [7])
    capture = gso.read_capture(io.BytesIO(file.getvalue()))
    assert capture.frames.to_list() == [*frames, frames[0]]
    assert capture.timestamps.tolist() == [*range(len(frames)), 7]
    assert capture.comments == [*comments, None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timestamps": [1]}, r"shape \(1,\) for 2 frames"),
        ({"timestamps": [0.5, 1.5]}, "integers, not float64"),
        ({"timestamps": [-1, 0]}, "-1 is not within 0"),
        ({"timestamps": np.array([0, 2**63], np.uint64)}, f"{2**63} is not within 0"),
        ({"timestamps": [0, 2**32 * 10**9], "format": "pcap"}, f"{2**32 * 10**9} is not within"),
        ({"comments": ["x"]}, "1 comments for 2 frames"),
        ({"comments": ["x", None], "format": "pcap"}, "no comments"),
        ({"comments": ["x" * 65536, None]}, "65536 bytes"),
        ({"interface_ids": [0, 1]}, "1 is not within 0 to 0"),
        ({"interfaces": [Interface()] * 2, "format": "pcap"}, "one interface, not 2"),
        ({"link_type": "token ring"}, "unknown link type 'token ring'"),
        ({"link_type": 1 << 16}, "65536 does not fit"),
        ({"format": "erf"}, "'erf'"),
        ({"original_lengths": [0, 2**32]}, f"{2**32} is not within"),
    ],
)
def test_arguments_that_do_not_fit_leave_the_file_alone(tmp_path, arguments, message):
    path = tmp_path / "old.pcapng"
    path.write_bytes(b"precious")
    with pytest.raises((ValueError, TypeError), match=message):
        gso.write_capture(path, [b"ab", b"cd"], **arguments)
    assert path.read_bytes() == b"precious"


def test_a_capture_of_nothing_is_still_a_capture(tmp_path):
    for name in ("a.pcap", "a.pcapng"):
        gso.write_capture(tmp_path / name, [], link_type=101)
        assert len(gso.read_capture(tmp_path / name)) == 0
        assert gso.read_capture(tmp_path / name).link_type == "raw"


# --- other programs ---


def run(*command: object) -> str:
    return subprocess.run(
        [str(part) for part in command], check=True, capture_output=True, text=True
    ).stdout


def test_tshark_reads_what_is_written(tmp_path, tshark):
    path = tmp_path / "a.pcapng"
    frames = [bytes(12) + b"\x88\xb5" + bytes(i) for i in range(50, 60)]
    times = [START + i for i in range(10)]
    interfaces = [Interface(name="veth0"), Interface(name="veth1")]
    gso.write_capture(
        path,
        frames,
        timestamps=times,
        interfaces=interfaces,
        interface_ids=[0, 1] * 5,
        comments=[f"packet {i}" for i in range(10)],
    )
    fields = ("frame.time_epoch", "frame.len", "frame.interface_name", "frame.comment")
    lines = run(tshark, "-r", path, "-T", "fields", *(w for f in fields for w in ("-e", f)))
    for i, line in enumerate(lines.splitlines()):
        when, length, name, comment = line.split("\t")
        assert when == f"1700000000.{i:09}"
        assert (int(length), name, comment) == (64 + i, f"veth{i % 2}", f"packet {i}")
    gso.write_capture(tmp_path / "a.pcap", frames, timestamps=times)
    assert len(run(tshark, "-r", tmp_path / "a.pcap").splitlines()) == 10


@pytest.mark.parametrize("format", ["pcap", "nsecpcap", "pcapng"])
def test_files_of_editcap_are_read(tmp_path, editcap, format):
    gso.write_capture(tmp_path / "in.pcapng", FRAMES[:2], timestamps=TIMES[:2])
    run(editcap, "-F", format, tmp_path / "in.pcapng", tmp_path / "out")
    capture = gso.read_capture(tmp_path / "out")
    unit = 1000 if format == "pcap" else 1
    assert capture.frames.to_list() == FRAMES[:2]
    assert capture.timestamps.tolist() == [when // unit * unit for when in TIMES[:2]]


def test_comments_of_editcap_are_read(tmp_path, editcap):
    gso.write_capture(tmp_path / "in.pcapng", FRAMES[:2], timestamps=TIMES[:2])
    run(editcap, "-a", "2:second one", tmp_path / "in.pcapng", tmp_path / "out")
    assert gso.read_capture(tmp_path / "out").comments == [None, "second one"]


def test_files_of_scapy_are_read(tmp_path):
    scapy = pytest.importorskip("scapy.all")
    packets = [scapy.Ether(frame) for frame in FRAMES[:2]]
    for packet in packets:
        packet.time = 1_700_000_000.5
    scapy.wrpcapng(str(tmp_path / "a.pcapng"), packets)
    capture = gso.read_capture(tmp_path / "a.pcapng")
    assert capture.frames.to_list() == FRAMES[:2]
    assert capture.timestamps.tolist() == [START + 5 * 10**8] * 2


def test_a_capture_is_written_with_all_it_has(tmp_path):
    frames = [b"one", b"two", b"three"]
    gso.write_capture(
        tmp_path / "a.pcapng",
        frames,
        TIMES[:3],
        interfaces=[Interface(name="a"), Interface("raw", "b")],
        interface_ids=[1, 0, 1],
        comments=[None, "c", None],
        original_lengths=[3, 9, 5],
    )
    first = gso.read_capture(tmp_path / "a.pcapng")
    gso.write_capture(tmp_path / "b.pcapng", first)
    assert (tmp_path / "b.pcapng").read_bytes() == (tmp_path / "a.pcapng").read_bytes()
    gso.write_capture(tmp_path / "c.pcapng", first, comments=["x", "y", "z"])
    assert gso.read_capture(tmp_path / "c.pcapng").comments == ["x", "y", "z"]
