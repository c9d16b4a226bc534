"""The subcommand ``conformance``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gso.kernel.commands.common import add_boot, add_executor, count, executor, seconds
from gso.kernel.commands.saying import say
from gso.kernel.conformance.coverage.run import Coverage
from gso.kernel.conformance.gro import run as gro
from gso.kernel.conformance.tunnels import records
from gso.kernel.conformance.tunnels.compare import DIFFERENT, EQUAL, NOT_SENT, REFUSED
from gso.kernel.conformance.tunnels.run import Options, Report, compare
from gso.kernel.conformance.types import run as types
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.machine import vm
from gso.kernel.progress import Progress
from gso.kernel.report.terminal import TerminalScreen

_COLUMNS = (EQUAL, REFUSED, DIFFERENT, NOT_SENT)
_SHOWN = 10  # differences named on the terminal


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Boot a kernel, send random super-packets through tunnels of every kind and, "
        "malformed ones too, straight to its segmenter, and compare every byte of the segments "
        "with what gso.segment makes. With --gro, send random streams of segments to devices with "
        "GRO, and compare what it merges with gso.coalesce. With --types, give the segmenter "
        "packets that no virtio header can describe: fixed IPv4 IDs, GSO_PARTIAL, checksums that "
        "a device completes, lists of frames, SCTP. Exit status: 0 all the same, 1 differences, "
        "125 nothing can be said."
    )
    command.add_argument(
        "--gro",
        action="store_true",
        help="compare GRO with gso.coalesce. 'kept apart' are streams in which the kernel merged "
        "what segmentation does not give back, or let a frame overtake, and gso.coalesce did not",
    )
    command.add_argument(
        "--types",
        action="store_true",
        help="hand packets with any gso_type to the segmenter by a module of our own, on devices "
        "that take segments in pieces (GSO_PARTIAL) or complete checksums, or neither",
    )
    command.add_argument("--kernel", metavar="VERSION", help="Debian kernel (default: newest)")
    command.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of the random packets (default: 0)"
    )
    command.add_argument(
        "--count",
        type=count,
        default=2000,
        metavar="N",
        help="packets to send, half of them through tunnels, or streams (default: 2000)",
    )
    command.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="WORD",
        help="only devices with this in their name, such as geneve, gue6080-gre or 'in vxlan'; "
        "none: the segmenter itself; with --gro, streams with this in their headers, such as "
        "'vxlan eth ip6' or 'gre-key'; with --types, packets in such a tunnel; may be repeated",
    )
    command.add_argument(
        "--differences",
        type=Path,
        default=Path("conformance-differences.json.xz"),
        metavar="FILE",
        help="write packets on which we differ here, with both answers (default: %(default)s)",
    )
    command.add_argument(
        "--replay", type=Path, metavar="FILE", help="send the packets of such a file again"
    )
    command.add_argument(
        "--vectors",
        type=Path,
        metavar="FILE",
        help="write a few packets of each kind with the kernel's answers, as test vectors",
    )
    command.add_argument(
        "--coverage",
        type=Path,
        metavar="FOLDER",
        help="say which lines of the kernel's segmenters and GRO receivers the packets reach, by "
        "QEMU without hardware virtualisation, and its debugging symbols (a gigabyte is fetched "
        "once); add to what earlier runs left in this folder: coverage.json, and the page "
        "coverage.md",
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write everything here too")
    add_boot(command)
    command.add_argument(
        "--timeout",
        type=seconds,
        default=600.0,
        metavar="SECONDS",
        help="longest time for one boot with up to 8000 packets (default: 600)",
    )
    add_executor(command)
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    for path in (options.differences, options.vectors, options.json):
        if path and not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")
    screen = TerminalScreen(quiet=options.quiet)
    compared = _way(options)
    if options.coverage and (options.executor or vm.way() == "vng"):
        raise UsageError("--coverage takes neither --executor nor --boot vng")
    coverage = Coverage(options.coverage) if options.coverage else None
    try:
        with executor(options, screen) as machines:
            wanted = Options(
                seed=options.seed,
                count=options.count,
                only=options.only,
                kernel=options.kernel,
                replay=options.replay,
                timeout=options.timeout,
                machines=machines,
                coverage=coverage,
            )
            report = compared(wanted, screen)
    finally:
        screen.close()
    shown = gro_table(report) if isinstance(report, gro.Report) else table(report)
    say(shown)
    if report.differences:
        records.write(options.differences, report.differences)
        say(f"both answers: {options.differences}, to send again with --replay")
    if options.vectors:
        records.write(options.vectors, report.samples)
    if coverage:
        say(coverage.write(_told_of_run(options, report)))
    if options.json:
        options.json.write_text(json.dumps(report.summary(), indent=1) + "\n")
    if not report.total(EQUAL):
        raise TestBedError("conformance", "not one packet was compared; nothing can be said")
    return int(bool(report.differences))


def _way(options: argparse.Namespace) -> Callable[[Options, Progress], Report | gro.Report]:
    if options.gro and options.types:
        raise UsageError("--gro and --types are two runs")
    if options.gro:
        return gro.compare
    return types.compare if options.types else compare


def _told_of_run(options: argparse.Namespace, report: Report | gro.Report) -> dict[str, Any]:
    mode = "gro" if options.gro else "types" if options.types else "tunnels"
    only = " or ".join(options.only)
    if isinstance(report, gro.Report):
        sent = sum(map(report.total, gro.VERDICTS))
    else:
        sent = report.total()
    return {
        "mode": f"{mode}, only {only}" if only else mode,
        "seed": options.seed,
        "sent": sent,
        "different": len(report.differences),
    }


def table(report: Report) -> str:
    """Return the result for people."""
    lines = [f"{'':16}{'tried':>8}" + "".join(f"{name:>11}" for name in _COLUMNS) + "   segments"]
    for tally in report.tallies.values():
        counts = "".join(f"{tally.verdicts[name]:>11}" for name in _COLUMNS)
        lines.append(f"{tally.family:16}{tally.verdicts.total():>8}{counts}{tally.segments:>11}")
    segments = sum(tally.segments for tally in report.tallies.values())
    totals = "".join(f"{report.total(name):>11}" for name in _COLUMNS)
    lines.append(f"{'all':16}{report.total():>8}{totals}{segments:>11}")
    lines += [f"{kind}: not on this kernel: {why}" for kind, why in report.refused.items()]
    if report.types:
        counts = ", ".join(f"{name} {count}" for name, count in report.types.items())
        lines.append(f"segmented alike, by gso_type: {counts}")
    for one in report.differences[:_SHOWN]:
        lines.append(f"{one['name']}: {one['way']} differs {_told(one)}".rstrip() + _at(one))
    if len(report.differences) > _SHOWN:
        lines.append(f"and {len(report.differences) - _SHOWN} more")
    lines.append(f"{report.kernel}, seed {report.seed}")
    return "\n".join(lines)


def gro_table(report: gro.Report) -> str:
    """Return the result of comparing GRO, for people."""
    columns = (*gro.VERDICTS, "frames", "merged")
    lines = [f"{'':10}" + "".join(f"{name:>12}" for name in columns)]
    for name, tally in sorted(report.tallies.items()):
        lines.append(f"{name:10}" + "".join(f"{tally[column]:>12}" for column in columns))
    lines.append(f"{'all':10}" + "".join(f"{report.total(column):>12}" for column in columns))
    lines += [f"kept apart: {count}, {why}" for why, count in report.apart.items()]
    lines += [f"not on this kernel: ip {line}: {why}" for line, why in report.refused.items()]
    lines += [f"{one['name']}: {one['why']}{_at(one)}" for one in report.differences[:_SHOWN]]
    if len(report.differences) > _SHOWN:
        lines.append(f"and {len(report.differences) - _SHOWN} more")
    lines.append(f"{report.kernel}, seed {report.seed}")
    return "\n".join(lines)


def _at(one: dict[str, object]) -> str:
    """Return the worker whose kernel differs, if it was one's."""
    return f", at {one['host']}" if "host" in one else ""


def _told(one: dict[str, object]) -> str:
    why = str(one["refused_for"])
    if why:
        return f"(we refuse: {why})"
    return "(the kernel refuses)" if one["dropped"] else ""
