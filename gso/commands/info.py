"""``gso info``: what a capture holds."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from gso.commands.common import (
    add_common,
    add_input,
    open_source,
    positive,
    tunnel_ports,
    write_json,
)
from gso.commands.usage import NO_PACKETS, exit_status, plural
from gso.printable import printable
from gso.rewriting.found_tunnels import Port
from gso.rewriting.survey import Survey, Traffic, survey_capture

_MOST_FLOWS = 20
_NANOSECONDS = 10**9

_INFO = """\
Say what a capture holds: link types, time span, protocols, tunnels (with the mapping to give where
a port is not known), flows with the segment size that their handshakes announced, super-packets,
and what could not be looked into (exit status 2 if that is everything).
"""


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = _INFO
    command.set_defaults(run=_info)
    add_input(command)
    command.add_argument(
        "--mtu",
        metavar="N",
        type=positive,
        help="largest IP packet in bytes that is no super-packet (default 1500, or what the "
        "handshake of a TCP connection says if it is more)",
    )
    add_common(command)


def _info(options: argparse.Namespace) -> int:
    ports = tunnel_ports(options)
    survey = survey_capture(open_source(options.input), mtu=options.mtu, tunnel_ports=ports)
    if options.json:
        write_json("info", _as_json(survey))
    else:
        sys.stdout.writelines(f"{line}\n" for line in _report(options.input, survey))
    return exit_status(
        looked_into=survey.followed,
        wrong=False,
        truncated=survey.truncated,
        damage=survey.damage,
    )


# --- text ---


def _report(name: str, survey: Survey) -> Iterator[str]:
    yield f"{printable(name)}: {survey.format}, {plural(survey.packets, 'packet')}"
    yield f"  {survey.captured} bytes captured{_cut(survey)}"
    for interface, count in survey.interfaces:
        label = f" {printable(interface.name)}" if interface.name else ""
        yield f"  interface{label}: {interface.link_type}, {plural(count, 'packet')}"
    if survey.first is not None and survey.last is not None:
        seconds = (survey.last - survey.first) / _NANOSECONDS
        yield f"  from {_time(survey.first)} to {_time(survey.last)}, {seconds:.6f} s"
    for label, counts in (("carried", survey.protocols), ("in tunnels", survey.known_tunnels)):
        if counts:
            yield f"{label}: {_listed(counts)}"
    for number, port in survey.tunnels.ports.items():
        yield _found(number, port)
    yield f"super-packets: {_listed(survey.super_packets) or 'none'}"
    yield from _flow_lines(survey)
    for what, count in survey.outside.most_common():
        yield f"{plural(count, 'packet')} not among the flows: {what}"
    for what, count in survey.not_followed.most_common():
        yield f"{plural(count, 'packet')} cannot be looked into: {what}"
    if not survey.packets:
        yield NO_PACKETS
    if survey.truncated:
        yield f"the input is cut off: {survey.truncated}"
    if survey.damage:
        yield f"what follows was not read: {survey.damage}"


def _cut(survey: Survey) -> str:
    return f", {plural(survey.cut, 'packet')} not whole (snaplen)" if survey.cut else ""


def _time(nanoseconds: int) -> str:
    seconds, fraction = divmod(nanoseconds, _NANOSECONDS)
    try:
        when = datetime.fromtimestamp(seconds, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"{seconds}.{fraction:09d}"
    return f"{when:%Y-%m-%d %H:%M:%S}.{fraction:09d} UTC"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common() if count)


def _found(number: int, port: Port) -> str:
    what = f"UDP port {number}: {port.packets} packets, looks like {_listed(port.tunnels)}"
    if port.agreed:
        return f"{what}: say --tunnel-port {number}={port.agreed} (or auto)"
    return f"{what}, but not all packets agree"


def _flow_lines(survey: Survey) -> Iterator[str]:
    flows = sorted(survey.flows.values(), key=lambda flow: -flow.payload)
    tcp = sum(flow.protocol == "tcp" for flow in flows)
    yield f"flows, by direction: {tcp} of TCP, {len(flows) - tcp} of UDP"
    for flow in flows[:_MOST_FLOWS]:
        larger = f", {plural(flow.super_packets, 'super-packet')}" if flow.super_packets else ""
        said = f"; {flow.handshake.source()}" if flow.handshake else ""
        size = (
            f"{plural(flow.packets, 'packet')}, {flow.payload} bytes, up to {flow.longest} a packet"
        )
        yield f"  {flow.name} {flow.protocol}: {size}{larger}{said}"
    if len(flows) > _MOST_FLOWS:
        yield f"  and {plural(len(flows) - _MOST_FLOWS, 'flow')} more: see --json"
    if survey.more_flows:
        yield f"  {plural(survey.more_flows, 'packet')} of further flows, which are not listed"


# --- JSON ---


def _as_json(survey: Survey) -> dict[str, Any]:
    return {
        "format": survey.format,
        "packets": survey.packets,
        "bytes": survey.captured,
        "not_whole": survey.cut,
        "first": survey.first,
        "last": survey.last,
        "interfaces": [
            {"name": one.name, "link_type": one.link_type, "snaplen": one.snaplen, "packets": count}
            for one, count in survey.interfaces
        ],
        "protocols": dict(survey.protocols),
        "tunnels": dict(survey.known_tunnels),
        "tunnels_found": [_found_json(*found) for found in survey.tunnels.ports.items()],
        "super_packets": dict(survey.super_packets),
        "flows": [_flow_json(flow) for flow in survey.flows.values()],
        "packets_of_more_flows": survey.more_flows,
        "not_followed": dict(survey.not_followed),
        "outside": dict(survey.outside),
        "truncated": survey.truncated,
        "damage": survey.damage,
    }


def _found_json(number: int, port: Port) -> dict[str, Any]:
    return {
        "port": number,
        "packets": port.packets,
        "looks_like": dict(port.tunnels),
        "tunnel_port": f"{number}={port.agreed}" if port.agreed else None,
    }


def _flow_json(flow: Traffic) -> dict[str, Any]:
    shake = flow.handshake
    return {
        "flow": flow.name,
        "protocol": flow.protocol,
        "packets": flow.packets,
        "payload": flow.payload,
        "super_packets": flow.super_packets,
        "longest": flow.longest,
        "mss": shake.mss if shake else None,
        "announced": shake.announced if shake else None,
        "peer": shake.peer if shake else None,
    }
