"""A mapping of ports is prepared once, and never taken for another one."""

from __future__ import annotations

from types import MappingProxyType

import pytest

import cases
import gso
from gso import Tunnel

GUE = cases.case("GUE", 4, cases.INCIDENT)
PORT = GUE.frame[GUE.udp + 2 : GUE.udp + 4]
assert (6080).to_bytes(2, "big") == PORT
FRAME = GUE.frame[: GUE.udp + 2] + (5501).to_bytes(2, "big") + GUE.frame[GUE.udp + 4 :]


def seen(ports: object, frame: bytes = FRAME) -> Tunnel:
    first = gso.parse(frame, tunnel_ports=ports).tunnel
    assert gso.parse(frame, tunnel_ports=ports).tunnel == first
    return first


def test_a_mapping_that_changes_is_read_anew():
    ports = {5501: Tunnel.GUE}
    assert seen(ports) == Tunnel.GUE
    ports[5501] = None
    assert seen(ports) == Tunnel.NONE
    ports[5501] = "gue"
    assert seen(ports) == Tunnel.GUE
    del ports[5501]
    assert seen(ports) == Tunnel.NONE
    ports.update({5502: Tunnel.GUE})
    assert seen(ports) == Tunnel.NONE
    ports[5501] = Tunnel.GUE
    assert seen(ports) == Tunnel.GUE


def test_two_mappings_in_turn():
    for _ in range(3):
        assert seen({5501: Tunnel.GUE}) == Tunnel.GUE
        assert seen({5501: Tunnel.NONE}) == Tunnel.NONE
        assert seen(None) == Tunnel.NONE
        assert seen({}) == Tunnel.NONE
        assert seen({5501: (Tunnel.FOU, 41)}) == Tunnel.FOU


def test_a_kind_whose_meaning_changes_is_asked_each_time():
    class Kind(str):
        name = "gue"

        def __hash__(self):
            return hash(self.name)

        def __eq__(self, other):
            return self.name == other

    kind = Kind("gue")
    assert seen({5501: kind}) == Tunnel.GUE
    kind.name = "none"
    assert seen({5501: kind}) == Tunnel.NONE


def test_a_bad_mapping_after_a_good_one():
    assert seen({5501: Tunnel.GUE}) == Tunnel.GUE
    for bad in ({5501: "nonsense"}, {70000: Tunnel.GUE}, {5501: (Tunnel.GUE, 4)}):
        with pytest.raises(ValueError, match=r"nonsense|70000|only Tunnel\.FOU"):
            gso.parse(FRAME, tunnel_ports=bad)
    assert seen({5501: Tunnel.GUE}) == Tunnel.GUE


def test_many_ports_and_other_mappings():
    many = {**dict.fromkeys(range(6000, 6020), Tunnel.VXLAN), 5501: Tunnel.GUE}
    assert seen(many) == Tunnel.GUE
    assert seen(MappingProxyType({5501: Tunnel.GUE})) == Tunnel.GUE
    assert seen(MappingProxyType({5501: None})) == Tunnel.NONE
    eight = {**dict.fromkeys(range(6000, 6007), Tunnel.VXLAN), 5501: Tunnel.GUE}
    assert seen(eight) == Tunnel.GUE


def test_all_doors_read_the_same():
    frames = gso.Frames.from_list([FRAME] * 3)
    want = gso.segment(GUE.frame, 1448).to_list()
    for _ in range(2):
        segments = gso.segment_batch(frames, 1448, tunnel_ports={5501: Tunnel.GUE})
        assert len(segments) == 3 * len(want)
        assert gso.parse_batch(frames, tunnel_ports={5501: "gue"})["tunnel"].tolist() == [6] * 3
        assert gso.parse_batch(frames)["tunnel"].tolist() == [0] * 3
