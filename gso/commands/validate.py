"""``gso validate``: judge the packets of a capture."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from gso.capture import Capture, Reader
from gso.commands.common import (
    AUTO,
    add_common,
    add_kernel,
    open_source,
    positive,
    tunnel_ports,
    write_json,
)
from gso.commands.many import NamedBytes, add_executor, each
from gso.commands.streams import complain
from gso.commands.usage import FINDINGS, FINE, NO_PACKETS, UNUSABLE, UsageError, exit_status, plural
from gso.errors import GsoError
from gso.headers.followed import not_followed
from gso.headers.fragments import Reassembler
from gso.printable import printable, wrapped
from gso.rewriting.ambiguous import looks_like
from gso.rewriting.fine import look
from gso.rules import Finding, Severity
from gso.rules.findings import Findings
from gso.rules.frames import validate_frame
from gso.versions import KernelVersion

_MOST_PACKETS = 10

_VALIDATE = """\
Judge every packet of a capture: header lengths, length fields against the packet's real size,
checksums and, with --mtu, its size. Several packets with the same fault are reported once. What
cannot be looked into is counted (exit status 2 if that is everything).
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _VALIDATE
    command.set_defaults(run=_validate)
    command.add_argument(
        "inputs", metavar="IN", nargs="+", help="pcap or pcapng file, or - for a pipe"
    )
    add_executor(command)
    command.add_argument("--mtu", metavar="N", type=positive, help="largest IP packet in bytes")
    command.add_argument(
        "--reassemble",
        action="store_true",
        help="also judge IP packets that came in fragments, where all fragments are there",
    )
    add_kernel(command)
    add_common(command)


@dataclass
class _Verdict:
    """The findings in a capture.

    Attributes:
        packets: packets read.
        found: the first finding of each kind, the numbers of its first packets, and how many.
        unknown: packets that cannot be looked into, by what they are.
        inside: packets of which the innermost part cannot be looked into, by its protocol.
        tunnels: packets that may be in a tunnel that is not known, by UDP port and name.
        cut: packets of which the capture has not all bytes.
        reassembled: IP packets that were put together; None where that was not asked for.
        incomplete: IP packets of which fragments are missing.
        truncated: what the end of the file lacks, or None.
        damage: where the file is damaged, which ends it, or None.
    """

    packets: int = 0
    found: dict[tuple[str, str], tuple[Finding, list[int], int]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    inside: Counter[str] = field(default_factory=Counter)
    tunnels: Counter[tuple[int, str]] = field(default_factory=Counter)
    cut: int = 0
    reassembled: int | None = None
    incomplete: int = 0
    truncated: str | None = None
    damage: str | None = None

    def add(self, one: Finding, number: int) -> None:
        """Add a finding in packet `number`."""
        key = one.rule, one.message.partition(" is ")[0]
        first, numbers, count = self.found.get(key, (one, [], 0))
        if len(numbers) < _MOST_PACKETS:
            numbers.append(number)
        self.found[key] = first, numbers, count + 1

    @property
    def judged(self) -> int:
        """Packets that were looked into."""
        return self.packets - self.unknown.total()

    @property
    def status(self) -> int:
        """The exit status."""
        return exit_status(
            looked_into=self.judged,
            wrong=any(one.severity is Severity.ERROR for one, _, _ in self.found.values()),
            truncated=self.truncated,
            damage=self.damage,
        )


@dataclass(frozen=True)
class _Answer:
    """The verdict on a file, or the reason why it could not be read."""

    verdict: _Verdict | None
    error: str = ""

    @property
    def status(self) -> int:
        """The exit status."""
        return UNUSABLE if self.verdict is None else self.verdict.status


def _validate(options: argparse.Namespace) -> int:
    one = len(options.inputs) == 1
    if one and options.executor is None:
        (name,) = options.inputs
        options.input = name
        ports = tunnel_ports(options)
        return _write_one(
            options,
            _judged(open_source(name), ports, options.mtu, options.reassemble, options.kernel),
        )
    if options.inputs.count("-") > 1:
        raise UsageError("standard input can be read once: give - once")
    if AUTO in options.tunnel_port:
        raise UsageError(
            "--tunnel-port auto is for one capture, read here: say PORT=TUNNEL for several"
        )
    how = {
        "ports": dict(options.tunnel_port),
        "mtu": options.mtu,
        "reassemble": options.reassemble,
        "kernel": options.kernel,
    }
    work, here = partial(_read_bytes, **how), partial(_read, **how)
    answers = each(options.inputs, options.executor, work, here, _lost)
    return _write_alone(options, answers) if one else _write_many(options, answers)


def _write_one(options: argparse.Namespace, verdict: _Verdict) -> int:
    if options.json:
        write_json("validate", _validate_json(verdict))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _validate_report(options.inputs[0], verdict))
    return verdict.status


def _write_alone(options: argparse.Namespace, answers: Iterator[tuple[str, _Answer]]) -> int:
    ((_, answer),) = answers
    if answer.verdict is None:
        raise UsageError(answer.error)
    return _write_one(options, answer.verdict)


def _write_many(options: argparse.Namespace, answers: Iterator[tuple[str, _Answer]]) -> int:
    found: list[tuple[str, _Answer]] = []
    for name, answer in answers:
        if options.json and answer.error:
            complain(f"gso: {answer.error}")
        elif not options.json:
            sys.stdout.write("\n" * bool(found))
            sys.stdout.writelines(f"{line}\n" for line in _one_of_many(name, answer))
        found.append((name, answer))
    if options.json:
        write_json("validate_many", _many_json(found))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _summary(found))
    return max(answer.status for _, answer in found)


def _judged(
    source: Any,
    ports: dict[int, Any],
    mtu: int | None,
    reassemble: bool,
    kernel: KernelVersion,
) -> _Verdict:
    verdict = _Verdict(reassembled=0 if reassemble else None)
    judge = _Judge(verdict, ports, mtu, kernel)
    with Reader(source) as reader:
        try:
            for batch in reader:
                judge.batch(batch)
        except GsoError as error:
            if not verdict.packets:
                raise
            verdict.damage = str(error)
    verdict.truncated = reader.truncated
    verdict.incomplete = judge.incomplete
    return verdict


def _read(name: str, **how: Any) -> _Answer:
    """Judge a capture of several; one that cannot be read costs that one only."""
    try:
        return _Answer(_judged(open_source(name), **how))
    except (GsoError, UsageError) as error:
        return _lost(name, str(error))
    except OSError as error:
        return _lost(name, error.strerror or str(error))


def _read_bytes(name: str, data: bytes, **how: Any) -> _Answer:
    try:
        return _Answer(_judged(NamedBytes(name, data), **how))
    except (GsoError, OSError) as error:
        return _lost(name, str(error))


def _lost(name: str, error: str) -> _Answer:
    return _Answer(None, printable(f"{name}: {error.removeprefix(f'{name}: ')}"))


def _one_of_many(name: str, answer: _Answer) -> Iterator[str]:
    if answer.verdict is None:
        yield answer.error
    else:
        yield from _validate_report(name, answer.verdict)


def _summary(found: list[tuple[str, _Answer]]) -> Iterator[str]:
    statuses = Counter(answer.status for _, answer in found)
    yield ""
    yield (
        f"{plural(len(found), 'capture')}: {statuses[FINE]} fine, {statuses[FINDINGS]} with "
        f"findings, {statuses[UNUSABLE]} not judged"
    )
    for rule, (names, packets) in _by_rule(found).items():
        yield f"{rule}: {plural(packets, 'packet')} in {plural(len(names), 'capture')}"


def _by_rule(found: list[tuple[str, _Answer]]) -> dict[str, tuple[list[str], int]]:
    rules: dict[str, tuple[list[str], int]] = {}
    for name, answer in found:
        for one, _, count in answer.verdict.found.values() if answer.verdict else ():
            names, packets = rules.get(one.rule, ([], 0))
            rules[one.rule] = names + [name] * (name not in names[-1:]), packets + count
    return rules


def _many_json(found: list[tuple[str, _Answer]]) -> dict[str, Any]:
    return {
        "captures": [
            {
                "capture": name,
                "exit_status": answer.status,
                "error": answer.error,
                "report": _validate_json(answer.verdict) if answer.verdict else None,
            }
            for name, answer in found
        ],
        "summary": [
            {"rule": rule, "packets": packets, "captures": names}
            for rule, (names, packets) in _by_rule(found).items()
        ],
    }


class _Judge:
    """Judges packets, and tells `verdict` what is found in them."""

    def __init__(
        self, verdict: _Verdict, ports: dict[int, Any], mtu: int | None, kernel: KernelVersion
    ) -> None:
        self._verdict, self._ports, self._mtu, self._kernel = verdict, ports, mtu, kernel
        self._pieces = Reassembler()
        # What is said of packets by `Looked.alike`: findings, and what is not followed
        self._known: dict[tuple[str, int], tuple[Findings, tuple[str, bool] | None]] = {}

    @property
    def incomplete(self) -> int:
        """IP packets of which fragments are missing."""
        return self._pieces.incomplete

    def batch(self, batch: Capture) -> None:
        """Judge the packets that follow."""
        verdict = self._verdict
        first = verdict.packets
        seen = look(batch, self._ports, mtu=self._mtu, tunnels=verdict.tunnels)
        verdict.cut += int(seen.cut.sum())
        # A fragment that is fine is a piece of a packet that need not be.
        whole = seen.fragments & ~seen.cut & (verdict.reassembled is not None)
        for index in np.flatnonzero(~seen.fine | whole).tolist():
            verdict.packets = first + index + 1
            link_type = batch.interfaces[int(batch.interface_ids[index])].link_type
            if not seen.fine[index]:
                self._packet(batch, index, link_type, int(seen.alike[index]))
            if whole[index]:
                self._whole(bytes(batch.frames[index]), link_type)
        verdict.packets = first + len(batch)

    def _packet(self, batch: Capture, index: int, link_type: str, alike: int) -> None:
        said = self._known.get((link_type, alike)) if alike else None
        if said is None:
            frame = bytes(batch.frames[index])
            complete = len(frame) >= int(batch.original_lengths[index])
            words: Any = {"link_type": link_type, "tunnel_ports": self._ports, "complete": complete}
            found = validate_frame(frame, mtu=self._mtu, kernel=self._kernel, **words)
            said = found, not_followed(frame, **words)
            if alike:
                self._known[link_type, alike] = said
        found, unknown = said
        if unknown is not None:
            what, whole = unknown
            # Of a packet with a finding, something was looked into.
            (self._verdict.unknown if whole and not found else self._verdict.inside)[what] += 1
        for one in found:
            self._verdict.add(one, self._verdict.packets)

    def _whole(self, frame: bytes, link_type: str) -> None:
        """Judge the IP packet that this fragment completes, if any, as its first fragment's."""
        verdict = self._verdict
        words: Any = {"link_type": link_type, "tunnel_ports": self._ports}
        whole = self._pieces.add(verdict.packets, frame, **words)
        if whole is None:
            return
        verdict.reassembled = (verdict.reassembled or 0) + 1
        words = {"link_type": "raw", "tunnel_ports": self._ports, "kernel": self._kernel}
        for one in validate_frame(whole.packet, **words):
            numbers = ", ".join(map(str, whole.numbers))
            together = replace(one, message=f"put together, {one.message} (packets {numbers})")
            verdict.add(together, whole.numbers[0])


def _validate_report(name: str, verdict: _Verdict) -> Iterator[str]:
    yield f"{printable(name)}: {plural(verdict.packets, 'packet')}"
    for one, numbers, count in verdict.found.values():
        shown = ", ".join(map(str, numbers)) + ("..." if count > len(numbers) else "")
        yield ""
        yield f"{one.rule} ({one.severity}): {plural(count, 'packet')} (number {shown})"
        yield from wrapped(f"packet {numbers[0]}: ", one.message)
        yield from wrapped("outcome: ", one.kernel_outcome)
        yield from wrapped("cause: ", one.likely_cause)
    for what, count in verdict.unknown.items():
        yield f"{plural(count, 'packet')} cannot be looked into: {what}"
    for what, count in verdict.inside.items():
        yield f"{plural(count, 'packet')} judged up to what cannot be looked into: {what}"
    for (port, tunnel), count in verdict.tunnels.items():
        yield f"{plural(count, 'packet')} judged up to a payload: {looks_like(port, tunnel)}"
    if verdict.cut:
        yield f"{plural(verdict.cut, 'packet')} not whole (snaplen): judged by what is there"
    if verdict.reassembled is not None:
        lacking = f", {verdict.incomplete} are not complete" if verdict.incomplete else ""
        yield f"{plural(verdict.reassembled, 'packet')} put together of fragments{lacking}"
    if not verdict.packets:
        yield f"{NO_PACKETS}: there is nothing to judge"
    elif not verdict.found and not verdict.unknown:
        yield "nothing wrong was found"
    elif not verdict.found and verdict.judged:
        yield f"nothing wrong was found in the other {plural(verdict.judged, 'packet')}"
    if verdict.truncated:
        yield f"the input is cut off: {verdict.truncated}"
    if verdict.damage:
        yield f"what follows was not read: {verdict.damage}"


def _validate_json(verdict: _Verdict) -> dict[str, Any]:
    return {
        "packets": verdict.packets,
        "judged": verdict.judged,
        "truncated": verdict.truncated,
        "damage": verdict.damage,
        "not_looked_into": dict(verdict.unknown),
        "not_looked_inside": dict(verdict.inside),
        "tunnels_found": {looks_like(*one): count for one, count in verdict.tunnels.items()},
        "not_whole": verdict.cut,
        "reassembled": verdict.reassembled,
        "incomplete": verdict.incomplete,
        "findings": [
            {
                "rule": one.rule,
                "severity": str(one.severity),
                "message": one.message,
                "fields": dict(one.fields),
                "kernel_outcome": one.kernel_outcome,
                "likely_cause": one.likely_cause,
                "count": count,
                "packets": numbers,
            }
            for one, numbers, count in verdict.found.values()
        ],
    }
