"""Sizes of the datagrams that a UDP super-packet was made of, from the packets themselves.

Nothing announces the size, as a handshake does for TCP. Where every datagram begins with a header
of its own, the distance of these headers is the size. Where the others of the flow have one size,
and the packet is a multiple of it, that is the size. Everything else is left alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_LEAST = 64
_WIREGUARD_DATA = b"\4\0\0\0"
_WIREGUARD_HLEN = 16
_COUNTER = slice(8, 16)
_QUIC_FIXED = 0x40
_QUIC_LONG = 0x80
_QUIC_LEAST = 1200
_CONNECTION_ID = slice(1, 9)
_ENOUGH = 8
_FLOW_FIELDS = ("version", "source", "destination", "source_port", "destination_port")


def datagram_size(
    payload: bytes, packet: Any, info: npt.NDArray[np.void], mtu: int
) -> tuple[int, str] | None:
    """Bytes of each datagram but the last, and what says so; None where nothing is sure.

    `packet` is the row of a super-packet among those of its batch, of PACKET_INFO_DTYPE.
    """
    for name, find in (("WireGuard headers", _wireguard), ("QUIC headers", _quic)):
        size = find(payload, mtu)
        if size is not None:
            return size, name
    # A whole datagram has a whole checksum; that of a super-packet is left to a device.
    size = _others(packet, info, mtu) if packet["partial"] else None
    if size and len(payload) % size == 0:
        return size, "the other datagrams of the flow"
    return None


def _wireguard(payload: bytes, mtu: int) -> int | None:
    """The distance of transport data messages (type 4), whose counters go up by one."""
    if not payload.startswith(_WIREGUARD_DATA):
        return None
    size = payload.find(payload[:8], _LEAST, mtu)
    if size < 0:
        return None
    heads = [payload[at : at + _WIREGUARD_HLEN] for at in range(0, len(payload), size)]
    first = int.from_bytes(payload[_COUNTER], "little")
    right = all(
        head[:8] == payload[:8] and int.from_bytes(head[_COUNTER], "little") == first + i
        for i, head in enumerate(heads)
    )
    right = right and payload.count(payload[:8]) == len(heads)
    return size if right and len(heads[-1]) == _WIREGUARD_HLEN else None


def _quic(payload: bytes, mtu: int) -> int | None:
    """The distance of short headers (RFC 9000, section 17.3) with one connection ID of 8 bytes.

    A packet with a short header ends its datagram. Packets with long headers may follow one
    another in one datagram (section 12.2), so that they tell nothing. Datagrams of full size have
    1200 bytes or more (section 14), and the rest of them is encrypted: the ID is nowhere else.
    """
    if len(payload) <= _QUIC_LEAST or not _is_short(payload):
        return None
    identity = payload[_CONNECTION_ID]
    size = payload.find(identity, 2, mtu) - 1
    if size < _QUIC_LEAST:
        return None
    heads = [payload[at : at + _CONNECTION_ID.stop] for at in range(0, len(payload), size)]
    right = all(head[_CONNECTION_ID] == identity and _is_short(head) for head in heads)
    return size if right and payload.count(identity) == len(heads) else None


def _is_short(head: bytes) -> bool:
    return head[0] & (_QUIC_LONG | _QUIC_FIXED) == _QUIC_FIXED


def _others(packet: Any, info: npt.NDArray[np.void], mtu: int) -> int | None:
    """The size that most of the flow's other datagrams have, and none exceeds."""
    same = (info["protocol"] == packet["protocol"]) & (info["length"] <= mtu)
    for name in _FLOW_FIELDS:
        equal = info[name] == packet[name]
        same &= equal.all(axis=1) if equal.ndim > 1 else equal
    sizes = info["payload"][same]
    most = int(sizes.max(initial=0))
    full = int((sizes == most).sum())
    return most if most >= _LEAST and full >= _ENOUGH and 2 * full >= len(sizes) else None
