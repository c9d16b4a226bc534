"""Which checksums a super-packet can have, by who made it.

A sender's stack leaves the sum of the pseudo header to the device: with the packet's length (Linux,
BSD), or without any where segments are to come of it (NDIS large send offload, of Windows). Others
leave 0. A receiver that merges segments has no use for the checksum any more: GRO puts the sum of
the pseudo header there, some drivers of LRO a right one, and others keep that of the first segment,
as GRO does with lists of fragments (SKB_GSO_FRAGLIST). Any other is damaged, or no super-packet's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from gso.constants import L4
from reference.checksums import checksum, pseudo_header

_UDP_HLEN = 8
_UDP_LENGTH_AT = 4
_CHECKSUM_AT = {L4.TCP: 16, L4.UDP: 6}
_FLAGS_AT = 13
_MERGED = (0, 0x08, 0x01, 0x09)
"""FIN and PSH: a merged packet has them if its last segment has (tcp_gro_receive)."""


def can_be_cut(frame: memoryview, packet: Any, size: int) -> bool:
    """Whether the checksum is one that a super-packet with segments of `size` bytes can have.

    `packet` is the row of PACKET_INFO_DTYPE of the whole frame.
    """
    if packet["partial"]:
        return True
    l4 = L4(int(packet["protocol"]))
    width = 4 if packet["version"] == 4 else 16
    addresses = packet["source"].tobytes()[:width], packet["final"].tobytes()[:width]
    hlen = _UDP_HLEN if l4 is L4.UDP else int(packet["tcp_hlen"])
    start = int(packet["hlen"]) - hlen
    whole = frame[start : start + hlen + int(packet["payload"])]
    field = int.from_bytes(whole[_CHECKSUM_AT[l4] :][:2], "big")
    without_length = pseudo_header(*addresses, int(l4), 0)
    if field == 0 or (l4 is L4.TCP and field == without_length):
        return True
    covered: chain[memoryview | bytes] = chain([whole], _firsts(bytes(whole[: hlen + size]), l4))
    return any(checksum(one, pseudo_header(*addresses, int(l4), len(one))) == 0 for one in covered)


def _firsts(first: bytes, l4: L4) -> Iterator[bytes]:
    """The first of the segments as it may have been, `first` being its bytes in the packet."""
    if l4 is L4.UDP:
        at = _UDP_LENGTH_AT
        yield first[:at] + len(first).to_bytes(2, "big") + first[at + 2 :]
        return
    at = _FLAGS_AT
    for merged in _MERGED:
        yield first[:at] + bytes([first[at] & ~merged]) + first[at + 1 :]
