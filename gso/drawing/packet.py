"""One packet, drawn for people or described for programs: headers, offsets, values, verdicts."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, TypeAlias, cast

from gso.capture import Capture
from gso.errors import GsoError
from gso.headers._layout import LAYOUT_DTYPE, Layout, parse
from gso.headers.checks import Check, Status, check
from gso.headers.fields import Field, dissect
from gso.headers.links import LINKS, LinkType
from gso.headers.tunnels import TunnelPorts
from gso.printable import printable
from gso.svg import Box, Kind, Mark, packet_drawing

__all__ = ["describe", "describe_frame", "draw", "draw_svg"]

Style: TypeAlias = Callable[[str, str], str]
"""Styles a text by what it is: "title", "right", "wrong" or "note"."""

_LOOKS = {
    Status.RIGHT: "right",
    Status.WRONG: "wrong",
    Status.BLANK: "note",
    Status.PARTIAL: "note",
    Status.UNUSED: "note",
    Status.MISSING: "wrong",
    Status.UNKNOWN: "note",
}
_MEANINGS = {
    Status.PARTIAL: "partial: the sum of the pseudo header, to be completed by an offload",
    Status.UNUSED: "unused: there is no checksum",
    Status.MISSING: "missing: UDP over IPv6 has one, except in tunnels",
    Status.UNKNOWN: "unknown: the frame has not got all that it covers",
}


def describe(
    capture: Capture, index: int, number: int, tunnel_ports: TunnelPorts | None = None
) -> dict[str, Any]:
    """Describe packet `index` of a capture, which is called `number`, in types that JSON knows.

    In the result `layout` has the kernel's header offsets as `gso.parse` finds them, or `problem`
    tells why there are none.
    """
    interface = capture.interfaces[int(capture.interface_ids[index])]
    return {
        "packet": number,
        "timestamp": int(capture.timestamps[index]),
        "interface": interface.name,
        "comment": capture.comments[index],
        **describe_frame(
            bytes(capture.frames[index]),
            int(capture.original_lengths[index]),
            interface.link_type,
            tunnel_ports,
        ),
    }


def describe_frame(
    frame: bytes, original: int, link_type: str, tunnel_ports: TunnelPorts | None
) -> dict[str, Any]:
    """Describe a frame that had `original` bytes on the wire: what `describe` says but for where it
    comes from.
    """
    options: Any = {"link_type": link_type, "tunnel_ports": tunnel_ports}
    layout, problem = _layout(frame, link_type, tunnel_ports)
    fields = dissect(frame, **options)
    checks = check(frame, complete=len(frame) >= original, **options)
    return {
        "captured": len(frame),
        "original": original,
        "link_type": link_type,
        "layout": layout,
        "problem": problem,
        "headers": list(_headers(fields, checks)),
    }


def _layout(
    frame: bytes, link_type: str, tunnel_ports: TunnelPorts | None
) -> tuple[dict[str, Any] | None, str | None]:
    if link_type not in LINKS:
        return None, f"the kernel has none for frames of link type {link_type}"
    try:
        layout = parse(frame, link_type=cast("LinkType", link_type), tunnel_ports=tunnel_ports)
    except GsoError as error:
        return None, str(error)
    return _named(layout), None


def _named(layout: Layout) -> dict[str, Any]:
    names = LAYOUT_DTYPE.names or ()
    offsets = [name for name in names if name.endswith("header") or name == "payload"]
    return {
        **{name: getattr(layout, name) for name in offsets},
        "tnl_hlen": layout.tnl_hlen,
        "tunnel": layout.tunnel.name,
        "l4": layout.l4.name,
    }


def _headers(fields: list[Field], checks: list[Check]) -> Iterator[dict[str, Any]]:
    verdicts = {(one.header, one.name): one for one in checks}
    for name, members in groupby(fields, key=lambda one: one.header):
        inside = list(members)
        yield {
            "name": name,
            "offset": inside[0].offset,
            "length": inside[-1].end - inside[0].offset,
            "fields": [_field(one, verdicts.get((name, one.name))) for one in inside],
        }


def _field(one: Field, verdict: Check | None) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": one.name,
        "offset": one.offset,
        "bit": one.bit,
        "bits": one.bits,
        "value": one.value.hex() if isinstance(one.value, bytes) else one.value,
        "text": one.text,
    }
    if verdict is not None:
        described["status"] = str(verdict.status)
        described["expected"] = verdict.expected
        described["verdict"] = _MEANINGS.get(verdict.status, str(verdict))
    return described


def moment(nanoseconds: int) -> str:
    """A time in words, in UTC and to the nanosecond."""
    if nanoseconds == -(1 << 63):
        return "at a time past the year 2262"
    seconds, fraction = divmod(nanoseconds, 10**9)
    epoch = datetime.datetime(1970, 1, 1)
    return f"{epoch + datetime.timedelta(seconds=seconds)}.{fraction:09} UTC"


def _plain(text: str, _: str) -> str:
    return text


def draw(description: dict[str, Any], style: Style = _plain, width: int = 100) -> Iterator[str]:
    """Yield the description in lines of text."""
    yield style(_title(description), "title")
    for line in (description.get("comment") or "").splitlines():
        yield f"comment: {printable(line)}"
    if description["captured"] < description["original"]:
        missing = description["original"] - description["captured"]
        yield style(f"the capture cut the packet: {missing} bytes are missing", "note")
    yield ""
    yield from _boxes(description["headers"], width)
    yield ""
    if description["problem"]:
        yield style(f"no header offsets: {description['problem']}", "note")
    else:
        yield from _offsets(description["layout"], width)
    for header in description["headers"]:
        yield ""
        last = header["offset"] + header["length"] - 1
        yield style(f"{header['name']}, bytes {header['offset']} to {last}", "title")
        for one in header["fields"]:
            yield _line(one, style)


def _title(description: dict[str, Any]) -> str:
    if "packet" not in description:
        return f"frame: {description['captured']} bytes ({description['link_type']})"
    where = f" on {printable(description['interface'])}" if description["interface"] else ""
    return (
        f"packet {description['packet']}: {description['captured']} bytes, "
        f"{moment(description['timestamp'])}{where} ({description['link_type']})"
    )


def _boxes(headers: list[dict[str, Any]], width: int) -> Iterator[str]:
    """Headers side by side, each above the offset of its first byte, in rows of up to `width`."""
    row: list[tuple[str, int]] = []
    for header in headers:
        cell = f" {header['name']} {header['length']} "
        if row and sum(len(one) + 1 for one, _ in row) + len(cell) + 2 > width:
            yield from _row(row)
            row = []
        row.append((cell, header["offset"]))
    if row:
        yield from _row(row)


def _row(row: list[tuple[str, int]]) -> Iterator[str]:
    edge = "+" + "+".join("-" * len(cell) for cell, _ in row) + "+"
    yield edge
    yield "|" + "|".join(cell for cell, _ in row) + "|"
    yield edge
    yield "".join(f"{offset:<{len(cell) + 1}}" for cell, offset in row).rstrip()


def _offsets(layout: dict[str, Any], width: int) -> Iterator[str]:
    words = [f"{name} {value}" for name, value in layout.items() if value is not None]
    line = ""
    for word in words:
        if line and len(line) + 3 + len(word) > width:
            yield line
            line = ""
        line += ("   " if line else "") + word
    yield line


def _line(one: dict[str, Any], style: Style) -> str:
    place = f"{one['offset']}.{one['bit']}" if one["bits"] % 8 or one["bit"] else one["offset"]
    text = f"  {place!s:<7} {one['name']:<24} {one['text']}"
    if "status" not in one:
        return text
    return f"{text}   {style(one['verdict'], _LOOKS[Status(one['status'])])}"


def draw_svg(description: dict[str, Any]) -> str:
    """The description's headers, to scale, with the kernel's header offsets, as SVG."""
    boxes = [
        Box(
            header["offset"],
            header["offset"] + header["length"],
            header["name"],
            _kind(header["name"]),
            open_end=header["name"] in ("payload", "trailer") and header["length"] > 40,
        )
        for header in description["headers"]
        if header["name"] != "trailer"
    ]
    layout = description["layout"] or {}
    marks = [
        Mark(value, name)
        for name, value in layout.items()
        if value is not None and name.endswith("_header")
    ]
    return packet_drawing(boxes, marks, _title(description)) if boxes else ""


def _kind(name: str) -> Kind:
    if name == "payload":
        return "data"
    if name.startswith("inner "):
        return "inner"
    if any(word in name for word in ("ethernet", "vlan", "linux_sll", "loopback")):
        return "link"
    return "outer" if name.startswith(("outer ip", "ip", "tcp", "udp")) else "tunnel"
