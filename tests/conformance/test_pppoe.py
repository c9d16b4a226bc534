"""What a 7.3 kernel made of super-packets in PPPoE sessions: see tests/vectors/README.md."""

import pytest
from gso.kernel.conformance.gro import compare
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.gro.compare import APART, EQUAL, judge

import gso
import reference
from gso import GsoError, GsoType
from vectorset import PORTS, PPPOE, PPPOE_STREAMS, each, frame, outputs, read

RECORDS = read(PPPOE)
KEPT = [record for record in RECORDS if not record["dropped"]]


def header(record):
    return bytes.fromhex(record["injected"]["vnet_hdr"])


def comparable(record, packets):
    """The packets without what is random: the ID of IPv6 fragments."""
    packets = [bytes(packet) for packet in packets]
    if not record["input"]["gso_type"] & GsoType.UDP or record["inner_family"] == 4:
        return packets
    at = gso.parse(packets[0], tunnel_ports=PORTS).payload + 4
    return [packet[:at] + packet[at + 4 :] for packet in packets]


def by_headers(record):
    return f"{record['tags']} tags, {record['inner_l4']} over IPv{record['inner_family']}"


def by_stream(record):
    return record[0]["name"]


@each(RECORDS, by_headers)
@pytest.mark.parametrize(
    "segment_vnet", [gso.segment_vnet, reference.segment_vnet], ids=["gso", "reference"]
)
def test_with_its_virtio_header(record, segment_vnet):
    packet = header(record) + frame(record)
    options = {"source": "packet", "kernel": "7.3"}
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment_vnet(packet, **options)
    else:
        made = segment_vnet(packet, **options)
        assert comparable(record, made) == comparable(record, outputs(record))


@each(KEPT, by_headers)
@pytest.mark.parametrize("segment", [gso.segment, reference.segment], ids=["gso", "reference"])
def test_without(record, segment):
    given = record["input"]
    options = {"gso_type": GsoType(given["gso_type"]), "tunnel_ports": PORTS}
    made = segment(frame(record), given["gso_size"], **options)
    assert comparable(record, made) == comparable(record, outputs(record))


def test_there_are_all_kinds():
    assert len(KEPT) > 200
    assert {record["tags"] for record in KEPT} >= {0, 1, 2}
    assert {(r["inner_family"], r["inner_l4"]) for r in KEPT} >= {
        (version, l4) for version in (4, 6) for l4 in ("tcp", "udp")
    }


@pytest.mark.parametrize("record", list(gro.read_records(PPPOE_STREAMS)), ids=by_stream)
def test_stream(record, monkeypatch):
    """Merged as the kernel does, or kept apart for a reason that holds without PPPoE, too."""
    # 7.3 has other bits for TCP_FIXEDID, which the tracepoint does not show.
    monkeypatch.setattr(compare, "_SHOWN_BITS", 0xFFFF & ~GsoType.TCP_FIXEDID)
    _, stream, kernel = record
    one = judge(stream, kernel)
    assert one.verdict in (EQUAL, APART), one.why
