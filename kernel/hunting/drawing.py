"""A finding as drawings: the layers of its smallest stack, and a super-packet that was dropped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gso.kernel.guest.stacks import Layer, Rules, Stack

import gso
from gso.drawing.diagnosis_page import header_drawing
from gso.drawing.offsets import shown_offsets
from gso.errors import GsoError
from gso.svg import Box, Kind, packet_drawing

_ETHERNET, _IP = 14, {4: 20, 6: 40}
_TRANSPORT = {"udp": 8, "sctp": 28}  # others are TCP
_TCP = 20
_MARGIN = 2  # characters around what is said in a box
_LARGEST = 16 << 20  # bytes of a trace that is read


def layers(stack: Stack, rules: Rules, title: str) -> str:
    """Return the packet on the far cable as SVG, the lowest layer first.

    A layer has the most bytes that its rule counts with, and is as wide as what is said of it: what
    has no bytes of its own (a bridge, an action) is drawn, too.
    """
    boxes: list[Box] = []
    at = 0
    for label, kind, said in _parts(stack, rules):
        end = at + max(len(label), len(said)) + _MARGIN
        boxes.append(Box(at, end, label, kind, open_end=kind == "data", size=said))
        at = end
    return packet_drawing(boxes, (), title)


def _parts(stack: Stack, rules: Rules) -> Iterator[tuple[str, Kind, str]]:
    for size, label, kind in _headers(stack, rules):
        exact = kind in ("link", "outer", "inner")
        yield label, kind, f"{size} bytes" if exact else f"up to {size} bytes" * (size > 0)


def _headers(stack: Stack, rules: Rules) -> Iterator[tuple[int, str, Kind]]:
    yield _ETHERNET, "Ethernet", "link"
    for layer in stack.far:
        yield from _layer(layer, rules)
    yield _IP[stack.inner], f"IPv{stack.inner}", "inner"
    yield _TRANSPORT.get(stack.traffic, _TCP), stack.traffic.upper(), "inner"
    yield 0, "payload", "data"


def _layer(layer: Layer, rules: Rules) -> Iterator[tuple[int, str, Kind]]:
    rule = rules[layer.kind]
    if not rule.get("on_ether") and rule["place"] != "action":
        yield _IP[layer.outer], f"IPv{layer.outer}", "outer"
    yield rule["overhead"], " ".join((layer.kind, *layer.options)), "tunnel"


def offsets(trace: Path) -> str:
    """Return where the offsets of a packet point that was dropped, as SVG; "" if none is known."""
    if not trace.exists() or trace.stat().st_size > _LARGEST:
        return ""
    try:
        cases = gso.diagnose(gso.read_trace(trace)).cases
    except (GsoError, ValueError):
        return ""
    if not cases:
        return ""
    case = max(cases, key=lambda one: one.dropped)
    return header_drawing(shown_offsets(case.example.state), case.expected)
