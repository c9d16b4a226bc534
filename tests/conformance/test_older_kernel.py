"""What 6.1 made of packets that it treats otherwise than 6.12: see tests/vectors/README.md."""

import pytest
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.gro.compare import judge

import gso
import reference
from gso import GsoError
from vectorset import OLDER_STREAMS, OLDER_VNET, each, outputs, read

VNET = read(OLDER_VNET)


@each(VNET, lambda record: record["kernel"])
@pytest.mark.parametrize(
    "segment_vnet", [gso.segment_vnet, reference.segment_vnet], ids=["gso", "reference"]
)
def test_virtio_header(record, segment_vnet):
    sent = record["injected"]
    packet = bytes.fromhex(sent["vnet_hdr"]) + bytes.fromhex(sent["frame"])
    options = {"source": "packet", "kernel": record["kernel"]}
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment_vnet(packet, **options)
        return
    assert [bytes(one) for one in segment_vnet(packet, **options)] == outputs(record)


@pytest.mark.parametrize(
    "record", list(gro.read_records(OLDER_STREAMS)), ids=lambda record: record[0]["name"]
)
def test_stream(record):
    found, stream, kernel = record
    one = judge(stream, kernel, "6.1")
    assert (one.verdict, one.why) == (found["verdict"], found.get("why", ""))
