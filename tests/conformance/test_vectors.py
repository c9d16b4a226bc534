"""Every super-packet that a 6.12 kernel segmented, byte for byte."""

import pytest

import gso
import reference
from gso import GsoError, GsoType, Tunnel
from vectorset import PORTS, frame, outputs, records

# The virtio header of this one gives a wrong csum_start, which is not in the frame.
NOT_IN_THE_FRAME = {"odd/tcp-csum-start-wrong"}
RECORDS = [record for record in records() if record["name"] not in NOT_IN_THE_FRAME]

# What a frame does not say of itself.
UNSAID = GsoType.TCP_FIXEDID | GsoType.UDP


def segment(record, **options):
    return gso.segment(frame(record), record["input"]["gso_size"], tunnel_ports=PORTS, **options)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
class TestRecord:
    def test_with_the_kernels_gso_type(self, record):
        self.check(record, gso_type=GsoType(record["input"]["gso_type"]))

    def test_with_what_the_frame_says(self, record):
        self.check(record, gso_type=GsoType(record["input"]["gso_type"]) & UNSAID)

    def test_with_a_layout(self, record):
        self.check(
            record,
            gso_type=record["input"]["gso_type"],
            layout=gso.parse(frame(record), tunnel_ports=PORTS),
        )

    def test_layout(self, record):
        layout = gso.parse(frame(record), tunnel_ports=PORTS)
        given = record["input"]
        if given.get("inner_mac_header"):
            assert layout.network_header == given["network_header"]
            assert layout.inner_mac_header == given["inner_mac_header"]
            assert layout.inner_network_header == given["inner_network_header"]
            assert layout.inner_transport_header == given["csum_start"]
            assert layout.outer_version == record["outer_family"]
        assert layout.inner_version == record["inner_family"]
        assert (layout.tunnel is Tunnel.NONE) == (record["tunnel"] == "none")
        if not record["dropped"]:
            assert layout.l4.name.lower() == record["inner_l4"]

    @staticmethod
    def check(record, **options):
        if record["dropped"]:
            with pytest.raises(GsoError):
                segment(record, **options)
        elif record["input"]["gso_type"] & GsoType.UDP and record["inner_family"] == 6:
            assert without_ident(segment(record, **options)) == without_ident(outputs(record))
        else:
            assert segment(record, **options).to_list() == outputs(record)


def without_ident(fragments):
    """The ID of an IPv6 fragment header is random."""
    return [bytes(f[:58]) + bytes(4) + bytes(f[62:]) for f in fragments]


def test_no_record_was_lost():
    assert len(records()) == 428


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_reference(record):
    """The oracle of the property tests is right itself."""
    arguments = (frame(record), record["input"]["gso_size"])
    options = {"gso_type": record["input"]["gso_type"], "tunnel_ports": PORTS}
    if record["dropped"]:
        with pytest.raises(GsoError):
            reference.segment(*arguments, **options)
    else:
        assert reference.segment(*arguments, **options) == outputs(record)
