"""segment_vnet and the plain-Python reference accept the same packets and make the same of them."""

import struct

from hypothesis import given, settings
from hypothesis import strategies as st

import gso
import packets
import reference
from effort import examples


@st.composite
def buffers(draw):
    """A frame after a header that is right, or nearly so."""
    frame, link = draw(packets.frames())
    try:
        layout = gso.parse(frame, link_type=link, tunnel_ports=packets.PORTS)
    except gso.GsoError:
        layout = None
    start, kind, offset, th, nh = 34, 1, 16, 34, 84
    if layout is not None and layout.l4:
        start = layout.inner_transport_header or layout.transport_header
        kind = {6: {4: 1, 6: 4}[layout.inner_version], 17: draw(st.sampled_from([3, 5]))}[layout.l4]
        offset = 16 if layout.l4 == 6 else 6
        th, nh = layout.transport_header, layout.inner_network_header or 0
        if nh and draw(st.booleans()):
            kind |= {4: 0x20, 6: 0x40}.get(layout.outer_version, 0)
    elsewhere = st.integers(0, len(frame) + 4)
    change = st.integers(0, 9).map(lambda n: n == 0)
    values = [
        draw(st.sampled_from([0, 2, 0xFF])) if draw(change) else draw(st.sampled_from([1, 9])),
        draw(st.integers(0, 255)) if draw(change) else kind,
        draw(elsewhere) if draw(change) else 0,
        draw(st.sampled_from([0, 0xFFFF])) if draw(change) else draw(st.sampled_from([1, 8, 29])),
        draw(elsewhere) if draw(change) else start,
        draw(elsewhere) if draw(change) else offset,
    ]
    tunnel = [draw(elsewhere) if draw(change) else place for place in (th, nh)]
    size = draw(st.sampled_from([10, 24, 24]))
    packed = struct.pack("<BBHHHHHIHHHH", *values, 0, 0, 0, 0, *tunnel)
    return packed[:size] + frame, size, link


def outcome(call):
    try:
        return call()
    except gso.GsoError:
        return "refused"


@settings(max_examples=examples(500), deadline=None)
@given(
    buffers(),
    st.sampled_from(["complete", "complete", "partial"]),
    st.sampled_from(["tap", "packet"]),
    packets.kernels,
)
def test_segment_vnet(case, checksum, source, kernel):
    buffer, size, link = case
    options = {"header_size": size, "link_type": link, "checksum": checksum}
    options |= {"source": source, "kernel": kernel}
    expected = outcome(lambda: reference.segment_vnet(buffer, **options))
    assert outcome(lambda: gso.segment_vnet(buffer, **options).to_list()) == expected
