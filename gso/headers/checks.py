"""Whether the lengths and checksums in a frame are right."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Any, SupportsBytes

from gso.buffers._checksum import checksum
from gso.buffers.taken import frame_bytes
from gso.headers.ends import (
    LENGTHS,
    TRANSPORT,
    declared_end,
    in_fragment,
    packet_ends,
    pseudo_sum,
    sctp_checksum,
)
from gso.headers.fields import read_headers
from gso.headers.header import Header
from gso.headers.tunnels import BY_PORT
from gso.versions import Fact, KernelVersion, facts_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.tunnels import TunnelPorts

__all__ = ["Check", "Status", "check"]

_MOST = 0xFFFF
"""The largest length that fits into its field."""
_CARRYING = ("ipv4", "ipv6", "udp", "gre")
"""Headers that have another packet after them in a tunnel: IPv4 has BIG TCP outside tunnels."""


class Status(str, Enum):
    """How a field compares with its right value."""

    RIGHT = "right"
    WRONG = "wrong"
    BLANK = "blank"
    """A checksum of zero where another is right: the sending host left it to a device."""
    PARTIAL = "partial"
    """The sum of the pseudo header alone: a device, or with remote checksum offload the receiver,
    adds the rest."""
    UNUSED = "unused"
    """A UDP checksum of zero."""
    MISSING = "missing"
    """A UDP checksum of zero over IPv6 where UDP carries no tunnel, which RFC 8200, section 8.1
    forbids, in a tunnel's packet, too."""
    UNKNOWN = "unknown"
    """The frame lacks bytes that the checksum covers."""

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Check:
    """One length or checksum field.

    Attributes:
        header: name of the header, as `gso.headers.fields.Field` has it.
        name: name of the field.
        offset: where it is in the frame.
        value: its value.
        status: the verdict.
        expected: its right value; None if that cannot be told or nothing is expected.
        size: bytes of the field.
    """

    header: str
    name: str
    offset: int
    value: int
    status: Status
    expected: int | None = None
    size: int = 2

    def shown(self, value: int) -> str:
        """A value of the field for people: a checksum's digits, or a length."""
        return f"0x{value:0{2 * self.size}x}" if self.name == "checksum" else str(value)

    def __str__(self) -> str:
        if self.status is Status.BLANK:
            return f"blank, left to a device: should be {self.shown(self.expected or 0)}"
        if self.status is Status.WRONG and self.expected is not None:
            return f"wrong, should be {self.shown(self.expected)}"
        return str(self.status)


def check(
    frame: Buffer | SupportsBytes,
    layout: Any = None,
    *,
    link_type: str = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    complete: bool = True,
    kernel: KernelVersion | None = None,
) -> list[Check]:
    """Examine every length and checksum of the headers that a frame holds whole.

    A length over 65535 bytes, which its field cannot hold, is expected as 65535 in a PPPoE header
    and as 0 in others (BIG TCP), as far as `kernel` has such packets; None is for any kernel.
    `complete` is False for a frame that the capture cut. The other arguments are those of
    `gso.headers.fields.dissect`.
    """
    facts = Fact.NO_JUMBO if kernel is None else facts_of(kernel)
    data = frame_bytes(frame)
    headers = read_headers(data, layout, link_type=link_type, tunnel_ports=tunnel_ports)
    headers = [h for h in headers if h.end - h.offset >= h.protocol.fixed and h.is_its_version]
    ends = packet_ends(headers, data)
    found: list[Check] = []
    for place, header in enumerate(headers):
        kind = header.protocol.name
        known = complete and not in_fragment(headers[:place])
        if known and kind in LENGTHS:
            found.append(_length(headers, place, [len(data), *ends], facts))
        if kind == "ipv4":
            found.append(_sum(header, data[header.offset : header.end], 0))
        elif kind in ("gre", "icmp") and "checksum" in header.values:
            covered = data[header.offset : ends[place]]
            found.append(_sum(header, covered, 0) if known else _unknown(header))
        elif kind == "sctp":
            found.append(_crc(header, data[header.offset : ends[place]], known=known))
        elif kind in TRANSPORT and any(
            h.protocol.name in ("ipv4", "ipv6") for h in headers[:place]
        ):
            found.append(_transport(headers, place, data, ends[place], known=known))
    return sorted(found, key=lambda one: one.offset)


def _length(headers: list[Header], place: int, ends: list[int], facts: Fact) -> Check:
    """Check a length field; `ends` has the end of the frame, then the believed ends of levels."""
    header, around, end = headers[place], ends[place], ends[place + 1]
    name, uncounted = LENGTHS[header.protocol.name]
    value = header.values[name]
    if declared_end(header) == end:
        return Check(header.name, name, _offset(header, name), value, Status.RIGHT, value)
    expected: int | None = around - header.offset - uncounted
    if around - header.offset - uncounted > _MOST:
        expected = _of_too_long(headers, place, around, facts)
    status = Status.RIGHT if value == expected else Status.WRONG
    return Check(header.name, name, _offset(header, name), value, status, expected)


def _of_too_long(headers: list[Header], place: int, end: int, facts: Fact) -> int | None:
    """Return the length in the header of a packet that is too long for the field.

    None where no number is right, as the kernel takes no such packet.
    """
    kind = headers[place].protocol.name
    if kind == "pppoe":
        return _MOST
    if facts & Fact.NO_JUMBO or any(
        _is_jumbo(header, options, end) for header, options in pairwise(headers[: place + 2])
    ):
        return 0
    around_tcp = [one.protocol.name for one in headers if one.protocol.name in _CARRYING]
    big = kind == "ipv4" and around_tcp == ["ipv4"] and headers[-1].protocol.name == "tcp"
    return 0 if big and not facts & Fact.SHORT_IPV4 else None


def _is_jumbo(ip: Header, options: Header, end: int) -> bool:
    """Whether an IPv6 header and its options say the length together (RFC 2675, section 2)."""
    if ip.protocol.name != "ipv6" or options.protocol.name != "hop-by-hop options":
        return False
    said = options.values.get("jumbo payload data")
    return ip.values["payload length"] == 0 and said == end - ip.end


def _offset(header: Header, name: str) -> int:
    return next(one.offset for one in header.fields if one.name == name)


def _unknown(header: Header) -> Check:
    value = header.values["checksum"]
    offset, size = _offset(header, "checksum"), 4 if header.protocol.name == "sctp" else 2
    return Check(header.name, "checksum", offset, value, Status.UNKNOWN, size=size)


def _crc(header: Header, covered: bytes, *, known: bool) -> Check:
    """Check SCTP's CRC32c, of the bytes `covered` from its header on."""
    if not known:
        return _unknown(header)
    offset, value = _offset(header, "checksum"), header.values["checksum"]
    expected = sctp_checksum(covered)
    # The kernel leaves 0 to a device, and a receiver takes it for no other checksum than the 0
    # that the bytes may have.
    wrong = Status.WRONG if value else Status.BLANK
    status = Status.RIGHT if value == expected else wrong
    return Check(header.name, "checksum", offset, value, status, expected, 4)


def _sum(header: Header, covered: bytes, initial: int) -> Check:
    """Check the header's checksum, of the bytes `covered` from its start on."""
    offset, value = _offset(header, "checksum"), header.values["checksum"]
    at = offset - header.offset
    expected = checksum(covered[:at] + bytes(2) + covered[at + 2 :], initial)
    if expected == 0 and header.protocol.name == "udp":
        expected = 0xFFFF
    # 0 and 0xffff are the same number in this arithmetic; only UDP tells them apart.
    right = checksum(covered, initial) == 0
    status = Status.RIGHT if right else Status.WRONG if value else Status.BLANK
    return Check(header.name, "checksum", offset, value, status, expected)


def _transport(headers: list[Header], place: int, data: bytes, end: int, *, known: bool) -> Check:
    header = headers[place]
    value = header.values["checksum"]
    offset = _offset(header, "checksum")
    if header.protocol.name == "udp" and value == 0:
        status = Status.MISSING if _needs_sum(headers, place) else Status.UNUSED
        return Check(header.name, "checksum", offset, value, status)
    pseudo = pseudo_sum(headers, place, data, end) if known else None
    if pseudo is None:
        return _unknown(header)
    result = _sum(header, data[header.offset : end], pseudo)
    remote = any(
        h.values.get(h.protocol.remcsum[0], 0) & h.protocol.remcsum[1]
        for h in headers[:place]
        if h.protocol.remcsum
    )
    if value == pseudo and (result.status is Status.WRONG or remote):
        return Check(header.name, "checksum", offset, value, Status.PARTIAL, result.expected)
    return result


def _needs_sum(headers: list[Header], place: int) -> bool:
    """Whether UDP may not go without a checksum: over IPv6, if it carries no tunnel (RFC 6935)."""
    values = headers[place].values
    ports = (values["source port"], values["destination port"])
    ip = [h.protocol.name for h in headers[:place] if h.protocol.name in ("ipv4", "ipv6")]
    tunnel = place + 1 < len(headers) or any(port in BY_PORT for port in ports)
    return ip[-1] == "ipv6" and not tunnel and not in_fragment(headers[:place])
