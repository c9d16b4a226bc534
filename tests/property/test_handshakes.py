"""Segment sizes that are kept for the packets of a flow are those that would be found anew."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import gso
import handmade
from gso.buffers._frames import Frames
from gso.rewriting._packet_info import packet_info
from gso.rewriting.handshakes import Handshakes, count_flows

ENDS = [("10.0.0.1", 40000), ("10.0.0.2", 443), ("127.0.0.1", 5000), ("2001:db8::1", 443)]
PAIRS = st.sampled_from([(ENDS[0], ENDS[1]), (ENDS[1], ENDS[0]), (ENDS[2], ENDS[2])])
SIX = ("2001:db8::2", 5001)
MSS = st.sampled_from([None, 536, 1000, 1460, 8960, 65495])
OPTIONS = st.sampled_from([b"", handmade.TIMESTAMPS, bytes([1] * 24)])


class Forgetful(dict):
    """Keeps nothing."""

    def __setitem__(self, key, value):
        pass


PACKETS = st.one_of(
    st.builds(lambda pair, mss: handmade.syn(*pair, mss), PAIRS, MSS),
    st.builds(
        lambda pair, size, options: handmade.tcp(*pair, bytes(size), options=options),
        st.one_of(PAIRS, st.just((ENDS[3], SIX))),
        st.sampled_from([0, 500, 1448, 1461, 3000, 9000, 60000]),
        OPTIONS,
    ),
)


def described(packets: list[bytes]) -> np.ndarray:
    frames = Frames.from_list(packets)
    return packet_info(frames, gso.parse_batch(frames, link_type="raw"))


def outcome(handshakes: Handshakes, stretches: list[list[bytes]]) -> list[object]:
    """All that is found, and what is said of the flows at the end."""
    found: list[object] = []
    for packets in stretches:
        sizes = handshakes.sizes(described(packets))
        pieces = np.where(sizes.sizes > 0, 3, 1)
        count_flows(sizes, pieces)
        flows = [sizes.flows[i].name if i >= 0 else None for i in sizes.flow.tolist()]
        found.append((sizes.sizes.tolist(), sizes.unknown.tolist(), flows))
    return [*found, *map(repr, handshakes)]


@given(
    st.lists(st.lists(PACKETS, min_size=1, max_size=6), max_size=5),
    st.sampled_from([None, 1500, 9000]),
    st.sampled_from([None, 1000]),
    st.sampled_from([1, 2, 3, 1000]),
)
def test_sizes_are_those_that_would_be_found_anew(stretches, mtu, gso_size, capacity):
    anew = Handshakes(mtu, gso_size, capacity)
    anew._kinds = Forgetful()
    kept = Handshakes(mtu, gso_size, capacity)
    assert outcome(kept, stretches) == outcome(anew, stretches)
    assert len(kept._kinds) <= capacity


def joined(found: list[object]) -> list[list[object]]:
    """What was found of stretches, as of one."""
    return [list(chain.from_iterable(column)) for column in zip(*found, strict=True)]


@given(st.lists(PACKETS, max_size=12), st.data())
def test_where_stretches_end_makes_no_difference(packets, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packets)), max_size=3)))
    edges = [0, *cuts, len(packets)]
    stretches = [packets[a:b] for a, b in pairwise(edges) if a < b]
    each = outcome(Handshakes(), [[packet] for packet in packets])
    some = outcome(Handshakes(), stretches)
    assert joined(some[: len(stretches)]) == joined(each[: len(packets)])
    assert some[len(stretches) :] == each[len(packets) :]
