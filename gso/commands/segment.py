"""``gso segment``: turn super-packets in a capture into the packets of the wire."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from typing import Any

from gso.commands.common import add_kernel, positive
from gso.commands.copying import Way, add_files, add_options, run
from gso.commands.usage import NO_PACKETS, UsageError, exit_status, plural
from gso.rewriting.segment import Summary, segment_capture

_MOST_FLOWS = 20

_SEGMENT = """\
Copy a capture with its super-packets (of TSO, GSO, GRO or UDP GSO) segmented, so that it holds what
the wire carried: packets that can be sent, with right lengths and checksums. Everything else stays
as it is: other packets, timestamps, comments, interfaces, link types and the format. Checksums that
a network device was to complete are completed.

A packet whose innermost IP packet fits the MTU is no super-packet. Without --gso-size, TCP segment
sizes come from each connection's handshake in the capture: the MSS of the peer's SYN, bounded by
the MTU, less the TCP options of the packet (12 bytes for timestamps). Sizes of UDP come from
headers of WireGuard or QUIC in the packet, or from the flow's other datagrams. Connections without
a handshake, UDP without a size, and packets that may be something else stay as they are. What
cannot be looked into is counted (exit status 2 if that is everything).
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _SEGMENT
    command.set_defaults(run=_segment)
    add_files(command)
    command.add_argument(
        "--gso-size",
        metavar="N",
        type=positive,
        help="payload bytes per segment of TCP, headers not counted (1448 with timestamps and an "
        "MTU of 1500)",
    )
    command.add_argument(
        "--udp-size",
        metavar="N",
        type=positive,
        help="the same for UDP (default: what the packets tell; UDP that tells nothing stays as it "
        "is)",
    )
    command.add_argument(
        "--mtu",
        metavar="N",
        type=positive,
        help="largest IP packet in bytes that is no super-packet (default 1500, or what the "
        "handshake of a TCP connection says if it is more)",
    )
    udp = command.add_mutually_exclusive_group()
    udp.add_argument(
        "--keep-udp",
        dest="udp",
        action="store_const",
        const="keep",
        default="uso",
        help="leave UDP as it is",
    )
    udp.add_argument(
        "--ufo",
        dest="udp",
        action="store_const",
        const="ufo",
        help="make IP fragments of UDP, with N bytes each in multiples of 8, not datagrams",
    )
    command.add_argument(
        "--fixed-ids",
        action="store_true",
        help="all segments of a TCP packet with DF keep its IPv4 ID, instead of counting up",
    )
    add_kernel(command)
    command.add_argument(
        "--partial",
        action="store_true",
        help="leave the innermost checksums to a network device (CHECKSUM_PARTIAL)",
    )
    command.add_argument(
        "--fix",
        action="store_true",
        help="also set wrong lengths and checksums right of packets that are not segmented; those "
        "of packets in fragments where all fragments are there, for which a file is read twice",
    )
    add_options(command)


def _segment(options: argparse.Namespace) -> int:
    if options.udp == "ufo" and (options.udp_size or 8) < 8:
        raise UsageError(f"--udp-size {options.udp_size}: fragments have 8 bytes or more")
    if options.fix and options.partial:
        raise UsageError("--fix completes the checksums that --partial leaves: choose one of them")
    way = Way("segment", _report, _as_json, _status)
    return run(options, way, partial(_copy, options))


def _copy(options: argparse.Namespace, ports: dict[int, Any]) -> partial[Summary]:
    return partial(
        segment_capture,
        gso_size=options.gso_size,
        udp_size=options.udp_size,
        mtu=options.mtu,
        tunnel_ports=ports,
        udp=options.udp,
        fixed_ids=options.fixed_ids,
        kernel=options.kernel,
        checksum="partial" if options.partial else "complete",
        fix=options.fix,
        damage="report",
    )


def _status(summary: Summary) -> int:
    return exit_status(
        looked_into=summary.looked_into,
        wrong=not summary.fine,
        truncated=summary.truncated,
        damage=summary.damage,
    )


def _report(summary: Summary) -> Iterator[str]:
    yield f"{plural(summary.packets, 'packet')} read, {summary.written} written"
    yield (
        f"  {plural(summary.segmented, 'super-packet')} became "
        f"{plural(summary.segments, 'segment')}"
    )
    yield f"  {plural(summary.completed, 'packet')} had the checksum completed"
    for how, count in summary.udp_sizes.items():
        yield f"  {plural(count, 'super-packet')} of UDP cut at {how}"
    if summary.fixed:
        yield f"  {plural(summary.fixed, 'packet')} had wrong lengths or checksums set right"
    yield f"  {plural(summary.unchanged, 'packet')} unchanged"
    for flow in summary.flows[:_MOST_FLOWS]:
        yield f"flow {flow.name}: {flow.source()}"
        if flow.packets:
            sizes = " or ".join(map(str, sorted(flow.gso_sizes)))
            yield (
                f"  {plural(flow.packets, 'super-packet')} became "
                f"{plural(flow.segments, 'segment')} of {sizes} bytes of payload"
            )
        if flow.skipped:
            yield (
                f"  {plural(flow.skipped, 'super-packet')} of up to {flow.longest} bytes of "
                "payload left unchanged: say --gso-size N"
            )
    if len(summary.flows) > _MOST_FLOWS:
        yield f"and {plural(len(summary.flows) - _MOST_FLOWS, 'flow')} more: see --json"
    yield from map(str, summary.notes.values())
    if not summary.packets:
        yield NO_PACKETS
    for what, count in summary.not_looked_into.items():
        yield f"{plural(count, 'packet')} cannot be looked into: {what}"
    if summary.truncated:
        yield f"the input is cut off: {summary.truncated}"
    if summary.damage:
        yield f"what follows was not read: {summary.damage}"


def _as_json(summary: Summary) -> dict[str, Any]:
    return {
        "packets": summary.packets,
        "written": summary.written,
        "segmented": summary.segmented,
        "segments": summary.segments,
        "completed": summary.completed,
        "fixed": summary.fixed,
        "udp_sizes": dict(summary.udp_sizes),
        "unchanged": summary.unchanged,
        "truncated": summary.truncated,
        "damage": summary.damage,
        "not_looked_into": dict(summary.not_looked_into),
        "flows": [
            {
                "flow": flow.name,
                "mss": flow.mss,
                "announced": flow.announced,
                "peer": flow.peer,
                "source": flow.source(),
                "gso_sizes": sorted(flow.gso_sizes),
                "packets": flow.packets,
                "segments": flow.segments,
                "skipped": flow.skipped,
            }
            for flow in summary.flows
        ],
        "notes": summary.notes.as_json(),
    }
