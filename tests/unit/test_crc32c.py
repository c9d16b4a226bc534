"""CRC32c by every path that this machine has, and by those of AArch64 (emulated)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import reference
from gso.buffers._crc32c import crc32c, crc_path, crc_paths, use_crc

HARNESS = Path(__file__).with_name("crc_harness.c")
CORE = Path(__file__).parents[2] / "gso/buffers/simd"
DATA = np.random.default_rng(9).integers(0, 256, 400, np.uint8).tobytes()


@pytest.fixture(params=["table", "sse4.2", "armv8"])
def path(request):
    if request.param not in crc_paths():
        pytest.skip(f"this CPU has no {request.param}")
    use_crc(request.param)
    yield request.param
    use_crc(None)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        # RFC 3720, appendix B.4, the bytes of each the other way round
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_known_values(path, data, value):
    assert crc_path() == path
    assert crc32c(data) == reference.crc32c(data) == value


@pytest.mark.usefixtures("path")
def test_every_short_length_and_in_parts():
    for n in range(100):
        for start in range(9):
            assert crc32c(DATA[start : start + n]) == reference.crc32c(DATA[start : start + n])
    whole = crc32c(DATA)
    for n in range(0, 400, 7):
        assert crc32c(DATA[n:], crc32c(DATA[:n])) == whole


def test_any_buffer():
    wide = np.repeat(np.frombuffer(DATA, np.uint8), 2)
    assert {crc32c(one) for one in (DATA, bytearray(DATA), wide[::2])} == {crc32c(DATA)}


def test_the_best_path_is_in_use():
    assert crc_path() == crc_paths()[-1]
    assert crc_paths()[0] == "table"
    with pytest.raises(ValueError, match="this machine has no 'mmx' path, only table"):
        use_crc("mmx")


# --- the C code, on every length up to a page's end -------------------------------------------


def build(compiler: str, folder: Path, *options: str) -> str:
    program = folder / "harness"
    command = [compiler, "-O3", "-fwrapv", "-Wall", "-Wextra", "-Werror", *options, "-I", CORE]
    subprocess.run([*command, "-o", program, HARNESS, CORE / "crc32c.c"], check=True)
    return str(program)


def checks(command: list[str]) -> dict[str, str]:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return dict(re.findall(r"^(\S+): (\d+) checks$", done.stdout, re.MULTILINE))


def test_every_path(gcc, tmp_path):
    found = checks([build(gcc, tmp_path)])
    assert list(found) == crc_paths()
    assert int(found["table"]) > 40_000


def test_every_path_of_arm64(arm64_gcc, qemu_arm64, tmp_path):
    found = checks([qemu_arm64, build(arm64_gcc, tmp_path, "-static")])
    assert list(found) == ["table", "armv8"]
    assert int(found["armv8"]) > 40_000


@pytest.mark.parametrize("fault", ["forgets_the_last", "reads_on"])
def test_the_harness_finds_faults(gcc, tmp_path, fault):
    done = subprocess.run(
        [build(gcc, tmp_path), fault], stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout.startswith(f"{fault}: ")
