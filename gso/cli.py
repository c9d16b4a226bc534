"""The ``gso`` command."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from gso.capture import Reader
from gso.constants import Tunnel
from gso.diagnose_cli import add_commands
from gso.drawing import describe, draw, faults, printable
from gso.errors import GsoError
from gso.rewrite import Summary, segment_capture

FINE, FINDINGS, UNUSABLE = 0, 1, 2
_INTERRUPTED = 130
_BROKEN_PIPE = 141
_MOST_FLOWS = 20

_TUNNELS = {
    "gue": Tunnel.GUE,
    "fou": Tunnel.FOU,
    "vxlan": Tunnel.VXLAN,
    "vxlan-gpe": Tunnel.VXLAN_GPE,
    "geneve": Tunnel.GENEVE,
    "none": Tunnel.NONE,
}
_COLOURS = {"title": "1", "right": "32", "wrong": "1;31", "note": "33"}

_EXAMPLES = """\
examples:
  gso segment host.pcapng wire.pcapng --gso-size 1448
  tcpdump -w - -i eth0 | gso segment - - --gso-size 1448 | tshark -r -
  gso segment host.pcap wire.pcap             segment sizes from the TCP handshakes
  gso explain host.pcapng -n 7 --tunnel-port 5501=gue
  gso validate host.pcapng --mtu 1500
  gso diagnose pwru.log.gz                    which header offset is wrong, and who left it so

exit status:
  0  all is well
  1  something was found: see the report
  2  wrong usage, or an input that cannot be used
"""


class _UsageError(Exception):
    """What is wrong with the usage or the input, and what to do next."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except _UsageError as complaint:
        return _complain(str(complaint))
    except GsoError as error:
        return _complain(str(error))
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be flushed into that pipe again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except OSError as error:
        return _complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _INTERRUPTED
    return status


def _complain(message: str) -> int:
    sys.stderr.write(f"gso: {printable(message)}\n")
    return UNUSABLE


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(100, _width()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gso",
        description="Segment, explain and judge packets as the Linux kernel does.",
        epilog=_EXAMPLES,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"gso {_version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_segment, _add_explain):
        add(commands)
    add_commands(commands, _common, _Formatter)
    return parser


def _version() -> str:
    try:
        return metadata.version("pygso")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--tunnel-port",
        metavar="PORT=TUNNEL",
        action="append",
        type=_tunnel_port,
        default=[],
        help="UDP destination port of a tunnel: gue, fou, vxlan, vxlan-gpe, geneve or none; "
        "fou:47 for a FOU port that carries IP protocol 47. Known without: 4789 vxlan, "
        "4790 vxlan-gpe, 6080 gue, 6081 geneve. May be given several times",
    )
    command.add_argument("--json", action="store_true", help="report as JSON")


def _tunnel_port(text: str) -> tuple[int, Tunnel | tuple[Tunnel, int]]:
    port, _, kind = text.partition("=")
    name, _, protocol = kind.partition(":")
    if not port.isdecimal() or not 0 < int(port) < 1 << 16 or name not in _TUNNELS:
        _refuse(f"{text!r} is not PORT=TUNNEL, such as 5501=gue ({', '.join(_TUNNELS)})")
    if not protocol:
        return int(port), _TUNNELS[name]
    if name != "fou" or not protocol.isdecimal() or not 0 < int(protocol) < 256:
        _refuse(f"{text!r}: only fou takes an IP protocol, 1 to 255, such as 5557=fou:47")
    return int(port), (Tunnel.FOU, int(protocol))


def _refuse(message: str) -> NoReturn:
    raise argparse.ArgumentTypeError(message)


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        _refuse(f"{text!r} is not a number from 1 to {(1 << 31) - 1}")
    return int(text)


def _source(name: str) -> str | io.FileIO:
    if name != "-":
        return name
    if sys.stdin.isatty():
        raise _UsageError("the capture is to come from standard input, but that is a terminal")
    return io.FileIO(sys.stdin.fileno(), closefd=False)


# --- gso segment -------------------------------------------------------------------------------

_SEGMENT = """\
Copy a capture with its super-packets (of TSO, GSO, GRO or UDP GSO) segmented, so that it holds what
the wire carried: packets that can be sent, with right lengths and checksums. Everything else stays
as it is: other packets, timestamps, comments, interfaces, link types and the format. Checksums that
a network device was to complete are completed.

Without --gso-size, TCP segment sizes come from each connection's handshake in the capture: the
smaller MSS of the two SYNs, less the TCP options of the packet (12 bytes for timestamps). UDP and
connections without a handshake then stay as they are.
"""


def _add_segment(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "segment",
        help="turn super-packets in a capture into the packets of the wire",
        description=_SEGMENT,
        epilog=_EXAMPLES,
        formatter_class=_Formatter,
    )
    command.add_argument("input", metavar="IN", help="pcap or pcapng file, or - for a pipe")
    command.add_argument("output", metavar="OUT", help="file to write, or - for a pipe")
    command.add_argument(
        "--gso-size",
        metavar="N",
        type=_count,
        help="payload bytes per segment, headers not counted (1448 for TCP with timestamps and "
        "an MTU of 1500)",
    )
    command.add_argument(
        "--keep-udp", action="store_true", help="apply --gso-size to TCP only, not to UDP"
    )
    _common(command)
    command.set_defaults(run=_segment)


def _segment(options: argparse.Namespace) -> int:
    source = _source(options.input)
    with _target(options.output, options.input) as target, _progress(options.input) as progress:
        summary = segment_capture(
            source,
            target,
            options.gso_size,
            tunnel_ports=dict(options.tunnel_port),
            udp=not options.keep_udp,
            progress=progress,
        )
    report = sys.stderr if options.output == "-" else sys.stdout
    if options.json:
        json.dump(_as_json(summary), report, indent=2)
        report.write("\n")
    else:
        report.writelines(f"{line}\n" for line in _report(summary, options.gso_size))
    return FINE if summary.fine else FINDINGS


@contextlib.contextmanager
def _target(name: str, source: str) -> Iterator[Any]:
    """The file to write: under another name until it is complete, unless it is a pipe or device."""
    if name == "-":
        if sys.stdout.isatty():
            raise _UsageError("a capture is binary: write it to a file or a pipe, not a terminal")
        yield io.FileIO(sys.stdout.fileno(), "w", closefd=False)
        return
    path = Path(name)
    if source != "-" and path.exists() and path.samefile(source):
        raise _UsageError(f"{name}: IN and OUT are the same file, choose another name for OUT")
    if path.exists() and not path.is_file():
        with path.open("wb", buffering=0) as file:
            yield file
        return
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with io.FileIO(handle, "w") as file:
            yield file
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _progress(name: str) -> Iterator[Callable[[int], None] | None]:
    """Shows how far a long run has come, if somebody is watching."""
    if not sys.stderr.isatty():
        yield None
        return
    size = Path(name).stat().st_size if name != "-" else 0
    start = shown = time.monotonic()

    def progress(position: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < 0.2:
            return
        shown = now
        part = f"{100 * position / size:3.0f} % of " if size else ""
        total = f"{size / 1e6:.0f}" if size else f"{position / 1e6:.0f}"
        rate = position / (now - start) / 1e6
        sys.stderr.write(f"\r{part}{total} MB, {rate:.0f} MB/s \033[K")
        sys.stderr.flush()

    try:
        yield progress
    finally:
        if shown != start:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _report(summary: Summary, gso_size: int | None) -> Iterator[str]:
    yield f"{_plural(summary.packets, 'packet')} read, {summary.written} written"
    size = f" of up to {gso_size} bytes of payload" if gso_size else ""
    yield (
        f"  {_plural(summary.segmented, 'super-packet')} became "
        f"{_plural(summary.segments, 'segment')}{size}"
    )
    yield f"  {_plural(summary.completed, 'packet')} had the checksum completed"
    yield f"  {_plural(summary.unchanged, 'packet')} unchanged"
    for flow in summary.flows[:_MOST_FLOWS]:
        yield f"flow {flow.name}: {flow.source()}"
        if flow.packets:
            sizes = " or ".join(map(str, sorted(flow.gso_sizes)))
            yield (
                f"  {_plural(flow.packets, 'super-packet')} became "
                f"{_plural(flow.segments, 'segment')} of {sizes} bytes of payload"
            )
        if flow.skipped:
            yield (
                f"  {_plural(flow.skipped, 'super-packet')} of up to {flow.longest} bytes of "
                "payload left unchanged: say --gso-size N"
            )
    if len(summary.flows) > _MOST_FLOWS:
        yield f"and {_plural(len(summary.flows) - _MOST_FLOWS, 'flow')} more: see --json"
    for note in summary.notes.values():
        numbers = ", ".join(map(str, note.packets)) + ("..." * (note.count > len(note.packets)))
        count = _plural(note.count, "super-packet")
        yield f"{count} left unchanged (number {numbers}): {note.reason}"
    if summary.truncated:
        yield f"the input is cut off: {summary.truncated}"


def _as_json(summary: Summary) -> dict[str, Any]:
    return {
        "packets": summary.packets,
        "written": summary.written,
        "segmented": summary.segmented,
        "segments": summary.segments,
        "completed": summary.completed,
        "unchanged": summary.unchanged,
        "truncated": summary.truncated,
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
        "notes": [
            {"reason": note.reason, "count": note.count, "packets": note.packets}
            for note in summary.notes.values()
        ],
    }


# --- gso explain -------------------------------------------------------------------------------


def _add_explain(commands: Any) -> None:
    command: argparse.ArgumentParser = commands.add_parser(
        "explain",
        help="draw one packet of a capture: headers, offsets, values, checksums",
        description="Draw one packet of a capture: every header and field with its offset and "
        "value, the kernel's header offsets, and whether lengths and checksums are right "
        "(exit status 1 if one is wrong).",
        epilog=_EXAMPLES,
        formatter_class=_Formatter,
    )
    command.add_argument("input", metavar="IN", help="pcap or pcapng file, or - for a pipe")
    command.add_argument(
        "-n",
        "--number",
        metavar="PACKET",
        type=_count,
        default=1,
        help="which packet, counted from 1 as Wireshark does (default 1)",
    )
    _common(command)
    command.set_defaults(run=_explain)


def _explain(options: argparse.Namespace) -> int:
    ports = dict(options.tunnel_port)
    seen = 0
    with Reader(_source(options.input)) as reader:
        for batch in reader:
            if seen + len(batch) >= options.number:
                index = options.number - seen - 1
                description = describe(batch, index, options.number, ports)
                _show(description, as_json=options.json)
                return FINDINGS if faults(description) else FINE
            seen += len(batch)
    cut = f" ({reader.truncated})" if reader.truncated else ""
    raise _UsageError(
        f"{options.input}: there is no packet {options.number}, "
        f"the capture has {_plural(seen, 'packet')}{cut}"
    )


def _show(description: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        json.dump(description, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def style(text: str, kind: str) -> str:
        return f"\033[{_COLOURS[kind]}m{text}\033[0m" if coloured else text

    for line in draw(description, style, _width()):
        sys.stdout.write(f"{line}\n")
