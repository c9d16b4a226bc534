"""Time and memory grow with the size of a file, not with what somebody wrote into it."""

import io
import lzma
import struct
import time
from types import SimpleNamespace

import numpy as np
import pytest

import gso
from gso.capture import Interface, Reader, read_capture
from gso.capture.packets import Packets, Section
from gso.cli import main
from gso.compressed import DamagedError, Expander
from gso.rewriting import fine, survey


def block(kind, body):
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def many_interfaces(count):
    """A capture in which each interface is followed by one packet of it."""
    parts = [block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    for number in range(count):
        parts.append(block(1, struct.pack("<HHI", 1, 0, 0)))
        parts.append(block(6, struct.pack("<IIIII", number, 0, number, 4, 4) + b"abcd"))
    return b"".join(parts)


def test_many_interfaces(tmp_path, monkeypatch, capsys):
    """What is done for each piece of a file is not done for each interface that it describes."""
    count = 16_000
    path = tmp_path / "in.pcapng"
    path.write_bytes(many_interfaces(count))
    capture = read_capture(path)
    assert len(capture.interfaces) == len(capture) == count
    assert np.array_equal(capture.interface_ids, np.arange(count))
    assert np.array_equal(capture.timestamps, np.arange(count) * 1000)
    assert [len(batch) for batch in Reader(path)] == [count]
    looked = []
    for module, name in ((fine, "fine_frames"), (survey, "parse_batch")):
        real = getattr(module, name)

        def counting(frames, *words, real=real, **options):
            looked.append(len(frames))
            return real(frames, *words, **options)

        monkeypatch.setattr(module, name, counting)
    statuses = [main([command, str(path)]) for command in ("validate", "info")]
    said = capsys.readouterr().out
    assert statuses == [1, 0]
    assert looked == [count, count]
    assert said.count(f"{count} packets") == 4


def test_what_each_interface_needs_is_not_made_anew_for_all():
    section = Section("<")
    made = set()
    for number in range(4000):
        section.interfaces.append(Interface())
        assert section.same(7).tolist()[-3:] == [7] * min(number + 1, 3)
        made.add(id(section.same(7).base))
    assert len(made) <= 13  # each is twice as long as the one before


def described(captures):
    return [
        (bytes(frame), captured.interfaces[i].ticks_per_second, time, comment)
        for captured in captures
        for frame, i, time, comment in zip(
            captured.frames,
            captured.interface_ids.tolist(),
            captured.timestamps.tolist(),
            captured.comments,
            strict=True,
        )
    ]


@pytest.mark.parametrize("chunk", [64, 100, 333, 1 << 16])
@pytest.mark.parametrize("end", [b"", b"cut", b"\xff" * 12])
def test_packets_put_together_are_those_of_the_parts(chunk, end):
    """Sections, other blocks, of which some are longer than the buffer, cut ends and damage."""
    data = b""
    for number in range(12):
        data += many_interfaces(number)
        data += block(4, bytes(40 * number)) + many_interfaces(3)[28:] * (number % 3)
        comment = struct.pack("<HH", 1, number) + b"c" * number + bytes(-number % 4)
        data += block(1, struct.pack("<HHI", 1, 0, 0))
        head = struct.pack("<IIIII", number, 0, 1, 8 * number, 8 * number)
        data += block(6, head + bytes([number]) * 8 * number + comment)
    source = data + end

    def read(take):
        found = []
        reader = Reader(io.BytesIO(source), chunk_size=chunk)
        try:
            found += (taken for one in take(reader) for taken in described([one]))
        except gso.GsoError as error:
            return found, str(error), reader.truncated
        return found, None, reader.truncated

    def parts(reader):
        for part in reader.parts():
            if isinstance(part, Packets):
                yield reader.describe(part, part.frames())

    assert read(iter) == read(parts)


class Asked(tuple):
    """Interfaces that remember which of them was asked for."""

    def __getitem__(self, index):
        self.which.append(int(index))
        return super().__getitem__(index)

    def __iter__(self):
        raise AssertionError("all of them")


def test_a_piece_asks_for_its_own_interfaces_only():
    for batch in Reader(io.BytesIO(many_interfaces(40))):
        interfaces = Asked(batch.interfaces)
        interfaces.which = []
        fields = ("frames", "original_lengths", "interface_ids")
        given = {name: getattr(batch, name) for name in fields}

        class Piece(SimpleNamespace):
            __len__ = batch.__len__

        fine.look(Piece(**given, interfaces=interfaces), None)
        assert interfaces.which == batch.interface_ids.tolist()


def test_each_batch_has_the_clock_of_its_interfaces():
    head = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    parts = [head]
    for number in range(40):
        resolution = struct.pack("<HHBxxxHH", 9, 1, number % 10, 0, 0)
        parts.append(block(1, struct.pack("<HHI", 1, 0, 0) + resolution))
        parts.append(block(6, struct.pack("<IIIII", number, 0, 7, 4, 4) + b"abcd"))
    data = b"".join(parts)
    expected = [7 * 10 ** (9 - number % 10) for number in range(40)]
    assert read_capture(io.BytesIO(data)).timestamps.tolist() == expected
    batches = [batch.timestamps.tolist() for batch in Reader(io.BytesIO(data))]
    assert [time for batch in batches for time in batch] == expected


def test_an_xz_file_cannot_ask_for_all_memory():
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 20}]
    data = bytearray(lzma.compress(b"line\n" * 1000, filters=filters))
    assert Expander("xz", bytes(data), io.BytesIO()).read(5) == b"line\n"
    # The block header: its size, flags, LZMA2, the size of its properties, the dictionary's size
    assert data[14:16] == b"\x21\x01"
    data[16] = 40  # 4 GiB - 1
    size = (data[12] + 1) * 4
    data[12 + size - 4 : 12 + size] = struct.pack("<I", _crc32(data[12 : 12 + size - 4]))
    with pytest.raises(DamagedError, match="Memory"):
        Expander("xz", bytes(data), io.BytesIO()).read(5)


def _crc32(data):
    import zlib  # noqa: PLC0415

    return zlib.crc32(bytes(data))


INVERSE = pow(0x9E3779B97F4A7C15, -1, 1 << 64)


def test_pointers_that_collide_without_a_key_take_no_longer():
    line = "0x%016x 0 [a] ip_rcv len=1\n"
    colliding = [(number * INVERSE) % (1 << 64) for number in range(1 << 16, (1 << 16) + 20_000)]
    plain = range(1 << 40, (1 << 40) + 256 * 20_000, 256)
    spent = []
    for pointers in (plain, colliding):
        text = "".join(line % pointer for pointer in pointers if pointer >= 1 << 32).encode()
        trace = gso.read_trace(io.BytesIO(text), "pwru")
        assert len(trace) >= 19_000
        begun = time.process_time()
        gso.diagnose(trace)
        spent.append(time.process_time() - begun)
    assert spent[1] < 10 * spent[0] + 0.5


BEGINNINGS = (
    '{"log":"x',
    '{"log":',
    "{,",
    '{"MESSAGE":[1,',
    "#033]",
    "#033[1",
    "[{",
    '},{"',
    'msg="" ',
    "#1 tainted: ",
    "#1 tainted:" + " " * 899_000,
)


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_line_of_many_beginnings_is_read(beginning):
    """Time that grew with the square of such a line would have no end here."""
    line = beginning * (900_000 // len(beginning)) + '"log"\n'
    event = "0xffff888100000000 0 [curl:7] ip_rcv len=1\n"
    trace = gso.read_trace(io.BytesIO((event + line + event).encode()))
    assert trace.function.tolist() == ["ip_rcv", "ip_rcv"]
    assert trace.damaged == 1


EVENT = '{"skb":"0xffff888100000000","func":"ip_rcv","cpu":1}'
DUMP = "[    1.000000] skb len=60 headroom=50 headlen=60 tailroom=0"


@pytest.mark.parametrize(
    "line", ["\\n" * 400_000, "a=1\\n" * 150_000, ' "a": "' + '\\"' * 400_000], ids=len
)
@pytest.mark.parametrize("first", [DUMP, f"{{\n{EVENT[1:]}"], ids=len)
def test_a_line_of_many_ends_is_read(first, line):
    """The same of line feeds and quotation marks that are written out."""
    trace = gso.read_trace(io.BytesIO(f"{first}\n{line}\n{EVENT}\n".encode()))
    assert trace.function.tolist()[-1:] == ["ip_rcv"] or trace.damaged


EVENTS = {
    "pwru": "0xffff888100000000 3 [a] kfree_skb netns=1 gso_size=9 ",
    "perf": "sh     0 [030] 79090.376153:  probe:f: (ffffffffc0feebe0) skb=0xffff9ca gso_size=9 ",
    "ftrace": "   a-12 [030] d..1. 1.000001: r: (f+0x1/0x2) skb=0xffff9ca6 gso_size=9 ",
    "bpftrace": "kprobe:skb_udp_tunnel_segment skb=0xffff9ca661e90200 gso_size=9 ",
    "a map of bpftrace": "@drops[SKB_DROP_REASON_X, f_x]: 3 ",
    "dmesg": DUMP + " ",
    "retis": "3 (3) [a] 26822/26823 [k] f_x #b32ecd (skb ffff888100000000) n 0 ",
    "nettrace": "[12345.678901] [ffff8881][f_x ] TCP: 1.2.3.4:5 -> 6.7.8.9:1 seq:1 ",
    "function_graph": " 12)   0.505 us    |  skb_udp_tunnel_segment(skb=0xffff888100000000); ",
}
MARKS = (
    *("0xffffffff", "0xffffffff [", "[", "[1.", "@", "@a[", "1.000000: ", "x=1 ", "skb len="),
    *("mac=( ", "[k] ", "skb [", "12) ", " -> ", ":1", "<- ", "=> "),
)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
def test_time_grows_with_the_length_of_a_line_of_many_marks(event):
    """Where another event may begin in the line of one, it is looked for; "]" ends all brackets."""
    for mark in MARKS:
        spent = []
        for size in (100_000, 800_000):
            line = event + mark * (size // len(mark)) + "]"
            begun = time.process_time()
            gso.read_trace(f"{event}\n{line}\n{event}\n".encode())
            spent.append(time.process_time() - begun)
        assert spent[1] < 16 * spent[0] + 0.5, mark


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Content-Type: text/plain; format=flowed", "a \n"),
        ("Content-Transfer-Encoding: quoted-printable", "a=\n"),
    ],
)
def test_time_grows_with_the_length_of_a_mail_that_is_one_line(header, line):
    spent = []
    for count in (50_000, 400_000):
        begun = time.process_time()
        trace = gso.read_trace(f"{header}\n\n{EVENTS['pwru']}\n{line * count}\n".encode())
        spent.append(time.process_time() - begun)
        assert len(trace) == 1
    assert spent[1] < 16 * spent[0] + 0.5


def test_logs_whose_lines_are_made_to_be_slow():
    """By the square, these would take minutes."""
    for line in (b"y" + b"\r" * 100_000 + b"z", b"# \nLinux version 1." + b"1" * 100_000 + b"!"):
        begin = time.process_time()
        assert len(gso.read_trace(io.BytesIO(b"x\n" + line + b"\n"), "pwru")) == 0
        assert time.process_time() - begin < 20
