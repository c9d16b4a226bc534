"""The meaning of every byte of a frame, and the fields in which two frames differ.

    for field in gso.headers.fields.dissect(frame, tunnel_ports={5555: gso.Tunnel.GUE}):
        print(field.offset, field.header, field.name, field.text)

    for difference in gso.headers.fields.differences(expected, actual):
        print(difference)          # inner tcp checksum at 92: expected 0x1c46, actual 0x0000

One loop walks the rows of `gso.headers.protocols`. Nothing is refused: bytes
that no row describes, and headers that a frame is too short for, are shown as bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, SupportsBytes

import numpy as np

from gso.buffers.taken import frame_bytes
from gso.constants import Tunnel
from gso.headers.ends import fragment_end, packet_ends
from gso.headers.header import Field, Header
from gso.headers.protocols import (
    BY_IP_PROTOCOL,
    BYTES,
    PROTOCOLS,
    Context,
    Spec,
    ip_version,
    no_size,
    ppp_header,
    show_data,
)
from gso.headers.tunnels import BY_PORT, BY_TUNNEL, TunnelPorts, on_port
from gso.link_types import link_name

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Difference", "Field", "differences", "dissect"]


@dataclass(frozen=True)
class Difference:
    """A field, or a run of bytes, in which two frames differ; None where one has no such field."""

    header: str
    name: str
    offset: int
    expected: Field | None
    actual: Field | None

    def __str__(self) -> str:
        expected, actual = (
            "absent" if side is None else side.text for side in (self.expected, self.actual)
        )
        moved = ""
        if self.expected and self.actual and self.expected.offset != self.actual.offset:
            moved = f" (at {self.actual.offset})"
        return (
            f"{self.header} {self.name} at {self.offset}: expected {expected}, "
            f"actual {actual}{moved}"
        )


# --- the walk ----------------------------------------------------------------------------------

_AHEAD = 60
"""Bytes after a header that may tell what follows it: as many as an IPv4 header can have."""
_MOST_HEADERS = 64
"""Far more than any network has; noise can look like thousands of MPLS labels."""
_FIRST = {
    "ethernet": "ethernet",
    "linux_sll": "linux_sll",
    "linux_sll2": "linux_sll2",
    "null": "loopback",
    "loop": "loopback",
    "ppp_with_dir": "ppp direction",
    "ppp_ether": "pppoe",
}


def _protocol_on_port(kind: Tunnel | str | tuple[Tunnel | str, int] | None) -> str | None:
    """The protocol of a value of `tunnel_ports`; None for data."""
    if isinstance(kind, tuple):
        return BY_IP_PROTOCOL.get(kind[1])
    row = on_port(kind)
    return row.name if row is not None and row.tunnel is not None else None


def _context(layout: Any, tunnel_ports: TunnelPorts | None) -> Context:
    ports = {port: row.name for port, row in BY_PORT.items()} | dict(tunnel_ports or {})
    context = Context({port: _protocol_on_port(kind) for port, kind in ports.items()})
    if layout is not None and layout.tunnel in BY_TUNNEL:
        context.tunnel = BY_TUNNEL[layout.tunnel].name
        context.known = True
    return context


def _walk(data: bytes, link_type: str, context: Context) -> Iterator[Header]:
    name = _FIRST.get(link_type)
    if link_type in ("raw", "ipv4", "ipv6"):
        name = ip_version(data)
    elif link_type in ("ppp", "ppp_hdlc", "c_hdlc"):
        name = ppp_header(data)
    at = level = 0
    level_has_ip = False
    headers: list[Header] = []
    for _ in range(_MOST_HEADERS):
        if name is None:
            return
        if name in ("ipv4", "ipv6"):
            level += level_has_ip
            level_has_ip = True
        header = Header(PROTOCOLS[name], level, at)
        whole = _read(header, data)
        yield header
        headers.append(header)
        end = fragment_end(headers)
        if end is not None and header.end <= end:
            data = data[:end]
        at = header.end
        if not whole or not header.is_its_version:
            return
        if header.protocol.encapsulates:
            level += 1
            level_has_ip = False
        context.room = len(data) - at
        name = header.protocol.follows(header.values, data[at : at + _AHEAD], context)


def _read(header: Header, data: bytes) -> bool:
    """Fill in the header's fields; False if the frame or a length leaves no room for them."""
    protocol, start = header.protocol, header.offset
    whole = len(data) - start >= protocol.fixed
    header.end = min(start + protocol.fixed, len(data))
    _read_fields(header, protocol.fields, data, start, header.end)
    if not whole:
        return False
    size = protocol.size(header.values)
    end = min(start + max(size, protocol.fixed), len(data))
    if end > header.end:
        body = data[header.end : end]
        specs = protocol.options(header.values, body)
        _read_fields(header, specs, data, header.end, end)
        header.end = end
    return end - start >= size and (size >= protocol.fixed or protocol.size is no_size)


def _read_fields(header: Header, specs: Iterable[Spec], data: bytes, start: int, end: int) -> None:
    """Fields from `start` to `end`; bytes that the specs do not cover become a last one."""
    at = start * 8
    for spec in specs:
        bits = spec.bits or end * 8 - at
        if at + bits > end * 8:
            break
        _add(header, spec, data, at, bits)
        at += bits
    if at % 8 and at < end * 8:
        _add(header, Spec("unread bits", 8 - at % 8), data, at, 8 - at % 8)
        at += 8 - at % 8
    if at < end * 8:
        _add(header, Spec("data", BYTES, show_data), data, at, end * 8 - at)


def _add(header: Header, spec: Spec, data: bytes, at: int, bits: int) -> None:
    first, stop = at // 8, (at + bits + 7) // 8
    raw = data[first:stop]
    value: int | bytes = raw
    if spec.text is not show_data:
        value = int.from_bytes(raw, "big") >> (stop * 8 - at - bits) & (1 << bits) - 1
        header.values[spec.name] = value
    text = spec.text(value)
    header.fields.append(Field("", spec.name, first, bits, value, text, at % 8))


def _names(headers: list[Header]) -> Iterator[str]:
    """Protocol names, told apart: by how far inside a tunnel they are, then by counting."""
    carried = [h.level for h in headers if not h.protocol.encapsulates]
    levels = {carried[0]: "outer ", carried[-1]: "inner "} if carried else {}
    seen: dict[str, int] = {}
    for header in headers:
        name = header.protocol.name
        if len(levels) == 2 and not header.protocol.encapsulates:
            name = levels.get(header.level, "middle ") + name
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name} {seen[name]}"


def read_headers(
    data: bytes,
    layout: Any = None,
    *,
    link_type: str | int = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> list[Header]:
    """The headers of a frame, the outermost first; the arguments are those of `dissect`."""
    name = link_name(link_type) if isinstance(link_type, int) else link_type
    headers = list(_walk(data, name, _context(layout, tunnel_ports)))
    for header, name in zip(headers, _names(headers), strict=True):
        header.name = name
    return headers


def dissect(
    frame: Buffer | SupportsBytes,
    layout: Any = None,
    *,
    link_type: str | int = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> list[Field]:
    """Every field of a frame, in order; together they cover each of its bytes exactly once.

    Args:
        frame: the bytes.
        layout: the frame's `gso.Layout`, if there is one: it tells what the outer UDP carries.
        link_type: the kind of the first header: its name, or its ``LINKTYPE_`` number.
        tunnel_ports: UDP destination ports of tunnels, as for `gso.parse`.
    """
    data = frame_bytes(frame)
    headers = read_headers(data, layout, link_type=link_type, tunnel_ports=tunnel_ports)
    fields = [replace(found, header=one.name) for one in headers for found in one.fields]
    start = headers[-1].end if headers else 0
    end = max(packet_ends(headers, data)[-1], start) if headers else len(data)
    for header, first, stop in (("payload", start, end), ("trailer", end, len(data))):
        if first < stop:
            part = data[first:stop]
            fields.append(Field(header, "data", first, len(part) * 8, part, show_data(part)))
    return fields


# --- differences -------------------------------------------------------------------------------

_MOST_RANGES = 16


def differences(
    expected: Buffer | SupportsBytes,
    actual: Buffer | SupportsBytes,
    layout: Any = None,
    *,
    link_type: str | int = "ethernet",
    tunnel_ports: TunnelPorts | None = None,
) -> list[Difference]:
    """The fields in which two frames differ, in order; empty if and only if no byte differs.

    Long data is compared by runs of differing bytes, and by its length. The other arguments are
    those of `dissect`.
    """
    if frame_bytes(expected) == frame_bytes(actual):
        return []
    left, right = (
        _keyed(dissect(frame, layout, link_type=link_type, tunnel_ports=tunnel_ports))
        for frame in (expected, actual)
    )
    found: list[Difference] = []
    for key in [*left, *(key for key in right if key not in left)]:
        found += _compare(left.get(key), right.get(key))
    return found


def _keyed(fields: list[Field]) -> dict[tuple[str, str, int], Field]:
    """Fields by header, name, and how many of that name came before (options repeat)."""
    keyed: dict[tuple[str, str, int], Field] = {}
    seen: dict[tuple[str, str], int] = {}
    for one in fields:
        count = seen.get((one.header, one.name), 0)
        seen[one.header, one.name] = count + 1
        keyed[one.header, one.name, count] = one
    return keyed


def _compare(expected: Field | None, actual: Field | None) -> list[Difference]:
    one = expected or actual
    if one is None or (expected and actual and expected.value == actual.value):
        return []
    if (
        expected
        and actual
        and isinstance(expected.value, bytes)
        and isinstance(actual.value, bytes)
    ):
        return list(_compare_data(expected, actual, expected.value, actual.value))
    return [Difference(one.header, one.name, one.offset, expected, actual)]


def _compare_data(
    expected: Field, actual: Field, left: bytes, right: bytes
) -> Iterator[Difference]:
    common = min(len(left), len(right))
    unequal = np.frombuffer(left, np.uint8, common) != np.frombuffer(right, np.uint8, common)
    edges = np.flatnonzero(np.diff(unequal, prepend=False, append=False)).reshape(-1, 2).tolist()
    if len(edges) > _MOST_RANGES:
        edges = [*edges[: _MOST_RANGES - 1], [edges[_MOST_RANGES - 1][0], edges[-1][1]]]
    for start, stop in edges:
        sides = [
            Field(
                side.header, "data", side.offset + start, 8 * (stop - start), part, show_data(part)
            )
            for side, part in ((expected, left[start:stop]), (actual, right[start:stop]))
        ]
        name = f"{expected.name} bytes {start} to {stop - 1}"
        yield Difference(expected.header, name, expected.offset + start, *sides)
    if len(left) != len(right):
        yield Difference(
            expected.header,
            f"{expected.name} length",
            expected.offset,
            *(
                replace(side, value=len(part), text=f"{len(part)} bytes")
                for side, part in ((expected, left), (actual, right))
            ),
        )
