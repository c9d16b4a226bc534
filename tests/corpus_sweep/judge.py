"""What the judges say of a run: the own slow check of changes, and tshark of sums and lengths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus_sweep import changes, wireshark
from corpus_sweep.commands import Result, Run
from corpus_sweep.wireshark import Dissected, Packet
from gso.headers.checks import Status, check
from gso.rules.frames import validate_frame

_SUMS = {"ipv4": "ip", "tcp": "tcp", "udp": "udp", "icmp": "icmp", "icmpv6": "icmpv6"}
_BAD = (Status.WRONG, Status.BLANK, Status.PARTIAL)
_BY_TSHARK = ("frame-length", "frame-header")
Rows = Mapping[Packet, Dissected]


def judge(run: Run, path: Path, rows: Rows) -> None:
    """Add to the result what is to be said of the outputs and the findings."""
    if wireshark.available():
        _judge_counts(run, path)
    for label, made in run.made.items():
        if made != run.before:
            _judge_output(label, run, made, rows)
    if run.findings is not None:
        _judge_findings(run, rows)


def _judge_counts(run: Run, path: Path) -> None:
    known = wireshark.count(path)
    if run.result.readable and known not in (None, len(run.before)):
        run.result.add("WRONG: packets read", f"{len(run.before)}, capinfos {known}")
    for label, out in run.outputs.items():
        made = run.made[label]
        if made == run.before and known is None:
            continue
        if wireshark.count(out) != len(made):
            run.result.add(f"WRONG: {label}: capinfos reads another number of packets", "")


# --- outputs ---


def _judge_output(label: str, run: Run, made: list[Packet], rows: Rows) -> None:
    compare = changes.merged if label == "coalesce" else changes.segmented
    for one in compare([p.data for p in run.before], [p.data for p in made]):
        packets = run.before if one.before else made
        number = one.before or one.after.start
        row = rows.get(packets[number - 1]) if number else None
        kind = f" {row.kind}" if row else ""
        run.result.add(
            f"{label}: {one.why}:{kind}", f"#{number} {packets[number - 1].data[:80].hex()}"
        )
        was = row.bad if row and one.before else Counter()
        for place in one.after:
            _judge_sums(label, place, rows.get(made[place - 1]), was, run.result)


def _judge_sums(
    label: str, place: int, row: Dissected | None, was: Counter[str], result: Result
) -> None:
    """No packet that was made may have a bad checksum where its packet had none."""
    for name in row.bad if row else ():
        cause = "kept bad" if was[name] else "WRONG: new bad"
        result.add(f"{label}: {cause} {name} checksum", f"#{place} {row.protocols} {row.remarks}")


# --- findings ---


def _judge_findings(run: Run, rows: Rows) -> None:
    total = 0
    for number, packet in enumerate(run.before, 1):
        words: dict[str, Any] = {"link_type": packet.link_type, "complete": packet.complete}
        found = validate_frame(packet.data, **words)
        total += len(found)
        row = rows.get(packet)
        if row is None:
            continue
        where = f"#{number} {row.protocols} port {row.ports}"
        _compare_sums(packet, words, row, where, run.result)
        for one in found:
            if one.rule in _BY_TSHARK:
                side = "both" if row.remarks or row.malformed else "only ours"
                cause = f"validate: {one.rule} {one.message.split(' at ')[0]}: {side}"
                run.result.add(cause, f"{where} {one.message}")
    said = sum(one["count"] for one in run.findings or ())
    run.result.counts["validate: findings"] += said
    if said != total:
        run.result.add("WRONG: validate: command and API differ", f"{said} {total}")


def _compare_sums(
    packet: Packet, words: dict[str, Any], row: Dissected, where: str, result: Result
) -> None:
    """Compare the bad checksums by protocol."""
    bad: Counter[str] = Counter()
    for one in check(packet.data, **words):
        names = [name for key, name in _SUMS.items() if key in one.header.split()]
        if names and one.name == "checksum" and one.status in _BAD:
            bad[names[0]] += 1
    for name in bad.keys() | row.bad.keys():
        ours, theirs = bad[name], row.bad[name]
        side = "both" if ours == theirs else "only ours" if ours > theirs else "only tshark's"
        result.add(f"validate: {name} checksum wrong: {side}", f"{where} {row.remarks}")
