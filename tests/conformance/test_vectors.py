"""Every super-packet that a 6.12 kernel segmented, byte for byte."""

import hashlib

import pytest

import gso
import reference
from gso import GsoError, GsoType, Tunnel
from vectorset import PORTS, each, frame, generated, outputs, records

# The virtio header of this one gives a wrong csum_start, which is not in the frame.
NOT_IN_THE_FRAME = {"odd/tcp-csum-start-wrong"}
ALL = [*records(), *generated()]
RECORDS = [record for record in ALL if record["name"] not in NOT_IN_THE_FRAME]

# Facts that a frame does not say of itself.
UNSAID = GsoType.TCP_FIXEDID | GsoType.UDP


def segment(record, **options):
    return gso.segment(frame(record), record["input"]["gso_size"], tunnel_ports=PORTS, **options)


def check(record, **options):
    if record["dropped"]:
        with pytest.raises(GsoError):
            segment(record, **options)
    else:
        assert comparable(record, segment(record, **options)) == comparable(record)


@each(RECORDS)
def test_with_the_kernels_gso_type(record):
    check(record, gso_type=GsoType(record["input"]["gso_type"]))


@each(RECORDS)
def test_with_what_the_frame_says(record):
    check(record, gso_type=GsoType(record["input"]["gso_type"]) & UNSAID)


@each(RECORDS)
def test_with_a_layout(record):
    layout = gso.parse(frame(record), tunnel_ports=PORTS)
    check(record, gso_type=record["input"]["gso_type"], layout=layout)


@each(RECORDS)
def test_layout(record):
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


def comparable(record, segments=None):
    """Segments (or else the kernel's) without the ID of an IPv6 fragment header: it is random."""
    made = outputs(record) if segments is None else [bytes(segment) for segment in segments]
    if not record["input"]["gso_type"] & GsoType.UDP or record["inner_family"] != 6:
        return made
    # The walk along the headers ends at the fragment header.
    ident = gso.parse(made[0], tunnel_ports=PORTS).payload + 4
    return [segment[:ident] + bytes(4) + segment[ident + 4 :] for segment in made]


def test_no_record_was_lost():
    assert (len(records()), len(generated())) == (428, 489)


@each(RECORDS)
def test_reference(record):
    """The oracle of the property tests is right itself."""
    arguments = (frame(record), record["input"]["gso_size"])
    options = {"gso_type": record["input"]["gso_type"], "tunnel_ports": PORTS}
    if record["dropped"]:
        with pytest.raises(GsoError):
            reference.segment(*arguments, **options)
    else:
        assert comparable(record, reference.segment(*arguments, **options)) == comparable(record)


INJECTED = [record for record in ALL if record["input_source"] == "injected"]


@each(INJECTED)
def test_behind_the_virtio_header_it_was_injected_with(record):
    """Here nothing is left unsaid: csum_start and gso_type are in the header."""
    header = bytes.fromhex(record["injected"]["vnet_hdr"])
    assert gso.VirtioNetHeader.unpack(header).pack() == header
    if record["dropped"]:
        with pytest.raises(GsoError):
            gso.segment_vnet(header + frame(record))
    else:
        made = gso.segment_vnet(header + frame(record))
        assert comparable(record, made) == comparable(record)


# Sent into a TUN device; what the kernel made of the virtio header, before any tunnel.
SENT = [
    record
    for record in records()
    if record["injected"].get("headers")
    and record["injected"]["payload_seed"] is not None
    and not record["dropped"]
    and not record["via_ipvs"]
]


@each(SENT)
def test_what_was_sent_into_the_tunnel_is_segmented_alike(record):
    """The packets inside the kernel's segments are those that segment_vnet makes of the input."""
    given = record["injected"]
    seed = f"gso-vectors-{given['payload_seed']}".encode()
    payload = hashlib.shake_128(seed).digest(given["payload_len"])
    packet = bytes.fromhex(given["vnet_hdr"] + given["headers"]) + payload
    made = [bytearray(segment) for segment in gso.segment_vnet(packet, link_type="raw")]
    cut = outputs(record)
    assert len(made) == len(cut)
    for ours, whole in zip(made, cut, strict=True):
        assert bytes(ours[-200:]) == whole[-200:] or len(ours) < 260
        assert len(ours) <= len(whole)
