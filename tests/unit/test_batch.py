import mmap
import os
import subprocess
import sys

import numpy as np
import pytest

import cases
import gso
from gso import Frames, GsoError, GsoType, Reason, Segments
from gso.buffers._checksum import simd_path, simd_paths, use_simd
from vectorset import PORTS, frame, outputs, record, records

GOOD = [
    r
    for r in records()
    if not r["dropped"] and not (r["input"]["gso_type"] & GsoType.UDP and r["inner_family"] == 6)
]
FRAMES = Frames.from_list([frame(r) for r in GOOD])
SIZES = [r["input"]["gso_size"] for r in GOOD]
TYPES = [r["input"]["gso_type"] for r in GOOD]
OUTPUTS = [output for r in GOOD for output in outputs(r)]
PARENTS = np.repeat(np.arange(len(GOOD)), [len(r["outputs"]) for r in GOOD])


def segment(**options):
    return gso.segment_batch(FRAMES, SIZES, gso_type=TYPES, tunnel_ports=PORTS, **options)


@pytest.fixture(params=simd_paths())
def path(request):
    before = simd_path()
    use_simd(request.param)
    yield request.param
    use_simd(before)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("threads", [1, 2, 3, 64])
def test_all_vectors_in_one_call(threads):
    segments = segment(threads=threads)
    assert isinstance(segments, Segments)
    assert segments.to_list() == OUTPUTS
    assert segments.parent.tolist() == PARENTS.tolist()
    assert segments.parent.dtype == np.int64


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("offset", [0, 1, 63])
def test_streaming_stores(offset):
    """Output that does not fit in the caches is written another way."""
    tail = record("vxlan6-csum/v4/tail12")
    one = frame(tail)
    many = Frames.from_list([one] * (18_000_000 // len(one)))
    out = np.full(len(many.data) * 2, 0xA5, np.uint8)
    size = tail["input"]["gso_size"]
    segments = gso.segment_batch(many, size, tunnel_ports=PORTS, out=out[offset:], threads=2)
    expected = gso.segment(one, size, tunnel_ports=PORTS)
    assert len(segments) == len(expected) * len(many)
    shape = (len(many), len(expected.data))
    assert (segments.data.reshape(shape) == expected.data).all()
    assert (out[:offset] == 0xA5).all()
    assert (out[offset + segments.nbytes :] == 0xA5).all()


@pytest.mark.usefixtures("path")
def test_streaming_of_all_vectors():
    """Much room makes even little output go past the caches."""
    assert segment(out=bytearray(1 << 24)).to_list() == OUTPUTS


@pytest.mark.parametrize("threads", [1, 2])
def test_into_the_callers_memory(threads):
    total = sum(map(len, OUTPUTS))
    out = np.full(total + 7, 0xA5, np.uint8)
    segments = segment(out=out, threads=threads)
    assert segments.to_list() == OUTPUTS
    assert np.shares_memory(segments.data, out)
    assert not segments.data.flags.writeable
    assert (out[total:] == 0xA5).all()
    assert segment(out=bytearray(total), threads=threads) == segments
    assert segment(out=mmap.mmap(-1, total), threads=threads) == segments
    with pytest.raises(ValueError, match=f"out has {total - 1} bytes, the segments need"):
        segment(out=bytearray(total - 1), threads=threads)
    with pytest.raises(ValueError, match="out has 0 bytes"):
        segment(out=bytearray(), threads=threads)


def test_out_must_be_writable_and_elsewhere():
    with pytest.raises(BufferError):
        segment(out=bytes(10))
    data = bytearray(FRAMES.data.tobytes() * 2)
    shared = Frames(data, FRAMES.offsets)
    with pytest.raises(ValueError, match="overlaps"):
        gso.segment_batch(shared, SIZES, tunnel_ports=PORTS, out=data)


def test_one_type_for_all():
    tcp = next(r for r in GOOD if r["input"]["gso_type"] == GsoType.TCPV4)
    frames = Frames.from_list([frame(tcp)] * 2)
    segments = gso.segment_batch(frames, tcp["input"]["gso_size"], gso_type=GsoType.TCPV4)
    assert segments.to_list() == outputs(tcp) * 2


def test_one_size_for_all():
    frames = FRAMES[[i for i, r in enumerate(GOOD) if r["input"]["gso_size"] == 1400][:9]]
    expected = [bytes(s) for f in frames for s in gso.segment(f, 1400, tunnel_ports=PORTS)]
    for size in (1400, np.int64(1400), np.full(len(frames), 1400), [1400] * len(frames)):
        assert gso.segment_batch(frames, size, tunnel_ports=PORTS).to_list() == expected


def test_output_much_larger_than_guessed():
    """Segments of one byte: the memory must grow many times over."""
    one = frame(record("gue6-ip6ip6-csum/v6/tail12"))
    frames = Frames.from_list([one] * 5)
    expected = gso.segment(one, 1, tunnel_ports=PORTS).to_list()
    for threads in (1, 2):
        segments = gso.segment_batch(frames, 1, tunnel_ports=PORTS, threads=threads)
        assert segments.to_list() == expected * 5


@pytest.mark.parametrize("threads", [2, 3])
def test_frames_that_are_not_all_like_the_first(threads):
    """Of one length, but with headers of others: what is expected of the output is wrong."""
    plain, tunnelled = (cases.case(kind, 4, "44 x 1448").frame for kind in ("plain", "VXLAN"))
    plain += bytes(len(tunnelled) - len(plain))
    plain = plain[:16] + (len(plain) - 14).to_bytes(2, "big") + plain[18:]
    for frames in ([tunnelled] * 4, [plain, *[tunnelled] * 3], [*[tunnelled] * 3, plain]):
        expected = gso.segment_batch(frames, 1448)
        total = expected.nbytes
        assert gso.segment_batch(frames, 1448, threads=threads) == expected
        out = bytearray(total)
        assert gso.segment_batch(frames, 1448, threads=threads, out=out) == expected
        refused = [*frames, bytes(len(plain))]
        with pytest.raises(GsoError, match=r"^frame 4: "):
            gso.segment_batch(refused, 1448, threads=threads)
        passed = gso.segment_batch(refused, 1448, threads=threads, errors="pass")
        assert passed.to_list() == [*expected.to_list(), bytes(len(plain))]


def test_empty():
    for threads in (1, 4):
        segments = gso.segment_batch(Frames(), 1000, threads=threads)
        assert len(segments) == 0
        assert segments.parent.shape == (0,)
        assert segments.data.shape == (0,)
    assert len(gso.segment_batch(Frames(), [])) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_frame_that_is_refused_is_named(threads):
    frames = Frames.from_list([frame(GOOD[0]), frame(GOOD[1]), b"short", b""])
    sizes = [GOOD[0]["input"]["gso_size"], GOOD[1]["input"]["gso_size"], 9, 9]
    with pytest.raises(GsoError, match=r"^frame 2: ethhdr at byte 0 ends at byte 14") as caught:
        gso.segment_batch(frames, sizes, tunnel_ports=PORTS, threads=threads)
    assert caught.value.reason is Reason.TRUNCATED


@pytest.mark.parametrize("threads", [1, 2])
def test_pass_on_what_is_refused(threads):
    good = GOOD[3]
    frames = Frames.from_list([b"short", frame(good), b"", frame(good)])
    size = good["input"]["gso_size"]
    segments = gso.segment_batch(
        frames, [size, size, size, 65000], tunnel_ports=PORTS, errors="pass", threads=threads
    )
    assert segments.to_list() == [b"short", *outputs(good), b"", frame(good)]
    assert segments.parent.tolist() == [0] + [1] * len(good["outputs"]) + [2, 3]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((FRAMES, [1, 2]), {}, ValueError, r"gso_size has shape \(2,\)"),
        ((FRAMES, [1.5] * len(FRAMES)), {}, TypeError, "gso_size is an integer"),
        ((FRAMES, 1), {"gso_type": [1]}, ValueError, r"gso_type has shape \(1,\)"),
        ((FRAMES, 1), {"gso_type": -1}, ValueError, "-1"),
        # Of a number for each frame no bits are lost: 1 << 32 is not 0, the headers' own type.
        ((FRAMES, 1), {"gso_type": [0, -1, *TYPES[2:]]}, ValueError, "gso_type -1 is not a set"),
        ((FRAMES, 1), {"gso_type": [0, 1 << 32, *TYPES[2:]]}, ValueError, "4294967296 is not a"),
        ((FRAMES, 1), {"threads": 0}, ValueError, "got 0"),
        ((FRAMES, 1), {"errors": "ignore"}, ValueError, "ignore"),
        ((FRAMES, 1), {"checksum": "none"}, ValueError, "none"),
        ((FRAMES, 1), {"link_type": "ppp"}, ValueError, "ppp"),
        ((FRAMES, 1), {"tunnel_ports": {70000: gso.Tunnel.GUE}}, ValueError, "70000"),
        ((FRAMES, 1), {"tunnel_ports": {1: gso.Tunnel.SIT}}, ValueError, "SIT"),
        ((FRAMES, 1), {"tunnel_ports": {1: (gso.Tunnel.GUE, 4)}}, ValueError, "FOU"),
        ((FRAMES, 1), {"tunnel_ports": {1: (gso.Tunnel.FOU, 0)}}, ValueError, "0 is not"),
        ((FRAMES, 1 << 80), {}, GsoError, str(1 << 80)),
        ((FRAMES, -1), {}, GsoError, "-1"),
        ((b"frame", 1), {}, TypeError, "Frames or a list of buffers, not one bytes"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        gso.segment_batch(*arguments, **options)


def test_parse_batch():
    rows = gso.parse_batch(FRAMES, tunnel_ports=PORTS)
    assert rows.dtype == gso.LAYOUT_DTYPE
    for row, r in zip(rows, GOOD, strict=True):
        layout = gso.parse(frame(r), tunnel_ports=PORTS)
        for name in rows.dtype.names:
            value = getattr(layout, name)
            assert row[name] == (-1 if value is None else value)


def test_parse_batch_errors():
    frames = Frames.from_list([FRAMES[0], b"short"])
    with pytest.raises(GsoError, match=r"^frame 1: "):
        gso.parse_batch(frames)
    rows = gso.parse_batch(frames, errors="mark")
    assert rows[0]["network_header"] == 14
    assert rows[1].tolist() == (-1,) * 7 + (0,) * 5
    assert len(gso.parse_batch(Frames())) == 0
    with pytest.raises(ValueError, match="skip"):
        gso.parse_batch(frames, errors="skip")


FORK = """
import os, signal
import cases
import gso
from vectorset import frame, record

one = record("vxlan6-csum/v4/tail12")
frames = gso.Frames.from_list([frame(one)] * 4)
size = one["input"]["gso_size"]
before = gso.segment_batch(frames, size, threads=2).to_list()
child = os.fork()
signal.alarm(60)
assert gso.segment_batch(frames, size, threads=2).to_list() == before
if child:
    _, status = os.waitpid(child, 0)
    assert status == 0, status
"""


def test_a_fork_starts_threads_of_its_own():
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, env=environment)
