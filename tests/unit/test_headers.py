import socket

import numpy as np
import pytest

import gso
from gso import GsoError, GsoType
from vectorset import PORTS, frame, outputs, records

GOOD = [
    r
    for r in records()
    if not r["dropped"] and not (r["input"]["gso_type"] & GsoType.UDP and r["inner_family"] == 6)
]


def test_headers_and_payload_are_the_segments():
    for r in GOOD:
        packet = memoryview(frame(r))
        options = {"gso_type": r["input"]["gso_type"], "tunnel_ports": PORTS}
        headers, payload = gso.segment_headers(packet, r["input"]["gso_size"], **options)
        assert payload.dtype == np.int64
        assert payload.shape == (len(headers), 2)
        joined = [
            bytes(header) + packet[offset : offset + length]
            for header, (offset, length) in zip(headers, payload, strict=True)
        ]
        assert joined == outputs(r), r["name"]


def test_named_and_unpacked():
    r = GOOD[0]
    result = gso.segment_headers(frame(r), r["input"]["gso_size"], tunnel_ports=PORTS)
    headers, payload = result
    assert headers == result.headers == result[0]
    assert (payload == result.payload).all()
    assert len(result) == 2


def test_ufo_needs_the_udp_header_in_one_piece():
    r = next(r for r in GOOD if r["input"]["gso_type"] & GsoType.UDP)
    with pytest.raises(GsoError, match=r"gso_size 7 cuts the UDP header \(8 bytes\)"):
        gso.segment_headers(frame(r), 7, gso_type=GsoType.UDP)


def test_sendmsg():
    """sendmsg takes the parts as they are: no payload byte is copied in user space."""
    r = next(r for r in GOOD if r["name"].startswith("vxlan") and len(r["outputs"]) > 1)
    packet = memoryview(frame(r))
    sender, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with sender, receiver:
        headers, payload = gso.segment_headers(packet, r["input"]["gso_size"])
        for header, (offset, length) in zip(headers, payload.tolist(), strict=True):
            sender.sendmsg([header, packet[offset : offset + length]])
        assert [receiver.recv(65536) for _ in headers] == outputs(r)
