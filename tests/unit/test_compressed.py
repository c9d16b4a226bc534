"""Compressed captures and logs: read as they come, written by the name of the file."""

import bz2
import contextlib
import gzip
import io
import lzma
import re
import sys
from importlib import import_module

import pytest
from lz4 import frame as lz4

import gso
from gso.capture import Reader
from gso.cli import main
from gso.compressed import DamagedError, Expander, compression
from handmade import stream

zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
CONTENT = bytes(range(256)) * 5000
KINDS = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    "lz4": lambda data: lz4.compress(data, content_checksum=True),
}


class Dribble(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def read(self, size=-1):
        return super().read(min(size, 777))


def expand(data, file=io.BytesIO):
    expander = Expander(compression(data[:6]), data[:6], file(data[6:]))
    return io.BufferedReader(expander, 1000).read()


@pytest.fixture(params=KINDS)
def suffix(request):
    return request.param


@pytest.mark.parametrize("file", [io.BytesIO, Dribble])
def test_content(suffix, file):
    assert expand(KINDS[suffix](CONTENT), file) == CONTENT
    assert expand(KINDS[suffix](b"")) == b""


def test_members_follow_one_another(suffix):
    data = KINDS[suffix](b"one") + KINDS[suffix](b"") + KINDS[suffix](CONTENT)
    assert expand(data, Dribble) == b"one" + CONTENT


def test_everything_before_a_cut_is_given_out(suffix):
    noise = b"".join(hash(str(i)).to_bytes(8, "big", signed=True) for i in range(100_000))
    data = KINDS[suffix](noise)[:-1000]
    expander = Expander(compression(data[:6]), b"", io.BytesIO(data))
    found = b""
    room = bytearray(5000)
    with contextlib.suppress(EOFError):
        while count := expander.readinto(room):
            found += room[:count]
        pytest.fail("the cut was not noticed")
    assert noise.startswith(found)
    assert len(found) > len(noise) // 2 or suffix == "bz2"  # whose blocks are longer than this


def test_damage(suffix):
    data = bytearray(KINDS[suffix](CONTENT))
    data[len(data) // 2] ^= 0x55
    with pytest.raises(DamagedError, match=r"gzip|bzip2|xz|zstd|lz4"):
        expand(bytes(data))


def test_damage_is_reported_alike_however_the_file_is_read(suffix):
    plain = io.BytesIO()
    gso.write_capture(plain, stream(40))
    whole = KINDS[suffix](plain.getvalue())
    outcomes = set()
    for at in range(6, len(whole), 3):
        data = bytearray(whole)
        data[at] ^= 0x15
        told = {
            outcome(file(bytes(data)), size)
            for file in (io.BytesIO, Dribble)
            for size in (64, 1000, 1 << 20)
        }
        assert len(told) == 1, (at, told)
        outcomes |= told
    assert any(isinstance(one, tuple) for one in outcomes)


def outcome(file, size):
    """Return the message about the damage."""
    try:
        with Reader(file, chunk_size=size) as captures:
            return len([frame for capture in captures for frame in capture.frames])
    except gso.GsoError as error:
        return error.reason, str(error)


def test_little_memory_for_a_bomb(suffix):
    data = KINDS[suffix](bytes(50_000_000))
    expander = Expander(compression(data[:6]), b"", io.BytesIO(data))
    room = bytearray(1000)
    assert expander.readinto(room) == 1000
    assert len(expander._output) < 20_000_000


def test_captures_both_ways(suffix, tmp_path, capsys):
    frames = stream(20)
    plain = tmp_path / "plain.pcapng"
    gso.write_capture(plain, frames)
    merged, again = tmp_path / f"merged.pcapng.{suffix}", tmp_path / f"again.pcapng.{suffix}"
    assert main(["coalesce", str(plain), str(merged)]) == 0
    assert compression(merged.read_bytes()) is not None
    assert len(gso.read_capture(merged)) == 1
    assert main(["segment", str(merged), str(again), "--gso-size", "100", "--mtu", "68"]) == 0
    assert gso.read_capture(again).frames.to_list() == frames
    capsys.readouterr()


MODULES = {
    "zst": ("backports.zstd", "compression.zstd"),
    "lz4": ("lz4", "lz4.frame"),
}
"""Those that are not in every Python; the first is the name of the package, too."""


@pytest.mark.parametrize("suffix", MODULES)
def test_without_a_module_for_it(tmp_path, monkeypatch, capsys, suffix):
    package = MODULES[suffix][0]
    for module in MODULES[suffix]:
        monkeypatch.setitem(sys.modules, module, None)
    path, told = tmp_path / f"in.{suffix}", f"pip install {package}, or use"
    path.write_bytes(KINDS[suffix](CONTENT))
    with pytest.raises(gso.GsoError, match=re.escape(told)):
        gso.read_capture(path)
    plain = tmp_path / "plain.pcapng"
    gso.write_capture(plain, stream(2))
    assert main(["coalesce", str(plain), str(tmp_path / f"out.{suffix}")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / f"out.{suffix}").exists()
