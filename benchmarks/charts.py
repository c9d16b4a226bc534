"""Two kinds of plots as inline SVG: ratios on a line, and curves.

Drawn here as a plotting library would weigh more than all else that a benchmark run installs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LABELS, RIGHT, ROW = 860, 270, 30, 26
COLOURS = ("#1f5f99", "#b3541e", "#2d7d46", "#7a3e9d", "#8a6d00", "#a11d3f", "#3b7c8c", "#555555")
Point = tuple[float, float]
Points = Sequence[Point]


def _svg(height: float, parts: Sequence[str], title: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img"'
        f' font-family="sans-serif" font-size="12" aria-label="{escape(title, quote=True)}">'
        f"<title>{escape(title)}</title>"
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#222") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"


def _line(start: Point, end: Point, colour: str, width: float = 1) -> str:
    return (
        f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"'
        f' stroke="{colour}" stroke-width="{width}"/>'
    )


def decades(low: float, high: float) -> list[float]:
    """Powers of ten around some positive numbers, two at least."""
    first = math.floor(math.log10(low))
    last = max(math.ceil(math.log10(high)), first + 1)
    return [10.0**n for n in range(first, last + 1)]


def number(value: float) -> str:
    """Short: three digits, or all before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


class _Scale:
    """From a logarithmic range to a range of the picture."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.ticks = decades(min(values), max(values))
        self._low = math.log10(self.ticks[0])
        self._factor = (end - start) / (math.log10(self.ticks[-1]) - self._low)
        self._start = start

    def __call__(self, value: float) -> float:
        return self._start + (math.log10(value) - self._low) * self._factor


def ratios(title: str, rows: Mapping[str, Sequence[tuple[float, str]]]) -> str:
    """A row for each peer, a dot (ratio, case) for each comparison; the line at 1 is a draw."""
    values = [ratio for row in rows.values() for ratio, _ in row]
    scale = _Scale([*values, 0.5, 2.0], LABELS, WIDTH - RIGHT)
    bottom = 34 + ROW * len(rows)
    parts = [_text(LABELS, 14, title)]
    for tick in scale.ticks:
        parts.append(_line((scale(tick), 24), (scale(tick), bottom), "#ddd"))
        parts.append(_text(scale(tick), bottom + 16, f"{tick:g}", "middle"))
    parts.append(_line((scale(1), 24), (scale(1), bottom), "#222", 1.5))
    parts.append(_text(scale(1) - 5, bottom + 32, "theirs is faster", "end", "#666"))
    parts.append(_text(scale(1) + 5, bottom + 32, "ours is faster", "start", "#666"))
    for i, (name, row) in enumerate(rows.items()):
        y = 34 + ROW * (i + 0.5)
        parts.append(_text(LABELS - 12, y + 4, name, "end"))
        for ratio, case in row:
            colour = COLOURS[0] if ratio >= 1 else COLOURS[1]
            hint = escape(f"{case}: {number(ratio)}")
            parts.append(
                f'<circle cx="{scale(ratio):.1f}" cy="{y:.1f}" r="4" fill="{colour}"'
                f' fill-opacity="0.6"><title>{hint}</title></circle>'
            )
    return _svg(bottom + 40, parts, title)


def curves(title: str, x: str, y: str, lines: Mapping[str, Points]) -> str:
    """Lines over logarithmic axes, each with its name at its end."""
    top, bottom, left, right = 30.0, 330.0, 70.0, 640.0
    across = _Scale([a for line in lines.values() for a, _ in line], left, right)
    up = _Scale([b for line in lines.values() for _, b in line], bottom, top)
    parts = [_text(left, 14, title)]
    for tick in across.ticks:
        parts.append(_line((across(tick), top), (across(tick), bottom), "#ddd"))
        parts.append(_text(across(tick), bottom + 16, f"{tick:,g}", "middle"))
    for tick in up.ticks:
        parts.append(_line((left, up(tick)), (right, up(tick)), "#ddd"))
        parts.append(_text(left - 6, up(tick) + 4, f"{tick:g}", "end"))
    parts.append(_text((left + right) / 2, bottom + 34, x, "middle", "#666"))
    parts.append(_text(left, top - 4, y, "end", "#666"))
    for i, (name, line) in enumerate(lines.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in line)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts.append(_line((right + 12, top + 18 * i), (right + 30, top + 18 * i), colour, 2))
        parts.append(_text(right + 36, top + 18 * i + 4, name))
    return _svg(max(bottom + 44, top + 18 * len(lines) + 20), parts, title)
