"""The comparison itself: it must find what it claims to find."""

import struct
from pathlib import Path

import pytest
from gso.kernel.judging.evidence import Cell, Event, Frame, Trace, read_trace
from gso.kernel.judging.wire_check import explain
from gso.kernel.runs.captures import save_capture
from gso.kernel.scenarios import SCENARIOS

import gso

DATA = Path(__file__).parent / "data"
NOCSUM = next(s for s in SCENARIOS if s.name == "gue-outer4-inner4-nocsum")
OFFLOADED = next(s for s in SCENARIOS if s.name == "gue-tunnel-offload-outer4-inner4-nocsum")
REMCSUM = next(s for s in SCENARIOS if s.name == "gue-outer4-inner4-remcsum")


def recorded() -> tuple[bytes, list[bytes]]:
    capture = gso.read_capture(DATA / "incident-patched.pcapng")
    names = [capture.interfaces[number].name for number in capture.interface_ids]
    pairs = list(zip(names, capture.frames.to_list(), strict=True))
    (super_packet,) = (bytes(frame) for name, frame in pairs if name == "super-packets")
    return super_packet, [bytes(frame) for name, frame in pairs if name == "wire"]


def cell(super_packet: bytes, wire: list[bytes], trace: Trace | None = None) -> Cell:
    frames = {
        "ingress": [],
        "mirror": [Frame(1, 1448, True, super_packet)],
        "wire": [Frame(2, 0, False, frame) for frame in wire],
    }
    return Cell({}, trace or read_trace(DATA / "incident-patched.trace"), frames)


def test_the_recorded_wire_is_explained():
    explanation = explain(NOCSUM, cell(*recorded()))
    assert (explanation.super_packets, explanation.segments, explanation.matching) == (1, 2, 2)
    assert explanation.differences == ()


def fou_packet(scenario) -> bytes:
    """Return a super-packet of IPv6 in FOU whose inner source has zero in bytes 8 and 9."""
    address = bytes.fromhex("20010db8000100000000000000000001")
    tcp = bytes.fromhex("1388 1389 00000001 00000001 5010 ffff 0000 0000") + bytes(2896)
    inner = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64) + address * 2 + tcp
    udp = struct.pack("!HHHH", 4444, scenario.tunnel_port, 8 + len(inner), 0) + inner
    outer = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    return bytes(12) + b"\x08\x00" + outer + bytes.fromhex("cb007102cb00710a") + udp


@pytest.mark.parametrize("tags", ["81000007", "8100000a81000007"])
def test_a_tag_is_no_part_of_what_is_segmented(tags):
    def tagged(frame):
        return frame[:12] + bytes.fromhex(tags) + frame[12:]

    scenario = next(s for s in SCENARIOS if s.name == "fou-vlan-inband-outer4-inner6")
    plain = fou_packet(scenario)
    ports = scenario.tunnel_ports
    # So does a kernel without the fix.
    with pytest.raises(gso.GsoError, match="VLAN tag outside"):
        gso.segment(tagged(plain), 1448, tunnel_ports=ports)
    wire = gso.segment(plain, 1448, tunnel_ports=ports).to_list()
    found = explain(scenario, cell(tagged(plain), [tagged(frame) for frame in wire]))
    assert (found.segments, found.matching) == (2, 2)
    assert explain(scenario, cell(tagged(plain), wire)).matching == 0


@pytest.mark.parametrize(
    ("offset", "field"),
    [(18, "outer ipv4 identification"), (22, "ttl"), (97, "tcp"), (1000, "payload data")],
)
def test_one_changed_byte_is_found_and_named(offset, field):
    super_packet, wire = recorded()
    (target,) = (n for n, frame in enumerate(wire) if len(frame) == 1546)
    damaged = bytearray(wire[target])
    damaged[offset] ^= 1
    wire[target] = bytes(damaged)
    explanation = explain(NOCSUM, cell(super_packet, wire))
    assert explanation.matching == 1
    difference, checksum = explanation.differences
    assert field in difference.lower()
    assert checksum.startswith(f"1 of {len(wire)} frames have a wrong checksum: ")


def test_checksums_are_looked_at_where_they_are_complete():
    super_packet, wire = recorded()
    # In the super-packet itself, as a device shows it, only the pseudo header is summed.
    both = cell(super_packet, [*wire, super_packet])
    (said,) = explain(NOCSUM, both).differences
    assert said.startswith(f"1 of {len(wire) + 1} frames have a wrong checksum: inner tcp")
    for scenario in (REMCSUM, OFFLOADED):
        assert not any("checksum" in text for text in explain(scenario, both).differences)


def test_fragments_are_found():
    super_packet, wire = recorded()
    fragment = bytearray(wire[0])
    fragment[20] |= 0x20  # more follow
    (said,) = explain(NOCSUM, cell(super_packet, [*wire, bytes(fragment)])).differences[-1:]
    assert said == f"1 of {len(wire) + 1} frames are fragments"
    tagged = fragment[:12] + b"\x81\x00\x00\x07" + fragment[12:]
    ipv6 = wire[0][:12] + bytes.fromhex("86dd 60000000 0008 2c") + bytes(41)
    explanation = explain(NOCSUM, cell(super_packet, [*wire, bytes(tagged), ipv6]))
    assert explanation.differences[-1] == f"2 of {len(wire) + 2} frames are fragments"


def test_a_missing_segment_is_found():
    super_packet, wire = recorded()
    explanation = explain(NOCSUM, cell(super_packet, [f for f in wire if len(f) != 110]))
    assert explanation.matching == 1
    assert "not on the wire" in explanation.differences[0]


def test_a_segment_is_not_matched_twice():
    super_packet, wire = recorded()
    twice = cell(super_packet, wire)
    twice.frames["mirror"].append(twice.frames["mirror"][0])
    assert explain(NOCSUM, twice).matching == 2


def test_a_super_packet_that_cannot_be_segmented_is_reported():
    explanation = explain(NOCSUM, cell(recorded()[0][:60], []))
    assert explanation.segments == 0
    assert "super-packet 0 of 60 bytes" in explanation.differences[0]


def test_remote_checksum_super_packets_are_rebuilt_from_probe_and_ingress():
    """With remote checksum offload the mirror has no whole packet; here it is taken away too."""
    super_packet, _ = recorded()
    (event,) = read_trace(DATA / "incident-patched.trace").at("__dev_queue_xmit")
    layout = gso.parse(super_packet, tunnel_ports={5501: gso.Tunnel.GUE})
    inner = super_packet[layout.inner_network_header :]
    linear = event.fields["len"] - event.fields["data_len"]
    # Bytes that the probe read past the linear part are not packet data.
    noisy = Event(
        event.time,
        event.function,
        event.fields,
        event.device,
        event.head[:linear] + bytes(b ^ 0xFF for b in event.head[linear:]),
    )
    ingress = Frame(1, 1448, True, bytes(14) + inner)
    rebuilt = cell(super_packet, [], Trace((noisy,), (), ()))
    rebuilt.frames.update(ingress=[ingress], mirror=[])
    explanation = explain(REMCSUM, rebuilt)
    assert (explanation.super_packets, explanation.segments) == (1, 2)
    assert explanation.reconstructed


def test_the_capture_keeps_both_sides(tmp_path):
    super_packet, wire = recorded()
    path = tmp_path / "x.pcapng"
    save_capture(NOCSUM, cell(super_packet, wire), path)
    capture = gso.read_capture(path)
    assert [interface.name for interface in capture.interfaces] == ["super-packets", "wire"]
    assert [bytes(frame) for frame in capture.frames] == [super_packet, *wire]
    assert capture.comments[0] == "gso_size=1448"


def test_an_empty_cell_gives_an_empty_capture(tmp_path):
    path = tmp_path / "x.pcapng"
    save_capture(
        NOCSUM, Cell({}, Trace((), (), ()), {"ingress": [], "mirror": [], "wire": []}), path
    )
    assert len(gso.read_capture(path)) == 0
