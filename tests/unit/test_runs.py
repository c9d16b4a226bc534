"""Frames like the one before them: nothing that differs may slip in, whichever byte it is."""

import numpy as np
import pytest
from scapy.contrib.geneve import GENEVE
from scapy.layers.inet import GRE, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw

import gso
import vectorset
from reference import coalescing as reference

SIZE = 100
HARMED = 4
IP4, IP6 = IP(id=65534), IPv6(fl=7)
TCP_ACK = TCP(flags="A", seq=2**32 - 250)
VXLAN4, VXLAN6 = UDP(sport=5, dport=4789) / VXLAN(), UDP(sport=5, dport=4789, chksum=0) / VXLAN()
KINDS = {
    "IPv4": IP4 / TCP_ACK,
    "IPv6": IP6 / TCP_ACK,
    "VXLAN with a checksum": IP(id=9) / VXLAN4 / Ether() / IP4 / TCP_ACK,
    "VXLAN without, IPv6": IP6 / VXLAN6 / Ether() / IP6 / TCP_ACK,
    "Geneve": IP6 / UDP(sport=5, dport=6081) / GENEVE() / Ether() / IP4 / TCP_ACK,
    "GRE with a checksum": IP(id=9) / GRE(chksum_present=1) / IP4 / TCP_ACK,
    "GRE with a key": IP6 / GRE(key_present=1, key=7) / IP6 / TCP_ACK,
    "GUE": IP(id=9) / UDP(sport=5, dport=6080) / Raw(b"\0\x04\0\0") / IP4 / TCP_ACK,
}  # fmt: skip


def train(kind: str) -> tuple[list[bytes], int]:
    """Segments of one packet, and how long their headers are."""
    packet = bytes(Ether() / KINDS[kind] / Raw(bytes(range(250)) * 3))
    parsed = gso.parse(packet, tunnel_ports=vectorset.PORTS)
    return gso.segment(packet, SIZE, tunnel_ports=vectorset.PORTS).to_list(), parsed.payload


def groups(frames: list[bytes]) -> list[list[int]]:
    """Which frames `coalesce` merges, checked by the reference and by segmentation."""
    options = {"tunnel_ports": vectorset.PORTS}
    made = gso.coalesce(frames, **options)
    found = [np.flatnonzero(made.into == k).tolist() for k in range(len(made))]
    assert found == [numbers for numbers, _ in reference.coalesce(frames, **options)]
    for numbers, whole, size, kind in zip(found, made, made.gso_size, made.gso_type, strict=True):
        if len(numbers) > 1:
            back = gso.segment(whole, int(size), gso_type=int(kind), **options)
            assert back.to_list() == [frames[number] for number in numbers]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_one_run(kind):
    frames, _ = train(kind)
    assert groups(frames) == [list(range(8))]


@pytest.mark.parametrize("kind", KINDS)
def test_each_byte(kind):
    frames, headers = train(kind)
    together = []
    for at in range(headers + 1):
        harmed = bytearray(frames[HARMED])
        harmed[at] ^= 1 << at % 8
        found = groups([*frames[:HARMED], bytes(harmed), *frames[HARMED + 1 :]])
        if len(found) == 1:
            together.append(at)
    assert together == []


@pytest.mark.parametrize("kind", KINDS)
def test_checksums_in_their_other_form(kind):
    """0 and 0xffff are the same to whoever adds them up; segmentation writes one of them."""
    frames, headers = train(kind)
    for at in range(14, headers, 2):
        for word in (b"\0\0", b"\xff\xff"):
            harmed = frames[HARMED][:at] + word + frames[HARMED][at + 2 :]
            if harmed != frames[HARMED]:
                assert len(groups([*frames[:HARMED], harmed, *frames[HARMED + 1 :]])) > 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", [1, 4, 6])
def test_one_that_is_missing(kind, missing):
    frames, _ = train(kind)
    del frames[missing]
    assert groups(frames) == [list(range(missing)), list(range(missing, 7))]
