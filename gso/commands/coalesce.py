"""``gso coalesce``: merge the segments of a capture into super-packets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from gso.commands.common import add_kernel, positive
from gso.commands.copying import Way, add_files, add_options, run
from gso.commands.usage import NO_PACKETS, UsageError, exit_status, plural
from gso.rewriting.coalesce import Merged, coalesce_capture

_GRO_MAX_SIZE = 8 * 65535

_COALESCE = """\
Copy a capture with the segments of each flow merged as the kernel's software GRO merges them, into
super-packets of up to 64 kB: what the host's network stack handles when the wire carries this.
Only what `gso segment` would turn back into the same bytes is merged; packets that are not
segments, or are damaged, or stand alone, stay as they are, and so do timestamps, interfaces, link
types and the format. A super-packet has the timestamp and the comment of its first segment. What
cannot be looked into is counted (exit status 2 if that is everything).
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _COALESCE
    command.set_defaults(run=_coalesce)
    add_files(command)
    command.add_argument(
        "--timeout",
        metavar="US",
        type=positive,
        default=1000,
        help="microseconds between the first and the last segment of a super-packet, at most "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--max-size",
        metavar="N",
        type=positive,
        default=65536,
        help="IP packets are shorter than this; over 65536 is BIG TCP, up to 524280 "
        "(default: %(default)s)",
    )
    command.add_argument("--keep-udp", action="store_true", help="merge TCP only, not UDP")
    command.add_argument(
        "--fixed-ids",
        action="store_true",
        help="merge TCP segments whose IPv4 ID stays the same too; segmenting them again needs "
        "--fixed-ids too",
    )
    add_kernel(command)
    add_options(command)


def _coalesce(options: argparse.Namespace) -> int:
    if options.max_size > _GRO_MAX_SIZE:
        raise UsageError(f"--max-size {options.max_size}: at most {_GRO_MAX_SIZE}")
    return run(options, Way("coalesce", _report, _as_json, _status), partial(_copy, options))


def _copy(options: argparse.Namespace, ports: dict[int, Any]) -> partial[Merged]:
    return partial(
        coalesce_capture,
        tunnel_ports=ports,
        udp_gro=not options.keep_udp,
        fixed_ids=options.fixed_ids,
        kernel=options.kernel,
        gro_max_size=options.max_size,
        timeout=options.timeout,
        damage="report",
    )


def _as_json(merged: Merged) -> dict[str, Any]:
    numbers = {"written": merged.written, "unchanged": merged.unchanged}
    return vars(merged) | numbers | {"notes": merged.notes.as_json()}


def _status(merged: Merged) -> int:
    return exit_status(
        looked_into=merged.looked_into,
        wrong=bool(merged.notes),
        truncated=merged.truncated,
        damage=merged.damage,
    )


def _report(merged: Merged) -> Iterator[str]:
    yield f"{plural(merged.packets, 'packet')} read, {merged.written} written"
    most = f" of up to {plural(merged.most_segments, 'segment')}" if merged.super_packets else ""
    yield (
        f"  {plural(merged.merged, 'packet')} became "
        f"{plural(merged.super_packets, 'super-packet')}{most}"
    )
    yield f"  {plural(merged.unchanged, 'packet')} unchanged"
    for what, count in merged.not_looked_into.items():
        yield f"{plural(count, 'packet')} cannot be looked into: {what}"
    yield from map(str, merged.notes.values())
    if not merged.packets:
        yield NO_PACKETS
    if merged.truncated:
        yield f"the input is cut off: {merged.truncated}"
    if merged.damage:
        yield f"what follows was not read: {merged.damage}"
