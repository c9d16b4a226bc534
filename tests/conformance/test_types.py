"""Packets with any gso_type in a 6.12 kernel, on devices that take some of the work over."""

import pytest
from gso.kernel.conformance.tunnels import records
from gso.kernel.conformance.types import run as types
from gso.kernel.conformance.types.run import Outcome, Segment

import gso
import reference
from gso import GsoError, GsoType
from vectorset import PORTS, accecn, each, frame, outputs, read, typed, typed_more

RECORDS = typed()
MORE = typed_more()
NEWER = accecn()


def options(record):
    """The same question to us, by the rules that the test bed has for it."""
    gso_type, checksum = types.asked(types.request_of(record))
    return {"gso_type": gso_type, "checksum": checksum, "tunnel_ports": PORTS}


def comparable(record, made):
    """Segments, with the kernel's random ID in those that are IPv6 fragments."""
    request, kernel = types.request_of(record), outputs(record)
    ours = types.with_id_of(kernel, [bytes(segment) for segment in made], request)
    if not request.gso_type & GsoType.UDP or request.version != 6:
        return ours
    # The walk along the headers ends at the fragment header.
    ident = gso.parse(kernel[0], tunnel_ports=PORTS).payload + 4
    return [f[:ident] + kernel[0][ident : ident + 4] + f[ident + 4 :] for f in ours]


@each([*RECORDS, *MORE, *NEWER])
@pytest.mark.parametrize("segment", [gso.segment, reference.segment], ids=["gso", "reference"])
def test_record(record, segment):
    arguments = (frame(record), record["input"]["gso_size"])
    if record["dropped"]:
        assert record["error"] in ("EINVAL", "EPROTONOSUPPORT")
        with pytest.raises(GsoError):
            segment(*arguments, **options(record))
    else:
        assert comparable(record, segment(*arguments, **options(record))) == outputs(record)


@each([record for record in RECORDS if not record["dropped"]])
def test_pieces_are_left_to_the_device_that_takes_them(record):
    """With GSO_PARTIAL the kernel says of each segment whether it is to be cut again, and so do we.

    That is by its length: what is longer than gso_size.
    """
    size, layout = record["input"]["gso_size"], gso.parse(frame(record), tunnel_ports=PORTS)
    partial = options(record)["gso_type"] & GsoType.PARTIAL
    for output, again in zip(outputs(record), record["output_gso_sizes"], strict=True):
        longer = bool(partial) and len(output) - layout.payload > size
        assert again == (size if longer else 0)


def test_every_kind_is_there():
    assert len(RECORDS) == 470
    kept = [record for record in RECORDS if not record["dropped"]]
    bits = 0
    for record in kept:
        bits |= record["input"]["gso_type"]
    assert bits & GsoType.TCP_FIXEDID
    assert bits & GsoType.TUNNEL_REMCSUM
    assert sum(any(record["output_gso_sizes"]) for record in kept) > 30
    assert {name for record in kept for name in record["device"]} == {
        "sg",
        "hw_csum",
        "gso_partial",
    }
    tunnels = {record["config"].split("-")[0] for record in kept}
    assert tunnels == {
        *("none", "mpls", "ipip", "gre", "gretap", "vxlan", "geneve", "fou", "gue"),
    }


@each([record for record in MORE if "routed" in record["config"] and not record["dropped"]])
@pytest.mark.parametrize("segment", [gso.segment, reference.segment], ids=["gso", "reference"])
def test_a_right_checksum_for_the_final_destination_stays(record, segment):
    if options(record)["checksum"] == "partial" or "remcsum" in record["config"]:
        return
    for output in outputs(record):
        made = segment(output, 0, tunnel_ports=PORTS)
        assert [bytes(one) for one in made] == [output]


def test_what_the_kernel_treats_in_a_way_of_its_own_is_there():
    told = {(word, record["dropped"]) for record in MORE for word in record["config"].split("-")}
    assert told >= {("nsh", False), ("seq", False), ("routed", False)}
    assert told >= {("misled", False), ("misled", True)}
    bits = GsoType.IPXIP4 | GsoType.IPXIP6
    assert any(r["dropped"] and r["input"]["gso_type"] & bits for r in MORE)
    assert all(r["input"]["gso_type"] & GsoType.UDP or len(set(r["output_gso_sizes"])) == 1
               for r in MORE if r["config"] == "nsh" and not r["dropped"])  # fmt: skip


CWR = 0x80


def test_accurate_ecn_keeps_what_is_else_cleared():
    """Of the records with CWR and several segments, none comes out right without the bit."""
    told = 0
    for record in NEWER:
        given = record["input"]
        assert given["gso_type"] & GsoType.TCP_ACCECN
        tcp = gso.parse(frame(record), tunnel_ports=PORTS)
        start = tcp.inner_transport_header or tcp.transport_header
        if len(record["outputs"]) < 2 or not frame(record)[start + 13] & CWR:
            continue
        told += 1
        asked = options(record)
        without = gso.segment(
            frame(record),
            given["gso_size"],
            **{**asked, "gso_type": asked["gso_type"] & ~GsoType.TCP_ACCECN},
        )
        assert [bytes(segment) for segment in without] != outputs(record)
    assert told >= 10


# --- the test bed's own rules --------------------------------------------------------------------


def outcome(record):
    """The kernel's own answer once more, as the module gave it."""
    request = types.request_of(record)
    left = options(record)["checksum"] == "partial"
    segments = tuple(
        Segment(output, size, request.csum_start, request.csum_offset, left)
        for output, size in zip(outputs(record), record["output_gso_sizes"], strict=True)
    )
    return Outcome(request, segments)


SEGMENTED = next(
    record
    for record in RECORDS
    if any(record["output_gso_sizes"]) and record["config"] == "vxlan-csum"
)


def test_the_kernels_own_answer_is_equal():
    assert types.judge(outcome(SEGMENTED)).verdict == types.EQUAL


@pytest.mark.parametrize("at", [0, 30, -1])
def test_every_other_answer_is_different(at):
    given = outcome(SEGMENTED)
    changed = bytearray(given.segments[0].frame)
    changed[at] ^= 1
    first = given.segments[0]
    first = Segment(
        bytes(changed), first.gso_size, first.csum_start, first.csum_offset, first.partial
    )
    one = types.judge(Outcome(given.request, (first, *given.segments[1:])))
    assert one.verdict == types.DIFFERENT
    assert one.way.endswith('checksum="partial"')


def test_a_checksum_left_to_the_wrong_one_is_different():
    given = outcome(SEGMENTED)
    segments = tuple(
        Segment(s.frame, s.gso_size, s.csum_start, s.csum_offset, False) for s in given.segments
    )
    one = types.judge(Outcome(given.request, segments))
    assert (one.verdict, one.way) == (types.DIFFERENT, "what is left to the device")


def test_records_can_be_sent_again(tmp_path):
    path = tmp_path / "x.json.xz"
    records.write(path, RECORDS[:3])
    assert read(path) == RECORDS[:3]
    again = list(types.replayed(path))
    assert [request.frame for request in again] == [frame(record) for record in RECORDS[:3]]
    made = [
        types.record(types.judge(outcome(record)), record["name"].rpartition("/")[2])
        for record in RECORDS[:3]
    ]
    assert [one["input"] for one in made] == [record["input"] for record in RECORDS[:3]]
