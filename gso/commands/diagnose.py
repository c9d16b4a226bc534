"""``gso diagnose``: find wrong header offsets in a log."""

from __future__ import annotations

import argparse
import errno
import json
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from gso.commands.files import check_no_input, write_text
from gso.commands.usage import FINDINGS, FINE, REPORT_WIDTH, UNUSABLE, plural, wrapped
from gso.diagnosis import Case, Diagnosis, Event, diagnose
from gso.diagnosis.recorders import NEEDS
from gso.drawing.offsets import drawing
from gso.errors import GsoError
from gso.printable import printable
from gso.rules.table import COMMITS
from gso.traces.foreign import advice, is_foreign
from gso.traces.reader import Format, TraceReader

__all__ = ["add", "as_json", "report"]

_MOST_SHOWN = 5

_DIAGNOSE = """\
Find packets with wrong header offsets in a log of pwru, perf script, ftrace or the kernel's own
skb_dump (dmesg): which offset is wrong, what the kernel does about it, which function left it so
and which call is missing. The format is found from the content; gzip, bzip2, xz and zstd are read.
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _DIAGNOSE
    command.set_defaults(run=_diagnose)
    command.add_argument("logs", metavar="LOG", nargs="+", help="file, or - for standard input")
    command.add_argument(
        "--format",
        default="auto",
        choices=["auto", "pwru", "pwru-json", "perf", "ftrace", "dmesg"],
        help="what the logs are (default: what their content shows)",
    )
    command.add_argument("--json", action="store_true", help="report as JSON")
    command.add_argument("--html", metavar="FILE", help="write a page with the findings, too")


def _diagnose(options: argparse.Namespace) -> int:
    if options.html:
        check_no_input("--html", options.html, options.logs)
    found = [(name, _read(name, options.format)) for name in options.logs]
    if options.html:
        from gso.drawing.diagnosis_page import page  # noqa: PLC0415  (seldom needed)

        write_text(options.html, page(found))
    if options.json:
        json.dump(as_json(found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        for name, diagnosis in found:
            sys.stdout.writelines(f"{line}\n" for line in report(name, diagnosis))
    return max(status(diagnosis) for _, diagnosis in found)


def _read(name: str, format: Format) -> Diagnosis:
    """Diagnose a log; one that cannot be read costs that log only."""
    try:
        with TraceReader(sys.stdin.buffer if name == "-" else name, format) as reader:
            diagnosis = diagnose(reader)
            if not diagnosis.events:
                diagnosis.unread = reader.first_lines
    except (GsoError, OSError) as error:
        message = printable(str(error))
        sys.stderr.write(f"gso: {message}\n")
        return Diagnosis.refused(message.removeprefix(f"{name}: "))
    return diagnosis


def status(diagnosis: Diagnosis) -> int:
    """The exit status for a diagnosis: what read no event says nothing."""
    if diagnosis.cases:
        return FINDINGS
    return FINE if diagnosis.clean else UNUSABLE


def _seconds(time: int) -> str:
    return f"{time // 10**9}.{time % 10**9 // 1000:06}"


def report(name: str, diagnosis: Diagnosis) -> Iterator[str]:
    """The diagnosis of one log in lines of text, safe to show."""
    return map(printable, _report(name, diagnosis))


def _report(name: str, diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.error:
        yield f"{name}: not judged: {diagnosis.error}"
        return
    yield from _read_lines(name, diagnosis)
    for number, case in enumerate(diagnosis.cases, 1):
        yield ""
        yield from _case(number, case)
    if diagnosis.clean:
        yield "nothing wrong was found"
    elif diagnosis.not_judged:
        yield f"not judged: {diagnosis.not_judged}"
    if diagnosis.unread:
        yield from wrapped("", advice([text for _, text in diagnosis.unread]))
        return
    if is_foreign(text for _, text in diagnosis.damaged_lines):
        yield from wrapped("", advice([text for _, text in diagnosis.damaged_lines]))
    yield from _checked(diagnosis)
    for (reason, place), count in _by_number(diagnosis.drops)[:_MOST_SHOWN]:
        where = f" in {place}" if place else ""
        yield f"{plural(count, 'drop')} for other reasons: {reason or '?'}{where}"
    if diagnosis.record:
        yield ""
        yield "The log has no inner header offsets. These, run as root while packets pass, record"
        yield "them:"
        for tool, command in diagnosis.record.items():
            yield f"  {tool} ({NEEDS[tool]}):"
            yield f"    {command}"


def _read_lines(name: str, diagnosis: Diagnosis) -> Iterator[str]:
    """Say how many lines were read, and which were not."""
    read = f"{plural(diagnosis.lines, 'line')} of {diagnosis.format}"
    yield f"{name}: {read}, {plural(diagnosis.events, 'event')}"
    if diagnosis.unread:
        yield "The first lines, none of which could be read:"
    elif diagnosis.damaged:
        yield f"{plural(diagnosis.damaged, 'line')} could not be read, the first of them:"
    for number, text in diagnosis.unread or diagnosis.damaged_lines:
        yield f"  line {number}: {text}"
    if diagnosis.lost:
        yield f"{plural(diagnosis.lost, 'event')} lost by the tracer: the log is not complete"
    if diagnosis.forgotten:
        yield (
            f"{plural(diagnosis.forgotten, 'packet')} followed in part only: "
            "more were under way than are remembered"
        )


def _by_number(drops: Counter[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    """The drops, the most frequent first, equally frequent ones in the order of their names."""
    return sorted(drops.items(), key=lambda item: (-item[1], item[0]))


def _checked(diagnosis: Diagnosis) -> Iterator[str]:
    if diagnosis.judged:
        counts = ", ".join(f"{rule} ({count})" for rule, count in diagnosis.judged.items())
        yield from wrapped("rules judged (events): ", counts, "")
    if diagnosis.missing:
        yield from wrapped(
            "not judged, for lack of fields or because they do not apply: ",
            ", ".join(diagnosis.missing),
            "",
        )


def _case(number: int, case: Case) -> Iterator[str]:
    dropped = f", {case.dropped} seen dropped" if case.dropped else ""
    rules = ", ".join(case.rules)
    yield f"{number}. {rules}: {plural(case.packets, 'packet')}{dropped}"
    yield from wrapped("", case.message)
    if case.function:
        yield f"  encapsulated by  {case.function}"
        yield f"                   ({case.evidence})"
    if case.missing_call:
        yield f"  missing call     {case.missing_call}"
    yield from wrapped("the kernel: ", case.kernel_outcome)
    yield from wrapped("cause: ", case.likely_cause)
    for commit in case.commits:
        subject, version = COMMITS[commit]
        yield f'  upstream commit {commit} "{subject}" ({version})'
    if case.first_time is not None and case.last_time is not None:
        yield f"  from {_seconds(case.first_time)} to {_seconds(case.last_time)} s"
    for label, counter in (("flow", case.flows), ("device", case.devices)):
        yield from _most(label, counter)
    yield ""
    yield from _example(case)


def _most(label: str, counter: Counter[str]) -> Iterator[str]:
    for name, count in counter.most_common(_MOST_SHOWN):
        yield f"  {label} {name}: {plural(count, 'packet')}"
    if len(counter) > _MOST_SHOWN:
        yield f"  and {plural(len(counter) - _MOST_SHOWN, label)} more"


def _example(case: Case) -> Iterator[str]:
    growth = f", it grew by {case.growth} bytes" if case.growth else ""
    yield f"  one of them{growth}:"
    for event in case.events:
        yield f"    {_event(event, marked=event is case.example and bool(case.fields))}"
    for function, result in case.results.items():
        yield f"    {function} returned {result} ({errno.errorcode.get(-result, 'unknown')})"
    if case.drop:
        function, reason, place = case.drop
        where = f", in {place}" if place else ""
        yield f"    dropped: {function}, reason {reason or 'unknown'}{where}"
    if case.stack:
        yield from wrapped("stack: ", " < ".join(case.stack[:12]), "    ")
    lines = list(drawing(case, REPORT_WIDTH - 4))
    if lines:
        yield ""
        yield from (f"    {line}" for line in lines)


def _event(event: Event, *, marked: bool) -> str:
    time = f"{_seconds(event.time)} " if event.time is not None else ""
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
        words.append(
            f"outer {state.mac_header} {state.network_header} {state.transport_header}".replace(
                "None", "?"
            )
        )
    words.append(event.device)
    text = "  ".join(word for word in words if word).replace("None", "?")
    return f"{text}  <--" if marked else text


def as_json(found: list[tuple[str, Diagnosis]]) -> dict[str, Any]:
    """The diagnoses of several logs in types that JSON knows."""
    return {
        "clean": all(diagnosis.clean for _, diagnosis in found),
        "findings": [
            {"log": name, **_case_json(case)}
            for name, diagnosis in found
            for case in diagnosis.cases
        ],
        "logs": [{"log": name, **_log_json(diagnosis)} for name, diagnosis in found],
    }


def _log_json(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "format": diagnosis.format,
        "lines": diagnosis.lines,
        "events": diagnosis.events,
        "damaged": diagnosis.damaged,
        "damaged_lines": [{"line": n, "text": text} for n, text in diagnosis.damaged_lines],
        "lost": diagnosis.lost,
        "forgotten": diagnosis.forgotten,
        "why_not_judged": diagnosis.not_judged,
        "unread_lines": [{"line": n, "text": text} for n, text in diagnosis.unread],
        "judged": diagnosis.judged,
        "not_judged": diagnosis.missing,
        "other_drops": [
            {"reason": reason, "place": place, "count": count}
            for (reason, place), count in _by_number(diagnosis.drops)
        ],
        "record": diagnosis.record,
    }


def _case_json(case: Case) -> dict[str, Any]:
    function, reason, place = case.drop or ("", "", "")
    return {
        "rule": case.rules[0],
        "rules": list(case.rules),
        "severity": str(case.severity),
        "message": case.message,
        "fields": case.fields,
        "expected": case.expected,
        "function": case.function,
        "evidence": case.evidence,
        "missing_call": case.missing_call,
        "kernel_outcome": case.kernel_outcome,
        "likely_cause": case.likely_cause,
        "commits": list(case.commits),
        "packets": case.packets,
        "dropped": case.dropped,
        "first_time": case.first_time,
        "last_time": case.last_time,
        "flows": dict(case.flows.most_common()),
        "devices": dict(case.devices.most_common()),
        "growth": case.growth,
        "results": case.results,
        "drop": {"function": function, "reason": reason, "place": place} if case.drop else None,
        "stack": list(case.stack),
        "events": [
            {
                "line": event.line,
                "time": event.time,
                "cpu": event.cpu,
                "function": event.function,
                "flow": event.flow,
                "device": event.device,
                "state": event.state.known,
            }
            for event in case.events
        ],
        "drawing": list(drawing(case)),
    }
