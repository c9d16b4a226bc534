"""The fuzzer of batches finds no difference, and finds one that is put behind any door."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import gso
import reference
from gso import Frames
from gso.buffers._checksum import simd_paths

sys.path.append(str(Path(__file__).resolve().parents[1] / "fuzz"))

import fuzz_batches

SEED_OF_MERGED = 6
"""A round of complete checksums, and a kernel whose virtio headers know tunnels."""
MAKER = fuzz_batches.Maker()
ROUND, MERGED = MAKER.round(1), MAKER.round(SEED_OF_MERGED)


def harmed(segments):
    """The same segments, but for the last byte of the last one that is not empty."""
    data = segments.data.copy()
    data[-1] ^= 1
    if isinstance(segments, gso.Segments):
        return gso.Segments(data, segments.offsets, segments.parent)
    return Frames(data, segments.offsets)


def test_no_difference():
    assert isinstance(fuzz_batches.compare(ROUND), gso.Segments)


def test_a_round_is_made_by_its_number():
    again = MAKER.round(1)
    assert again.frames == ROUND.frames
    assert again.size.tolist() == ROUND.size.tolist()
    assert MERGED.frames != ROUND.frames


@pytest.mark.parametrize(
    ("number", "door"),
    list(
        enumerate(
            [
                "a batch", "memory of the caller's", "two batches", "two batches", "two threads",
                "the path baseline",
            ]
        )
    ),
)  # fmt: skip
def test_a_batch_that_differs(monkeypatch, number, door):
    right, calls = gso.segment_batch, iter(range(100))

    def wrong(*arguments, **choice):
        made = right(*arguments, **choice)
        return harmed(made) if next(calls) == number else made

    monkeypatch.setattr(gso, "segment_batch", wrong)
    told = fuzz_batches.compare(ROUND)
    assert isinstance(told, str)
    assert told.startswith(door)


def test_merged_packets_that_differ(monkeypatch):
    right, calls = gso.segment_batch, iter(range(100))

    def wrong(*arguments, **choice):
        made = right(*arguments, **choice)
        return harmed(made) if next(calls) == len(simd_paths()) + 4 else made

    monkeypatch.setattr(gso, "segment_batch", wrong)
    told = fuzz_batches.compare(MERGED)
    assert isinstance(told, str)
    assert told.startswith("merged, and cut by its type")


def test_packets_behind_virtio_headers_that_differ(monkeypatch):
    right = gso.segment_vnet_batch
    monkeypatch.setattr(gso, "segment_vnet_batch", lambda *a, **choice: harmed(right(*a, **choice)))
    told = fuzz_batches.compare(MERGED)
    assert isinstance(told, str)
    assert told.startswith("merged, behind virtio headers")


class Headers:
    """Another answer of segment_headers_batch."""

    def __init__(self, made):
        self.headers, self.frames = harmed(made.headers), made.frames
        self.payload, self.parent = made.payload, made.parent

    def __len__(self):
        return len(self.headers)


def test_headers_that_differ(monkeypatch):
    right = gso.segment_headers_batch
    monkeypatch.setattr(
        gso, "segment_headers_batch", lambda *a, **choice: Headers(right(*a, **choice))
    )
    told = fuzz_batches.compare(ROUND)
    assert isinstance(told, str)
    assert told.startswith("headers and slices")


def test_a_reference_that_differs(monkeypatch):
    monkeypatch.setattr(reference, "segment", lambda *_, **__: [b"another"])
    told = fuzz_batches.compare(ROUND)
    assert isinstance(told, str)
    assert told.startswith("the reference")


def test_what_differs_is_kept(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(reference, "segment", lambda *_, **__: [b"another"])
    monkeypatch.setattr(sys, "argv", ["fuzz", "--rounds", "1", "--folder", str(tmp_path)])
    assert fuzz_batches.main() == 1
    assert "the reference" in capsys.readouterr().out
    assert len(gso.read_capture(str(tmp_path / "batches-1.pcap")).frames) == fuzz_batches.CASES
