"""The chart of speed, from the table that the page of it has."""

from __future__ import annotations

import re
from pathlib import Path

import charts
from page import BEGIN, END

_ROW = re.compile(r"^\| (?!case |---)(.*) \|$", re.MULTILINE)
_PAGE = Path(__file__).resolve().parents[1] / "benchmarks.md"


def speed() -> str:
    """Return the chart: a row for each peer, a dot for each of its comparisons."""
    return f'<div class="chart">{chart(_PAGE.read_text(encoding="utf-8"))}</div>'


def chart(text: str) -> str:
    """Return the drawing (SVG) of the table between the marks of `benchmarks/page.py`."""
    rows: dict[str, list[tuple[float, str]]] = {}
    for line in _ROW.findall(text.partition(BEGIN)[2].partition(END)[0]):
        case, ours, theirs, _, _, ratio, _ = (cell.strip() for cell in line.split(" | "))
        peer = theirs.partition(" (")[0].removesuffix(" (L)")
        rows.setdefault(peer, []).append((float(ratio.replace(",", "")), f"{case}, {ours}"))
    return charts.ratios("Their time divided by ours", rows)
