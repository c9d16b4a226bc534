"""Packet headers to scale, with marks where offsets point, as SVG that needs no other file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Literal

__all__ = ["Box", "Mark", "packet_drawing"]

Kind = Literal["link", "outer", "tunnel", "inner", "data"]
Look = Literal["plain", "wrong", "right"]

_FILL: dict[Kind, str] = {
    "link": "#d9d5ec",
    "outer": "#cfe3f7",
    "tunnel": "#f9dfb5",
    "inner": "#cdebd2",
    "data": "#ececec",
}
_COLOUR: dict[Look, str] = {"plain": "#333", "wrong": "#b3261e", "right": "#17692a"}
_WIDTH = 960
_EDGE = 12
_DATA = 150
"""Width of a box that is not drawn to scale: payload may be 64 kB long."""
_MOST_SCALE = 9.0
_CHARACTER, _BOLD_CHARACTER = 6.6, 7.6
"""Width of a label's character, at most, roughly."""
_TITLE_CHARACTERS, _TITLE_LINE = 100, 18
_ROW = 19
_TICK = 10


@dataclass(frozen=True)
class Box:
    """A header, from byte `start` up to byte `end`; with `open_end` it is longer than drawn.

    Where its bytes are not known, `size` says what is; then nothing is said of where it lies.
    """

    start: int
    end: int
    label: str
    kind: Kind
    open_end: bool = False
    size: str | None = None


@dataclass(frozen=True)
class Mark:
    """A named offset that points at byte `at`, rightly or wrongly."""

    at: int
    label: str
    look: Look = "plain"


def packet_drawing(boxes: Sequence[Box], marks: Iterable[Mark], title: str = "") -> str:
    """Draw packet headers as SVG; classes let a page give it the page's own colours."""
    return "".join(_drawing(boxes, sorted(marks, key=lambda mark: (mark.at, mark.label)), title))


def _drawing(boxes: Sequence[Box], marks: list[Mark], title: str) -> Iterator[str]:
    start = min([*(box.start for box in boxes), *(mark.at for mark in marks)])
    closed = [box.end for box in boxes if not box.open_end] + [mark.at for mark in marks]
    last = max([*closed, *(box.start for box in boxes)])
    scale = min(_MOST_SCALE, (_WIDTH - 2 * _EDGE - _DATA) / max(last - start, 1))
    heading = wrap(title, _TITLE_CHARACTERS)
    known = all(box.size is None for box in boxes)
    top = 16 + _TITLE_LINE * len(heading) if title else 10
    height = top + (86 + _ROW * len(marks) if marks else 64 if known else 52)

    def x(at: int) -> float:
        return _EDGE + (at - start) * scale

    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
    yield f'width="{_WIDTH}" height="{height}" font-family="sans-serif" font-size="12" role="img" '
    yield f'aria-label="{escape(title or "packet headers to scale")}">\n'
    yield f'<rect class="paper" width="{_WIDTH}" height="{height}" fill="#fff"/>\n'
    for number, line in enumerate(heading):
        yield f'<text x="{_EDGE}" y="{20 + _TITLE_LINE * number}" font-size="14" '
        yield f'font-weight="bold">{escape(line)}</text>\n'
    for box in boxes:
        end = x(box.start) + _DATA if box.open_end else x(box.end)
        yield from _box(box, x(box.start), max(end - x(box.start), 1.0), top)
    if known:
        yield from _ticks(start, last, x, top + 40)
    lines, texts = [], []
    for row, mark in enumerate(marks):
        y = top + 76 + _ROW * row
        line, text = _mark(mark, x(mark.at), y, top)
        lines.append(line)
        texts.append(text)
    # Texts lie over all lines and have a white edge: they stay readable where they cross.
    yield from (*lines, *texts)
    yield "</svg>\n"


def _box(box: Box, x: float, width: float, top: int) -> Iterator[str]:
    size = f"{box.end - box.start}" + " bytes" * (width > 60)
    if box.open_end:
        size = "not to scale"
    span = f"from byte {box.start}" + f" to {box.end - 1}" * (not box.open_end)
    if box.size is not None:
        size, span = box.size, box.size
    yield f"<g><title>{escape(': '.join(filter(None, (box.label, span))))}</title>"
    yield f'<rect class="{box.kind}" x="{x:.1f}" y="{top}" width="{width:.1f}" height="40" '
    yield f'fill="{_FILL[box.kind]}" stroke="#666"/>'
    middle = x + width / 2
    for text, y, weight, character in (
        (box.label, top + 17, "bold", _BOLD_CHARACTER),
        (size, top + 32, "normal", _CHARACTER),
    ):
        room = int((width - 4) / character)
        shown = text if len(text) <= room else text[: max(room - 1, 0)] + "\u2026" * (room > 2)
        yield f'<text x="{middle:.1f}" y="{y}" text-anchor="middle" font-weight="{weight}">'
        yield f"{escape(shown) if room > 2 else ''}</text>"
    yield "</g>\n"


def _ticks(start: int, last: int, x: Callable[[int], float], y: int) -> Iterator[str]:
    first = -(-start // _TICK) * _TICK
    step = _TICK * (1 + (last - start) // 300)
    for at in range(first, last + 1, step):
        yield f'<path class="tick" d="M{x(at):.1f} {y}v4" stroke="#999"/>'
        yield f'<text class="tick" x="{x(at):.1f}" y="{y + 14}" font-size="9" fill="#666" '
        yield f'text-anchor="middle">{at}</text>\n'


def _mark(mark: Mark, x: float, y: int, top: int) -> tuple[str, str]:
    colour = _COLOUR[mark.look]
    dashes = ' stroke-dasharray="4 3"' if mark.look == "right" else ""
    weight = ' font-weight="bold"' if mark.look != "plain" else ""
    line = (
        f'<path class="{mark.look}" d="M{x:.1f} {top}V{y - 4}" stroke="{colour}" '
        f'stroke-width="1.5"{dashes}/>'
        f'<circle class="{mark.look}" cx="{x:.1f}" cy="{y - 4}" r="2.5" fill="{colour}"/>\n'
    )
    # At the right edge the text stands to the left of its line.
    room = _WIDTH - x > len(mark.label) * _CHARACTER + 50
    place = f'x="{x + 6:.1f}"' if room else f'x="{x - 6:.1f}" text-anchor="end"'
    text = (
        f'<text class="{mark.look}" {place} y="{y}" fill="{colour}" stroke="#fff" stroke-width="3" '
        f'paint-order="stroke"{weight}>{escape(mark.label)} {mark.at}</text>\n'
    )
    return line, text
