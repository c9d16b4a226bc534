"""What is counted, and why lines are not reached: ``counted.toml``."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

from gso.kernel.trees.functions import extents

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_FILE = Path(__file__).with_name("counted.toml")
_ONLY_ONCE = re.compile(r"\b__(?:init|exit)\b")

ERROR, OTHER = "error", "other"

Reader = Callable[[str], str]
"""Returns the text of a file of the kernel's source, empty where there is none."""


@dataclass(frozen=True)
class Counted:
    """A source file, and globs of the functions in it."""

    name: str
    functions: Sequence[str] = ("*",)


@dataclass(frozen=True)
class Unreached:
    """Why lines are not reached. ``lines``: their texts; empty: all of the function."""

    functions: Sequence[str]
    kind: Literal["error", "other"]
    why: str
    lines: Sequence[str] = ()
    after: str = ""

    def fits(self, function: str, text: str, above: str) -> bool:
        """Say whether it is about a line, below the line ``above``."""
        return (
            any(fnmatchcase(function, glob) for glob in self.functions)
            and (not self.lines or text in self.lines)
            and self.after in above
        )


@functools.cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return found


@functools.cache
def files() -> tuple[Counted, ...]:
    """Return the files of which lines are counted."""
    return tuple(Counted(**row) for row in _read()["file"])


@functools.cache
def unreached() -> tuple[Unreached, ...]:
    """Return why lines are not reached."""
    return tuple(Unreached(**row) for row in _read().get("unreached", ()))


def modules() -> list[str]:
    """Return the modules that may hold the functions."""
    found: list[str] = _read()["modules"]
    return found


def lines(file: Counted, text: str) -> dict[int, str]:
    """Return the numbers of the lines that are meant, each with its function."""
    rows = text.split("\n")
    return {
        number: name
        for name, extent in extents(text)
        for number in extent
        if any(fnmatchcase(name, glob) for glob in file.functions)
        and not _ONLY_ONCE.search(rows[extent[0] - 1])
    }
