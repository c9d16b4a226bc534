"""Diagnoses as one HTML page that needs no script and no other file."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from html import escape

from gso.diagnosis import Case, Diagnosis, Event
from gso.diagnosis.recorders import NEEDS
from gso.drawing.svg import Box, Kind, Mark, packet_drawing
from gso.printable import printable
from gso.skb.state import OFFSETS

__all__ = ["header_drawing", "page"]

_STYLE = """\
body { font: 15px/1.5 sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { border-top: 1px solid #ccc; padding-top: 1em }
table { border-collapse: collapse; margin: 1em 0; display: block; overflow-x: auto }
td, th { border: 1px solid #ccc; padding: .2em .6em; text-align: right; font-size: 13px }
td.name, th.name { text-align: left }
tr.wrong { background: #fde3e1 }
code { background: #f3f3f3; padding: .1em .3em }
svg { display: block; margin: 1em 0; max-width: 100% }
.clean { color: #17692a }
"""
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
    yield f"<title>gso diagnose</title><style>{_STYLE}</style></head><body>\n"
    for name, diagnosis in found:
        yield f"<h1>{escape(name)}</h1>\n<p>{diagnosis.lines} lines of {escape(diagnosis.format)}, "
        yield f"{diagnosis.events} events, {diagnosis.damaged} damaged lines, "
        yield f"{diagnosis.lost} events lost.</p>\n"
        if diagnosis.clean:
            yield '<p class="clean">Nothing wrong was found.</p>\n'
        elif diagnosis.not_judged:
            yield f"<p>Not judged: {escape(diagnosis.not_judged)}.</p>\n"
        yield from _unread(diagnosis)
        for number, case in enumerate(diagnosis.cases, 1):
            yield from _case(number, case)
        yield from _checked(diagnosis)
    yield "</body></html>\n"


def _unread(diagnosis: Diagnosis) -> Iterator[str]:
    lines = diagnosis.unread or diagnosis.damaged_lines
    if lines:
        yield "<h2>Lines that could not be read</h2>\n<pre>"
        yield from (f"line {number}: {escape(printable(text))}\n" for number, text in lines)
        yield "</pre>\n"


def _checked(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.judged:
        yield '<h2>Checked</h2>\n<table><tr><th class="name">rule</th><th>events</th></tr>\n'
        for rule, count in diagnosis.judged.items():
            yield f'<tr><td class="name">{escape(rule)}</td><td>{count}</td></tr>\n'
        yield "</table>\n"
    if diagnosis.missing:
        yield "<p>Not judged, for lack of fields or because they do not apply: "
        yield f"{', '.join(diagnosis.missing)}.</p>\n"
    if diagnosis.drops:
        yield "<h2>Drops for other reasons</h2>\n"
        yield '<table><tr><th class="name">reason</th><th class="name">in</th><th>packets</th></tr>'
        for (reason, place), count in sorted(diagnosis.drops.items(), key=lambda drop: -drop[1]):
            yield f'<tr><td class="name">{escape(reason or "?")}</td>'
            yield f'<td class="name">{escape(place)}</td><td>{count}</td></tr>\n'
        yield "</table>\n"
    if diagnosis.record:
        yield "<h2>The log has no inner header offsets</h2>\n"
        yield "<p>Any of these, run as root while packets pass, records them:</p>\n"
        for tool, command in diagnosis.record.items():
            yield f"<p>{escape(tool)} ({escape(NEEDS[tool])}):<br>"
            yield f"<code>{escape(command)}</code></p>\n"


def _case(number: int, case: Case) -> Iterator[str]:
    yield f"<h2>{number}. {escape(', '.join(case.rules))}</h2>\n<p>{escape(case.message)}</p>\n"
    yield f"<p>{case.packets} packets, {case.dropped} of them seen dropped.</p>\n"
    if case.function:
        yield f"<p>Encapsulated by <code>{escape(case.function)}</code> "
        yield f"({escape(case.evidence)}).</p>\n"
    if case.missing_call:
        yield f"<p>Missing call: <code>{escape(case.missing_call)}</code></p>\n"
    yield f"<p>{escape(case.kernel_outcome)}</p>\n<p>{escape(case.likely_cause)}</p>\n"
    if case.commits:
        yield f"<p>Upstream commits: {escape(' '.join(case.commits))}</p>\n"
    for function, result in case.results.items():
        yield f"<p><code>{escape(function)}</code> returned {result} "
        yield f"({errno.errorcode.get(-result, 'unknown')}).</p>\n"
    if case.drop:
        function, reason, place = case.drop
        yield f"<p>Dropped: <code>{escape(function)}</code>, reason {escape(reason or 'unknown')}"
        yield f", in <code>{escape(place)}</code>.</p>\n" if place else ".</p>\n"
    if case.stack:
        yield f"<p>Stack: <code>{escape(' < '.join(case.stack))}</code></p>\n"
    yield _drawing(case)
    yield from _timeline(case)
    for title, counter in (("Flows", case.flows), ("Devices", case.devices)):
        if counter:
            yield f'<table><tr><th class="name">{title}</th><th>packets</th></tr>\n'
            for name, count in counter.most_common(20):
                yield f'<tr><td class="name">{escape(name)}</td><td>{count}</td></tr>\n'
            yield "</table>\n"


def _timeline(case: Case) -> Iterator[str]:
    yield '<table><tr><th>line</th><th>time, s</th><th>CPU</th><th class="name">function</th>'
    yield "<th>len</th>" + "".join(f"<th>{name}</th>" for name in OFFSETS)
    yield "<th>tnl_hlen</th></tr>\n"
    for event in case.events:
        wrong = ' class="wrong"' if event is case.example else ""
        yield f"<tr{wrong}>{''.join(_cells(event))}</tr>\n"
    yield "</table>\n"


def _cells(event: Event) -> Iterator[str]:
    time = "" if event.time is None else f"{event.time // 10**9}.{event.time % 10**9 // 1000:06}"
    yield f"<td>{event.line}</td><td>{time}</td><td>{event.cpu if event.cpu >= 0 else ''}</td>"
    yield f'<td class="name">{escape(event.function)}</td>'
    for name in ("len", *OFFSETS, "tnl_hlen"):
        value = getattr(event.state, name)
        yield f"<td>{'' if value is None else value}</td>"


def _drawing(case: Case) -> str:
    state = case.example.state
    return header_drawing({name: getattr(state, name) for name in OFFSETS}, case.expected)


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
    edges = sorted((known[name], *_HEADERS[name]) for name in _HEADERS if name in known)
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
