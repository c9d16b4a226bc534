"""The results of a hunt: a folder a finding, with a report and a script, and a summary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from gso.kernel import guest_files, paths
from gso.kernel.errors import tells_of_crash
from gso.kernel.guest.complaints import complaints, words
from gso.kernel.guest.records import frames
from gso.kernel.guest.stacks import Rules, Stack
from gso.kernel.hunting import drawing
from gso.kernel.hunting.known import recognised
from gso.kernel.hunting.run import CONSOLE, Hunt
from gso.kernel.hunting.script import script

import gso
from gso.printable import printable, printable_lines

SCHEMA = Path(__file__).with_name("hunt.schema.json")
NAME, RESULTS = "gso.hunt/1", paths.HUNT_RESULTS
LOST = ("number", "text", "why", "host", "stack")
"""What is told of a stack that a machine was lost with."""
_LOST = "machine lost"
_PANICS = re.compile(r"\bskb_(?:over|under)_panic\b")
_MOST_SAID = 60
_PICTURES = {
    "layers.svg": "The layers of the packet on the far cable",
    "offsets.svg": "Where the header offsets of a super-packet pointed that was dropped",
}


def name(finding: dict[str, Any]) -> str:
    """Return the name of a finding: the known fault that it looks like, or its layers."""
    known = recognised(Stack.of(finding["stack"]), finding["complaints"])
    return known["name"] if known else _layers(Stack.of(finding["stack"]))


def _layers(stack: Stack) -> str:
    """Return the layers, the lowest last."""
    layers = [f"{layer.kind}{layer.outer}" for layer in (*stack.near, *reversed(stack.far))]
    return re.sub(r"[^\w-]+", "-", "-over-".join(layers) or "nothing")


def leave(found: Hunt, rules: Rules, folder: Path) -> list[Path]:
    """Write a folder for each finding, and for each stack that a machine was lost with.

    Return the folders.
    """
    folders = []
    for finding in found.findings:
        own = _begin(finding, rules, folder / f"{finding['number']}-{name(finding)}")
        traces = sorted(folder.glob(f"boot-*/finding-{finding['number']}.trace"))
        for trace in traces:
            (own / "trace.txt").write_bytes(trace.read_bytes())
        for recorded in sorted(folder.glob(f"boot-*/finding-{finding['number']}.frames")):
            _save_wire(recorded, own / "wire.pcapng")
        pictures = _draw(finding, rules, own)
        (own / "report.md").write_text("\n".join(_report(found, finding, pictures)) + "\n")
        folders.append(own)
    for lost in found.lost:
        own = _begin(lost, rules, folder / f"{lost['number']}-machine-lost-{lost_name(lost)}")
        console = folder / lost["boot"] / CONSOLE
        (own / "report.md").write_text("\n".join(_obituary(found, lost, console)) + "\n")
        folders.append(own)
    return folders


def _begin(finding: dict[str, Any], rules: Rules, own: Path) -> Path:
    """Make a folder with the script of its stack."""
    own.mkdir(parents=True)
    reproduce = own / "reproduce.sh"
    reproduce.write_text(script(Stack.of(finding["stack"]), rules))
    reproduce.chmod(0o755)
    return own


def lost_name(lost: dict[str, Any]) -> str:
    """Return the known fault that a machine was lost by, as it seems, or the layers."""
    return name({**lost, "complaints": [_LOST]})


def _draw(finding: dict[str, Any], rules: Rules, own: Path) -> dict[str, str]:
    """Write the drawings of a finding into its folder; return what each of them shows."""
    stack = Stack.of(finding["stack"])
    drawn = {
        "layers.svg": drawing.layers(stack, rules, name(finding)),
        "offsets.svg": drawing.offsets(own / "trace.txt"),
    }
    for file, text in drawn.items():
        if text:
            (own / file).write_text(text)
    return {file: _PICTURES[file] for file, text in drawn.items() if text}


def _save_wire(recorded: Path, path: Path) -> None:
    """Write the frames that a guest recorded as a capture."""
    with guest_files.understood(recorded.name):
        found = list(frames(guest_files.read(recorded)))
        bodies = gso.Frames.from_list([body for _, _, body in found])
        gso.write_capture(path, bodies, timestamps=[time_ns for time_ns, _, _ in found])


def _report(found: Hunt, finding: dict[str, Any], pictures: dict[str, str]) -> Iterator[str]:
    measured = finding["measured"]
    yield f"# {name(finding)}"
    yield ""
    yield f"- Kernel: {found.kernel}; seed {found.options.seed}, stack {finding['number']}"
    yield f"- Found with: {finding['first']}"
    yield f"- The smallest that shows it: **{finding['text']}**"
    yield f"- Stacks that show the same: {finding['seen']}"
    if known := recognised(Stack.of(finding["stack"]), finding["complaints"]):
        yield f"- By its layers and by what is complained of it looks like: {known['why']}"
    yield ""
    yield "What arrives without segmentation does not arrive with it:"
    yield ""
    for run in measured["runs"]:
        said = words(complaints(measured["controls"], run), run)
        yield f"- with segmentation: {said or 'nothing to complain of'}; {run['seconds']} s"
    for run in measured["controls"]:
        yield f"- without: all arrived, {run['retransmits']} retransmits; {run['seconds']} s"
    for file, text in pictures.items():
        yield ""
        yield f"![{text}]({file})"
    yield ""
    yield "`reproduce.sh` shows it with plain commands; `trace.txt` has header offsets and drops;"
    yield "`wire.pcapng`, where it is there, has what arrived at the worker with segmentation."


def _obituary(found: Hunt, lost: dict[str, Any], console: Path) -> Iterator[str]:
    yield f"# Machine lost: {lost_name(lost)}"
    yield ""
    yield f"- Kernel: {found.kernel}; seed {found.options.seed}, stack {lost['number']}"
    yield f"- With: **{lost['text']}**"
    yield f"- {printable_lines(lost['why'])}"
    if known := recognised(Stack.of(lost["stack"]), [_LOST]):
        yield f"- By its layers it looks like: {known['why']}"
    yield ""
    yield "`reproduce.sh` builds the stack with plain commands and sends through it: **the machine"
    yield "may die of it**, or lose what is sent (exit status 1). What the kernel said last:"
    yield ""
    yield from (f"    {line}" for line in _last_lines(console))


def _last_lines(console: Path) -> list[str]:
    """Return what a console has from the first complaint of a kernel on, as far as it is shown."""
    said: list[str] = []
    with suppress(guest_files.GuestFileError):
        for line in guest_files.lines(console):
            if said or tells_of_crash([line]) or _PANICS.search(line):
                said.append(printable(line.rstrip()))
            if len(said) == _MOST_SAID:
                break
    return said


def summary(found: Hunt) -> dict[str, Any]:
    """Return everything as plain data, as ``hunt.schema.json`` describes it."""
    return {
        "schema": NAME,
        "exit_status": found.exit_status,
        "kernel": found.kernel,
        "seed": found.options.seed,
        "shard": list(found.options.shard),
        "seconds": found.seconds,
        "stacks": sum(found.outcomes.values()),
        "legal": found.legal,
        "judged": found.judged,
        "outcomes": dict(found.outcomes),
        "kinds": {kind: dict(counts) for kind, counts in sorted(found.by_kind.items())},
        "unjudged": dict(found.unjudged),
        "lost": [
            {"name": lost_name(lost), **{key: lost[key] for key in LOST}} for lost in found.lost
        ],
        "hosts": dict(found.hosts),
        "findings": [
            {
                "name": name(finding),
                **{key: finding[key] for key in ("number", "text", "first", "seen", "why")},
                **{key: finding[key] for key in ("stack", "complaints", "measured", "host")},
            }
            for finding in found.findings
        ],
    }


def text(found: Hunt) -> str:
    """Return the findings, and how many stacks of each kind carried and segmented anything."""
    lines = [f"kernel {found.kernel}, seed {found.options.seed}"]
    for finding in found.findings:
        lines.append(f"FINDING {name(finding)}: {finding['text']}")
        lines.append(f"        {finding['why']} (seen {finding['seen']} times)")
    for lost in found.lost:
        lines.append(f"LOST    {lost_name(lost)}: {lost['text']}")
        lines.append(f"        {lost['why']}")
    for kind, counts in sorted(found.by_kind.items()):
        judged = counts["clean"] + counts["finding"]
        legal, every = judged + counts["not exercised"], sum(counts.values())
        lines.append(
            f"{kind:16} {legal} of {every} carry traffic, {judged} had packets segmented, "
            f"{counts['finding']} of them not whole"
        )
    return printable_lines("\n".join([*lines, f"{found.state}, {found.seconds:.0f} s"]))
