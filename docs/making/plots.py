"""The chart of speed, from the table that the page of it has."""

from __future__ import annotations

import re

import charts
from page import BEGIN, END

_ROW = re.compile(r"^\| (?!case |---)(.*) \|$", re.MULTILINE)
MARK = "<!-- chart -->"


def with_chart(text: str) -> str:
    """Return the page with a chart of its table in the place of the mark.

    A row for each peer, a dot for each of its comparisons.
    """
    return text.replace(MARK, f'<div class="chart">{chart(text)}</div>')


def chart(text: str) -> str:
    """Return the drawing (SVG) of the table between the marks of `benchmarks/page.py`."""
    rows: dict[str, list[tuple[float, str]]] = {}
    for line in _ROW.findall(text.split(BEGIN)[1].split(END)[0]):
        case, ours, theirs, _, _, ratio, _ = (cell.strip() for cell in line.split(" | "))
        peer = theirs.partition(" (")[0].removesuffix(" (L)")
        rows.setdefault(peer, []).append((float(ratio.replace(",", "")), f"{case}, {ours}"))
    return charts.ratios("Their time divided by ours", rows)
