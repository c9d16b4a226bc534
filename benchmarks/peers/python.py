"""Segmentation with Python's packet libraries, as their users would write it."""

from __future__ import annotations

from typing import Any

import dpkt
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN  # noqa: F401  (so that UDP knows its port)
from scapy.packet import Raw

from cases import Case


def _recompute(header: Any, number: int) -> None:
    """Let scapy fill in lengths and checksums."""
    if isinstance(header, IP):
        header.id += number
        header.len = header.chksum = None
    elif isinstance(header, IPv6):
        header.plen = None
    elif isinstance(header, UDP):
        header.len = header.chksum = None


def with_scapy(case: Case) -> list[bytes]:
    """Packets taken apart and put together by scapy."""
    layer = IP if case.version == 4 else IPv6
    inner = layer(case.frame[case.ips[-1] : case.headers])
    outer = Ether(case.frame[: case.ips[-1]])
    payload, segments = case.payload, []
    for number, start in enumerate(range(0, len(payload), case.mss)):
        head = inner.copy()
        tcp = head[TCP]
        tcp.seq += start
        tcp.chksum = None
        if start + case.mss < len(payload):
            tcp.flags.P = False
        segment = outer.copy() / head / Raw(payload[start : start + case.mss])
        header = segment
        while header:
            _recompute(header, number)
            header = header.payload
        segments.append(bytes(segment))
    return segments


def _renumber(header: Any, number: int) -> None:
    if isinstance(header, dpkt.ip.IP):
        header.id += number
        header.len = 20 + len(header.data)
        header.sum = 0
    else:
        header.plen = len(header.data)


def with_dpkt(case: Case) -> list[bytes]:
    """Packets taken apart and put together by dpkt, which computes checksums that are 0."""
    inner_class = dpkt.ip.IP if case.version == 4 else dpkt.ip6.IP6
    between = case.frame[14 + (20 if case.version == 4 else 40) : case.ips[-1]]
    payload, segments = case.payload, []
    for number, start in enumerate(range(0, len(payload), case.mss)):
        inner = inner_class(case.frame[case.ips[-1] : case.headers])
        tcp = inner.data
        tcp.data = payload[start : start + case.mss]
        tcp.seq += start
        tcp.sum = 0
        if start + case.mss < len(payload):
            tcp.flags &= ~dpkt.tcp.TH_PUSH
        _renumber(inner, number)
        frame = dpkt.ethernet.Ethernet(case.frame[: case.ips[-1]])
        if len(case.ips) == 1:
            frame.data = inner
        else:
            if case.udp is None:
                frame.data.data = between + bytes(inner)
            else:
                frame.data.data.data = between[8:] + bytes(inner)
                frame.data.data.ulen = 8 + len(frame.data.data.data)
                frame.data.data.sum = 0
            _renumber(frame.data, number)
        segments.append(bytes(frame))
    return segments
