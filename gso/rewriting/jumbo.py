"""The jumbo payload option of IPv6 (RFC 2675), which no segment may have."""

from __future__ import annotations

from gso.constants import L4

NEXT_HEADER_AT, HOP_BY_HOP = 6, 0
_PAYLOAD_LENGTH_AT, _IPV6_HLEN = 4, 40
_PAD1, _JUMBO = 0, 0xC2
_LONGEST_PAYLOAD = 0xFFFF


def keeps_jumbo_option(packet: memoryview) -> bool:
    """Whether segments of this IPv6 packet would have a jumbo payload option.

    The kernel takes the option away where it is the first of all, in front of TCP and in a packet
    that needs it (ipv6_hopopt_jumbo_remove); elsewhere it would be wrong in each segment.
    """
    if packet[NEXT_HEADER_AT] != HOP_BY_HOP:
        return False
    at, end = _IPV6_HLEN + 2, _IPV6_HLEN + 8 * (packet[_IPV6_HLEN + 1] + 1)
    while at + 1 < end:
        if packet[at] == _JUMBO:
            alone = at == _IPV6_HLEN + 2 and end == _IPV6_HLEN + 8
            length = int.from_bytes(packet[_PAYLOAD_LENGTH_AT:NEXT_HEADER_AT], "big")
            needed = length == 0 and len(packet) - _IPV6_HLEN > _LONGEST_PAYLOAD
            return not (alone and needed and packet[_IPV6_HLEN] == L4.TCP)
        at += 1 if packet[at] == _PAD1 else 2 + packet[at + 1]
    return False
