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
