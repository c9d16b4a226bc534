"""Where the packet of each header ends, and what may follow it: padding or a trailer.

Each level has an end of its own. A length field is believed if it leaves room for the headers that
follow and fits into the level around it. Where bytes are left over, the checksums decide: a
super-packet whose lengths are those of one segment has none that are right under these lengths.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gso.buffers._checksum import checksum, pseudo_header
from gso.buffers._crc32c import crc32c

if TYPE_CHECKING:
    from gso.headers.header import Header

# Length fields, and the bytes of the header that they do not count
LENGTHS = {
    "ipv4": ("total length", 0),
    "ipv6": ("payload length", 40),
    "udp": ("length", 0),
    "pppoe": ("length", 6),
}
TRANSPORT = {"tcp": 6, "udp": 17, "icmpv6": 58}
_SUMMED = (*TRANSPORT, "icmp", "gre", "sctp")

_FCS = 4
_PADDED = 64
"""Longest Ethernet frame that may have been padded, with its frame check sequence."""
_TAG = 4
_TRAILER = 64
"""Longest trailer that is believed where no checksum tells, in bytes."""
_IPV4_HLEN = 20
_SCTP_CHECK = 8
_SOURCE_ROUTES = (131, 137)
_HOME_ADDRESS = 201
"""Option of a destination options header (RFC 6275, section 6.3)."""


def packet_ends(headers: list[Header], data: bytes) -> list[int]:
    """For each header, the byte after the packet that it belongs to, padding left out."""
    doubted: set[int] = set()
    while True:
        found = _believed(headers, len(data), doubted)
        around = [len(data), *found]
        doubt = next(
            (
                place
                for place in range(len(headers))
                if found[place] < around[place]
                and not _may_follow(headers, place, data, found, around[place])
            ),
            None,
        )
        if doubt is None:
            return found
        doubted.add(doubt)


def declared_end(header: Header) -> int | None:
    """The byte after the packet as the header's length field has it; None without such a field."""
    name, uncounted = LENGTHS.get(header.protocol.name, ("", 0))
    value = header.values.get(name)
    return None if value is None else header.offset + uncounted + value


def _believed(headers: list[Header], size: int, doubted: set[int]) -> list[int]:
    found = []
    end = size
    for place, header in enumerate(headers):
        declared = declared_end(header)
        least = _least_end(headers[-1])
        if declared is not None and place not in doubted and least <= declared <= end:
            end = declared
        found.append(end)
    return found


def _least_end(last: Header) -> int:
    """The byte up to which a packet with this last header must reach.

    What the header says of its own length may be wrong, but its fixed fields are there.
    """
    return min(last.end, last.offset + last.protocol.fixed)


def _may_follow(
    headers: list[Header], place: int, data: bytes, ends: list[int], around: int
) -> bool:
    """Whether the bytes from the header's end to `around` may be padding or a trailer."""
    starts = [header.offset for header in headers if header.protocol.name == "ethernet"]
    start = starts[-1] if starts else 0
    # Tags are put into frames that have been padded.
    tags = sum(one.protocol.name == "vlan" and one.offset > start for one in headers)
    if len(data) - start <= _PADDED + _TAG * tags:
        return True
    if around == len(data) and around - ends[place] == _FCS:
        return True
    short = around - ends[place] <= _TRAILER
    known = _verdicts(headers, place, data, ends)
    if not known:
        return short or headers[place].protocol.name == "udp"
    if all(known) or not short:
        return all(known)
    # No end is right by the checksums, or the one without a trailer is.
    longer = [around if end == ends[place] else end for end in ends]
    return not all(_verdicts(headers, place, data, longer))


def _verdicts(headers: list[Header], place: int, data: bytes, ends: list[int]) -> list[bool]:
    """For each checksum from the header at `place` on that tells, whether it fits these ends."""
    found = [
        _fits(headers, inner, data, ends[inner])
        for inner in range(place, len(headers))
        if headers[inner].protocol.name in _SUMMED
    ]
    return [verdict for verdict in found if verdict is not None]


def _fits(headers: list[Header], place: int, data: bytes, end: int) -> bool | None:
    """Whether the header's checksum is right up to `end`, or partial; None if it cannot be told."""
    header = headers[place]
    value = header.values.get("checksum")
    if value is None or in_fragment(headers[:place]):
        return None
    if header.protocol.name == "sctp":
        return value == sctp_checksum(data[header.offset : end]) if value else None
    if header.protocol.name not in TRANSPORT:
        return checksum(data[header.offset : end]) == 0
    if header.protocol.name == "udp" and value == 0:
        return None
    initial = pseudo_sum(headers, place, data, end)
    if initial is None:
        return None
    return value == initial or checksum(data[header.offset : end], initial) == 0


def sctp_checksum(packet: bytes) -> int:
    """The checksum of an SCTP packet, as the number in its field (RFC 9260, appendix A)."""
    at = _SCTP_CHECK
    crc = crc32c(packet[at + 4 :], crc32c(packet[:at] + bytes(4)))
    return int.from_bytes(crc.to_bytes(4, "little"), "big")


def fragment_end(headers: list[Header]) -> int | None:
    """Where a fragment ends whose own headers these are; None if the last one does not say so.

    What follows the end is padding: no header of the packet in the fragments is read from it.
    """
    if not _is_fragment(headers[-1]):
        return None
    ends = [declared_end(one) for one in headers if one.protocol.name in ("ipv4", "ipv6")]
    return ends[-1] if ends else None


def in_fragment(outer: list[Header]) -> bool:
    """Whether what follows these headers is in a fragment of an IP packet, at any level."""
    return any(_is_fragment(header) for header in outer)


def _is_fragment(header: Header) -> bool:
    values = header.values
    if header.protocol.name == "ipv4" and values.get("flags", 0) & 1:
        return True
    return bool(values.get("fragment offset") or values.get("more fragments"))


def pseudo_sum(headers: list[Header], place: int, data: bytes, end: int) -> int | None:
    """The sum of the pseudo header of the TCP, UDP or ICMPv6 header at `place`.

    It has the final destination of a source route (RFC 791, section 3.1; RFC 8200, section 8.1) and
    the home address (RFC 6275, section 6.3.1). None if an address is not known.
    """
    start = next(i for i in range(place, -1, -1) if headers[i].protocol.name in ("ipv4", "ipv6"))
    ip = headers[start]
    width, at = (4, 12) if ip.protocol.name == "ipv4" else (16, 8)
    source: bytes | None = data[ip.offset + at :][:width]
    target: bytes | None = data[ip.offset + at + width :][:width]
    if ip.protocol.name == "ipv4":
        for kind, option in _options(data[ip.offset + _IPV4_HLEN : ip.end], single=(0, 1)):
            if kind in _SOURCE_ROUTES and len(option) >= 7 and option[2] <= len(option):
                target = option[-4:]
    for header in headers[start + 1 : place]:
        raw = data[header.offset : header.end]
        if header.protocol.name == "routing" and header.values.get("segments left"):
            target = _last_segment(raw)
        elif header.protocol.name == "destination options":
            for kind, option in _options(raw[2:], single=(0,)):
                source = option[2:] if kind == _HOME_ADDRESS else source
    if source is None or target is None or len(source) != width or len(target) != width:
        return None
    number = TRANSPORT[headers[place].protocol.name]
    return pseudo_header(source, target, number, end - headers[place].offset)


def _last_segment(routing: bytes) -> bytes | None:
    """The final destination in an IPv6 routing header; None for a type that is not known."""
    if routing[2] in (0, 2):
        return routing[8:][-16:]
    if routing[2] == 4:  # RFC 8754: the list has the last segment first
        return routing[8:24]
    return None


def _options(body: bytes, single: tuple[int, ...]) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each option with a length; in IPv6, the length leaves out two bytes."""
    at = 0
    uncounted = 0 if 1 in single else 2
    while at + 2 <= len(body):
        if body[at] in single:
            if uncounted == 0 and body[at] == 0:
                return
            at += 1
            continue
        length = body[at + 1] + uncounted
        if length < 2 or at + length > len(body):
            return
        yield body[at], body[at : at + length]
        at += length
