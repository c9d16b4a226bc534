"""What subcommands of ``gso-kernel`` print: names, commits and guests' words may be in it."""

from __future__ import annotations

import json
from typing import Any, TextIO

from gso.printable import printable_lines


def say(*lines: object, to: TextIO | None = None) -> None:
    """Print lines, safe to show, to standard output if nothing else is said."""
    for line in lines:
        print(printable_lines(str(line)), file=to)


def say_json(document: Any) -> None:
    """Print a document for machines: only signs of ASCII, and those that command are escaped."""
    print(json.dumps(document, indent=1))
