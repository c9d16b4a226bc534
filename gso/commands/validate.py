"""``gso validate``: judge the packets of a capture."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from gso.capture import Reader
from gso.commands.common import (
    FINDINGS,
    FINE,
    add_common,
    add_input,
    open_source,
    plural,
    positive,
    wrapped,
)
from gso.printable import printable
from gso.rules import Finding, Severity
from gso.rules.frames import validate_frame

_MOST_PACKETS = 10

_VALIDATE = """\
Judge every packet of a capture: header lengths, length fields against the packet's real size,
checksums and, with --mtu, its size. Several packets with the same fault are reported once.
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _VALIDATE
    command.set_defaults(run=_validate)
    add_input(command)
    command.add_argument("--mtu", metavar="N", type=positive, help="largest IP packet in bytes")
    add_common(command)


def _validate(options: argparse.Namespace) -> int:
    found: dict[tuple[str, str], tuple[Finding, list[int], int]] = {}
    number = 0
    with Reader(open_source(options.input)) as reader:
        for batch in reader:
            for index in range(len(batch)):
                number += 1
                for one in _judge(batch, index, options):
                    key = one.rule, one.message.partition(" is ")[0]
                    first, numbers, count = found.get(key, (one, [], 0))
                    if len(numbers) < _MOST_PACKETS:
                        numbers.append(number)
                    found[key] = first, numbers, count + 1
    wrong = any(one.severity is Severity.ERROR for one, _, _ in found.values())
    if options.json:
        json.dump(_validate_json(number, found, reader.truncated), sys.stdout, indent=2)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(
            f"{line}\n" for line in _validate_report(options.input, number, found, reader.truncated)
        )
    return FINDINGS if wrong else FINE


def _judge(batch: Any, index: int, options: argparse.Namespace) -> list[Finding]:
    frame = bytes(batch.frames[index])
    interface = batch.interfaces[int(batch.interface_ids[index])]
    return validate_frame(
        frame,
        link_type=interface.link_type,
        tunnel_ports=dict(options.tunnel_port),
        mtu=options.mtu,
        complete=len(frame) >= int(batch.original_lengths[index]),
    )


def _validate_report(
    name: str, packets: int, found: dict[Any, tuple[Finding, list[int], int]], cut: str | None
) -> Iterator[str]:
    yield f"{printable(name)}: {plural(packets, 'packet')}"
    for one, numbers, count in found.values():
        shown = ", ".join(map(str, numbers)) + ("..." if count > len(numbers) else "")
        yield ""
        yield f"{one.rule} ({one.severity}): {plural(count, 'packet')} (number {shown})"
        yield from wrapped(f"packet {numbers[0]}: ", one.message)
        yield from wrapped("outcome: ", one.kernel_outcome)
        yield from wrapped("cause: ", one.likely_cause)
    if not found:
        yield "nothing wrong was found"
    if cut:
        yield f"the input is cut off: {cut}"


def _validate_json(
    packets: int, found: dict[Any, tuple[Finding, list[int], int]], cut: str | None
) -> dict[str, Any]:
    return {
        "packets": packets,
        "truncated": cut,
        "findings": [
            {
                "rule": one.rule,
                "severity": str(one.severity),
                "message": one.message,
                "fields": dict(one.fields),
                "kernel_outcome": one.kernel_outcome,
                "likely_cause": one.likely_cause,
                "count": count,
                "packets": numbers,
            }
            for one, numbers, count in found.values()
        ],
    }
