"""Plots of what real applications met: latency by payload size, and drops over time, as SVG.

An SVG here stands in a page that sets the colours as variables, or alone (:func:`standalone`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from gso.kernel.report.palette import variables

WIDTH = 920
_SIDES = ("unpatched", "patched")
_LABELS = {"unpatched": "without the patch", "patched": "with the patch"}
_FONT = 'font-family="system-ui, sans-serif" font-size="13"'
_PROTOCOLS = {"http1": "HTTP/1.1", "http2": "HTTP/2"}
_DOT, _MEDIAN = 2.6, 9.0


@dataclass(frozen=True)
class Area:
    """A rectangle on the drawing: left, top, right, bottom."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """From left to right."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """From top to bottom."""
        return self.bottom - self.top


def title(workload: dict[str, Any]) -> str:
    """Return what a workload is called in the report."""
    direction = {"upload": "uploads", "download": "responses"}[workload["direction"]]
    many = f", {workload['connections']} connections" if workload["connections"] > 1 else ""
    return f"{_PROTOCOLS[workload['protocol']]} {direction}, IPv{workload['family']}{many}"


def size(count: int) -> str:
    """Return a number of bytes for people: 1400 is 1.4 kB."""
    for factor, unit in ((1_000_000, "MB"), (1_000, "kB")):
        if count >= factor:
            return f"{count / factor:g} {unit}"
    return f"{count} B"


def duration(milliseconds: float) -> str:
    """Return milliseconds for people, with three digits."""
    if milliseconds >= 1000:
        return f"{_three_digits(milliseconds / 1000)} s"
    return f"{_three_digits(milliseconds)} ms"


def _three_digits(value: float) -> str:
    return f"{value:.{max(0, 2 - math.floor(math.log10(max(value, 0.01))))}f}"


def sweeps(workloads: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the workloads that go through several payload sizes as uploads."""
    return [w for w in workloads if w["direction"] == "upload" and len(w["patched"]["steps"]) > 1]


def latency(workloads: Sequence[dict[str, Any]]) -> str:
    """Draw the duration of each request by payload size, a panel for each workload."""
    panel = 330
    height = 34 + panel * len(workloads)
    spread = [value for work in workloads for value in _values(work)]
    low = 10 ** math.floor(math.log10(min(spread, default=1.0)))
    high = max(max(spread, default=1000.0) * 1.4, low * 10)
    said = "Each request's duration by payload size, without and with the patch"
    parts = [_legend("latency")]
    for number, work in enumerate(workloads):
        top = 34 + panel * number
        area = Area(64, top + 34, WIDTH - 16, top + panel - 44)
        parts += _panel(work, area, low, high)
    return _svg(height, said, "; ".join(_described(work) for work in workloads), parts)


def _values(work: dict[str, Any]) -> Iterator[float]:
    for side in _SIDES:
        for step in work[side]["steps"]:
            yield from (max(value, 0.001) for value in step["milliseconds"])
            if step["unfinished"]:
                yield step["waited"]


def _described(work: dict[str, Any]) -> str:
    """Return the medians in words, for those who do not see the plot."""
    words = []
    for before, after in zip(*(work[side]["steps"] for side in _SIDES), strict=True):
        sides = [_median(step) for step in (before, after)]
        words.append(f"{size(before['size'])} {sides[0]} without, {sides[1]} with")
    return f"{title(work)}, median: {', '.join(words)}"


def _median(step: dict[str, Any]) -> str:
    value = step["latency"]["p50"]
    if value is None:
        return "unknown"
    return f"{'at least ' * ('p50' in step['latency']['at_least'])}{duration(value)}"


def _legend(name: str) -> str:
    x, parts = 64.0, []
    for side in _SIDES:
        parts.append(f'<circle cx="{x + 6}" cy="16" r="5" fill="var(--{side})"/>')
        parts.append(f'<text x="{x + 18}" y="20.5" fill="var(--ink)">{_LABELS[side]}</text>')
        x += 160
    if name == "latency":
        for mark, text in (
            ("M0 16h14", "median"),
            ("M2 20l5 -8l5 8z", "not done when the time was up"),
        ):
            parts.append(f'<path transform="translate({x})" d="{mark}" stroke="var(--soft)" ')
            parts.append('stroke-width="2" fill="none"/>')
            parts.append(_text(x + 20, 20.5, text, "", "soft"))
            x += 90
    return "".join(parts)


def _panel(work: dict[str, Any], area: Area, low: float, high: float) -> Iterator[str]:
    decades = math.log10(high / low)

    def y(value: float) -> float:
        return area.bottom - math.log10(max(value, low) / low) / decades * area.height

    yield _text(area.left, area.top - 14, title(work), 'font-weight="600"')
    for power in range(math.floor(decades) + 1):
        value = low * 10**power
        yield f'<path d="M{area.left} {y(value):.1f}H{area.right}" stroke="var(--line)"/>'
        label = f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"
        yield _text(area.left - 8, y(value) + 4, label, 'text-anchor="end"', "soft")
    steps = list(zip(*(work[side]["steps"] for side in _SIDES), strict=True))
    band = area.width / len(steps)
    yield from _where_gso_begins(steps, area, band)
    for number, (before, after) in enumerate(steps):
        middle = area.left + band * (number + 0.5)
        label = size(before["size"])
        yield _text(middle, area.bottom + 20, label, 'text-anchor="middle"')
        for side, step, shift in (("unpatched", before, -0.2), ("patched", after, 0.2)):
            yield from _requests(side, step, middle + band * shift, band, y)
    for side, shift in (("unpatched", -0.2), ("patched", 0.2)):
        points = [
            (area.left + band * (number + 0.5 + shift), y(step["latency"]["p50"]))
            for number, step in enumerate(work[side]["steps"])
            if step["latency"]["p50"] is not None
        ]
        path = "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
        yield f'<path d="M{path}" fill="none" stroke="var(--{side})" stroke-opacity=".45"/>'
    yield _text(area.right, area.bottom + 38, "payload of a request", 'text-anchor="end"', "soft")


def _where_gso_begins(
    steps: Sequence[tuple[dict[str, Any], dict[str, Any]]], area: Area, band: float
) -> Iterator[str]:
    """Mark the first payload size that the director's kernel had to segment."""
    first = next((n for n, pair in enumerate(steps) if all(s["segmented"] for s in pair)), None)
    if first:
        x = area.left + band * first
        yield f'<path d="M{x:.1f} {area.top - 6}V{area.bottom}" stroke="var(--soft)" '
        yield 'stroke-dasharray="3 4"/>'
        edge = 'stroke="var(--paper)" stroke-width="4" paint-order="stroke"'
        yield _text(x + 6, area.top + 2, "from here on segmented by the director", edge, "soft")


def _requests(side: str, step: dict[str, Any], x: float, band: float, y: Any) -> Iterator[str]:
    """Draw each request as a dot, spread so that equal ones are seen, and the median."""
    known = sorted(step["milliseconds"])
    room = min(band * 0.3, 26.0)
    name = f"{size(step['size'])} {_LABELS[side]}"
    for number, value in enumerate(known):
        # The golden ratio spreads any number of dots evenly, without chance.
        place = x + room * ((0.5 + number * 0.618034) % 1 - 0.5)
        yield f'<circle cx="{place:.1f}" cy="{y(value):.1f}" r="{_DOT}" fill="var(--{side})" '
        yield f'fill-opacity=".5"><title>{escape(name)}: {duration(value)}</title></circle>'
    if step["unfinished"]:
        top = y(step["waited"])
        text = f"{name}: {step['unfinished']} not done after {duration(step['waited'])}"
        yield f'<path d="M{x - 6:.1f} {top + 5:.1f}l6 -10l6 10z" fill="var(--paper)" '
        yield f'stroke="var(--{side})" stroke-width="2"><title>{escape(text)}</title></path>'
    if (median := step["latency"]["p50"]) is not None and known:
        yield f'<path d="M{x - _MEDIAN:.1f} {y(median):.1f}h{2 * _MEDIAN}" '
        yield f'stroke="var(--{side})" stroke-width="3" stroke-linecap="round">'
        yield f"<title>{escape(name)}, median: {_median(step)}</title></path>"


def drops(applications: dict[str, Any]) -> str:
    """Draw the packets that the director's device dropped, over time, and what ran when."""
    series = applications["drops"]
    last = max((at for side in _SIDES for at, _ in series[side]), default=1.0)
    most = max((count for side in _SIDES for _, count in series[side]), default=0)
    across, up = _ticks(last), _ticks(max(most, 10))
    area = Area(64, 50, WIDTH - 16, 270)

    def x(value: float) -> float:
        return area.left + value / across[-1] * area.width

    def y(value: float) -> float:
        return area.bottom - value / up[-1] * area.height

    parts = [_legend("drops")]
    for tick in up:
        parts.append(f'<path d="M{area.left} {y(tick):.1f}H{area.right}" stroke="var(--line)"/>')
        parts.append(_text(area.left - 8, y(tick) + 4, f"{tick:g}", 'text-anchor="end"', "soft"))
    for tick in across:
        anchor = f'text-anchor="{"end" if tick == across[-1] else "middle"}"'
        parts.append(_text(x(tick), area.bottom + 18, f"{tick:g} s", anchor, "soft"))
    for side in _SIDES:
        path = _stairs([(x(at), y(count)) for at, count in series[side]])
        line = f'stroke="var(--{side})" stroke-width="2"'
        parts.append(f'<path d="{path}" fill="none" {line}/>')
    for number, side in enumerate(_SIDES):
        parts += _phases(applications["workloads"], side, area.bottom + 40 + 30 * number, x)
    said = "Packets dropped by the director's device over time, without and with the patch"
    ends = ", ".join(
        f"{series[side][-1][1] if series[side] else 0} {_LABELS[side]}" for side in _SIDES
    )
    return _svg(round(area.bottom) + 110, said, f"At the end: {ends}", parts)


def _stairs(points: Sequence[tuple[float, float]]) -> str:
    """Return a path of steps, with only the points where something changes."""
    if not points:
        return "M0 0"
    path, height = f"M{points[0][0]:.1f} {points[0][1]:.1f}", points[0][1]
    for at, level in points[1:]:
        if level != height:
            path += f"H{at:.1f}V{level:.1f}"
            height = level
    return f"{path}H{points[-1][0]:.1f}"


def _phases(workloads: Sequence[dict[str, Any]], side: str, top: float, x: Any) -> Iterator[str]:
    for work in workloads:
        steps = work[side]["steps"]
        left, right = x(steps[0]["begun"]), x(steps[-1]["ended"])
        label = title(work)
        yield f'<g><rect x="{left:.1f}" y="{top}" width="{max(right - left - 2, 1):.1f}" '
        yield f'height="22" rx="3" fill="var(--panel)" stroke="var(--{side})" '
        yield f'stroke-opacity=".6"/><title>{escape(label)}, {_LABELS[side]}</title>'
        if right - left > 7 * len(label):
            yield _text(left + 6, top + 15.5, label, 'font-size="12"')
        yield "</g>"


def _ticks(most: float) -> list[float]:
    """Return round numbers from zero to at least ``most``, five or so."""
    power = 10 ** math.floor(math.log10(most / 4))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f * 5 >= most)
    return [step * n for n in range(math.ceil(most / step - 1e-9) + 1)]


def _text(x: float, y: float, text: str, more: str = "", colour: str = "ink") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="var(--{colour})" {more}>{escape(text)}</text>'


def _svg(height: int, said: str, described: str, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" {_FONT}>'
        f"<title>{escape(said)}</title><desc>{escape(described)}</desc>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def picture(results: dict[str, Any]) -> str | None:
    """Return the latency plot of the run's first kernel that has one, to stand alone."""
    for kernel in results["kernels"]:
        chosen = sweeps((kernel.get("applications") or {"workloads": []})["workloads"])
        if chosen:
            how = results["acceleration"].split(" (")[0]
            caption = f"nginx behind IPVS and GUE; {kernel['kernel']} under {how}"
            return standalone(latency(chosen), f"{caption}; gso-kernel report --latency")
    return None


def standalone(svg: str, caption: str) -> str:
    """Return the drawing with its colours and background in it, and a caption below it."""
    head, _, body = svg.partition(">")
    height = int(head.split('height="')[1].split('"')[0])
    head = head.replace(f'height="{height}"', f'height="{height + 20}"')
    head = head.replace(f"0 0 {WIDTH} {height}", f"0 0 {WIDTH} {height + 20}")
    background = f'<rect width="{WIDTH}" height="{height + 20}" fill="var(--paper)"/>'
    note = _text(64, height + 6, caption, 'font-size="12"', "soft")
    style = f"<style>{variables('svg')}</style>"
    return f"{head}>{style}{background}{body.replace('</svg>', f'{note}</svg>')}"
