"""Diagnoses as one HTML page that needs no script and no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from gso.diagnosis import Case, Diagnosis, Event
from gso.drawing.offsets import shown_offsets
from gso.drawing.report import (
    Fact,
    Heading,
    Item,
    Lines,
    Sample,
    report_items,
    sample_end,
    seconds,
    summary_items,
)
from gso.printable import printable
from gso.skb.state import OFFSETS
from gso.svg import Box, Kind, Mark, packet_drawing

__all__ = ["header_drawing", "page"]

_STYLE = """\
:root { color-scheme: light dark; --text: #222; --paper: #fff; --line: #ccc; --wrong: #fde3e1;
  --code: #f3f3f3; --good: #17692a }
@media (prefers-color-scheme: dark) {
  :root { --text: #ddd; --paper: #161616; --line: #444; --wrong: #5a1f1b; --code: #262626;
    --good: #7fd08f }
  svg .paper { fill: #161616 }
  svg rect:not(.paper) { fill-opacity: .8 }
  svg text { fill: #eee; stroke: none } svg text.tick { fill: #aaa }
  svg g text { fill: #111 }
  svg path.plain { stroke: #bbb } svg circle.plain { fill: #bbb }
  svg .wrong { fill: #ff8a80 } svg path.wrong { stroke: #ff8a80 }
  svg .right { fill: #7fd08f } svg path.right { stroke: #7fd08f }
}
* { box-sizing: border-box }
body { font: 15px/1.5 sans-serif; max-width: 1168px; margin: 1em auto; padding: 0 16px;
  color: var(--text); background: var(--paper); overflow-wrap: anywhere }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; border-top: 1px solid var(--line);
  padding-top: 1em }
.wide { overflow-x: auto; margin: 1em 0 }
table { border-collapse: collapse }
td, th { border: 1px solid var(--line); padding: .2em .5em; text-align: right; font-size: 13px;
  overflow-wrap: normal }
td.name, th.name { text-align: left }
tr.wrong { background: var(--wrong) }
code, pre { background: var(--code); padding: .1em .3em }
pre { overflow-x: auto; white-space: pre-wrap }
svg { display: block; max-width: 100%; height: auto; min-width: 640px }
p { margin: .5em 0 } p.deep { margin-left: 1.5em }
.good { color: var(--good) }
"""
_PLAIN_HEADERS: dict[str, tuple[str, Kind]] = {
    "network_header": ("IP", "outer"),
    "transport_header": ("TCP, UDP ...", "data"),
}
_HEADERS: dict[str, tuple[str, Kind]] = {
    "network_header": ("outer IP", "outer"),
    "transport_header": ("tunnel", "tunnel"),
    "inner_network_header": ("inner IP", "inner"),
    "inner_transport_header": ("inner TCP, UDP ...", "data"),
}


def page(found: list[tuple[str, Diagnosis]]) -> str:
    """Return one HTML page for diagnoses of several logs, as pairs (name of the log, diagnosis)."""
    return "".join(_page(found))


def _page(found: list[tuple[str, Diagnosis]]) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>gso diagnose</title><style>{_STYLE}</style></head><body>\n"
    for name, diagnosis in found:
        for item in report_items(name, diagnosis):
            yield from _item(item)
    for item in summary_items(found) if len(found) > 1 else ():
        yield from _item(item)
    yield "</body></html>\n"


def _item(item: Item) -> Iterator[str]:
    match item:
        case Heading(text, level):
            yield f"<h{level}>{_safe(text)}</h{level}>\n"
        case Fact():
            yield _fact(item)
        case Lines(title, lines):
            yield f"<p>{_safe(title.strip())}</p>\n<pre>"
            yield from (f"{_safe(line.strip())}\n" for line in lines)
            yield "</pre>\n"
        case Sample(case, title):
            yield f"<p>{_safe(title)}</p>\n"
            yield from _timeline(case)
            yield from map(_fact, sample_end(case))
            yield f'<div class="wide">{_drawing(case)}</div>\n'


def _fact(fact: Fact) -> str:
    look = ' class="good"' if fact.good else ' class="deep"' if fact.depth else ""
    label = f"<b>{_safe(fact.label.strip())}</b> " if fact.label else ""
    code = f"<code>{_safe(fact.code)}</code> {_safe(fact.note)}" if fact.code else ""
    return f"<p{look}>{label}{_safe(fact.text)}{code}</p>\n"


def _safe(text: str) -> str:
    """Return text from a log, or of ours, as HTML."""
    return escape(printable(text))


def _timeline(case: Case) -> Iterator[str]:
    yield '<div class="wide"><table><tr><th>line</th><th>time, s</th><th>CPU</th>'
    yield '<th class="name">function</th><th class="name">device</th><th>len</th>'
    yield "".join(f"<th>{name.replace('_', '_<wbr>')}</th>" for name in (*OFFSETS, "tnl_hlen"))
    yield "</tr>\n"
    for event in case.events:
        wrong = ' class="wrong"' if event is case.example and case.fields else ""
        yield f"<tr{wrong}>{''.join(_cells(event))}</tr>\n"
    yield "</table></div>\n"


def _cells(event: Event) -> Iterator[str]:
    time = "" if event.time is None else seconds(event.time)
    yield f"<td>{event.line}</td><td>{time}</td><td>{event.cpu if event.cpu >= 0 else ''}</td>"
    yield from (f'<td class="name">{_safe(text)}</td>' for text in (event.function, event.device))
    for name in ("len", *OFFSETS, "tnl_hlen"):
        value = getattr(event.state, name)
        yield f"<td>{'' if value is None else value}</td>"


def _drawing(case: Case) -> str:
    return header_drawing(shown_offsets(case.example.state), case.expected)


def header_drawing(offsets: Mapping[str, int | None], expected: Mapping[str, int]) -> str:
    """Draw a packet's headers to scale as SVG, over marks where its offsets point and should point.

    Args:
        offsets: those of the sk_buff by their names, in bytes from `skb->head`; None and 0xffff
            are unknown, and left out.
        expected: the right values of the offsets that are wrong.

    Returns:
        The text of an SVG, "" if too few offsets are known.
    """
    known = {name: at for name, at in offsets.items() if at is not None and at != 0xFFFF}
    inner = any(name.startswith("inner_") for name in known)
    headers = _HEADERS if inner else _PLAIN_HEADERS
    edges = sorted((known[name], *headers[name]) for name in headers if name in known)
    if len(known) < 2 or not edges:
        return ""
    ends = [*(edge[0] for edge in edges[1:]), edges[-1][0] + 20]
    boxes = [
        Box(at, max(end, at + 1), label, kind, open_end=kind == "data")
        for (at, label, kind), end in zip(edges, ends, strict=True)
    ]
    marks = [Mark(at, name, "wrong" if name in expected else "plain") for name, at in known.items()]
    marks += [
        Mark(at, f"{name} should be", "right") for name, at in expected.items() if name in known
    ]
    return packet_drawing(boxes, marks)
