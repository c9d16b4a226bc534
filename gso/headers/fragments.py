"""Fragments of IP packets put together, where all pieces are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gso.buffers._checksum import checksum
from gso.headers.ends import packet_ends
from gso.headers.fields import read_headers

if TYPE_CHECKING:
    from gso.headers.header import Header
    from gso.headers.tunnels import TunnelPorts

_MOST_PENDING = 1024
_MOST_BYTES = 65535
_IPV6_HLEN = 40
_UNIT = 8
"""Bytes that a fragment offset counts."""


@dataclass(frozen=True)
class Piece:
    """A fragment: packet `number`, bytes `start` on of what the IP packet carries."""

    number: int
    start: int
    data: bytes
    last: bool
    head: bytes
    """The frame from the IP header to the end of the fragment's own headers."""
    at: int
    """Where the IP header starts in the frame."""

    @property
    def stop(self) -> int:
        """The byte after its last one."""
        return self.start + len(self.data)


@dataclass(frozen=True)
class Whole:
    """An IP packet put together.

    Attributes:
        packet: its bytes, from the IP header on; the header is the first fragment's, with the
            length and the flags of a whole packet.
        pieces: the fragments, in the order of their bytes.
    """

    packet: bytes
    pieces: list[Piece]

    @property
    def numbers(self) -> list[int]:
        """The packets that are its fragments."""
        return [piece.number for piece in self.pieces]

    def place(self, offset: int) -> tuple[int, int] | None:
        """The packet that has the byte at `offset`, and where; None for the IP header."""
        data = offset - len(self.pieces[0].head)
        for piece in self.pieces:
            if piece.start <= data < piece.stop:
                return piece.number, piece.at + len(piece.head) + data - piece.start
        return None


@dataclass
class Reassembler:
    """Collects fragments; of those that are never complete the oldest are forgotten.

    Attributes:
        lacking: packets given up: pieces are missing, or overlap with other bytes (RFC 5722).
    """

    lacking: int = 0
    _pending: dict[bytes, list[Piece]] = field(default_factory=dict)

    @property
    def incomplete(self) -> int:
        """Packets of which some pieces have not been seen."""
        return self.lacking + len(self._pending)

    def add(
        self,
        number: int,
        frame: bytes,
        *,
        link_type: str = "ethernet",
        tunnel_ports: TunnelPorts | None = None,
    ) -> Whole | None:
        """Add packet `number`, and return the IP packet that it completes, if any.

        Of a packet with fragments at several levels, the outermost are put together.
        """
        headers = read_headers(frame, link_type=link_type, tunnel_ports=tunnel_ports)
        found = _piece(number, headers, frame)
        if found is None:
            return None
        key, piece = found
        pieces = self._pending.pop(key, [])
        if any(_same(piece, one) for one in pieces):
            self._pending[key] = pieces
            return None
        if any(piece.start < one.stop and one.start < piece.stop for one in pieces):
            self.lacking += 1
            pieces = []
        pieces.append(piece)
        whole = _whole(pieces)
        if whole is None:
            self._keep(key, pieces)
        return whole

    def _keep(self, key: bytes, pieces: list[Piece]) -> None:
        if len(self._pending) >= _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
            self.lacking += 1
        self._pending[key] = pieces


def _same(one: Piece, other: Piece) -> bool:
    return (one.start, one.data, one.last) == (other.start, other.data, other.last)


def _piece(number: int, headers: list[Header], frame: bytes) -> tuple[bytes, Piece] | None:
    """The key that a packet's fragments share, and the fragment; None if it is none."""
    for place, header in enumerate(headers):
        values = header.values
        kind = header.protocol.name
        more = values.get("flags", 0) & 1 if kind == "ipv4" else values.get("more fragments", 0)
        if kind not in ("ipv4", "fragment") or not (more or values.get("fragment offset")):
            continue
        ip = header if kind == "ipv4" else _ip_before(headers, place)
        if ip is None or not ip.is_its_version:
            return None
        end = packet_ends(headers, frame)[headers.index(ip)]
        start = values["fragment offset"] * _UNIT
        data = frame[header.end : end]
        if not data or (more and len(data) % _UNIT) or start + len(data) > _MOST_BYTES:
            return None
        head = frame[ip.offset : header.end]
        return _key(head, kind, values), Piece(number, start, data, not more, head, ip.offset)
    return None


def _ip_before(headers: list[Header], place: int) -> Header | None:
    found = [header for header in headers[:place] if header.protocol.name == "ipv6"]
    return found[-1] if found else None


def _key(head: bytes, kind: str, values: dict[str, int]) -> bytes:
    """Addresses, identification and, in IPv4, the protocol (RFC 791; RFC 8200, section 4.5)."""
    number = values["identification"].to_bytes(4, "big")
    return head[9:10] + head[12:20] + number if kind == "ipv4" else head[8:40] + number


def _whole(pieces: list[Piece]) -> Whole | None:
    ordered = sorted(pieces, key=lambda piece: piece.start)
    end = 0
    for piece in ordered:
        if piece.start != end:
            return None
        end = piece.stop
    if not ordered[-1].last or any(piece.last for piece in ordered[:-1]):
        return None
    first = ordered[0]
    head = _unfragmented(first.head, end)
    if head is None:
        return None
    packet = head + b"".join(piece.data for piece in ordered)
    return Whole(packet, ordered)


def _unfragmented(head: bytes, size: int) -> bytes | None:
    """The headers of the whole packet, which carries `size` bytes; None if that is too much.

    In IPv6 the fragment header stays, as that of a packet in one piece (RFC 6946).
    """
    made = bytearray(head)
    if head[0] >> 4 == 4:
        if len(head) + size > _MOST_BYTES:
            return None
        made[2:4] = (len(head) + size).to_bytes(2, "big")
        made[6:8] = (head[6] & 0xC0, 0)
        made[10:12] = bytes(2)
        made[10:12] = checksum(made).to_bytes(2, "big")
        return bytes(made)
    carried = len(head) - _IPV6_HLEN + size
    if carried > _MOST_BYTES:
        return None
    made[4:6] = carried.to_bytes(2, "big")
    made[-6:-4] = bytes(2)
    return bytes(made)
