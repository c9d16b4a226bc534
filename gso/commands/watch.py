"""``gso watch``: diagnose a live host."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from types import FrameType

from gso.commands.diagnose import status, write_line
from gso.commands.usage import FINE, UsageError
from gso.diagnosis import Diagnoser, packet_filter
from gso.diagnosis.live import WatchError, kernel_functions, lacking, program, watch
from gso.diagnosis.packet_filter import PacketFilter
from gso.drawing.diagnosis_json import as_json, log_json
from gso.drawing.diagnosis_text import report
from gso.printable import printable

_DESCRIPTION = """\
Attach a bpftrace program to the running kernel and diagnose its tunnel packets as they pass: says
at once when one has a wrong header offset, and gives the whole diagnosis at the end (interrupt it,
or use --seconds or --count). Needs root, bpftrace, and a kernel with BTF and kprobes.
"""


_FILTERS: dict[str, tuple[Callable[[str], object], str, str]] = {
    "device": (
        *(packet_filter.device, "NAME"),
        "packets that are on this device in a function that is watched; to see the encapsulator "
        "at work, give the device that they come in by",
    ),
    "netns": (
        *(packet_filter.netns, "NAME|PATH|NUMBER"),
        "of devices in this network namespace, such as /proc/PID/ns/net",
    ),
    "host": (packet_filter.host, "ADDRESS", "from or to it, outside or inside of the tunnel"),
    "port": (packet_filter.port, "N", "from or to it, outside or inside of the tunnel"),
}


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _DESCRIPTION
    command.set_defaults(run=_watch)
    _add_filter(command)
    command.add_argument("--seconds", metavar="N", type=_seconds, help="end after N seconds")
    command.add_argument("--count", metavar="N", type=_count, help="end after N events")
    form = command.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="report as JSON")
    form.add_argument(
        "--ndjson",
        action="store_true",
        help="report as JSON, a line as soon as something is seen to be wrong, then the diagnosis",
    )
    command.add_argument(
        "--bpftrace", metavar="PROGRAM", default="bpftrace", help="the bpftrace to run"
    )
    command.add_argument(
        "--print-program",
        action="store_true",
        help="print the bpftrace program for this kernel, and do not run it",
    )


def _add_filter(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group(
        "packets",
        "only these are watched, each to its end; with several options, those for which all hold",
    )
    for name, (read, metavar, text) in _FILTERS.items():
        group.add_argument(f"--{name}", metavar=metavar, type=_type(read), help=text)


def _type(read: Callable[[str], object]) -> Callable[[str], object]:
    """Return a type of argparse's that gives the reason why a value is refused."""

    def checked(words: str) -> object:
        try:
            return read(words)
        except ValueError as error:
            raise argparse.ArgumentTypeError(printable(str(error))) from None

    return checked


def _filter(options: argparse.Namespace) -> PacketFilter:
    return PacketFilter(**{name: getattr(options, name) for name in _FILTERS})


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of events from 1 on")
    return int(text)


def _watch(options: argparse.Namespace) -> int:
    try:
        text = program(kernel_functions(), _filter(options))
        if options.print_program:
            sys.stdout.write(text)
            return FINE
        missing = lacking(options.bpftrace)
        if missing:
            raise WatchError("this host lacks " + "; ".join(missing))
        return _diagnose(text, options)
    except WatchError as error:
        raise UsageError(f"watch: {error}") from None


def _diagnose(text: str, options: argparse.Namespace) -> int:
    stopped: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        stopped.append(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    diagnoser = Diagnoser()
    told: set[tuple[str, ...]] = set()
    sys.stderr.write("watching; interrupt to end\n")
    try:
        for batch in watch(
            text,
            bpftrace=options.bpftrace,
            seconds=options.seconds,
            count=options.count,
            stopped=lambda: bool(stopped),
        ):
            diagnoser.add(batch)
            for rules, message in diagnoser.wrong():
                if rules not in told:
                    told.add(rules)
                    if options.ndjson:
                        write_line({"found": {"rules": list(rules), "message": message}})
                    else:
                        sys.stderr.write(f"{', '.join(rules)}: {printable(message)}\n")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    diagnosis = diagnoser.finish()
    name = ", ".join(filter(None, ("this host", str(_filter(options)))))
    if options.ndjson:
        write_line(log_json(name, diagnosis))
    elif options.json:
        json.dump(as_json([(name, diagnosis)]), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in report(name, diagnosis))
    return status(diagnosis)
