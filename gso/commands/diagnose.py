"""``gso diagnose``: find wrong header offsets in a log."""

from __future__ import annotations

import argparse
import json
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeAlias

from gso.commands.files import check_no_input, write_text
from gso.commands.many import NamedBytes, add_executor, each
from gso.commands.streams import complain, standard_input, words
from gso.commands.usage import FINDINGS, FINE, UNUSABLE, UsageError
from gso.diagnosis import Diagnosis, diagnose
from gso.drawing.diagnosis_json import SCHEMA, as_json, log_json, summary_json
from gso.drawing.diagnosis_text import as_text, report
from gso.drawing.report import summary_items
from gso.errors import GsoError
from gso.printable import printable
from gso.traces.formats import SCANNERS, table
from gso.traces.reader import Format, TraceReader

_PAGE = b"<!doctype html"
_Answer: TypeAlias = tuple[Diagnosis, str]
"""A diagnosis, and what is to be said on standard error."""

_DIAGNOSE = """\
Find packets with wrong header offsets in a log of pwru, perf script, ftrace or the kernel's own
skb_dump (dmesg): which offset is wrong, what the kernel does about it, which function left it so
and which call is missing. The format is found from the content; gzip, bzip2, xz, zstd and lz4 are
read.
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
        help="the kernel that was traced, such as 6.12.117: rules judge, and drop reasons that "
        "logs show as numbers get their names, by its version (default: that which the log names)",
    )
    command.add_argument(
        "--formats", action=_Formats, nargs=0, help="show which formats are read, and end"
    )
    command.add_argument("--json", action="store_true", help="report as JSON")
    command.add_argument(
        "--ndjson", action="store_true", help="report as JSON, a line for each log, then a summary"
    )
    add_executor(command)
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
    if options.html is not None:
        check_no_input("--html", options.html, options.logs)
        _check_page(Path(options.html))
    how: dict[str, Any] = {"format": options.format, "kernel": options.kernel or ""}
    work, here = partial(_read_bytes, **how), partial(_read, **how)
    found = []
    for name, (diagnosis, complaint) in each(options.logs, options.executor, work, here, _lost):
        if complaint:
            complain(f"gso: {complaint}")
        found.append((name, diagnosis))
        if options.ndjson:
            write_line(log_json(*found[-1]))
    if options.html is not None:
        from gso.drawing.diagnosis_page import page  # noqa: PLC0415  (seldom needed)

        write_text(options.html, page(found))
    if options.ndjson:
        write_line({"summary": summary_json(found)})
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


def write_line(value: dict[str, Any]) -> None:
    """Write a line of --ndjson at once; the schema of all lines is that of the reports."""
    sys.stdout.write(json.dumps({"schema": SCHEMA, **value}) + "\n")
    sys.stdout.flush()


def _write_reports(found: list[tuple[str, Diagnosis]]) -> None:
    for number, (name, diagnosis) in enumerate(found):
        sys.stdout.write("\n" if number else "")
        sys.stdout.writelines(f"{line}\n" for line in report(name, diagnosis))
    if len(found) > 1:
        for item in summary_items(found):
            sys.stdout.writelines(f"{printable(line)}\n" for line in as_text(item))


def _read(name: str, format: Format, kernel: str) -> _Answer:
    try:
        source = standard_input("log") if name == "-" else name
    except UsageError as error:
        return _refused(name, str(error))
    return _diagnosed(name, source, format, kernel)


def _read_bytes(name: str, data: bytes, format: Format, kernel: str) -> _Answer:
    return _diagnosed(name, NamedBytes(name, data), format, kernel)


def _diagnosed(name: str, source: str | BinaryIO, format: Format, kernel: str) -> _Answer:
    """Diagnose a log; one that cannot be read costs that log only."""
    try:
        with TraceReader(source, format) as reader:
            diagnosis = diagnose(reader, kernel)
            if not diagnosis.events:
                diagnosis.unread = reader.first_lines
    except (GsoError, OSError) as error:
        return _refused(name, words(error) if isinstance(error, OSError) else str(error))
    return diagnosis, ""


def _refused(name: str, error: str) -> _Answer:
    message = printable(error)
    return Diagnosis.refused(message.removeprefix(f"{name}: ")), message


def _lost(name: str, error: str) -> _Answer:
    return _refused(name, f"{name}: {error}")


def status(diagnosis: Diagnosis) -> int:
    """The exit status for a diagnosis: what read no event says nothing."""
    if diagnosis.cases:
        return FINDINGS
    return FINE if diagnosis.clean else UNUSABLE
