"""One capture through every command."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gso
from corpus_sweep.wireshark import Packet
from gso.cli import main

COMMANDS = {
    "segment": ["segment", "IN", "OUT", "--json"],
    "segment 1448": ["segment", "IN", "OUT", "--gso-size", "1448", "--json"],
    "coalesce": ["coalesce", "IN", "OUT", "--json"],
    "validate": ["validate", "IN", "--json"],
    "explain": ["explain", "IN", "--json"],
}
_MOST_EXAMPLES = 8
_UNUSABLE = 2


@dataclass
class Result:
    """What was seen of one file.

    Attributes:
        name: the file's.
        packets: how many can be read, also before damage.
        readable: whether there are any.
        seconds: processor time of each command.
        counts: packets, by command and cause.
        examples: some packets, for each of the causes.
    """

    name: str
    packets: int = 0
    readable: bool = True
    seconds: dict[str, float] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, cause: str, example: str) -> None:
        self.counts[cause] += 1
        shown = self.examples.setdefault(cause, [])
        if len(shown) < _MOST_EXAMPLES:
            shown.append(example)


@dataclass
class Run:
    """A file's packets, and what the commands made of them and said."""

    result: Result
    before: list[Packet]
    made: dict[str, list[Packet]] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
    findings: list[dict[str, Any]] | None = None


def run_all(path: Path, name: str, folder: Path) -> Run:
    """Run every command on one file; outputs go into the folder."""
    result = Result(name)
    packets = read(path)
    run = Run(result, packets or [])
    result.packets, result.readable = len(run.before), packets is not None
    for label, words in COMMANDS.items():
        out = folder / f"{label.replace(' ', '-')}.out"
        places = {"IN": str(path), "OUT": str(out)}
        start = time.process_time()
        status, text, complaint = _run([places.get(word, word) for word in words])
        result.seconds[label] = time.process_time() - start
        if "internal error" in complaint:
            result.add(f"WRONG: {label}: internal error", complaint)
        if packets is None and status != _UNUSABLE:
            result.add(f"WRONG: {label}: status {status} for what cannot be read", "")
        if label == "validate" and text:
            run.findings = json.loads(text)["findings"]
        if out.exists() and packets is not None:
            made = read(out)
            if made is None:
                result.add(f"WRONG: {label}: the output cannot be read", "")
            else:
                run.made[label], run.outputs[label] = made, out
    return run


def read(path: Path) -> list[Packet] | None:
    """The packets that can be read, also those before damage; None where there are none."""
    found: list[Packet] = []
    try:
        with gso.capture.Reader(path) as reader:
            for batch in reader:
                found += _described(batch)
    except gso.GsoError:
        return found or None
    return found


def _described(batch: gso.capture.Capture) -> Iterator[Packet]:
    for index, frame in enumerate(batch.frames):
        link = batch.interfaces[int(batch.interface_ids[index])].link_type
        yield Packet(bytes(frame), link, int(batch.original_lengths[index]))


def _run(words: Sequence[str]) -> tuple[int, str, str]:
    with (
        contextlib.redirect_stdout(io.StringIO()) as text,
        contextlib.redirect_stderr(io.StringIO()) as complaint,
    ):
        status = main(words)
    return status, text.getvalue(), complaint.getvalue()
