"""SCTP super-packets as kernels segmented them: see tests/vectors/README.md."""

import pytest
from gso.kernel.conformance.tunnels.devices import PORTS
from gso.kernel.conformance.types import run as types

import gso
import reference
from gso import GSO_BY_FRAGS, GsoError, GsoType
from gso.buffers._crc32c import crc_paths, use_crc
from gso.headers.checks import Status, check
from vectorset import SCTP, outputs, read


def compiled(frame, pieces, **given):
    return gso.segment(frame, GSO_BY_FRAGS, pieces=pieces, **given)


@pytest.mark.parametrize("kernel", SCTP)
@pytest.mark.parametrize("segment", [compiled, reference.segment_sctp], ids=["gso", "reference"])
def test_segments(kernel, segment):
    for record in read(SCTP[kernel]):
        request = types.request_of(record)
        gso_type, checksum = types.asked(request)
        given = {"gso_type": gso_type, "checksum": checksum, "tunnel_ports": PORTS}
        try:
            made = segment(*types.question(request), kernel=kernel, **given)
        except GsoError:
            made = []
        assert [bytes(one) for one in made] == outputs(record), record["name"]


@pytest.mark.parametrize("path", crc_paths())
def test_every_way_to_a_crc(path):
    use_crc(path)
    try:
        test_segments("6.12", compiled)
    finally:
        use_crc(None)


def test_the_kernel_leaves_the_crc_to_devices_that_make_it():
    """But not inside a checksum of UDP or GRE, nor behind a service header."""
    left = {False: 0, True: 0}
    for record in read(SCTP["6.12"]):
        if not record["dropped"]:
            request = types.request_of(record)
            start = len(request.frame) - 12
            told = request.frame[start + 8 : start + 12]
            stays = {frame[start + 8 : start + 12] == told for frame in outputs(record)}
            assert stays == {types.completes(request)}, record["name"]
            left[types.completes(request)] += 1
    assert min(left.values()) > 30


def test_the_kernels_crc_is_right():
    """Where no device makes it; in two segments of each record, but not in fragments of IP."""
    seen = set()
    for record in read(SCTP["6.12"]):
        if types.completes(types.request_of(record)):
            continue
        for frame in outputs(record)[:2]:
            sums = [one for one in check(frame, tunnel_ports=PORTS) if "sctp" in one.header]
            assert {one.status for one in sums} <= {Status.RIGHT, Status.UNKNOWN}, record["name"]
            seen |= {one.header for one in sums if one.status is Status.RIGHT}
    assert seen == {"sctp", "inner sctp"}


def test_records_differ_in_what_counts():
    records = read(SCTP["6.12"])
    inside = {record["config"].split("-")[1] for record in records}
    assert inside == {
        *("none", "mpls", "nsh", "ipip", "gre", "gretap", "vxlan", "geneve", "fou", "gue"),
    }
    assert all(record["input"]["csum_partial"] for record in records)
    assert {bool(record["input"]["gso_type"] & GsoType.TCP_FIXEDID) for record in records} == {
        *(False, True),
    }
    assert sum(record["dropped"] for record in records) > 10
    lengths = [{len(one) for one in record["input"]["listed"]} for record in records]
    assert min(sum(len(one) == 1 for one in lengths), sum(len(one) > 1 for one in lengths)) > 20
