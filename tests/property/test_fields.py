"""Any bytes can be dissected, and no difference is ever overlooked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import vectorset
from gso.headers.fields import differences, dissect

SEEDS = [
    bytes.fromhex(record["outputs"][-1])[:200]
    for record in vectorset.records()[::9]
    if record["outputs"]
]
EDITS = st.lists(st.tuples(st.integers(0, 199), st.integers(0, 255)), max_size=6)
LINKS = st.sampled_from(["ethernet", "raw", "linux_sll", "linux_sll2", "null", "user0"])


def edited(frame: bytes, edits: list[tuple[int, int]]) -> bytes:
    data = bytearray(frame)
    for at, value in edits:
        data[at % len(data)] = value
    return bytes(data)


def check_cover(frame: bytes, link_type: str = "ethernet") -> None:
    at = 0
    for field in dissect(frame, link_type=link_type, tunnel_ports=vectorset.PORTS):
        assert field.offset * 8 + field.bit == at
        assert field.bits > 0
        at += field.bits
        if isinstance(field.value, bytes):
            assert field.value == frame[field.offset : field.end]
        else:
            whole = int.from_bytes(frame[field.offset : field.end], "big")
            shift = (field.end - field.offset) * 8 - field.bit - field.bits
            assert field.value == whole >> shift & (1 << field.bits) - 1
    assert at == len(frame) * 8


@given(st.binary(max_size=120), LINKS)
def test_fields_cover_any_bytes(frame, link_type):
    check_cover(frame, link_type)


@given(st.sampled_from(SEEDS), EDITS, st.integers(0, 200))
def test_fields_cover_damaged_packets(frame, edits, size):
    check_cover(edited(frame, edits)[:size])


@given(st.sampled_from(SEEDS), EDITS, EDITS, st.integers(0, 200), st.integers(0, 200))
def test_differences_are_empty_only_for_equal_frames(frame, one, two, size, other_size):
    left, right = edited(frame, one)[:size], edited(frame, two)[:other_size]
    found = differences(left, right, tunnel_ports=vectorset.PORTS)
    assert (found == []) == (left == right)
    assert all(str(difference) for difference in found)
