"""The sweep's own check finds what it is there to find."""

from __future__ import annotations

import pytest

import gso
import handmade
from corpus_sweep import changes
from corpus_sweep.__main__ import captures, sweep

LONG = handmade.ethernet(handmade.tcp(payload=bytes(range(250)) * 16))
PIECES = gso.segment(LONG, 1448).to_list()
SHORT = handmade.ethernet(handmade.tcp(payload=b"x" * 200))


def reasons(before, after):
    return [one.why for one in changes.segmented(before, after)]


def test_right_changes_are_explained():
    assert reasons([SHORT, LONG, SHORT], [SHORT, *PIECES, SHORT]) == ["cut"]
    blank = SHORT[:50] + b"\1\2" + SHORT[52:]
    assert reasons([blank, SHORT], [SHORT, SHORT]) == ["checksum completed"]


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ([SHORT], gso.segment(SHORT, 150).to_list(), "fit the MTU"),
        ([LONG], [PIECES[0], PIECES[0], PIECES[2]], "are not the packet's"),
        ([SHORT, LONG], [SHORT], "left out"),
        ([SHORT], [SHORT, SHORT], "packets added"),
        ([SHORT], [SHORT[:60] + bytes(40) + SHORT[100:]], "bytes changed in place"),
    ],
)
def test_wrong_changes_are_found(before, after, why):
    (found,) = reasons(before, after)
    assert found.startswith("WRONG")
    assert why in found


def test_what_was_merged_is_made_of_what_is_gone():
    frames = handmade.stream(4)
    merged = gso.coalesce(gso.Frames.from_list(frames[:3])).to_list()
    (found,) = changes.merged(frames, [*merged, frames[3]])
    assert found.why == "merged"
    *_, found = changes.merged(frames, merged)
    assert found.why == "WRONG: 1 packets are gone"


def test_a_sweep_of_a_folder(tmp_path):
    gso.write_capture(tmp_path / "a.pcap", [SHORT, LONG])
    (tmp_path / "b.txt").write_text("no capture")
    assert list(captures(tmp_path)) == [tmp_path / "a.pcap"]
    (result,) = sweep([tmp_path / "a.pcap"], tmp_path, tshark=False)
    assert result["packets"] == 2
    assert result["counts"]["segment 1448: cut:"] == 1
    assert not any("WRONG" in cause for cause in result["counts"])
