"""``gso diagnose``: find wrong header offsets in a log."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from gso.commands.files import check_no_input, write_text
from gso.commands.usage import FINDINGS, FINE, REPORT_WIDTH, UNUSABLE, UsageError, wrapped
from gso.diagnosis import Case, Diagnosis, diagnose
from gso.diagnosis.reasons import reason_of
from gso.drawing.offsets import drawing
from gso.drawing.report import (
    Fact,
    Heading,
    Item,
    Lines,
    Sample,
    drops_by_number,
    equal_cases,
    event_text,
    report_items,
    sample_end,
    summary_items,
)
from gso.errors import GsoError
from gso.printable import printable
from gso.traces.formats import SCANNERS, table
from gso.traces.reader import Format, TraceReader

__all__ = ["SCHEMA", "add", "as_json", "report"]

SCHEMA = "gso.diagnose/1"
_PAGE = b"<!doctype html"

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
        choices=["auto", *SCANNERS],
        help="what the logs are (default: what their content shows)",
    )
    command.add_argument(
        "--kernel",
        metavar="VERSION",
        type=_kernel_version,
        help="the kernel that was traced, such as 6.12.117: names drop reasons that logs show as "
        "numbers, which differ from version to version",
    )
    command.add_argument(
        "--formats", action=_Formats, nargs=0, help="show which formats are read, and end"
    )
    command.add_argument("--json", action="store_true", help="report as JSON")
    command.add_argument(
        "--ndjson", action="store_true", help="report as JSON, a line for each log, then a summary"
    )
    command.add_argument("--html", metavar="FILE", help="write a page with the findings, too")


def _kernel_version(text: str) -> str:
    if not re.match(r"\d+\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no kernel's version, such as 6.12.117")
    return text


class _Formats(argparse.Action):
    """Prints the table of formats and ends, whatever else is missing on the command line."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,  # noqa: ARG002
        values: object,  # noqa: ARG002
        option_string: str | None = None,  # noqa: ARG002
    ) -> NoReturn:
        sys.stdout.writelines(f"{line}\n" for line in table())
        parser.exit()


def _diagnose(options: argparse.Namespace) -> int:
    if options.html:
        check_no_input("--html", options.html, options.logs)
        _check_page(Path(options.html))
    found = []
    for name in options.logs:
        found.append((name, _read(name, options.format, options.kernel or "")))
        if options.ndjson:
            _write_line({"schema": SCHEMA, **_log_of_many_json(*found[-1])})
    if options.html:
        from gso.drawing.diagnosis_page import page  # noqa: PLC0415  (seldom needed)

        write_text(options.html, page(found))
    if options.ndjson:
        _write_line({"schema": SCHEMA, "summary": _summary_json(found)})
    elif options.json:
        json.dump(as_json(found), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        _write_reports(found)
    return max(status(diagnosis) for _, diagnosis in found)


def _check_page(path: Path) -> None:
    """Refuse to write a page over a file that is none: `--html a.log b.log` names a log."""
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if not file.read(len(_PAGE)).lower().startswith(_PAGE):
                raise UsageError(
                    f"{path} exists and is no HTML page: --html would overwrite it; the name of "
                    "the page comes right after --html"
                )


def _write_line(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def _write_reports(found: list[tuple[str, Diagnosis]]) -> None:
    for number, (name, diagnosis) in enumerate(found):
        sys.stdout.write("\n" if number else "")
        sys.stdout.writelines(f"{line}\n" for line in report(name, diagnosis))
    if len(found) > 1:
        for item in summary_items(found):
            sys.stdout.writelines(f"{printable(line)}\n" for line in _text(item))


def _read(name: str, format: Format, kernel: str) -> Diagnosis:
    """Diagnose a log; one that cannot be read costs that log only."""
    try:
        with TraceReader(sys.stdin.buffer if name == "-" else name, format) as reader:
            diagnosis = diagnose(reader, kernel)
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


def report(name: str, diagnosis: Diagnosis) -> Iterator[str]:
    """The diagnosis of one log in lines of text, safe to show."""
    for item in report_items(name, diagnosis):
        yield from map(printable, _text(item))


def _text(item: Item) -> Iterator[str]:
    match item:
        case Heading(text, level):
            yield from () if level == 1 else ("",)
            yield text
        case Fact():
            yield from _fact_text(item)
        case Lines(title, lines):
            yield title
            yield from (f"  {line}" for line in lines)
        case Sample(case, title):
            yield from ("", f"  {title}")
            yield from _sample_text(case)


def _fact_text(fact: Fact, indent: str = "") -> Iterator[str]:
    if fact.code:
        yield f"  {fact.label:<17}{fact.code}"
        yield from (f"  {'':<17}{fact.note}",) if fact.note else ()
    else:
        yield from wrapped(fact.label, fact.text, indent + "  " * fact.depth)


def _sample_text(case: Case) -> Iterator[str]:
    for event in case.events:
        mark = "  <--" if event is case.example and case.fields else ""
        yield f"    {event_text(event)}{mark}"
    for fact in sample_end(case):
        yield from _fact_text(fact, "    ")
    lines = list(drawing(case, REPORT_WIDTH - 4))
    if lines:
        yield ""
        yield from (f"    {line}" for line in lines)


def as_json(found: list[tuple[str, Diagnosis]]) -> dict[str, Any]:
    """The diagnoses of several logs in types that JSON knows, as in ``diagnose.schema.json``."""
    return {
        "schema": SCHEMA,
        "clean": all(diagnosis.clean for _, diagnosis in found),
        "findings": [
            {"log": name, **_case_json(case)}
            for name, diagnosis in found
            for case in diagnosis.cases
        ],
        "logs": [{"log": name, **_log_json(diagnosis)} for name, diagnosis in found],
        "summary": _summary_json(found),
    }


def _log_of_many_json(name: str, diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "log": name,
        "clean": diagnosis.clean,
        **_log_json(diagnosis),
        "findings": [_case_json(case) for case in diagnosis.cases],
    }


def _summary_json(found: list[tuple[str, Diagnosis]]) -> list[dict[str, Any]]:
    return [
        {
            "rules": list(case.rules),
            "function": case.function,
            "packets": case.packets,
            "dropped": case.dropped,
            "logs": names,
        }
        for case, names in equal_cases(found)
    ]


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
            {**_reason_json(reason), "place": place, "count": count}
            for (reason, place), count in drops_by_number(diagnosis.drops)
        ],
        "record": diagnosis.record,
    }


def _reason_json(reason: str) -> dict[str, str]:
    known = reason_of(reason)
    return {
        "reason": reason,
        "meaning": known.meaning if known else "",
        "look_at": known.look_at if known else "",
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
        "drop": {"function": function, **_reason_json(reason), "place": place}
        if case.drop
        else None,
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
