"""Evidence recorded in the VM (kernel 6.12.117), read back: the incident's own packet."""

from pathlib import Path

import pytest
from gso.kernel.guest_files import GuestFileError
from gso.kernel.judging.evidence import Drop, read_frames, read_trace

import gso

DATA = Path(__file__).parent / "data"
PORTS = {5501: gso.Tunnel.GUE}


def test_the_unpatched_kernel_shows_the_incident():
    trace = read_trace(DATA / "incident-unpatched.trace")
    before, after = trace.at("ip_vs_in_hook")[:2]
    assert (before.fields["len"], after.fields["len"]) == (1512, 1544)
    assert before.fields["mac_header"] == after.fields["mac_header"]
    # As published: the stale inner MAC header is the packet's own, fourteen bytes early.
    assert after.fields["inner_mac_header"] == before.fields["mac_header"]
    assert after.fields["inner_network_header"] - after.fields["inner_mac_header"] == 14
    assert [e.tnl_hlen for e in trace.at("skb_udp_tunnel_segment")] == [-2]
    assert trace.segmenter_errors == (22,)
    assert trace.at("__dev_queue_xmit")[0].fields["len"] == 1558


def test_the_drop_is_found_with_its_stack():
    trace = read_trace(DATA / "incident-unpatched.trace")
    (drop,) = (drop for drop in trace.drops if drop.in_segmentation)
    assert (drop.location, drop.reason, drop.count) == ("validate_xmit_skb", "NOT_SPECIFIED", 1)
    order = ["validate_xmit_skb", "__dev_queue_xmit", "ip_vs_tunnel_xmit", "ip_vs_in_hook"]
    places = [drop.stack.index(name) for name in order]
    assert places == sorted(places)


def test_the_patched_kernel_segments():
    trace = read_trace(DATA / "incident-patched.trace")
    assert [e.tnl_hlen for e in trace.at("skb_udp_tunnel_segment")] == [12]
    assert trace.segmenter_errors == ()
    assert not any(drop.in_segmentation for drop in trace.drops)


def test_the_probed_header_bytes_are_those_of_the_captured_super_packet():
    (event,) = read_trace(DATA / "incident-patched.trace").at("__dev_queue_xmit")
    linear = event.fields["len"] - event.fields["data_len"]
    capture = gso.read_capture(DATA / "incident-patched.pcapng")
    (super_packet,) = (
        frame
        for frame, comment in zip(capture.frames, capture.comments, strict=True)
        if comment == "gso_size=1448"
    )
    assert len(super_packet) == event.fields["len"]
    assert bytes(super_packet[:linear]) == event.head[:linear]


def test_the_segments_on_the_wire_are_those_of_gso_segment():
    capture = gso.read_capture(DATA / "incident-patched.pcapng")
    (super_packet,) = (
        frame
        for frame, comment in zip(capture.frames, capture.comments, strict=True)
        if comment == "gso_size=1448"
    )
    wire = {
        bytes(frame)
        for frame, interface in zip(capture.frames, capture.interface_ids, strict=True)
        if capture.interfaces[interface].name == "wire"
    }
    segments = gso.segment(super_packet, 1448, tunnel_ports=PORTS).to_list()
    assert [len(segment) for segment in segments] == [1546, 110]
    assert {bytes(segment) for segment in segments} <= wire


def test_a_drop_of_the_mirrors_copy_does_not_count():
    stack = ("validate_xmit_skb", "__dev_queue_xmit", "tcf_mirred_to_dev")
    assert not Drop("validate_xmit_skb", "NOT_SPECIFIED", stack, 1).in_segmentation
    assert Drop("validate_xmit_skb", "NOT_SPECIFIED", stack[:2], 1).in_segmentation


def test_releasing_a_segmented_packet_is_no_drop():
    stack = ("kfree_skb_list_reason", "skb_release_data", "consume_skb", "validate_xmit_skb")
    assert not Drop("skb_release_data", "NOT_SPECIFIED", stack, 1).in_segmentation


def test_frames_files(tmp_path):
    path = tmp_path / "x.frames"
    header = bytes([1, 1, 0x22, 0, 0xA8, 0x05, 0x22, 0, 0x10, 0])
    record = (7).to_bytes(8, "little") + (3).to_bytes(4, "little") + header + b"abc"
    plain = (8).to_bytes(8, "little") + (0).to_bytes(4, "little") + bytes(10)
    path.write_bytes(record + plain)
    first, second = read_frames(path)
    assert (first.time_ns, first.gso_size, first.needs_csum, first.data) == (7, 1448, True, b"abc")
    assert (second.gso_size, second.needs_csum, second.data) == (0, False, b"")


@pytest.mark.parametrize(
    "text", ["", "# tracer: nop\n", "garbage\n => alone\n", "CPU:0 [LOST 5 EVENTS]\n"]
)
def test_traces_without_events(tmp_path, text):
    path = tmp_path / "x.trace"
    path.write_text(text)
    trace = read_trace(path)
    assert (trace.events, trace.drops) == ((), ())


LINES = (DATA / "incident-unpatched.trace").read_text().splitlines()
EVENT = next(line for line in LINES if " data={" in line)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (EVENT.replace(" inner_network_header=", " other="), "lacks inner_network_header"),
        (EVENT.replace(" transport_header=", " other="), "lacks transport_header"),
        (EVENT.partition(" data=")[0] + " data={0x12345678901234567}", "too big"),
    ],
)
def test_an_event_that_no_probe_wrote_is_damage(tmp_path, line, said):
    path = tmp_path / "x.trace"
    path.write_text(EVENT + "\n")
    assert read_trace(path).events
    path.write_text(line + "\n")
    with pytest.raises(GuestFileError, match=f"x.trace of the guest is damaged: .*{said}"):
        read_trace(path)
