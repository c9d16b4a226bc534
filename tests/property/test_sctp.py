"""SCTP: the compiled code and the plain-Python reference make the same segments."""

from random import Random

from gso.kernel.conformance.tunnels.devices import PORTS
from gso.kernel.conformance.types import run, sctp
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gso
import packets
import reference
from effort import examples
from gso import GSO_BY_FRAGS, GsoError, GsoType
from gso.buffers._crc32c import crc32c


@st.composite
def super_packets(draw):
    kind = draw(st.sampled_from(sctp.KINDS))
    request = sctp.make(Random(draw(st.integers(0, 1 << 32))), kind)
    assume(request.listed)  # else it is of another type
    return run.question(request), request.gso_type


def answer(segment, frame, **given):
    try:
        return [bytes(one) for one in segment(frame, tunnel_ports=PORTS, **given)]
    except GsoError as error:
        return error.reason


def both(frame, **given):
    found = answer(gso.segment, frame, gso_size=GSO_BY_FRAGS, **given)
    assert found == answer(reference.segment_sctp, frame, **given)
    return found


checksums = st.sampled_from(["complete", "partial"])
more_bits = st.sampled_from([0, 0, GsoType.TCP_FIXEDID, GsoType.PARTIAL, GsoType.UDP_L4])


@settings(max_examples=examples(300), deadline=None)
@given(super_packets(), checksums, packets.kernels, more_bits)
def test_segments(packet, checksum, kernel, more):
    (frame, pieces), gso_type = packet
    both(frame, pieces=pieces, gso_type=gso_type | more, checksum=checksum, kernel=kernel)


@settings(max_examples=examples(200), deadline=None)
@given(super_packets())
def test_each_segment_is_right_and_all_are_the_packet(packet):
    (frame, pieces), _ = packet
    segments = answer(gso.segment, frame, gso_size=GSO_BY_FRAGS, pieces=pieces)
    if not isinstance(segments, list):
        return  # a VLAN tag outside FOU or GUE
    start = len(frame) - sum(pieces) - 12
    for one, length in zip(segments, pieces, strict=True):
        common, chunks = one[start : start + 12], one[start + 12 :]
        assert len(chunks) == length
        whole = common[:8] + bytes(4) + chunks
        assert common[8:] == crc32c(whole).to_bytes(4, "little")
    assert b"".join(one[start + 12 :] for one in segments) == frame[start + 12 :]


@settings(max_examples=examples(400), deadline=None)
@given(super_packets(), st.data())
def test_damaged(packet, data):
    """Whatever the frame and the pieces are: both refuse, or make the same."""
    (frame, pieces), gso_type = packet
    frame = bytearray(frame)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, min(len(frame), 120) - 1))
        frame[at] ^= 1 << data.draw(st.integers(0, 7))
    if data.draw(st.booleans()):
        del frame[data.draw(st.integers(14, len(frame))) :]
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(pieces) - 1))
        pieces[at] += data.draw(st.sampled_from([-pieces[at], -4, -1, 4, 1 << 16]))
    given = {"pieces": pieces, "gso_type": gso_type}
    found = answer(gso.segment, bytes(frame), gso_size=GSO_BY_FRAGS, **given)
    expected = answer(reference.segment_sctp, bytes(frame), **given)
    assert found == expected or not (isinstance(found, list) or isinstance(expected, list))


@settings(max_examples=examples(300), deadline=None)
@given(super_packets(), st.data())
def test_cut_elsewhere(packet, data):
    """Between any two chunks, and only there."""
    (frame, pieces), gso_type = packet
    total = sum(pieces)
    words = data.draw(st.sets(st.integers(1, max(total // 4 - 1, 1)), max_size=6))
    ends = [*sorted(4 * word for word in words if 4 * word < total), total]
    lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    both(frame, pieces=lengths, gso_type=gso_type)
