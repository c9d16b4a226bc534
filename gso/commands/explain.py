"""``gso explain``: draw one packet of a capture."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

import numpy as np

from gso.buffers._frames import Frames
from gso.capture import Capture, Interface, Reader
from gso.commands.common import (
    add_common,
    add_input,
    open_source,
    positive,
    tunnel_ports,
    write_json,
)
from gso.commands.files import check_no_input, write_text
from gso.commands.usage import UsageError, exit_status, plural, terminal_width
from gso.drawing.packet import describe, draw, draw_svg
from gso.headers.followed import not_followed
from gso.headers.fragments import Reassembler, Whole
from gso.rewriting.fine import look
from gso.rules import Severity
from gso.rules.frames import validate_frame

_COLOURS = {"title": "1", "right": "32", "wrong": "1;31", "note": "33"}

_EXPLAIN = """\
Draw one packet of a capture: every header and field with its offset and value, the kernel's header
offsets, and whether lengths and checksums are right (exit status 1 for what `gso validate` calls an
error, 2 if the packet cannot be looked into).
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
    command.add_argument(
        "--reassemble",
        action="store_true",
        help="draw the IP packet that the packet is a fragment of, where all fragments are there",
    )
    command.add_argument("--svg", metavar="FILE", help="draw it to scale in this file, too")
    add_common(command)


def _explain(options: argparse.Namespace) -> int:
    if options.svg is not None:
        check_no_input("--svg", options.svg, [options.input])
    ports = tunnel_ports(options)
    seen = 0
    with Reader(open_source(options.input)) as reader:
        for batch in reader:
            if seen + len(batch) >= options.number:
                return _explain_one(batch, options.number - seen - 1, options, ports)
            seen += len(batch)
    cut = f" ({reader.truncated})" if reader.truncated else ""
    raise UsageError(
        f"{options.input}: there is no packet {options.number}, "
        f"the capture has {plural(seen, 'packet')}{cut}"
    )


def _explain_one(
    batch: Capture, index: int, options: argparse.Namespace, ports: dict[int, Any]
) -> int:
    status = _status(batch, index, ports)
    whole = _whole(options, ports) if options.reassemble else None
    if whole is not None:
        batch, index = whole, 0
        status = max(status, _status(whole, 0, ports))
    description = describe(batch, index, options.number, ports)
    if options.svg is not None:
        write_text(options.svg, draw_svg(description))
    _show(description, as_json=options.json)
    return status


def _status(batch: Capture, index: int, ports: dict[int, Any]) -> int:
    """The exit status for a packet: of what `gso validate` finds in it."""
    frame = batch.frames[index]
    link_type = batch.interfaces[int(batch.interface_ids[index])].link_type
    words: Any = {"link_type": link_type, "tunnel_ports": ports}
    complete = len(frame) >= int(batch.original_lengths[index])
    found = validate_frame(frame, complete=complete, **words)
    unknown = not_followed(frame, complete=complete, **words)
    return exit_status(
        looked_into=int(bool(found) or not (unknown and unknown[1])),
        wrong=any(one.severity is Severity.ERROR for one in found),
        truncated=None,
    )


def _whole(options: argparse.Namespace, ports: dict[int, Any]) -> Capture | None:
    """The IP packet that the packet is a fragment of; None if it is none, or a piece lacks."""
    if options.input == "-":
        raise UsageError("--reassemble reads the capture again, which takes a file")
    pieces = Reassembler()
    first = 1
    with Reader(options.input) as reader:
        for batch in reader:
            seen = look(batch, ports)
            for index in np.flatnonzero(seen.fragments & ~seen.cut).tolist():
                link_type = batch.interfaces[int(batch.interface_ids[index])].link_type
                whole = pieces.add(
                    first + index,
                    bytes(batch.frames[index]),
                    link_type=link_type,
                    tunnel_ports=ports,
                )
                if whole is not None and options.number in whole.numbers:
                    return _as_capture(whole, batch, index)
            first += len(batch)
    return None


def _as_capture(whole: Whole, batch: Capture, index: int) -> Capture:
    """A packet put together, with the time of its last fragment, which is at `index`."""
    numbers = ", ".join(map(str, whole.numbers))
    return Capture(
        Frames.from_list([whole.packet]),
        batch.timestamps[index : index + 1],
        (Interface("raw", name=batch.interfaces[int(batch.interface_ids[index])].name),),
        np.zeros(1, np.int64),
        np.array([len(whole.packet)]),
        [f"put together of packets {numbers}"],
    )


def _show(description: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json("explain", description)
        return
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def style(text: str, kind: str) -> str:
        return f"\033[{_COLOURS[kind]}m{text}\033[0m" if coloured else text

    for line in draw(description, style, terminal_width()):
        sys.stdout.write(f"{line}\n")
