"""The ``gso`` command."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

from gso.commands.streams import NO_OUTPUT, complain, discard_output, fill_closed, words
from gso.commands.unforeseen import unforeseen
from gso.commands.usage import EXAMPLES, UNUSABLE, Formatter, Parser, UsageError, version
from gso.errors import GsoError
from gso.printable import printable

COMMANDS = {
    "segment": "turn super-packets in a capture into the packets of the wire",
    "coalesce": "merge the segments in a capture into super-packets",
    "info": "say what a capture holds: flows, tunnels, super-packets",
    "explain": "draw one packet of a capture: headers, offsets, values, checksums",
    "diagnose": "find wrong header offsets in a log of pwru, perf, ftrace or dmesg",
    "validate": "judge the lengths and checksums of a capture's packets",
    "wireshark": "print or install the plugin of Wireshark for GUE, FOU and VXLAN",
    "watch": "diagnose the tunnel packets of this host as they pass (root)",
}
_INTERRUPTED = 130
_BROKEN_PIPE = 141
_OBJECTS = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    if arguments is None:
        arguments = sys.argv[1:]
        _spare_work()
    fill_closed()
    try:
        if sys.stdout is None:
            raise UsageError(NO_OUTPUT)
        with _ended_by_signals():
            try:
                options = parser(arguments).parse_args(arguments)
                status: int = options.run(options)
            finally:  # --help and --version end by SystemExit
                sys.stdout.flush()
    except (UsageError, GsoError) as complaint:
        return _complain(str(complaint))
    except BrokenPipeError:
        # The reader of our output has closed the pipe: nothing may be flushed into it any more.
        discard_output()
        return _BROKEN_PIPE
    except OSError as error:
        discard_output()
        return _complain(words(error))
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        # Python itself would end with 1: "something was found".
        discard_output()
        return _complain(unforeseen(error))
    return status


def _spare_work() -> None:
    """Leave out what a program of its own has no use for, when modules are loaded above all."""
    # NumPy's library for linear algebra, which nothing here uses, would start a thread a core.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Reference cycles are looked for after so many new objects, not after 700: few are made here.
    gc.set_threshold(_OBJECTS)
    # Nor at the end, when the system takes all memory back.
    atexit.register(gc.freeze)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """End as by an exit where the default is to end at once: nothing half written is left."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _exit)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


def _complain(message: str) -> int:
    complain(f"gso: {printable(message)}")
    return UNUSABLE


class _Version(argparse.Action):
    """Looks the version up only when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        sys.stdout.write(f"gso {version()}\n")
        parser.exit()


def parser(arguments: Collection[str]) -> argparse.ArgumentParser:
    """The parser for these arguments; it imports the modules of their commands alone."""
    program = Parser(
        prog="gso",
        description="Segment, coalesce, explain and judge packets as the Linux kernel does.",
        epilog=EXAMPLES,
        formatter_class=Formatter,
    )
    program.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = program.add_subparsers(metavar="COMMAND", required=True)
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(
            name, help=purpose, epilog=EXAMPLES, formatter_class=Formatter
        )
        if name in arguments:
            import_module(f"gso.commands.{name}").add(command)
    return program
