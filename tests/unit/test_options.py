"""Options of pcapng blocks through `read_capture` and `write_capture`."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
from effort import examples
from gso.capture import Interface

FRAME = bytes(60)
VALUES = {
    2: struct.Struct("I"),
    4: struct.Struct("Q"),
    5: struct.Struct("Q"),
    6: struct.Struct("I"),
    8: struct.Struct("II"),
}
IN_BYTES = st.tuples(st.sampled_from([3, 0x8001, 200]), st.binary(max_size=9))


def option(code: int, value: bytes, order: str) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def block(kind: int, body: bytes, order: str) -> bytes:
    size = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + size + body + size


def packed(options, order: str) -> bytes:
    """Options whose values are bytes, or a code's numbers."""
    parts = []
    for code, value in options:
        numbers_of = None if isinstance(value, bytes) else order + VALUES[code].format
        raw = struct.pack(numbers_of, *value) if numbers_of else value
        parts.append(option(code, raw, order))
    return b"".join(parts) + bytes(4)


def capture(order: str, interface: bytes, packets: list[bytes]) -> bytes:
    section = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)
    described = block(1, struct.pack(order + "HHI", 1, 0, 0) + interface, order)
    head = struct.pack(order + "IIIII", 0, 0, 0, len(FRAME), len(FRAME)) + FRAME
    return section + described + b"".join(block(6, head + one, order) for one in packets)


def numbers(code: int):
    kinds = [32 if kind == "I" else 64 for kind in VALUES[code].format]
    values = st.tuples(*(st.integers(0, 2**bits - 1) for bits in kinds))
    return st.tuples(st.just(code), values)


PACKETS = st.lists(
    st.lists(st.one_of(*map(numbers, VALUES), IN_BYTES), max_size=5), min_size=1, max_size=4
)


@settings(max_examples=examples(200))
@given(PACKETS, st.sampled_from("<>"))
def test_packet_options_are_kept_and_little_endian(packets, order):
    made = gso.read_capture(
        io.BytesIO(capture(order, b"", [packed(one, order) for one in packets]))
    )
    little = [packed(one, "<") for one in packets]
    plain = gso.read_capture(io.BytesIO(capture("<", b"", little)))
    assert [
        tuple((code, value if isinstance(value, bytes) else struct.pack(
            "<" + VALUES[code].format, *value)) for code, value in one)
        for one in packets
    ] == list(made.options or [()] * len(packets))  # fmt: skip
    target = io.BytesIO()
    gso.write_capture(target, made)
    target.seek(0)
    again = gso.read_capture(target)
    assert again.options == made.options == plain.options
    with gso.capture.Reader(io.BytesIO(target.getvalue()), chunk_size=64) as reader:
        read = [one for batch in reader for one in batch.options or [()] * len(batch)]
    assert read == list(made.options or [()] * len(packets))


INTERFACE = {
    1: b"a comment", 4: bytes(8), 5: bytes(17), 6: b"\2\0\0\0\0\1", 7: bytes(8), 11: b"\0tcp",
    12: b"Linux", 13: b"\4", 15: b"e1000",
}  # fmt: skip
NUMBERED = {8: ("Q", 10**10), 10: ("I", 3600), 16: ("Q", 10**9), 17: ("Q", 10**8)}


@pytest.mark.parametrize("order", "<>")
def test_interface_options_are_kept(order):
    numbered = {c: struct.pack(order + kind, value) for c, (kind, value) in NUMBERED.items()}
    fields = {2: b"eth7", 3: b"uplink", 9: b"\6", 14: struct.pack(order + "q", 5)}
    options = (fields | INTERFACE | numbered).items()
    raw = capture(order, packed(options, order), [bytes(4)])
    made = gso.read_capture(io.BytesIO(raw))
    [interface] = made.interfaces
    little = {code: struct.pack("<" + kind, value) for code, (kind, value) in NUMBERED.items()}
    assert dict(interface.options) == INTERFACE | little
    assert (interface.name, interface.description, interface.offset) == ("eth7", "uplink", 5)
    target = io.BytesIO()
    gso.write_capture(target, made)
    target.seek(0)
    again = gso.read_capture(target)
    assert again.interfaces[0].options == interface.options
    assert again.timestamps.tolist() == made.timestamps.tolist() == [5 * 10**9]
    assert made.options == ()


def test_verdicts_and_custom_options():
    verdicts = [b"\0hardware", b"\1" + struct.pack(">q", -2), b"\2" + struct.pack(">q", 3), b""]
    packets = [packed([(7, verdict)], ">") for verdict in verdicts]
    custom = struct.pack(">I", 32473) + b"anything"
    packets.append(packed([(2988, custom), (2989, b"x")], ">"))
    made = gso.read_capture(io.BytesIO(capture(">", b"", packets)))
    assert [one[0][1] for one in made.options[:4]] == [
        b"\0hardware", b"\1" + struct.pack("<q", -2), b"\2" + struct.pack("<q", 3), b""
    ]  # fmt: skip
    assert made.options[4] == ((2988, struct.pack("<I", 32473) + b"anything"), (2989, b"x"))


def test_arguments(tmp_path):
    path = tmp_path / "out.pcapng"
    flags = (2, b"\1\0\0\0")
    gso.write_capture(path, [FRAME] * 2, comments=["one", None], options=[(flags,), ()])
    made = gso.read_capture(path)
    assert made.comments == ["one", None]
    assert made.options == [(flags,), ()]
    # Options of a capture are for pcapng alone.
    gso.write_capture(tmp_path / "out.pcap", gso.capture.Capture(
        made.frames, made.timestamps, made.interfaces, made.interface_ids, made.original_lengths,
        [None, None], options=made.options,
    ))  # fmt: skip
    for words, text in (
        ({"options": [()]}, "1 options for 2 frames"),
        ({"options": [(flags,), ()], "format": "pcap"}, "a pcap file has no options"),
        ({"options": [((0, b""),), ()]}, "codes are 1 to 65535"),
        ({"options": [((2, bytes(1 << 16)),), ()]}, "at most 65535 fit"),
    ):
        with pytest.raises(ValueError, match=text):
            gso.write_capture(path, [FRAME] * 2, **words)
    assert gso.read_capture(path).options == made.options
    interface = Interface(name="eth0", options=((12, b"Linux"),))
    gso.write_capture(path, [FRAME], interfaces=[interface])
    assert gso.read_capture(path).interfaces[0].options == ((12, b"Linux"),)


@pytest.mark.skipif(not shutil.which("tshark"), reason="needs tshark")
@pytest.mark.parametrize("order", "<>")
def test_tshark_reads_the_same_options(order, tmp_path):
    before, after = tmp_path / "before.pcapng", tmp_path / "after.pcapng"
    given_ = [(1, b"said"), (2, (0x1FF,)), (5, (77,)), (6, (3,))]
    before.write_bytes(capture(order, b"", [packed(given_, order), bytes(4)]))
    gso.write_capture(after, gso.read_capture(before))
    fields = ["-T", "fields"]
    for name in ("packet_flags", "packet_id", "interface_queue", "comment"):
        fields += ["-e", f"frame.{name}"]
    said = [
        subprocess.run(["tshark", "-r", path, *fields], capture_output=True, check=True).stdout
        for path in (before, after)
    ]
    assert said[0] == said[1]
    assert b"0x000001ff" in said[0]
