"""A diagnosis as one page of HTML that needs nothing else: no script, no other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape

from gso.diagnosis import Case, Diagnosis, Event

__all__ = ["header_drawing", "page"]

_STYLE = """\
body { font: 15px/1.5 sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #222 }
h2 { border-top: 1px solid #ccc; padding-top: 1em }
table { border-collapse: collapse; margin: 1em 0 }
td, th { border: 1px solid #ccc; padding: .2em .6em; text-align: right; font-size: 13px }
td.name, th.name { text-align: left }
tr.wrong { background: #fde3e1 }
code { background: #f3f3f3; padding: .1em .3em }
svg { display: block; margin: 1em 0; max-width: 100% }
.clean { color: #17692a }
"""
_COLOURS = {
    "outer IP": "var(--outer, #cfe3f7)",
    "tunnel": "var(--tunnel, #f7e3c0)",
    "inner IP": "var(--inner, #cdebd2)",
    "data": "var(--data, #e8e8e8)",
}
_INK, _GOOD, _BAD = "var(--ink, #222)", "var(--good, #17692a)", "var(--bad, #b3261e)"
_SOFT, _PAPER = "var(--soft, #555)", "var(--paper, #fff)"
_UNSET = 0xFFFF
_OFFSETS = (
    *("mac_header", "network_header", "transport_header"),
    *("inner_mac_header", "inner_network_header", "inner_transport_header"),
)
_SCALE = 9
_WIDTH = 900


def page(found: list[tuple[str, Diagnosis]]) -> str:
    """One page for the diagnoses of several logs, by their names."""
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
        for number, case in enumerate(diagnosis.cases, 1):
            yield from _case(number, case)
        yield from _checked(diagnosis)
    yield "</body></html>\n"


def _checked(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.judged:
        yield '<h2>Checked</h2>\n<table><tr><th class="name">rule</th><th>events</th></tr>\n'
        for rule, count in diagnosis.judged.items():
            yield f'<tr><td class="name">{escape(rule)}</td><td>{count}</td></tr>\n'
        yield "</table>\n"
    if diagnosis.record:
        yield "<h2>The log has no header offsets</h2>\n<p>Any of these records them:</p>\n"
        for command in diagnosis.record.values():
            yield f"<p><code>{escape(command)}</code></p>\n"


def _case(number: int, case: Case) -> Iterator[str]:
    yield f"<h2>{number}. {escape(', '.join(case.rules))}</h2>\n<p>{escape(case.message)}</p>\n"
    yield f"<p>{case.packets} packets, {case.dropped} of them seen dropped.</p>\n"
    if case.function:
        yield f"<p>Encapsulated by <code>{escape(case.function)}</code> "
        yield f"({escape(case.evidence)}).</p>\n"
    if case.missing_call:
        yield f"<p>Missing call: <code>{escape(case.missing_call)}</code></p>\n"
    yield f"<p>{escape(case.kernel_outcome)}</p>\n<p>{escape(case.likely_cause)}</p>\n"
    yield from _drawing(case)
    yield from _timeline(case)
    for title, counter in (("Flows", case.flows), ("Devices", case.devices)):
        if counter:
            yield f'<table><tr><th class="name">{title}</th><th>packets</th></tr>\n'
            for name, count in counter.most_common(20):
                yield f'<tr><td class="name">{escape(name)}</td><td>{count}</td></tr>\n'
            yield "</table>\n"


def _timeline(case: Case) -> Iterator[str]:
    yield '<table><tr><th>line</th><th>time, s</th><th>CPU</th><th class="name">function</th>'
    yield "<th>len</th>" + "".join(f"<th>{name}</th>" for name in _OFFSETS)
    yield "<th>tnl_hlen</th></tr>\n"
    for event in case.events:
        wrong = ' class="wrong"' if event is case.example else ""
        yield f"<tr{wrong}>{''.join(_cells(event))}</tr>\n"
    yield "</table>\n"


def _cells(event: Event) -> Iterator[str]:
    time = "" if event.time is None else f"{event.time // 10**9}.{event.time % 10**9 // 1000:06}"
    yield f"<td>{event.line}</td><td>{time}</td><td>{event.cpu if event.cpu >= 0 else ''}</td>"
    yield f'<td class="name">{escape(event.function)}</td>'
    for name in ("len", *_OFFSETS, "tnl_hlen"):
        value = getattr(event.state, name)
        yield f"<td>{'' if value is None else value}</td>"


def _drawing(case: Case) -> Iterator[str]:
    offsets = {name: getattr(case.example.state, name) for name in _OFFSETS}
    yield header_drawing(offsets, case.expected)


def header_drawing(offsets: Mapping[str, int | None], expected: Mapping[str, int]) -> str:
    """Draw a packet's headers to scale as SVG, with where each offset points and where it should.

    `offsets` are those of the sk_buff by their names, in bytes from `skb->head`; unknown ones are
    left out. `expected` has the right value of each that is wrong. The page that the drawing goes
    into may set its colours as CSS variables.
    """
    return "".join(_header_drawing(offsets, expected))


def _header_drawing(
    offsets: Mapping[str, int | None], expected: Mapping[str, int]
) -> Iterator[str]:
    known = {
        name: value
        for name in _OFFSETS
        if (value := offsets.get(name)) is not None and value != _UNSET
    }
    if len(known) < 2:
        return
    start, last = min(known.values()), max(known.values())
    scale = min(_SCALE, (_WIDTH - 200) / max(last - start, 1))
    labels = {
        "network_header": "outer IP",
        "transport_header": "tunnel",
        "inner_network_header": "inner IP",
        "inner_transport_header": "data",
    }
    edges = sorted((known[name], label) for name, label in labels.items() if name in known)
    marks = sorted((value, name, False) for name, value in known.items())
    marks += [
        (value, f"{name} should be", True) for name, value in expected.items() if name in known
    ]
    height = 70 + 18 * len(marks)
    yield f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" font-size="12" '
    yield 'font-family="sans-serif" role="img" aria-label="headers to scale">\n'
    for (at, label), (end, _) in zip(edges, [*edges[1:], (last + 12, "")], strict=True):
        x, width = (at - start) * scale + 5, max((end - at) * scale, 1)
        yield f'<rect x="{x:.1f}" y="10" width="{width:.1f}" height="34" '
        yield f'stroke="{_SOFT}" fill="{_COLOURS[label]}"/>'
        text = label if end == last + 12 else f"{label} {end - at}"
        yield f'<text x="{x + 4:.1f}" y="31" fill="{_INK}">{text}</text>\n'
    lines, texts = "", ""
    for row, (at, name, right) in enumerate(marks):
        x, y = (at - start) * scale + 5, 66 + 18 * row
        colour = _BAD if name in expected else _GOOD if right else _INK
        lines += f'<path d="M{x:.1f} 44V{y - 4}" stroke="{colour}"/>'
        texts += (
            f'<text x="{x + 4:.1f}" y="{y}" fill="{colour}" stroke="{_PAPER}" stroke-width="3" '
        )
        texts += f'paint-order="stroke">{escape(name)} {at}</text>\n'
    # Texts over all lines, with a white edge: they stay readable where they cross.
    yield f"{lines}\n{texts}"
    yield "</svg>\n"
