"""Whether the lengths and checksums in a frame are right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from gso.buffers._checksum import checksum, pseudo_header
from gso.headers.fields import Header, packet_end, read_headers

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gso.headers.tunnels import TunnelPorts

__all__ = ["Check", "Status", "check"]

# Length fields, and the bytes of the header that they do not count
_LENGTHS = {
    "ipv4": ("total length", 0),
    "ipv6": ("payload length", 40),
    "udp": ("length", 0),
    "pppoe": ("length", 6),
}
_TRANSPORT = {"tcp": 6, "udp": 17, "icmpv6": 58}


class Status(str, Enum):
    """How a field compares with its right value."""

    RIGHT = "right"
    WRONG = "wrong"
    PARTIAL = "partial"
    """The sum of the pseudo header alone: a device, or with remote checksum offload the receiver,
    adds the rest."""
    UNUSED = "unused"
    """A UDP checksum of zero."""
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
    """

    header: str
    name: str
    offset: int
    value: int
    status: Status
    expected: int | None = None

    def __str__(self) -> str:
        if self.status is Status.WRONG and self.expected is not None:
            digits = f"0x{self.expected:04x}" if self.name == "checksum" else str(self.expected)
            return f"wrong, should be {digits}"
        return str(self.status)


def check(
    frame: Buffer,
    layout: Any = None,
    *,
    link_type: str = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
    complete: bool = True,
) -> list[Check]:
    """Examine every length and checksum of the headers that a frame holds whole.

    A length over 65535 bytes, which its field cannot hold, is expected as 0 (BIG TCP), and as 65535
    in a PPPoE header. `complete` is False for a frame that the capture cut. The other arguments are
    those of `gso.headers.fields.dissect`.
    """
    data = bytes(memoryview(frame))
    headers = read_headers(data, layout, link_type=link_type, tunnel_ports=tunnel_ports)
    headers = [h for h in headers if h.end - h.offset >= h.protocol.fixed]
    end = packet_end(headers, len(data))
    found: list[Check] = []
    ip: Header | None = None
    for place, header in enumerate(headers):
        kind = header.protocol.name
        if kind in ("ipv4", "ipv6"):
            ip = header
        if complete:
            found += _lengths(header, end)
        if kind == "ipv4":
            found.append(_sum(header, data[header.offset : header.end], 0))
        elif kind in ("gre", "icmp") and "checksum" in header.values:
            whole = complete and not _is_fragment(headers[:place])
            found.append(_sum(header, data[header.offset : end], 0) if whole else _unknown(header))
        elif kind in _TRANSPORT and ip is not None:
            found.append(_transport(headers[:place], header, ip, data[:end], complete=complete))
    return sorted(found, key=lambda one: one.offset)


def _lengths(header: Header, end: int) -> Iterator[Check]:
    if header.protocol.name not in _LENGTHS:
        return
    name, uncounted = _LENGTHS[header.protocol.name]
    expected = end - header.offset - uncounted
    if expected > 0xFFFF:
        expected = 0xFFFF if header.protocol.name == "pppoe" else 0
    value = header.values[name]
    status = Status.RIGHT if value == expected else Status.WRONG
    yield Check(header.name, name, _offset(header, name), value, status, expected)


def _offset(header: Header, name: str) -> int:
    return next(one.offset for one in header.fields if one.name == name)


def _unknown(header: Header) -> Check:
    value = header.values["checksum"]
    return Check(header.name, "checksum", _offset(header, "checksum"), value, Status.UNKNOWN)


def _sum(header: Header, covered: bytes, initial: int) -> Check:
    """Check the header's checksum, of the bytes `covered` from its start on."""
    offset, value = _offset(header, "checksum"), header.values["checksum"]
    at = offset - header.offset
    expected = checksum(covered[:at] + bytes(2) + covered[at + 2 :], initial)
    if expected == 0 and header.protocol.name == "udp":
        expected = 0xFFFF
    # 0 and 0xffff are the same number in this arithmetic; only UDP tells them apart.
    right = checksum(covered, initial) == 0
    status = Status.RIGHT if right else Status.WRONG
    return Check(header.name, "checksum", offset, value, status, expected)


def _transport(
    outer: list[Header], header: Header, ip: Header, data: bytes, *, complete: bool
) -> Check:
    value = header.values["checksum"]
    offset = _offset(header, "checksum")
    if header.protocol.name == "udp" and value == 0:
        return Check(header.name, "checksum", offset, value, Status.UNUSED)
    routed = any(h.values.get("segments left") for h in outer if h.offset > ip.offset)
    if not complete or _is_fragment(outer) or routed:
        return _unknown(header)
    pseudo = _pseudo_header(header, ip, data)
    result = _sum(header, data[header.offset :], pseudo)
    remote = any(
        h.values.get(h.protocol.remcsum[0], 0) & h.protocol.remcsum[1]
        for h in outer
        if h.protocol.remcsum
    )
    if value == pseudo and (result.status is Status.WRONG or remote):
        return Check(header.name, "checksum", offset, value, Status.PARTIAL, result.expected)
    return result


def _pseudo_header(header: Header, ip: Header, data: bytes) -> int:
    width, start = (4, 12) if ip.protocol.name == "ipv4" else (16, 8)
    source = data[ip.offset + start :][:width]
    destination = data[ip.offset + start + width :][:width]
    number = _TRANSPORT[header.protocol.name]
    return pseudo_header(source, destination, number, len(data) - header.offset)


def _is_fragment(headers: list[Header]) -> bool:
    """Whether the innermost of these IP packets so far is a fragment."""
    for header in reversed(headers):
        values = header.values
        if values.get("fragment offset") or values.get("more fragments"):
            return True
        if header.protocol.name == "ipv4":
            return bool(values["flags"] & 1)
        if header.protocol.name == "ipv6":
            return False
    return False
