"""Virtio headers with the bits for UDP tunnels, through TAP devices of a kernel that knows them."""

import pytest

import gso
from gso import GsoError, VirtioNetFlags, VirtioNetHeader
from reference import vnet
from vectorset import each, vnet_tunnels

RECORDS = vnet_tunnels()
HEADER = 24


@each(RECORDS, lambda record: record["changed"])
@pytest.mark.parametrize("segment", [gso.segment_vnet, vnet.segment_vnet], ids=["gso", "reference"])
def test_record(record, segment):
    packet = bytes.fromhex(record["vnet_hdr"] + record["frame"])
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment(packet, header_size=HEADER)
    else:
        made = [bytes(one).hex() for one in segment(packet, header_size=HEADER)]
        assert made == record["outputs"]


def test_an_outer_checksum_is_believed_as_the_inner_one_is():
    """The flag says that there is one; then the kernel starts from what the field holds."""
    believed = 0
    for record in RECORDS:
        header = VirtioNetHeader.unpack(bytes.fromhex(record["vnet_hdr"]), HEADER)
        frame = bytes.fromhex(record["frame"])
        at = header.outer_th_offset + 6
        if record["dropped"] or record["changed"] == "outer_th_offset":
            continue
        if not header.flags & VirtioNetFlags.UDP_TUNNEL_CSUM:
            continue
        wrong = bytes([frame[at] ^ 0x55]) + frame[at + 1 :]
        other = gso.segment_vnet(header.pack(HEADER) + frame[:at] + wrong, header_size=HEADER)
        known = [bytes.fromhex(output) for output in record["outputs"]]
        assert [bytes(one[:at]) for one in other] == [one[:at] for one in known]
        assert all(
            bytes(one[at : at + 2]) != two[at : at + 2]
            for one, two in zip(other, known, strict=True)
        )
        believed += 1
    assert believed > 20


def test_every_kind_is_there():
    kept = [record for record in RECORDS if not record["dropped"]]
    assert (len(RECORDS), len(kept)) == (271, 211)
    bits = {bytes.fromhex(record["vnet_hdr"])[1] & 0x60 for record in kept}
    assert bits == {0x20, 0x40}
