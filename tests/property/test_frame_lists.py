"""Lists of frames: the compiled code and the plain-Python reference send the same."""

from random import Random

from gso.kernel.conformance.types.lists import LISTS, make
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gso
import packets
import reference
from effort import examples
from gso import L4, GsoError


@st.composite
def lists(draw):
    """Lists that are cut as they were merged."""
    kind = draw(st.sampled_from(LISTS))
    request = make(Random(draw(st.integers(0, 1 << 32))), kind)
    assume(not request.cut_anew)
    return request


@settings(max_examples=examples(400), deadline=None)
@given(lists(), packets.kernels)
def test_lists(request, kernel):
    frames, given = [request.frame, *request.listed], {"gso_type": request.gso_type}
    made = gso.segment(frames, request.gso_size, kernel=kernel, **given).to_list()
    assert made == reference.segment_list(frames, request.gso_size, kernel=kernel, **given)


@settings(max_examples=examples(200), deadline=None)
@given(lists())
def test_checksums_stay_right(request):
    """Where NAT kept to its own rules, a receiver takes every frame."""
    frames = [request.frame, *request.listed]
    for one in gso.segment(frames, request.gso_size, gso_type=request.gso_type):
        assert not gso.validate(bytes(one))


@settings(max_examples=examples(300), deadline=None)
@given(lists(), st.data())
def test_damaged(request, data):
    """Whatever the frames are: both refuse, or both send the same."""
    frames = [bytearray(frame) for frame in (request.frame, *request.listed)]
    for _ in range(data.draw(st.integers(1, 2))):
        frame = data.draw(st.sampled_from(frames))
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, min(len(frame), 70) - 1))
            frame[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del frame[data.draw(st.integers(20, len(frame))) :]
    frames = [bytes(frame) for frame in frames]
    answers = []
    for segment in (gso.segment, reference.segment_list):
        try:
            made = segment(frames, request.gso_size, gso_type=request.gso_type)
            answers.append([bytes(one) for one in made])
        except GsoError:
            answers.append(None)
    assert answers[0] == answers[1]
    assert request.l4 in (L4.TCP, L4.UDP)
