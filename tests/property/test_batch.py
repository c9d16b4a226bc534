"""One call for many frames, and headers without payload, are the same as frame after frame."""

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
import packets
from effort import examples
from gso import Frames, GsoError


@settings(max_examples=examples(300), deadline=None)
@given(st.data(), st.sampled_from([1, 3]))
def test_batch(data, threads):
    drawn = data.draw(st.lists(packets.frames(), max_size=6))
    frames = [frame for frame, link in drawn if link == "ethernet"]
    sizes = [data.draw(packets.gso_sizes) for _ in frames]
    expected, parents = [], []
    for number, (frame, size) in enumerate(zip(frames, sizes, strict=True)):
        try:
            segments = gso.segment(frame, size, tunnel_ports=packets.PORTS).to_list()
        except GsoError:
            segments = [frame]
        expected += segments
        parents += [number] * len(segments)
    options = {"tunnel_ports": packets.PORTS, "errors": "pass", "threads": threads}
    batch = gso.segment_batch(Frames.from_list(frames), sizes, **options)
    assert batch.to_list() == expected
    assert batch.parent.tolist() == parents


@settings(max_examples=examples(500), deadline=None)
@given(packets.frames(), packets.gso_sizes, packets.gso_types)
def test_headers(frame_and_link, gso_size, gso_type):
    frame, link = frame_and_link
    options = {"gso_type": gso_type, "link_type": link, "tunnel_ports": packets.PORTS}
    try:
        expected = gso.segment(frame, gso_size, **options).to_list()
        headers, payload = gso.segment_headers(frame, gso_size, **options)
    except GsoError:
        return
    parts = zip(headers, payload.tolist(), strict=True)
    assert [bytes(head) + frame[at : at + n] for head, (at, n) in parts] == expected


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_headers_of_a_batch(data):
    drawn = data.draw(st.lists(packets.frames(), max_size=5))
    frames = [frame for frame, link in drawn if link == "ethernet"]
    frames += frames[-1:] * data.draw(st.integers(0, 2))  # of one flow: the plan is used again
    sizes = [data.draw(packets.gso_sizes) for _ in frames]
    types = [data.draw(packets.gso_types) or 0 for _ in frames]
    heads, pieces, parents, start = [], [], [], 0
    for number, (frame, size, kind) in enumerate(zip(frames, sizes, types, strict=True)):
        try:
            one = gso.segment_headers(frame, size, gso_type=kind, tunnel_ports=packets.PORTS)
            headers, payload = one.headers.to_list(), one.payload.tolist()
        except GsoError:
            headers, payload = [b""], [[0, len(frame)]]
        heads += headers
        pieces += [[start + at, n] for at, n in payload]
        parents += [number] * len(headers)
        start += len(frame)
    batch = gso.segment_headers_batch(
        Frames.from_list(frames),
        sizes,
        gso_type=types,
        tunnel_ports=packets.PORTS,
        errors="pass",
    )
    assert batch.headers.to_list() == heads
    assert batch.payload.tolist() == pieces
    assert batch.parent.tolist() == parents
    whole = b"".join(frames)
    for i, (head, (at, n)) in enumerate(zip(heads, pieces, strict=True)):
        assert [bytes(part) for part in batch.iovecs(i)] == [head, whole[at : at + n]]
