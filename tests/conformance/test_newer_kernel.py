"""What 7.3 made of packets that it treats otherwise than 6.12: see tests/vectors/README.md."""

import pytest
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.gro.compare import judge
from gso.kernel.conformance.types import run as types

import gso
import reference
from gso import GsoError, GsoType
from vectorset import (
    NEWER_GENERATED,
    NEWER_STREAMS,
    NEWER_TYPES,
    NEWER_VNET,
    PORTS,
    each,
    frame,
    outputs,
    read,
)

TYPED, VNET, GENERATED = read(NEWER_TYPES), read(NEWER_VNET), read(NEWER_GENERATED)
FIXED = GsoType.TCP_FIXEDID_OUTER, GsoType.TCP_FIXEDID_INNER


# What a TAP device made of its virtio header is not in the frame.
FRAMES = [record for record in GENERATED if record["config"] != "tap-device"]


@each(FRAMES)
@pytest.mark.parametrize("segment", [gso.segment, reference.segment], ids=["gso", "reference"])
def test_random_packets(record, segment):
    given = record["input"]
    options = {"gso_type": GsoType(given["gso_type"]), "tunnel_ports": PORTS, "kernel": "7.3"}
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment(frame(record), given["gso_size"], **options)
        return
    made = [bytes(one) for one in segment(frame(record), given["gso_size"], **options)]
    assert types.same(outputs(record), made)


def test_random_packets_are_of_all_kinds():
    assert (len(GENERATED), len(FRAMES)) == (427, 418)
    assert sum(record["dropped"] for record in GENERATED) == 8
    assert len({record["tunnel"] for record in GENERATED}) > 30


@each(TYPED)
@pytest.mark.parametrize("segment", [gso.segment, reference.segment], ids=["gso", "reference"])
def test_types(record, segment):
    request, kernel = types.request_of(record), outputs(record)
    gso_type, checksum = types.asked(request)
    options = {"gso_type": gso_type, "checksum": checksum, "tunnel_ports": PORTS, "kernel": "7.3"}
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment(request.frame, request.gso_size, **options)
        return
    made = [bytes(one) for one in segment(request.frame, request.gso_size, **options)]
    assert types.same(kernel, types.with_id_of(kernel, made, request))


def test_types_has_what_differs():
    kept = [record for record in TYPED if not record["dropped"]]
    for bit in FIXED:
        assert sum(bool(record["input"]["gso_type"] & bit) for record in kept) > 20
    pieces = [
        r for r in kept if r["input"]["gso_type"] & GsoType.UDP_L4 and any(r["output_gso_sizes"])
    ]
    assert len(pieces) > 10


@pytest.mark.parametrize(
    "record", list(gro.read_records(NEWER_STREAMS)), ids=lambda record: record[0]["name"]
)
def test_stream(record):
    found, stream, kernel = record
    one = judge(stream, kernel, "7.3")
    assert (one.verdict, one.why) == (found["verdict"], found.get("why", ""))


def source(record):
    return "tap" if record["injected"]["device"] == "tap-device" else "packet"


INJECTED = [{**r, "kernel": "7.3"} for r in GENERATED if r["input_source"] == "injected"]


@each([*VNET, *INJECTED], lambda record: f"{record['kernel']} {source(record)}")
@pytest.mark.parametrize(
    "segment_vnet", [gso.segment_vnet, reference.segment_vnet], ids=["gso", "reference"]
)
def test_virtio_header(record, segment_vnet):
    packet = bytes.fromhex(record["injected"]["vnet_hdr"]) + frame(record)
    options = {"source": source(record), "kernel": record["kernel"]}
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment_vnet(packet, **options)
        return
    made = [bytes(one) for one in segment_vnet(packet, **options)]
    assert types.same(outputs(record), made)
