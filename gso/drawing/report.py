"""The items of a diagnosis' report, in order: the text and the page are made from them."""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gso.diagnosis import Case, Diagnosis, Event
from gso.diagnosis.reasons import reason_of
from gso.diagnosis.recorders import NEEDS
from gso.printable import plural

__all__ = [
    "Fact",
    "Heading",
    "Item",
    "Lines",
    "Sample",
    "drops_by_number",
    "equal_cases",
    "event_text",
    "report_items",
    "sample_end",
    "seconds",
    "summary_items",
]

_MOST_SHOWN = 5
_MOST_OF_STACK = 12


class Heading(NamedTuple):
    """The first line of a log (`level` 1), or of a case or of another part (2)."""

    text: str
    level: int = 2


class Fact(NamedTuple):
    """A sentence, after what it is about; `code` is shown as it is, `note` says how it is known."""

    text: str
    label: str = ""
    code: str = ""
    note: str = ""
    good: bool = False
    depth: int = 0


class Lines(NamedTuple):
    """Lines of a log, or commands, as they are."""

    title: str
    lines: tuple[str, ...]


class Sample(NamedTuple):
    """The worked example of a case: its events, and where its offsets point."""

    case: Case
    title: str


Item = Heading | Fact | Lines | Sample


def report_items(name: str, diagnosis: Diagnosis) -> Iterator[Item]:
    """Yield all that is told of a log."""
    if diagnosis.error and not diagnosis.lines:
        yield Heading(f"{name}: not judged: {diagnosis.error}", 1)
        return
    yield from _read(name, diagnosis)
    for number, case in enumerate(diagnosis.cases, 1):
        yield from _case(number, case, diagnosis.kernel)
    if diagnosis.clean:
        yield Fact("nothing wrong was found", good=True)
    elif diagnosis.not_judged:
        yield Fact(f"not judged: {diagnosis.not_judged}")
    if diagnosis.advice:
        yield Fact(diagnosis.advice, depth=1)
    if not diagnosis.unread:
        yield from _checked(diagnosis)
    yield from _drops(diagnosis)
    yield from _record(diagnosis)


def _read(name: str, diagnosis: Diagnosis) -> Iterator[Item]:
    """Say how many lines were read, and which were not."""
    read = plural(diagnosis.lines, "line")
    read += f" of {diagnosis.format}" if diagnosis.format else ""
    kernel = f", kernel {diagnosis.kernel}" if diagnosis.kernel else ""
    yield Heading(f"{name}: {read}, {plural(diagnosis.events, 'event')}{kernel}", 1)
    shown = tuple(
        f"line {number}: {text}" for number, text in diagnosis.unread or diagnosis.damaged_lines
    )
    if diagnosis.unread:
        yield Lines("The first lines, none of which could be read:", shown)
    elif diagnosis.damaged:
        title = f"{plural(diagnosis.damaged, 'line')} could not be read, the first of them:"
        yield Lines(title, shown)
    if diagnosis.lost:
        lost = plural(diagnosis.lost, "event")
        yield Fact(f"{lost} lost by the tracer: the log is not complete")
    if diagnosis.forgotten:
        yield Fact(
            f"{plural(diagnosis.forgotten, 'packet')} followed in part only: "
            "more were under way than are remembered"
        )


def _case(number: int, case: Case, kernel: str) -> Iterator[Item]:
    dropped = f", {case.dropped} seen dropped" if case.dropped else ""
    rules = ", ".join(case.rules)
    yield Heading(f"{number}. {rules}: {plural(case.packets, 'packet')}{dropped}")
    yield Fact(case.message, depth=1)
    if case.function:
        yield Fact("", "encapsulated by", case.function, f"({case.evidence})")
    if case.missing_call:
        yield Fact("", "missing call", case.missing_call)
    yield Fact(case.kernel_outcome, "the kernel: ", depth=1)
    yield Fact(case.likely_cause, "cause: ", depth=1)
    for commit, subject, version in case.cited:
        here = _has(kernel, version)
        yield Fact(f'{commit} "{subject}" ({version}{here})', "upstream commit ", depth=1)
    if case.first_time is not None and case.last_time is not None:
        yield Fact(f"from {seconds(case.first_time)} to {seconds(case.last_time)} s", depth=1)
    for label, counter in (("flow", case.flows), ("device", case.devices)):
        yield from _most(label, counter)
    growth = f", it grew by {case.growth} bytes" if case.growth else ""
    yield Sample(case, f"one of them{growth}:")


def _has(kernel: str, version: str) -> str:
    """Say whether a kernel has what is in upstream's kernels from a version on."""
    if not kernel:
        return ""
    release, first = (re.findall(r"\d+", text)[:2] for text in (kernel, version))
    if [*map(int, release)] >= [*map(int, first)]:
        return f"; {kernel} has it"
    return f"; {kernel} has it only if it was backported"


def _most(label: str, counter: Counter[str]) -> Iterator[Item]:
    for name, count in counter.most_common(_MOST_SHOWN):
        yield Fact(f"{label} {name}: {plural(count, 'packet')}", depth=1)
    if len(counter) > _MOST_SHOWN:
        yield Fact(f"and {plural(len(counter) - _MOST_SHOWN, label)} more", depth=1)


def summary_items(found: Sequence[tuple[str, Diagnosis]]) -> Iterator[Item]:
    """Yield what is told of several logs together: equal cases, and in which logs they are."""
    clean = sum(diagnosis.clean for _, diagnosis in found)
    unjudged = sum(bool(diagnosis.not_judged) for _, diagnosis in found)
    yield Heading(
        f"{len(found)} logs: {len(found) - clean - unjudged} with findings, {clean} with none, "
        f"{unjudged} not judged"
    )
    for case, names in equal_cases(found):
        dropped = f", {case.dropped} seen dropped" if case.dropped else ""
        by = f" by {case.function}" if case.function else ""
        counts = f"{plural(case.packets, 'packet')}{dropped}, in {plural(len(names), 'log')}"
        yield Fact(f"{', '.join(case.rules)}{by}: {counts}: {', '.join(names)}", depth=1)


def equal_cases(found: Sequence[tuple[str, Diagnosis]]) -> list[tuple[Case, list[str]]]:
    """Return the cases of several logs, equal ones as one, each with the names of its logs."""
    if not found:
        return []
    merged = found[0][1].merge(diagnosis for _, diagnosis in found[1:])
    return [
        (case, [name for name, one in found if any(own.kind == case.kind for own in one.cases)])
        for case in merged.cases
    ]


def sample_end(case: Case) -> Iterator[Fact]:
    """Yield how the worked example ended: errors, drop, stack."""
    for function, result in case.results.items():
        yield Fact(f"{function} returned {result} ({errno.errorcode.get(-result, 'unknown')})")
    if case.drop:
        function, reason, place = case.drop
        where = f", in {place}" if place else ""
        yield Fact(f"dropped: {function}, reason {reason or 'unknown'}{where}")
        yield from _explained(reason)
    if case.stack:
        yield Fact(" < ".join(case.stack[:_MOST_OF_STACK]), "stack: ")


def _explained(reason: str) -> Iterator[Fact]:
    if known := reason_of(reason):
        yield Fact(f"{known.meaning} Look at: {known.look_at}", depth=1)


def _checked(diagnosis: Diagnosis) -> Iterator[Item]:
    if diagnosis.judged:
        counts = ", ".join(f"{rule} ({count})" for rule, count in diagnosis.judged.items())
        yield Fact(counts, "rules judged (events): ")
    if diagnosis.missing:
        label = "not judged, for lack of fields or because they do not apply: "
        yield Fact(", ".join(diagnosis.missing), label)


def drops_by_number(drops: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    """The drops, the most frequent first, equally frequent ones in the order of their names."""
    return sorted(drops.items(), key=lambda item: (-item[1], item[0]))


def _drops(diagnosis: Diagnosis) -> Iterator[Item]:
    drops = drops_by_number(diagnosis.drops)
    for (reason, place), count in drops[:_MOST_SHOWN]:
        where = f" in {place}" if place else ""
        yield Fact(f"{plural(count, 'drop')} for other reasons: {reason or '?'}{where}")
        yield from _explained(reason)
    if more := sum(count for _, count in drops[_MOST_SHOWN:]):
        yield Fact(f"and {plural(more, 'drop')} for {len(drops) - _MOST_SHOWN} more")


def _record(diagnosis: Diagnosis) -> Iterator[Item]:
    if diagnosis.record:
        yield Heading(
            "The log has no inner header offsets. Any of these, run as root, records them:"
        )
        for tool, command in diagnosis.record.items():
            yield Lines(f"  {tool} ({NEEDS[tool]}):", (f"  {command}",))


def seconds(time: int) -> str:
    """Return nanoseconds as seconds, with microseconds."""
    return f"{time // 10**9}.{time % 10**9 // 1000:06}"


def event_text(event: Event) -> str:
    """Return an event in one line."""
    time = f"{seconds(event.time)} " if event.time is not None else ""
    state = event.state
    words = [f"line {event.line}: {time}{event.function}"]
    if state.len is not None:
        words.append(f"len {state.len}")
    if state.inner_mac_header is not None:
        words.append(
            f"inner {state.inner_mac_header} {state.inner_network_header} "
            f"{state.inner_transport_header}"
        )
    if state.network_header is not None:
        words.append(f"outer {state.mac_header} {state.network_header} {state.transport_header}")
    words.append(event.device)
    return "  ".join(word for word in words if word).replace("None", "?")
