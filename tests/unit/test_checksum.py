import os
import subprocess
import sys

import numpy as np
import pytest

import gso
import reference
from gso.buffers import _checksum
from gso.buffers._checksum import simd_path, simd_paths, use_simd

LONGEST = 9001
DATA = np.random.default_rng(1).integers(0, 256, LONGEST + 64, np.uint8)
PATTERN = 0xA5


@pytest.fixture(params=["baseline", "avx2", "avx512", "neon"])
def path(request):
    if request.param not in simd_paths():
        pytest.skip(f"this CPU has no {request.param}")
    before = simd_path()
    use_simd(request.param)
    yield request.param
    use_simd(before)


def all_checksums(start):
    """Checksums of DATA[start:start + n] for n from 0 to LONGEST, by prefix sums."""
    data = DATA[start : start + LONGEST].astype(np.uint64)
    weights = np.where(np.arange(LONGEST) % 2 == 0, 256, 1).astype(np.uint64)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(data * weights)])
    for _ in range(3):
        sums = (sums & 0xFFFF) + (sums >> 16)
    return (0xFFFF - sums).tolist()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("start", [0, 1, 2, 63])
def test_every_length(start):
    expected = all_checksums(start)
    buffers = (DATA[start : start + n] for n in range(LONGEST + 1))
    assert [gso.checksum(buffer) for buffer in buffers] == expected


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("first", range(0, 64, 8))
def test_copy_and_checksum(first, stream):
    """All lengths over the alignments of the destination, and around vector sizes all pairs."""
    for align in range(first, first + 8):
        check_copies(align, stream)


def check_copies(align, stream):
    start = align * 13 % 64
    expected = all_checksums(start)
    out = np.empty(LONGEST + 256, np.uint8)
    base = -out.ctypes.data % 64 + 64 + align
    lengths = set(range(align, LONGEST + 1, 64)) | set(range(300)) | {1448, LONGEST}
    for n in sorted(lengths):
        out[base - 1 : base + n + 65] = PATTERN
        target = out[base : base + n]
        source = DATA[start : start + n]
        assert gso.copy_and_checksum(target, source, stream=stream) == expected[n], n
        assert np.array_equal(target, source)
        assert out[base - 1] == PATTERN
        assert (out[base + n : base + n + 64] == PATTERN).all()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_extreme_words(fill):
    """No carry is lost, and a sum of zero stays distinct from one of 0xffff."""
    for n in (0, 1, 2, 3, 63, 64, 65, 1448, 1 << 20, (1 << 20) + 1):
        data = bytes([fill]) * n
        assert gso.checksum(data) == reference.checksum(data[: n % 65534 if fill else n])


def test_matches_reference_with_initial():
    data = DATA[:77].tobytes()
    for initial in (0, 1, 0xFFFF, 0x10000, 0x1FFFE, 0xFFFF * 5, 1 << 70):
        assert gso.checksum(data, initial) == reference.checksum(data, initial)
    with pytest.raises(ValueError, match="-1"):
        gso.checksum(data, -1)


def test_verifies_to_zero():
    data = bytearray(DATA[:100].tobytes())
    data[10:12] = b"\0\0"
    data[10:12] = gso.checksum(data).to_bytes(2, "big")
    assert gso.checksum(data) == 0


@pytest.mark.parametrize(
    "make",
    [
        bytes, bytearray, memoryview, lambda b: np.frombuffer(b, np.uint8),
        lambda b: np.frombuffer(b, np.uint8).reshape(2, -1),
        lambda b: np.repeat(np.frombuffer(b, np.uint8), 3)[1::3],
    ],
)  # fmt: skip
def test_any_buffer(make):
    data = DATA[:90].tobytes()
    assert gso.checksum(make(data)) == reference.checksum(data)


def test_not_a_buffer():
    with pytest.raises(TypeError):
        gso.checksum("text")


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("start", [0, 1])
def test_batch(start):
    lengths = [*range(300), 1448, 1449, LONGEST]
    frames = gso.Frames.from_list([DATA[start : start + n].tobytes() for n in lengths])
    expected = all_checksums(start)
    assert gso.checksum_batch(frames).tolist() == [expected[n] for n in lengths]
    assert gso.checksum_batch(frames, 5)[0] == reference.checksum(b"", 5)
    assert gso.checksum_batch(gso.Frames()).shape == (0,)


@pytest.mark.usefixtures("path")
def test_no_carry_is_lost():
    """Words of ones alone carry at every addition."""
    ones = b"\xff" * 65536
    assert gso.checksum(ones) == 0
    assert gso.checksum(ones + b"\x00\x01") == 0xFFFE
    assert gso.checksum(ones[:-1]) == 0x00FF


def test_copy_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="5 bytes do not fit in the 4"):
        gso.copy_and_checksum(bytearray(4), b"12345")
    both = bytearray(10)
    with pytest.raises(ValueError, match="overlap"):
        gso.copy_and_checksum(memoryview(both)[1:], memoryview(both)[:5])
    with pytest.raises(BufferError):
        gso.copy_and_checksum(b"1234", b"1")


def test_pseudo_header():
    source, destination = DATA[:4].tobytes(), DATA[4:8].tobytes()
    whole = source + destination + b"\0\x06" + (1480).to_bytes(2, "big")
    assert gso.pseudo_header(source, destination, 6, 1480) == reference.ones_sum(whole)
    source, destination = DATA[:16].tobytes(), DATA[16:32].tobytes()
    whole = source + destination + (70000).to_bytes(4, "big") + b"\0\0\0\x11"
    assert gso.pseudo_header(source, destination, 17, 70000) == reference.ones_sum(whole)
    for arguments in [
        (b"1234", b"1" * 16, 6, 1), (b"123", b"123", 6, 1), (b"1234", b"1234", 256, 1),
        (b"1234", b"1234", 6, 1 << 32), (b"1234", b"1234", 6, -1),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match="not"):
            gso.pseudo_header(*arguments)


def test_update_is_rfc_1624():
    """Its section 4: equation 3 gives 0x0000 here, where equation 2 gives 0xffff."""
    assert gso.checksum_update(0xDD2F, b"\x55\x55", b"\x32\x85") == 0x0000


def test_update_equals_a_new_checksum():
    rng = np.random.default_rng(2)
    for _ in range(200):
        data = bytearray(rng.bytes(40))
        at, n = 2 * int(rng.integers(0, 15)), 2 * int(rng.integers(1, 5))
        check = gso.checksum(data)
        old = bytes(data[at : at + n])
        data[at : at + n] = rng.bytes(n)
        assert gso.checksum_update(check, old, data[at : at + n]) == gso.checksum(data)
    with pytest.raises(ValueError, match="whole 16-bit"):
        gso.checksum_update(0, b"1", b"12")
    with pytest.raises(ValueError, match="65536"):
        gso.checksum_update(65536, b"12", b"12")


def test_environment_forces_a_path():
    for wanted in simd_paths():
        code = "import gso; print(gso.simd_path())"
        environment = {**os.environ, "GSO_SIMD": wanted}
        run = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.strip() == wanted
    run = subprocess.run(
        [sys.executable, "-c", "import gso; gso.simd_path()"],
        env={**os.environ, "GSO_SIMD": "mmx"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "no 'mmx' path, only baseline" in run.stderr


def test_best_path_is_the_default():
    if not os.environ.get("GSO_SIMD"):
        assert simd_path() == simd_paths()[-1]
    with pytest.raises(ValueError, match="mmx"):
        _checksum.use_simd("mmx")
