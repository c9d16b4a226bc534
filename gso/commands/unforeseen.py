"""Errors that a command did not foresee: a short message, and the traceback in a file."""

from __future__ import annotations

import os

from gso.printable import printable

_MOST_CHARACTERS = 500


def unforeseen(error: Exception) -> str:
    """Return a short message of the error; it names the file that has the traceback."""
    said = printable(f"{type(error).__name__}: {error}")[:_MOST_CHARACTERS]
    return f"internal error: {said}; {_kept(error)}"


def _kept(error: Exception) -> str:
    try:
        import tempfile  # noqa: PLC0415  (both take longer than all that a good command needs)
        import traceback  # noqa: PLC0415

        handle, path = tempfile.mkstemp(prefix="gso-", suffix=".traceback")
        with os.fdopen(handle, "w", errors="backslashreplace") as file:
            traceback.print_exception(error, file=file)
    except (OSError, MemoryError, RecursionError) as why:
        return f"the traceback could not be kept ({type(why).__name__})"
    return f"the traceback is in {path}"
