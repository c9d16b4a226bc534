# SPDX-License-Identifier: MIT

# scapy.contrib.description = Generic UDP Encapsulation (GUE) and Foo over UDP (FOU)
# scapy.contrib.status = loads

"""Generic UDP Encapsulation (GUE) and Foo over UDP (FOU).

GUE: draft-ietf-intarea-gue-09, with the private flags and the remote checksum offload of
draft-ietf-intarea-gue-extensions as the Linux kernel has them (include/net/gue.h). Variant 1 has no
header of its own: the IP header follows the UDP header. FOU never has one (net/ipv4/fou_core.c).
"""

from __future__ import annotations

from typing import Any, ClassVar

from scapy.fields import (
    BitField,
    ByteEnumField,
    ConditionalField,
    FlagsField,
    ShortField,
    StrLenField,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import GRE
from scapy.packet import Packet, bind_layers

GUE_PORT = 6080
WORD = 4
CARRIED = {4: IP, 41: IPv6, 47: GRE}
"""The layers that the kernel carries, by IP protocol number."""


def by_version(payload: bytes) -> type[Packet] | None:
    """Return the layer of an IP packet, by the version in its first four bits."""
    return {4: IP, 6: IPv6}.get(payload[0] >> 4) if payload else None


def has_private_flags(packet: Packet) -> bool:
    """Say whether private flags follow the four bytes that every header has."""
    return bool(packet.flags & 1 and packet.hlen != 0)


def has_remcsum(packet: Packet) -> bool:
    """Say whether the private flags announce remote checksum offload, and the header has room."""
    room = packet.hlen is None or packet.hlen >= 2
    return has_private_flags(packet) and room and bool(packet.private_flags & 1 << 31)


def other_fields_length(packet: Packet) -> int:
    """Return the bytes of the header that no field above names."""
    known = WORD * (has_private_flags(packet) + has_remcsum(packet))
    return max(WORD * (packet.hlen or 0) - known, 0)


class GUE(Packet):
    """The header of variant 0. Of variant 1, which has none, the IP packet is returned."""

    name = "GUE"
    fields_desc = [  # noqa: RUF012
        BitField("variant", 0, 2),
        BitField("control", 0, 1),
        BitField("hlen", None, 5),
        ByteEnumField("proto", 0, {4: "ipv4", 41: "ipv6", 47: "gre", 59: "none"}),
        FlagsField("flags", 0, 16, ["private", *(f"flag{bit}" for bit in range(1, 16))]),
        ConditionalField(
            FlagsField("private_flags", 0, 32, [*(f"flag{bit}" for bit in range(31)), "remcsum"]),
            has_private_flags,
        ),
        ConditionalField(ShortField("csum_start", 0), has_remcsum),
        ConditionalField(ShortField("csum_offset", 0), has_remcsum),
        StrLenField("other_fields", b"", length_from=other_fields_length),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **__: Any) -> type[Packet]:
        """Return the layer of the IP packet that a header of variant 1 is."""
        if _pkt and _pkt[0] >> 6 == 1:
            return by_version(_pkt) or cls
        return cls

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Put in the length of the optional fields, in words of four bytes."""
        if self.hlen is None:
            words = (len(pkt) - WORD) // WORD
            pkt = bytes([pkt[0] & 0xE0 | words & 0x1F]) + pkt[1:]
        return pkt + pay

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the layer that `proto` names; a control message's payload is no packet."""
        if self.control:
            return self.default_payload_class(payload)
        return CARRIED.get(self.proto) or super().guess_payload_class(payload)


class FOU(Packet):
    """No bytes: an IP packet follows the UDP header, known by its version."""

    name = "FOU"
    fields_desc: ClassVar[list[Any]] = []

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return IP or IPv6."""
        return by_version(payload) or super().guess_payload_class(payload)


bind_layers(UDP, GUE, dport=GUE_PORT)
for number, carried in CARRIED.items():
    bind_layers(GUE, carried, proto=number)
