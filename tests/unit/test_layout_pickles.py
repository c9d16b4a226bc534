"""Layouts that went through a pickle."""

from __future__ import annotations

import pickle

import pytest

import gso
import vectorset
from gso import GsoError, Reason


def again(layout):
    return pickle.loads(pickle.dumps(layout))


@vectorset.each(vectorset.records())
def test_it_is_the_same_and_segments_the_same(record):
    frame = vectorset.frame(record)
    layout = gso.parse(frame, tunnel_ports=vectorset.PORTS)
    found = again(again(layout))
    assert found == layout
    assert repr(found) == repr(layout)

    def outcome(**options):
        try:
            return gso.segment(frame, 700, **options).to_list()
        except GsoError as error:
            return str(error)

    wanted = outcome(layout=layout)
    assert outcome(layout=found, tunnel_ports=vectorset.PORTS) == wanted


def test_another_frame_or_other_ports_are_refused():
    frame = next(
        vectorset.frame(record) for record in vectorset.records() if record["config"] == "fou-ipip"
    )
    layout = again(gso.parse(frame, tunnel_ports=vectorset.PORTS))
    for other, ports in ((frame, None), (frame[:34] + bytes(3000), vectorset.PORTS)):
        with pytest.raises(GsoError, match="was pickled") as caught:
            gso.segment(other, 700, layout=layout, tunnel_ports=ports)
        assert caught.value.reason is Reason.LAYOUT


def test_what_is_no_pickle_of_a_layout():
    restore, (row, link) = gso.parse(bytes(14)).__reduce__()
    with pytest.raises(ValueError, match="a Layout has 36 bytes, not 35"):
        restore(row[1:], link)
    with pytest.raises(ValueError, match="link_type is"):
        restore(row, "token ring")
    with pytest.raises(TypeError):
        restore("x" * 36, link)
    odd = restore(b"\xff" * 36, "raw")
    assert (odd.network_header, odd.payload) == (None, -1)
    with pytest.raises(GsoError):
        gso.segment(bytes([0x45]) + bytes(3000), 700, layout=odd)
