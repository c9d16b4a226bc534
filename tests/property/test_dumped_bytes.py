"""The packet's bytes in a dump of the kernel say what `gso.parse` says of the packet."""

from __future__ import annotations

import io
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gso
import handmade
from effort import examples
from gso.headers.tunnels import BY_PORT

TOLD = ("l4", "payload", "tunnel", "ihl", "doff")
TUNNELS = {"ipip": 4, "sit": 6, "gre": 4, "vxlan": 6, "geneve": 4, "gue": 4}
"""The version of the packet in each tunnel."""
PAYLOAD = st.binary(max_size=700)
KEPT = st.integers(60, 700)
HEADROOM = st.integers(0, 300)


def dump(frame: bytes, layout, headroom: int, kept: int, *, pulled: int = 0) -> str:
    """Print a packet as skb_dump does, of whose start `pulled` bytes lie before skb->data."""
    base = headroom - pulled
    inner = [getattr(layout, f"inner_{name}_header") for name in ("mac", "network", "transport")]
    inside = layout.tunnel != gso.Tunnel.NONE
    mac, net, trans = ((base + at) if inside else 0 for at in inner)
    linear = frame[pulled : pulled + kept]
    lines = [
        f"skb len={len(frame) - pulled} headroom={headroom} headlen={len(linear)} tailroom=0",
        f"mac=({base + layout.mac_header},14) mac_len=14 net=({base + layout.network_header},20) "
        f"trans={base + layout.transport_header}",
        "shinfo(txflags=0 nr_frags=1 gso(size=1448 type=1 segs=2))",
        f"encapsulation={int(inside)} inner(proto=0x0800, mac={mac}, net={net}, trans={trans})",
    ]
    for at in range(0, len(linear), 16):
        lines.append(f"skb linear:   {at:08x}: {linear[at : at + 16].hex(' ')}")
    return "".join(f"[  812.123460] {line}\n" for line in lines)


def told(text: str) -> dict[str, int]:
    trace = gso.read_trace(io.BytesIO(text.encode()), "dmesg")
    assert (len(trace), trace.damaged) == (1, 0)
    return {name: value for name, value in trace.skb_state(0).known.items() if name in TOLD}


def plain_packet(version: int, payload: bytes, *, tcp: bool) -> bytes:
    ends = [(f"192.0.2.{n}" if version == 4 else f"2001:db8::{n}", 4000 + n) for n in (1, 2)]
    return (handmade.tcp if tcp else handmade.udp)(*ends, payload)


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from([4, 6]), st.booleans(), PAYLOAD, HEADROOM, KEPT)
def test_a_plain_packet(version, tcp, payload, headroom, kept):
    frame = handmade.ethernet(plain_packet(version, payload, tcp=tcp))
    layout = gso.parse(frame)
    at = layout.transport_header
    expected = {"l4": layout.l4, "payload": len(payload)} if kept >= at + 13 or not tcp else {}
    found = told(dump(frame, layout, headroom, kept))
    if expected:
        assert found == {
            **expected,
            **({"ihl": 5} if version == 4 else {}),
            **({"doff": 8} if tcp else {}),
        }
    else:
        assert found.items() <= {"l4": layout.l4, "ihl": 5}.items()


@settings(max_examples=examples(200), deadline=None)
@given(st.sampled_from(list(TUNNELS)), PAYLOAD, HEADROOM, st.booleans())
def test_a_packet_in_a_tunnel(tunnel, payload, headroom, pulled):
    inner = plain_packet(TUNNELS[tunnel], payload, tcp=True)
    frame = bytes(
        gso.encapsulate(
            [handmade.ethernet(inner)], tunnel, source="198.51.100.1", destination="198.51.100.2"
        )[0]
    )
    layout = gso.parse(frame)
    assert layout.tunnel.name.lower() == tunnel
    # A tunnel's outer header lies before skb->data where the inner packet is dumped.
    gone = layout.inner_network_header if pulled else 0
    found = told(dump(frame, layout, headroom + gone, 700, pulled=gone))
    assert found.pop("tunnel", None) == (None if pulled else layout.tunnel)
    assert found.pop("ihl", 5) == 5
    assert found == {"l4": 6, "payload": len(payload), "doff": 8}


@dataclass
class Offsets:
    """What `dump` prints of a layout."""

    mac_header: int = 0
    network_header: int = 14
    transport_header: int = 34
    inner_mac_header: int = 50
    inner_network_header: int = 50
    inner_transport_header: int = 70
    tunnel: gso.Tunnel = gso.Tunnel.GUE


@pytest.mark.parametrize("flags", [0, 0x1000, 0x2000, 0x3000, 0x8000, 0xB000])
def test_the_flags_of_a_gre_header_tell_whether_it_has_a_number(flags):
    inner = handmade.ethernet(plain_packet(4, bytes(3000), tcp=True))
    addresses = {"source": "198.51.100.1", "destination": "198.51.100.2"}
    frame = bytearray(gso.encapsulate([inner], "gre", **addresses)[0])
    layout = gso.parse(bytes(frame))
    at = layout.transport_header
    frame[at : at + 2] = flags.to_bytes(2, "big")
    text = dump(bytes(frame), layout, 64, 700).replace(" type=1 ", " type=65 ")
    trace = gso.read_trace(io.BytesIO(text.encode()))
    assert trace.skb_state(0).gre_flags == flags & 0x7FFF
    broken = {rule for case in gso.diagnose(trace).cases for rule in case.rules}
    assert ("gre-sequence" in broken) == bool(flags & 0x1000)


def test_the_ports_are_those_of_the_table():
    inner = plain_packet(4, b"x", tcp=True)
    for port, row in BY_PORT.items():
        header = (4000).to_bytes(2, "big") + port.to_bytes(2, "big") + bytes(4 + 8)
        outer = handmade.network(("192.0.2.1", 0), ("192.0.2.2", 0), 17, header + inner)
        found = told(dump(handmade.ethernet(outer), Offsets(), 0, 700))
        assert found.get("tunnel") == row.tunnel, port


def test_two_dumps_in_one_tell_nothing():
    frame = handmade.ethernet(plain_packet(4, b"x" * 100, tcp=True))
    text = dump(frame, gso.parse(frame), 10, 700)
    lines = text.splitlines(keepends=True)
    assert told(text) != {}
    assert told("".join([*lines[:7], lines[4], *lines[7:]])) == {}


def test_a_line_that_was_lost_ends_the_bytes():
    frame = handmade.ethernet(plain_packet(4, b"x" * 100, tcp=True))
    lines = dump(frame, gso.parse(frame), 10, 700).splitlines(keepends=True)
    assert told("".join([*lines[:5], *lines[6:]])) == {}


def test_bytes_that_are_no_ip_header_tell_nothing():
    frame = bytearray(handmade.ethernet(plain_packet(4, b"x" * 100, tcp=True)))
    layout = gso.parse(frame)
    frame[25] ^= 1  # its checksum is wrong now
    assert told(dump(bytes(frame), layout, 10, 700)) == {}


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(list(TUNNELS)), st.sampled_from([4, 6]), PAYLOAD, HEADROOM)
def test_what_a_tracer_printed_of_a_packet_tells_its_tunnel(tunnel, version, payload, headroom):
    if {tunnel: version}.items() <= {"ipip": 6, "sit": 4}.items():
        return
    inner = handmade.ethernet(plain_packet(version, payload, tcp=True))
    addresses = {"source": "198.51.100.1", "destination": "198.51.100.2"}
    frame = bytes(gso.encapsulate([inner], tunnel, **addresses)[0])
    layout = gso.parse(frame)
    fields = ("inner_mac", "inner_network", "inner_transport", "mac", "network", "transport")
    places = " ".join(f"{n}_header={headroom + getattr(layout, f'{n}_header')}" for n in fields)
    words = (frame[at : at + 8].ljust(8, b"\0") for at in range(0, min(len(frame), 160), 8))
    data = ",".join(hex(int.from_bytes(word, "little")) for word in words)
    text = f"a-7 [003] d.h1. 12.000005: x: (x+0x4/0x5) {places} len={len(frame)} data={{{data}}}\n"
    trace = gso.read_trace(io.BytesIO(text.encode()))
    assert trace.skb_state(0).tunnel == layout.tunnel
    assert gso.diagnose(trace).cases == []
