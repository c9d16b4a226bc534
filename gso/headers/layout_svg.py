"""A frame's layout as a drawing: its headers to scale, and the kernel's offsets that it has."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from gso.constants import Tunnel
from gso.svg import Box, Kind, Mark, packet_drawing

_OFFSETS = (
    "mac_header",
    "network_header",
    "transport_header",
    "inner_mac_header",
    "inner_network_header",
    "inner_transport_header",
    "payload",
)


def layout_svg(layout: Any) -> str:
    """Draw a `gso.Layout` as SVG; what lies between two of its offsets is one box."""
    offsets = {name: getattr(layout, name) for name in _OFFSETS}
    known = {name: at for name, at in offsets.items() if at is not None}
    places = sorted(set(known.values()))
    # A header of no bytes has its name on the box of the next: of several, the last begins there.
    first = {at: name for name, at in known.items()}
    boxes = [Box(start, end, *_box(layout, first[start])) for start, end in pairwise(places)]
    boxes.append(Box(layout.payload, layout.payload + 1, "payload", "data", open_end=True))
    marks = [Mark(at, name) for name, at in known.items() if name != "payload"]
    return packet_drawing(boxes, marks, f"gso.Layout ({layout.link_type})")


def _box(layout: Any, name: str) -> tuple[str, Kind]:
    """The name and the kind of the header that begins at this offset."""
    inside = name.startswith("inner_")
    if name == "mac_header":
        return layout.link_type, "link"
    if name == "inner_mac_header":
        return "inner ethernet", "inner"
    if name.endswith("network_header"):
        version = layout.inner_version if inside else layout.outer_version
        words = f"ipv{version}" if version else "network"
        return f"inner {words}" if inside else words, "inner" if inside else "outer"
    if name == "transport_header" and layout.tunnel is not Tunnel.NONE:
        return layout.tunnel.name.lower(), "tunnel"
    l4 = layout.l4.name.lower() if layout.l4 else "transport"
    return f"inner {l4}" if inside else l4, "inner" if inside else "outer"
