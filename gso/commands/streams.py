"""Standard input, output and error: closed ones, full ones, and what is safe to show in them."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import BinaryIO

from gso.commands.usage import UsageError
from gso.printable import printable_lines

NO_OUTPUT = "standard output is closed"


def fill_closed() -> None:
    """Open what the caller closed of 0, 1 and 2, so that no file to write gets such a number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


def standard_input(what: str) -> BinaryIO:
    """Return standard input; `what` is to come from it.

    Raises UsageError where it is closed.
    """
    if sys.stdin is None:
        raise UsageError(f"the {what} is to come from standard input, but that is closed")
    return sys.stdin.buffer


def complain(text: str) -> None:
    """Write lines to standard error, safe to show; a closed or full one changes nothing."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"{printable_lines(text)}\n")
        sys.stderr.flush()


def discard_output() -> None:
    """Throw away what standard output cannot take: flushed at the end, it would fail again."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except AttributeError:  # it was closed before we began
        pass


def words(error: OSError) -> str:
    """Return the error of a file, or of standard input or output, as a message."""
    name = error.filename
    if name is None:
        name = "input or output"
    return f"{os.fsdecode(name) if name != '' else repr('')}: {error.strerror or error}"
