"""Where the offsets of a wrong sk_buff point, drawn in text."""

from __future__ import annotations

from collections.abc import Iterator

from gso.diagnosis import Case
from gso.skb.state import OFFSETS, UNSET, SkbState

__all__ = ["drawing", "shown_offsets"]


def shown_offsets(state: SkbState) -> dict[str, int]:
    """Return the offsets that mean something, by name: a plain packet has no inner ones.

    Inner offsets that are left from another packet, or zero, would make a tunnel of it.
    """
    known = {name: at for name, at in state.known.items() if name in OFFSETS and at != UNSET}
    inner = known.get("inner_network_header", 0)
    plain = inner == 0 or inner <= known.get("network_header", -1)
    if state.encapsulation == 0 or (state.encapsulation is None and plain):
        return {name: at for name, at in known.items() if not name.startswith("inner_")}
    return known


def drawing(case: Case, width: int = 96) -> Iterator[str]:
    """Draw the headers of a case's worked example to scale, over marks where its offsets point.

    Args:
        case: a case of a diagnosis.
        width: characters that a line should have at most; names of offsets may go beyond.

    Yields:
        The lines; none if too few offsets are known.
    """
    state = case.example.state
    offsets = shown_offsets(state)
    edges = sorted({value for name, value in offsets.items() if "mac" not in name})
    if len(offsets) < 2 or not edges:
        return
    start, last = min(offsets.values()), max(offsets.values())
    scale = max(1, -(-(last - start + 24) // (width - 4)))
    unit = "1 byte" if scale == 1 else f"{scale} bytes"
    yield f"offsets from skb->head, one character is {unit}"
    row = ""
    for edge, end in zip(edges, [*edges[1:], last + 24 * scale], strict=True):
        row = row.ljust((edge - start) // scale)
        room = max((end - edge) // scale - 1, 0)
        final = end == last + 24 * scale
        inner = any(name.startswith("inner_") for name in offsets)
        row += "|" + (_header_name if inner else _plain_name)(state, edge, end, final=final)[:room]
    yield row + " ..."
    for name, value in sorted(offsets.items(), key=lambda item: (item[1], item[0])):
        mark = f"^ {name} {value}"
        if name in case.expected:
            mark += f"  <-- wrong, should be {case.expected[name]}"
        yield " " * ((value - start) // scale) + mark


def _plain_name(state: SkbState, start: int, end: int, *, final: bool) -> str:
    if start == state.network_header and not final:
        return f"IP {end - start}"
    return "TCP, UDP ..."


def _header_name(state: SkbState, start: int, end: int, *, final: bool) -> str:
    if start == state.transport_header and start != state.inner_transport_header:
        return f"tunnel {end - start}"
    if start == state.network_header:
        return f"outer IP {end - start}"
    if start == state.inner_network_header and not final:
        return f"inner IP {end - start}"
    return "inner TCP, UDP ..."
