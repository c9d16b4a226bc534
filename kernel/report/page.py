"""A run as one page of HTML that needs nothing else: no script, no other file."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gso.kernel.report import plots
from gso.kernel.report.cases import status
from gso.kernel.report.palette import variables

from gso.drawing.diagnosis_page import header_drawing
from gso.skb.state import OFFSETS

_STYLE = variables(":root") + Path(__file__).with_name("style.css").read_text()
_SIDES = ("unpatched", "patched")
_WITHOUT = {"unpatched": "without the patch", "patched": "with the patch"}
_SHOWN_FRAMES = 12
_MEANINGS = {
    "FIXED": "What failed without the patch works with it, and nothing else broke.",
    "INCOMPLETE": "The patch fixes some of what fails, and not all.",
    "NO EFFECT": "Everything fails with the patch as it does without.",
    "REGRESSED": "Something that worked is broken by the patch.",
    "NOT REPRODUCED": "The unpatched kernel never failed, so nothing was proved.",
    "UNRELATED": "It fails with and without the patch, whose code does not run in it.",
    "INCONCLUSIVE": "Nothing can be said about the patch.",
}


def page(results: dict[str, Any], folder: Path) -> str:
    """Return the page; ``folder`` is where the evidence is, for the links."""
    return "".join(_page(results, folder))


def _page(results: dict[str, Any], folder: Path) -> Iterator[str]:
    patches = ", ".join(results["patches"])
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">'
    yield f"<title>{escape(results['verdict'])}: {escape(patches)}</title>"
    # Without an icon of its own a browser asks the server for one.
    yield f'<link rel="icon" href="data:,"><style>{_STYLE}</style></head>\n<body><main>'
    yield f"<h1>{escape(patches)}</h1>\n"
    yield f'<p class="banner">{_verdict(results["verdict"])}</p>\n'
    yield f"<p>{escape(_MEANINGS.get(results['verdict'], ''))}</p>\n"
    yield f'<p class="soft">{escape(results["started"])}; {results["seconds"]:.0f} s; '
    yield f"{escape(results['acceleration'])}</p>\n"
    yield from _error(results["error"])
    if len(results["kernels"]) > 1:
        yield from _kernels(results["kernels"])
    for kernel in results["kernels"]:
        yield from _kernel(kernel, folder)
    yield from _repeat(results)
    yield from _environment(results)
    yield "</main></body></html>\n"


def _verdict(verdict: str) -> str:
    return f'<span class="verdict {status(verdict)}">{escape(verdict)}</span>'


def _error(error: dict[str, str] | None) -> Iterator[str]:
    if error:
        yield f'<p class="fail"><b>{escape(error["stage"])}</b>: {escape(error["message"])}</p>\n'
        if error["log_tail"]:
            yield f"<pre>{escape(error['log_tail'])}</pre>\n"


def _kernels(kernels: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "<ul>"
    for kernel in kernels:
        yield f'<li><a href="#{quote(kernel["id"])}">{escape(kernel["kernel"])}</a> '
        yield f"{_verdict(kernel['verdict'])}</li>"
    yield "</ul>\n"


def _kernel(kernel: dict[str, Any], folder: Path) -> Iterator[str]:
    yield f'<h2 id="{escape(kernel["id"])}">{escape(kernel["kernel"])}</h2>\n'
    yield f"<p>{_verdict(kernel['verdict'])}</p>\n"
    yield from _error(kernel["error"])
    yield from _list(kernel["steps"])
    yield from _code(kernel.get("code", ()))
    yield from _list([*kernel.get("findings", ()), *_remarkable(kernel.get("boots", ()))])
    for side, warnings in (kernel.get("warnings") or {}).items():
        if warnings:
            yield f"<h3>The kernel's warnings {escape(_WITHOUT.get(side, side))}</h3>"
            yield f"<pre>{escape(chr(10).join(warnings))}</pre>\n"
    if kernel.get("applications"):
        yield from _applications(kernel["applications"])
    if kernel["scenarios"]:
        yield from _scenarios(kernel["scenarios"])
        yield from _problems(kernel["scenarios"])
        yield from _headers(kernel["scenarios"])
        yield from _drop_stacks(kernel["scenarios"])
    yield from _files(folder, kernel["id"])


def _code(changed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Show how often each changed function was entered, or why that was not counted."""
    if not changed:
        return
    yield '<h3>The changed code</h3>\n<table><thead><tr><th class="name">function</th>'
    yield '<th class="name">file</th><th class="name">counted</th>'
    yield "".join(f"<th>entered {_WITHOUT[side]}</th>" for side in _SIDES) + "</tr></thead>\n"
    for code in changed:
        counted = ", ".join(code["symbols"]) or f"not counted: {code['why']}"
        names = (code["name"] or "outside functions", code["file"], counted)
        yield "<tr>" + "".join(f'<td class="name">{escape(name)}</td>' for name in names)
        for side in _SIDES:
            count = code["entries"].get(side)
            yield f"<td>{'-' if count is None else count}</td>"
        yield "</tr>\n"
    yield "</table>\n"


def _remarkable(boots: Sequence[dict[str, Any]]) -> Iterator[str]:
    for boot in boots:
        name = f"{boot['variant']} kernel, boot in {boot['folder']}"
        if boot.get("reused"):
            yield f"{name}: not booted now, but reused from {boot['reused']}"
        if boot["status"] != "done":
            yield f"{name}: {boot['status']} after {boot['seconds']:.0f} s: {boot['message']}"


def _list(items: Sequence[str]) -> Iterator[str]:
    if items:
        yield "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>\n"


def _scenarios(scenarios: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield "<h3>Scenarios</h3>\n<p>Each is one way through the director, with several exchanges. "
    yield "Segments are those that the patched kernel put on the wire, compared byte for byte "
    yield "with what segmentation must give.</p>\n"
    yield '<div class="scroll"><table><thead><tr><td></td>'
    for side in _SIDES:
        yield f'<th class="{side}" colspan="4" scope="colgroup">{_WITHOUT[side]}</th>'
    yield '<td></td><td></td></tr>\n<tr><th class="name">scenario</th>'
    yield 2 * "<th>drops</th><th>resent</th><th>slowest, s</th><th>tnl_hlen</th>"
    yield '<th>segments right</th><th class="name">verdict</th></tr></thead>\n<tbody>'
    for scenario in scenarios:
        yield f'<tr><td class="name">{escape(scenario["name"])}</td>'
        for side in _SIDES:
            yield from _measures(scenario[side])
        right = sum(cell["wire"]["matching"] for cell in scenario["patched"])
        of = sum(cell["wire"]["segments"] for cell in scenario["patched"])
        yield f"<td>{right} of {of}</td>"
        yield f'<td class="name">{_verdict(scenario["verdict"])}{_flaky(scenario)}</td></tr>\n'
    yield "</tbody></table></div>\n"


def _flaky(scenario: dict[str, Any]) -> str:
    """Return the verdicts of repetitions that disagree."""
    if not scenario.get("flaky"):
        return ""
    runs = ", ".join(f"{verdict} {count}" for verdict, count in scenario["runs"].items())
    return f' <span class="soft">flaky: {escape(runs)}</span>'


def _measures(cells: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not cells:
        yield 4 * "<td>-</td>"
        return
    drops = sum(cell["tx_dropped"] for cell in cells)
    lengths = sorted({length for cell in cells for length in cell["tnl_hlen"]})
    yield f"<td{' class=wrong' * bool(drops)}>{drops}</td>"
    yield f"<td>{sum(cell.get('retransmits', 0) for cell in cells)}</td>"
    yield f"<td>{max(cell['seconds'] for cell in cells):.2f}</td>"
    wrong = any(length < 0 for length in lengths)
    yield f"<td{' class=wrong' * wrong}>{', '.join(map(str, lengths)) or '-'}</td>"


def _problems(scenarios: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say what is wrong with the patched kernel in full, and with the unpatched one folded up."""
    for side, tag in (("patched", " open"), ("unpatched", "")):
        rows = [
            f"<li><b>{escape(scenario['name'])}</b>, {escape(cell['traffic'])}: {escape(text)}</li>"
            for scenario in scenarios
            for cell in scenario[side]
            for text in cell["problems"]
        ]
        if rows:
            yield f"<details{tag}><summary>What failed {_WITHOUT[side]}: {len(rows)}</summary>"
            yield f"<ul>{''.join(rows)}</ul></details>\n"
        for scenario in scenarios:
            if crash := (scenario.get("crashes") or {}).get(side):
                yield f"<h3>Crash {_WITHOUT[side]}: {escape(scenario['name'])}</h3>"
                yield f"<pre>{escape(crash)}</pre>\n"


def _headers(scenarios: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Draw the header offsets that the segmenter met, before and after, where they differ."""
    for scenario in scenarios:
        before, after = (_segmented(scenario[side]) for side in _SIDES)
        if before and after and before["tnl_hlen"] != after["tnl_hlen"]:
            break
    else:
        return
    right = {"inner_mac_header": before["transport_header"] + after["tnl_hlen"]}
    yield f"<h3>Header offsets, {escape(scenario['name'])}</h3>\n<p>As "
    yield f"<code>{escape(before['function'])}</code> found them, in bytes from skb-&gt;head. "
    yield "tnl_hlen is inner_mac_header less transport_header.</p>\n"
    for side, offsets, expected in (("unpatched", before, right), ("patched", after, {})):
        yield f"<p><b>{_WITHOUT[side].capitalize()}</b>: tnl_hlen {offsets['tnl_hlen']}</p>"
        pointers = {name: offsets[name] for name in OFFSETS}
        yield f'<div class="drawing">{header_drawing(pointers, expected)}</div>'


def _segmented(cells: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    found = [
        o
        for cell in cells
        for o in cell["offsets"]
        if "tnl_hlen" in o and "segment" in o["function"]
    ]
    return found[-1] if found else None


def _drop_stacks(scenarios: Sequence[dict[str, Any]]) -> Iterator[str]:
    for side in _SIDES:
        stacks: Counter[tuple[str, str, tuple[str, ...]]] = Counter()
        for scenario in scenarios:
            for cell in scenario[side]:
                for drop in cell["drops"]:
                    stack = tuple(drop["stack"][:_SHOWN_FRAMES])
                    stacks[drop["location"], drop["reason"], stack] += drop["count"]
        if not stacks:
            continue
        yield f"<details><summary>Drops {_WITHOUT[side]}, with their stacks: "
        yield f"{stacks.total()}</summary>\n"
        for (location, reason, stack), count in stacks.most_common():
            yield f"<p>{count} in <code>{escape(location)}</code>, reason {escape(reason)}</p>"
            yield f"<pre>{escape(' < '.join(stack))}</pre>\n"
        yield "</details>\n"


def _applications(found: dict[str, Any]) -> Iterator[str]:
    workloads = found["workloads"]
    yield "<h3>Real applications</h3>\n<p>nginx behind IPVS with GUE, h2load as the client. "
    yield "Every dot is one request.</p>\n"
    if sweeps := plots.sweeps(workloads):
        yield plots.latency(sweeps)
    yield "<h3>Packets dropped by the director's device over time</h3>\n"
    yield plots.drops(found)
    yield from _latency_table(workloads)
    rows = [
        f"<li><b>{escape(plots.title(work))}</b>, {_WITHOUT[side]}: {escape(text)}</li>"
        for side in reversed(_SIDES)
        for work in workloads
        for text in work[side]["problems"]
    ]
    if rows:
        yield f"<details><summary>What failed for applications: {len(rows)}</summary>"
        yield f"<ul>{''.join(rows)}</ul></details>\n"


def _latency_table(workloads: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr><td></td><td></td>'
    for side in _SIDES:
        yield f'<th class="{side}" colspan="5" scope="colgroup">{_WITHOUT[side]}</th>'
    yield '</tr>\n<tr><th class="name">application</th><th>payload</th>'
    yield 2 * "<th>done</th><th>median</th><th>90 %</th><th>slowest</th><th>drops</th>"
    yield "</tr></thead>\n<tbody>"
    for work in workloads:
        steps = zip(*(work[side]["steps"] for side in _SIDES), strict=True)
        for number, pair in enumerate(steps):
            name = f"{escape(plots.title(work))} {_verdict(work['verdict'])}" if not number else ""
            yield f'<tr><td class="name">{name}</td><td>{plots.size(pair[0]["size"])}</td>'
            for step in pair:
                yield from _step(step)
            yield "</tr>\n"
    yield "</tbody></table></div>\n"


def _step(step: dict[str, Any]) -> Iterator[str]:
    done = len(step["milliseconds"])
    yield f"<td{' class=wrong' * (done < step['requests'])}>{done} of {step['requests']:d}</td>"
    for name in ("p50", "p90", "max"):
        value = step["latency"][name]
        bound = "&gt; " * (name in step["latency"]["at_least"])
        yield f"<td>{'-' if value is None else bound + plots.duration(value)}</td>"
    yield f"<td{' class=wrong' * bool(step['drops'])}>{step['drops']:d}</td>"


def _files(folder: Path, kernel: str) -> Iterator[str]:
    found = sorted(path for path in (folder / kernel).rglob("*") if path.is_file())
    if not found:
        return
    yield f"<details><summary>Evidence: {len(found)} files</summary><ul>\n"
    for path in found:
        name = path.relative_to(folder).as_posix()
        yield f'<li><a href="{quote(name)}">{escape(name)}</a> '
        yield f'<span class="soft">{plots.size(path.stat().st_size)}</span></li>\n'
    yield "</ul></details>\n"


def _repeat(results: dict[str, Any]) -> Iterator[str]:
    folder = shlex.quote(Path(results["folder"]).name)
    yield "<h2>To repeat</h2>\n<pre>gso-kernel doctor --install\n"
    yield f"{escape(results['command'])}\n"
    yield f"gso-kernel report {escape(folder)}</pre>\n"


def _environment(results: dict[str, Any]) -> Iterator[str]:
    yield "<h2>Environment</h2>\n<table>"
    for name, value in results["environment"].items():
        shown = plots.size(value) if name.endswith("_bytes") else value
        yield f'<tr><th class="name" scope="row">{escape(name.removesuffix("_bytes"))}</th>'
        yield f'<td class="long">{escape(str(shown))}</td></tr>\n'
    for kernel in results["kernels"]:
        for side, guest in (kernel["guests"] or {}).items():
            if "version" in guest:
                label, text = f"{kernel['id']} {side}", f"{guest['kernel']} {guest['version']}"
                yield f'<tr><th class="name" scope="row">{escape(label)}</th>'
                yield f'<td class="long">{escape(text)}</td></tr>\n'
    yield "</table>\n"
