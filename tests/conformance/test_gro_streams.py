"""Random streams that a 6.12 kernel's GRO merged: gso-kernel conformance --gro."""

from functools import cache

import numpy as np
import pytest
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.gro.compare import APART, DIFFERENT, EQUAL, coalesce, judge
from gso.kernel.conformance.gro.streams import DEVICES, PORTS
from gso.kernel.conformance.tunnels import records

import reference
from gso import GsoType
from vectorset import STREAMS


@cache
def streams():
    return list(gro.read_records(STREAMS))


def by_name(record):
    return record[0]["name"]


@pytest.mark.parametrize("record", streams(), ids=by_name)
class TestStream:
    def test_as_the_kernel(self, record):
        found, stream, kernel = record
        one = judge(stream, kernel)
        assert (one.verdict, one.why) == (found["verdict"], found.get("why", ""))
        assert one.verdict in (EQUAL, APART)

    def test_as_the_reference(self, record):
        _, stream, _ = record
        made = coalesce(stream)
        device = DEVICES[stream.device]
        expected = reference.coalesce(
            stream.frames, tunnel_ports=PORTS, fixed_ids=True, udp_gro=device.udp,
            gro_max_size=device.gro_max_size, gro_ipv4_max_size=65536,
        )  # fmt: skip
        numbers = [np.flatnonzero(made.into == k).tolist() for k in range(len(made))]
        fixed = [int(bits & GsoType.TCP_FIXEDID) for bits in made.gso_type]
        assert list(zip(numbers, fixed, strict=True)) == expected


def test_most_are_equal():
    verdicts = [found["verdict"] for found, _, _ in streams()]
    assert len(verdicts) > 140
    assert verdicts.count(EQUAL) > 0.7 * len(verdicts)


def equal() -> tuple[gro.Stream, list[gro.Made]]:
    return next(
        (stream, kernel)
        for found, stream, kernel in streams()
        if found["verdict"] == EQUAL and kernel[0].gso_size
    )


def split(kernel):
    """The first packet as it was before the last segment came."""
    first = kernel[0]
    return [first._replace(frame=first.frame[:-1]), *kernel[1:]]


@pytest.mark.parametrize(
    "change",
    [
        split,
        lambda k: k[1:],
        lambda k: [k[0]._replace(gso_size=k[0].gso_size + 1), *k[1:]],
        lambda k: [k[0]._replace(gso_type=k[0].gso_type ^ GsoType.TCP_FIXEDID), *k[1:]],
        lambda k: [k[0]._replace(partial=False), *k[1:]],
        lambda k: [k[0]._replace(frame=k[0].frame[:6] + b"?" + k[0].frame[7:]), *k[1:]],
        lambda k: [*k, k[-1]],
    ],
)
def test_every_other_answer_is_different(change):
    stream, kernel = equal()
    assert judge(stream, kernel).verdict == EQUAL
    assert judge(stream, change(kernel)).verdict == DIFFERENT


def test_not_merging_at_all_is_different():
    stream, _ = equal()
    assert judge(stream, [gro.Made(frame) for frame in stream.frames]).verdict == DIFFERENT


def test_records_can_be_sent_again(tmp_path):
    stream, kernel = equal()
    one = judge(stream, kernel[1:])
    path = tmp_path / "x.json.xz"
    records.write(path, [gro.record(one, "name")])
    assert list(gro.replayed(path)) == [stream]
