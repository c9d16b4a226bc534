"""Packets that a 6.12 kernel's GRO merged, and its own segments merged again."""

from pathlib import Path

import gso
from gso import Frames, GsoType
from vectorset import PORTS, each, frame, outputs, records

MERGED = [record for record in records() if record["injected"].get("gro_segments")]
CUT = [record for record in records() if len(record["outputs"]) > 1]
INCIDENT = Path(__file__).parents[1] / "kernel" / "data" / "incident-patched.pcapng"
# The path that the packet took afterwards: a router, and into a tunnel.
ROUTED = (8, 10, 11)


def inner_packet(packet):
    layout = gso.parse(packet, tunnel_ports=PORTS)
    start = layout.inner_network_header or layout.network_header
    return bytearray(packet[start:])


@each(MERGED)
def test_gro_made_the_same(record):
    """The kernel's super-packet, but for what routing changed, is ours."""
    segments = [bytes.fromhex(segment) for segment in record["injected"]["gro_segments"]]
    made = gso.coalesce(Frames.from_list(segments), link_type="raw", fixed_ids=True)
    assert made.gso_segs.tolist() == [len(segments)]
    given = record["input"]
    assert made.gso_size[0] == given["gso_size"]
    kinds = GsoType.TCPV4 | GsoType.TCPV6 | GsoType.UDP_L4 | GsoType.TCP_FIXEDID
    assert made.gso_type[0] == given["gso_type"] & kinds
    ours, theirs = bytearray(made[0]), inner_packet(frame(record))
    for packet in (ours, theirs):
        for place in ROUTED if packet[0] >> 4 == 4 else (7,):
            packet[place] = 0
    if not given["csum_partial"]:  # it holds anything
        check = given["csum_start"] + given["csum_offset"] - (len(frame(record)) - len(theirs))
        ours[check : check + 2] = theirs[check : check + 2] = bytes(2)
    assert ours == theirs


@each(CUT)
def test_segments_are_given_back(record):
    """Segments of the kernel are merged, and segmented to the same again."""
    segments = outputs(record)
    for fixed in (False, True):
        made = gso.coalesce(Frames.from_list(segments), tunnel_ports=PORTS, fixed_ids=fixed)
        back = []
        for whole, size, count, bits in zip(
            made, made.gso_size, made.gso_segs, made.gso_type, strict=True
        ):
            if count == 1:
                back.append(bytes(whole))
                continue
            options = {"gso_type": int(bits)} if fixed else {}
            back += gso.segment(whole, int(size), tunnel_ports=PORTS, **options).to_list()
        assert back == segments


def test_most_are_merged():
    """Or else the test above proves nothing; the others have options, fragments, SYN, remcsum,
    or GRE key and checksum together."""
    whole = sum(
        len(gso.coalesce(Frames.from_list(outputs(r)), tunnel_ports=PORTS, fixed_ids=True)) == 1
        for r in CUT
    )
    assert whole > 0.8 * len(CUT)


def test_incident():
    """The wire packets of 1448 + 12 bytes merge into what the kernel handed to its segmenter."""
    capture = gso.read_capture(INCIDENT)
    ports = {5501: gso.Tunnel.GUE}
    notes = capture.comments
    (number,) = (i for i, note in enumerate(notes) if note == "gso_size=1448")
    kernel = capture.frames[number]
    wire = gso.segment(kernel, 1448, tunnel_ports=ports).to_list()
    frames = [f for i, f in enumerate(capture.frames.to_list()) if i != number]
    assert set(wire) < set(frames)
    made = gso.coalesce(Frames.from_list(frames), tunnel_ports=ports)
    merged = made[made.gso_segs > 1]
    assert merged.gso_segs.tolist() == [2]
    assert merged.gso_size.tolist() == [1448]
    assert bytes(merged[0]) == bytes(
        gso.segment(kernel, 0, checksum="partial", tunnel_ports=ports)[0]
    )
