"""The sk_buff record in Python: its fields by name, and arrays of such records."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from gso.constants import Tunnel
from gso.skb._skb import FIELDS, SKB_DTYPE, unknown_rows

__all__ = ["OFFSETS", "UNSET", "SkbState", "skb_array"]

OFFSETS = (
    *("mac_header", "network_header", "transport_header"),
    *("inner_mac_header", "inner_network_header", "inner_transport_header"),
)
UNSET = 0xFFFF
"""The value of an offset that the kernel has not set."""


@dataclass(frozen=True, kw_only=True)
class SkbState:
    """The fields of a ``struct sk_buff`` that segmentation relies on; None is unknown.

    Offsets count from ``skb->head``, in bytes. They are u16 in the kernel, and printed in many
    ways: -2, 65534, 0xfffe, 4294967294 and 18446744073709551614 are the same offset, kept as
    65534; 65535 is unset.

    Attributes:
        len, data_len: bytes in all, and of these the bytes in pages.
        encapsulation: whether the inner offsets are in use.
        gso_size, gso_type: of ``skb_shinfo(skb)``; payload bytes per segment and `gso.GsoType`,
            32 bits of which the last one cannot be alone.
        inner_protocol_type: 0 is ENCAP_TYPE_ETHER (`inner_protocol` counts), 1 is
            ENCAP_TYPE_IPPROTO (`inner_ipproto` counts).
        protocol, inner_protocol: Ethernet types, host order.
        inner_ipproto: IP protocol number.
        ip_summed: 3 is CHECKSUM_PARTIAL.
        frag_list: whether ``skb_shinfo(skb)`` has packets in its frag_list.
        csum_start: where checksumming starts, counted from ``skb->head``.
        csum_offset: bytes from there to the checksum field.
        ihl, doff: the header lengths in the innermost IPv4 and TCP headers, in 32-bit words.
        payload: bytes after the innermost transport header.
        tunnel: the `gso.Tunnel`, where it is known.
        l4: the innermost IP protocol, 6 or 17.
        tnl_hlen: the tunnel header length as the kernel computes it, inner_mac_header -
            transport_header (``__skb_udp_tunnel_segment``, ``gre_gso_segment``), from these offsets
            if they are known. It can be negative.
        headroom: bytes from ``skb->head`` to ``skb->data``.
        mtu: of the device ``skb->dev``.
        context: where the sk_buff was seen, of `gso.constants.Context`.
        gre_flags: the first 16 bits of the outer GRE header without the first one, the checksum's
            (RFC 2890); 0x1000 says that a sequence number follows.
    """

    mac_header: int | None = None
    network_header: int | None = None
    transport_header: int | None = None
    inner_mac_header: int | None = None
    inner_network_header: int | None = None
    inner_transport_header: int | None = None
    len: int | None = None
    data_len: int | None = None
    encapsulation: int | None = None
    gso_size: int | None = None
    gso_type: int | None = None
    inner_protocol_type: int | None = None
    inner_protocol: int | None = None
    inner_ipproto: int | None = None
    protocol: int | None = None
    ip_summed: int | None = None
    frag_list: int | None = None
    csum_start: int | None = None
    csum_offset: int | None = None
    ihl: int | None = None
    doff: int | None = None
    payload: int | None = None
    tunnel: Tunnel | None = None
    l4: int | None = None
    tnl_hlen: int | None = None
    headroom: int | None = None
    mtu: int | None = None
    context: int | None = None
    gre_flags: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                object.__setattr__(self, field.name, _checked(field.name, value))
        inner, outer = self.inner_mac_header, self.transport_header
        if inner is not None and outer is not None:
            object.__setattr__(self, "tnl_hlen", inner - outer)

    @property
    def known(self) -> dict[str, int]:
        """The fields that are known, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: int(value) for name, value in values.items() if value is not None}

    @classmethod
    def from_row(cls, row: np.void) -> SkbState:
        """One row of an array of SKB_DTYPE."""
        values: dict[str, Any] = {}
        *numbers, zero_known = row.item()
        for name, value in zip(FIELDS, numbers, strict=True):
            if value != _UNKNOWN[name] and (value or zero_known):
                # A number that no sk_buff can hold is from a damaged log: it is not known.
                number = value & 0xFFFFFFFF if name == "gso_type" else value
                with contextlib.suppress(ValueError):
                    values[name] = _checked(name, number)
        return cls(**values)


_UNKNOWN = {name: int(np.iinfo(SKB_DTYPE[name]).min) for name in FIELDS}


def _checked(name: str, value: int) -> int:
    """The number as SKB_DTYPE holds it; ValueError if none of this field can be so."""
    if not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is a {type(value).__name__}, not an int")
    number = int(value)
    if name in OFFSETS or name in ("csum_start", "tnl_hlen"):
        number -= 1 << 64 if 1 << 63 <= number < 1 << 64 else 0
    if name in OFFSETS or name == "csum_start":
        low, high = -0x8000, 0xFFFF
        number -= 1 << 32 if number >= (1 << 32) - 0x8000 else 0
    elif name == "tnl_hlen":
        low, high = -0xFFFF, 0xFFFF
        number -= 1 << 32 if number >= 1 << 31 else 0
        number -= 1 << 16 if 0x8000 <= number <= 0xFFFF else 0
    elif name == "gso_type":
        low, high = 0, 0xFFFFFFFF
    else:
        low, high = 0, int(np.iinfo(SKB_DTYPE[name]).max)
    if name == "gso_type" and number == 1 << 31:
        raise ValueError("gso_type is 0x80000000: a bit for IPv4 IDs, and no kind of packet")
    if not low <= number <= high:
        raise ValueError(f"{name} is {number}, not within {low} to {high}")
    if name == "tunnel":
        return Tunnel(number)
    return number & 0xFFFF if name in OFFSETS or name == "csum_start" else number


def stored(name: str, value: int) -> int:
    """Return a field's number as SKB_DTYPE holds it: the 32 bits of gso_type with a sign."""
    return value - (1 << 32) if name == "gso_type" and value >= 1 << 31 else value


def skb_array(states: Iterable[SkbState] | int) -> npt.NDArray[np.void]:
    """Make an array of SKB_DTYPE from these states, or of so many rows in which nothing is known.

    An unknown field has the lowest number of its type, -2147483648 or -32768. In rows made by
    ``numpy.zeros``, whose field ``zero_known`` is 0, zero is unknown as well. The rows made here
    have ``zero_known`` 1: their zeros count.
    """
    if isinstance(states, int):
        return unknown_rows(states)
    known = [state.known for state in states]
    rows = unknown_rows(len(known))
    for row, values in zip(rows, known, strict=True):
        for name, value in values.items():
            row[name] = stored(name, value)
    return rows
