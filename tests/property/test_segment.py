"""The compiled code and the plain-Python reference agree on everything, errors included."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
import packets
import reference
from effort import examples
from gso import GsoError, Reason

checksums = st.sampled_from(["complete", "complete", "partial"])


def outcome(call):
    try:
        return call()
    except GsoError as error:
        return error.reason, error.field, error.offset, error.limit


@settings(max_examples=examples(1000), deadline=None)
@given(packets.frames(), packets.gso_sizes, packets.gso_types, checksums, packets.kernels)
def test_segment(frame_and_link, gso_size, gso_type, checksum, kernel):
    frame, link = frame_and_link
    options = {
        "gso_type": gso_type,
        "link_type": link,
        "tunnel_ports": packets.ports_for(frame, link),
        "checksum": checksum,
        "kernel": kernel,
    }
    expected = outcome(lambda: reference.segment(frame, gso_size, **options))
    assert outcome(lambda: gso.segment(frame, gso_size, **options).to_list()) == expected


@settings(max_examples=examples(500), deadline=None)
@given(packets.frames(), packets.gso_sizes, checksums, packets.kernels, st.data())
def test_calls_on_frames_that_are_nearly_alike(frame_and_link, gso_size, checksum, kernel, data):
    """The plan of one call serves the next one only where it is right."""
    frame, link = frame_and_link
    frame += data.draw(st.sampled_from([b"", bytes(300), bytes(range(250)) * 4]))
    options = {
        "gso_type": data.draw(packets.gso_types),
        "link_type": link,
        "tunnel_ports": packets.ports_for(frame, link),
        "checksum": checksum,
        "kernel": kernel,
    }

    def made(one):
        return outcome(lambda: gso.segment(one, gso_size, **options).to_list())

    def right(one):
        return outcome(lambda: reference.segment(one, gso_size, **options))

    wanted = right(frame)
    for _ in range(16):  # at the end of so many calls the plan is kept
        made(frame)
    for _ in range(3):
        other = bytearray(frame[: data.draw(st.sampled_from([len(frame), len(frame) - 1]))])
        if other:
            at = data.draw(st.integers(0, min(len(other), 150) - 1))
            other[at] ^= data.draw(st.integers(1, 255))
        assert made(frame) == wanted
        once = made(bytes(other))
        assert made(bytes(other)) == once
        if once[:1] != (Reason.AMBIGUOUS,):
            assert once == right(bytes(other))
        assert made(frame) == wanted


@settings(max_examples=examples(1000), deadline=None)
@given(packets.frames())
def test_parse(frame_and_link):
    frame, link = frame_and_link
    options = {"link_type": link, "tunnel_ports": packets.PORTS}
    walk = outcome(lambda: reference.Walk(frame, **options))
    layout = outcome(lambda: gso.parse(frame, **options))
    if isinstance(walk, tuple):
        assert layout == walk
        return
    for name in (
        "network_header", "transport_header", "inner_mac_header", "inner_network_header",
        "inner_transport_header", "payload", "tunnel", "l4", "inner_version", "outer_version",
    ):  # fmt: skip
        assert getattr(layout, name) == getattr(walk, name), name


@pytest.mark.parametrize("version", [4, 6])
@settings(max_examples=examples(50), deadline=None)
@given(data=st.data())
def test_segments_carry_the_payload(version, data):
    """Whatever the headers, the payload comes out whole and in order."""
    head = data.draw(packets.ethernet(packets.ETHERTYPE[version]))
    head += data.draw(packets.inner_packet(version, "tcp"))
    payload = data.draw(st.binary(min_size=2, max_size=3000))
    size = data.draw(st.integers(1, len(payload) - 1))
    segments = gso.segment(head + payload, size)
    assert b"".join(bytes(s[len(head) :]) for s in segments) == payload
