"""Packets of random connections, and what a command makes of a capture of them."""

from __future__ import annotations

import io
import struct

import dpkt
from hypothesis import settings
from hypothesis import strategies as st

import gso
import handmade
from effort import examples

TRIES = settings(max_examples=examples(200))
PORTS = st.integers(1024, 4000)
BYTES = st.binary(min_size=1, max_size=400)
HOSTS = st.sampled_from([(handmade.CLIENT[0], handmade.SERVER[0]), ("2001:db8::1", "2001:db8::2")])


def ends(hosts, ports):
    return (hosts[0], ports[0]), (hosts[1], ports[1])


PAIRS = st.builds(ends, HOSTS, st.tuples(PORTS, PORTS))
V4_PAIRS = st.builds(
    ends, st.just((handmade.CLIENT[0], handmade.SERVER[0])), st.tuples(PORTS, PORTS)
)
TCP = st.builds(lambda pair, data: handmade.tcp(*pair, data), PAIRS, BYTES)
UDP = st.builds(lambda pair, data: handmade.udp(*pair, data), PAIRS, BYTES)
PACKET = TCP | UDP
V4_PACKET = st.builds(lambda pair, data: handmade.tcp(*pair, data), V4_PAIRS, BYTES)


def padded(packet: bytes) -> bytes:
    return handmade.ethernet(packet).ljust(60, b"\0")


def tagged(frame: bytes, tag: int, priority: int) -> bytes:
    return frame[:12] + struct.pack(">HH", 0x8100, priority << 13 | tag) + frame[12:]


def run(command, frames, *arguments, link_type="ethernet", **options):
    source, target = io.BytesIO(), io.BytesIO()
    gso.write_capture(source, frames, link_type=link_type, format="pcap")
    source.seek(0)
    result = command(source, target, *arguments, **options)
    target.seek(0)
    return [bytes(data) for _, data in dpkt.pcap.Reader(target)], result
