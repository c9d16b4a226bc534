"""Lists of frames as kernels sent them, with NAT and without: see tests/vectors/README.md."""

import pytest
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.gro.compare import judge
from gso.kernel.conformance.types import run as types

import gso
import reference
from vectorset import LISTED_STREAMS, LISTS, outputs, read


@pytest.mark.parametrize("kernel", LISTS)
@pytest.mark.parametrize("segment", [gso.segment, reference.segment_list], ids=["gso", "reference"])
def test_sent(kernel, segment):
    for record in read(LISTS[kernel]):
        request = types.request_of(record)
        frames = [request.frame, *request.listed]
        made = segment(frames, request.gso_size, gso_type=request.gso_type, kernel=kernel)
        assert [bytes(one) for one in made] == outputs(record), record["name"]


@pytest.mark.parametrize("kernel", LISTS)
def test_records_differ_in_what_counts(kernel):
    records = read(LISTS[kernel])
    assert {record["config"] for record in records} == {"list-tcp-4", "list-tcp-6", "list-udp"}
    assert not any(record["dropped"] for record in records)
    translated = 0
    for record in records:
        second = outputs(record)[1]
        start = gso.parse(second).network_header
        listed = bytes.fromhex(record["input"]["listed"][0])
        translated += second[start + 20 :] != listed[gso.parse(listed).network_header + 20 :]
    assert 10 < translated < len(records)


@pytest.mark.parametrize("kernel", LISTED_STREAMS)
def test_streams(kernel):
    merged = 0
    for found, stream, packets in gro.read_records(LISTED_STREAMS[kernel]):
        one = judge(stream, packets, kernel)
        assert (one.verdict, one.why) == (found["verdict"], found.get("why", "")), found["name"]
        merged += one.merged
    assert merged > 50
