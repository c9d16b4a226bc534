"""Verdicts on lengths and checksums."""

from __future__ import annotations

import pytest

import handmade
import vectorset
from gso.headers.checks import Status, check
from reference import crc32c

WHOLE = [record for record in vectorset.records() if record["input_source"] != "injected"]
PLAIN = next(
    record["name"] for record in WHOLE if record["tunnel"] == "none" and record["inner_family"] == 4
)
FINE = {Status.RIGHT, Status.UNUSED}


def verdicts(frame: bytes, **options) -> dict[tuple[str, str], Status]:
    found = check(frame, tunnel_ports=vectorset.PORTS, **options)
    return {(one.header, one.name): one.status for one in found}


def first(name: str) -> bytes:
    return vectorset.outputs(vectorset.record(name))[0]


@pytest.mark.parametrize("tunnel", sorted({record["tunnel"] for record in WHOLE}))
def test_the_kernels_segments_are_right(tunnel):
    for record in WHOLE:
        for frame in vectorset.outputs(record) if record["tunnel"] == tunnel else ():
            found = verdicts(frame)
            wrong = {key: status for key, status in found.items() if status not in FINE}
            if "remcsum" in tunnel:
                l4 = f"inner {record['inner_l4']}"
                assert wrong.pop((l4, "checksum")) is Status.PARTIAL
            if any(status is Status.UNKNOWN for status in wrong.values()):
                assert "ufo" in record["name"]
                continue
            assert wrong == {}


def test_every_checksum_that_is_there_is_examined():
    for record in WHOLE:
        for frame in vectorset.outputs(record):
            found = check(frame, tunnel_ports=vectorset.PORTS)
            names = {one.header for one in found if one.name == "checksum"}
            if record["inner_family"] == 4:
                assert any(name.endswith("ipv4") for name in names)
            assert (
                any(name.endswith(record["inner_l4"]) for name in names) or "ufo" in record["name"]
            )
            if "gre-csum" in record["tunnel"] and not record["tunnel"].startswith("gue"):
                assert "gre" in names


def test_a_super_packet_waits_for_its_checksum():
    for record in WHOLE:
        if record["input"]["csum_partial"] and record["tunnel"] == "none":
            found = verdicts(vectorset.frame(record))
            assert found[record["inner_l4"], "checksum"] is Status.PARTIAL


@pytest.mark.parametrize("record", WHOLE[::20], ids=lambda record: record["name"])
def test_any_flipped_bit_is_noticed(record):
    frame = vectorset.outputs(record)[0]
    good = {key for key, status in verdicts(frame).items() if status is Status.RIGHT}
    flipped = bytearray(frame)
    flipped[-1] ^= 1  # in the payload: every transport checksum that covers it is wrong
    found = verdicts(flipped)
    inner = [key for key in good if key[0].endswith(record["inner_l4"]) and key[1] == "checksum"]
    assert all(found[key] in (Status.WRONG, Status.BLANK) for key in inner)


def test_a_wrong_value_is_given_with_the_right_one():
    frame = bytearray(first(WHOLE[0]["name"]))
    offset = next(
        one.offset for one in check(frame) if one.header == "ipv4" and one.name == "checksum"
    )
    right = int.from_bytes(frame[offset : offset + 2], "big")
    frame[offset : offset + 2] = (right ^ 0x0101).to_bytes(2, "big")
    bad = next(one for one in check(frame) if one.offset == offset)
    assert (bad.status, bad.expected, bad.value) == (Status.WRONG, right, right ^ 0x0101)
    assert str(bad) == f"wrong, should be 0x{right:04x}"


def test_a_wrong_length_is_given_with_the_right_one():
    frame = bytearray(first(WHOLE[0]["name"]))
    frame[16:18] = (20).to_bytes(2, "big")
    bad = next(one for one in check(frame) if one.name == "total length")
    assert str(bad) == f"wrong, should be {len(frame) - 14}"


def test_the_crc_of_sctp_is_that_of_the_reference():
    frame = handmade.ethernet(handmade.sctp(payload=b"x" * 50))
    whole = bytearray(frame[34:])
    whole[8:12] = bytes(4)
    right = int.from_bytes(crc32c(whole).to_bytes(4, "little"), "big")
    [one] = (one for one in check(frame) if one.header == "sctp")
    assert (one.offset, one.size, one.value, one.expected) == (42, 4, right, right)
    assert one.status is Status.RIGHT
    for value, status in ((0, Status.BLANK), (right ^ 1, Status.WRONG)):
        bad = frame[:42] + value.to_bytes(4, "big") + frame[46:]
        [one] = (one for one in check(bad) if one.header == "sctp")
        assert (one.status, one.expected) == (status, right)
        assert f"0x{right:08x}" in str(one)
    [one] = (one for one in check(frame[:70], complete=False) if one.header == "sctp")
    assert one.status is Status.UNKNOWN


@pytest.mark.parametrize("behind", [b"\1\2\3\4", bytes(10), b"\7" * 60])
def test_bytes_behind_sctp_are_no_part_of_it(behind):
    """Padding or a trailer, which the CRC32c tells from a length that is wrong.

    Four bytes are taken for a frame check sequence.
    """
    frame = handmade.ethernet(handmade.sctp(payload=b"x" * 200))
    assert {one.status for one in check(frame + behind)} == {Status.RIGHT}
    short = bytearray(frame)
    short[16:18] = (len(frame) - 14 - len(behind)).to_bytes(2, "big")
    length = next(one for one in check(short) if one.name == "total length")
    assert length.status is (Status.RIGHT if len(behind) == 4 else Status.WRONG)


def test_what_the_capture_cut_is_unknown():
    frame = first(PLAIN)[:100]
    found = verdicts(frame, complete=False)
    assert found["ipv4", "checksum"] is Status.RIGHT
    assert found["tcp", "checksum"] is Status.UNKNOWN
    assert ("ipv4", "total length") not in found
