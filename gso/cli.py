"""The ``gso`` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from gso import (
    command_coalesce,
    command_diagnose,
    command_explain,
    command_segment,
    command_validate,
    command_watch,
)
from gso.command import EXAMPLES, UNUSABLE, Formatter, UsageError, version
from gso.drawing import printable
from gso.errors import GsoError

_INTERRUPTED = 130
_BROKEN_PIPE = 141


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except UsageError as complaint:
        return _complain(str(complaint))
    except GsoError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be flushed into that pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        return _complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _complain(message: str) -> int:
    sys.stderr.write(f"gso: {printable(message)}\n")
    return UNUSABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gso",
        description="Segment, coalesce, explain and judge packets as the Linux kernel does.",
        epilog=EXAMPLES,
        formatter_class=Formatter,
    )
    parser.add_argument("--version", action="version", version=f"gso {version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        command_segment.add,
        command_coalesce.add,
        command_explain.add,
        command_diagnose.add,
        command_validate.add,
        command_watch.add,
    ):
        add(commands)
    return parser
