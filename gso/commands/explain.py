"""``gso explain``: draw one packet of a capture."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from gso.capture import Reader
from gso.commands.common import add_common, add_input, open_source, positive, tunnel_ports
from gso.commands.usage import FINDINGS, FINE, UsageError, plural, terminal_width
from gso.drawing.packet import describe, draw, draw_svg, faults

_COLOURS = {"title": "1", "right": "32", "wrong": "1;31", "note": "33"}

_EXPLAIN = """\
Draw one packet of a capture: every header and field with its offset and value, the kernel's header
offsets, and whether lengths and checksums are right (exit status 1 if one is wrong).
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _EXPLAIN
    command.set_defaults(run=_explain)
    add_input(command)
    command.add_argument(
        "-n",
        "--number",
        metavar="PACKET",
        type=positive,
        default=1,
        help="which packet, counted from 1 as Wireshark does (default 1)",
    )
    command.add_argument("--svg", metavar="FILE", help="draw it to scale in this file, too")
    add_common(command)


def _explain(options: argparse.Namespace) -> int:
    ports = tunnel_ports(options)
    seen = 0
    with Reader(open_source(options.input)) as reader:
        for batch in reader:
            if seen + len(batch) >= options.number:
                index = options.number - seen - 1
                description = describe(batch, index, options.number, ports)
                if options.svg:
                    Path(options.svg).write_text(draw_svg(description), encoding="utf-8")
                _show(description, as_json=options.json)
                return FINDINGS if faults(description) else FINE
            seen += len(batch)
    cut = f" ({reader.truncated})" if reader.truncated else ""
    raise UsageError(
        f"{options.input}: there is no packet {options.number}, "
        f"the capture has {plural(seen, 'packet')}{cut}"
    )


def _show(description: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        json.dump(description, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def style(text: str, kind: str) -> str:
        return f"\033[{_COLOURS[kind]}m{text}\033[0m" if coloured else text

    for line in draw(description, style, terminal_width()):
        sys.stdout.write(f"{line}\n")
