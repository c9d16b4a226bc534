"""Exit statuses, options and help that the subcommands of ``gso`` share."""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TextIO

from gso.commands.files import is_same, replacing
from gso.commands.streams import complain, standard_input
from gso.commands.usage import UsageError
from gso.compressed import DamagedError, compressing
from gso.headers.tunnels import BY_NAME, known_ports
from gso.rewriting.found_tunnels import find_tunnels
from gso.versions import KERNELS, REFERENCE

_TUNNELS = ("none", *BY_NAME)
AUTO = (0, "auto")
"""What --tunnel-port auto is read as."""


def add_input(command: argparse.ArgumentParser) -> None:
    """Add the argument for the capture to read."""
    command.add_argument("input", metavar="IN", help="pcap or pcapng file, or - for a pipe")


def add_kernel(command: argparse.ArgumentParser) -> None:
    """Add the option for the kernel that is followed."""
    command.add_argument(
        "--kernel",
        choices=list(KERNELS),
        default=REFERENCE,
        help="the Linux kernel to do as, where they differ (default: %(default)s)",
    )


def add_common(command: argparse.ArgumentParser) -> None:
    """Add the options of every subcommand that reads a capture."""
    command.add_argument(
        "--tunnel-port",
        metavar="PORT=TUNNEL",
        action="append",
        type=_tunnel_port,
        default=[],
        help=f"what a UDP destination port carries: {', '.join(_TUNNELS)}; fou:47 for a FOU port "
        f"that carries IP protocol 47; auto: what all packets to a port agree on, for which the "
        f"capture is read twice. Known without this: {known_ports()}. May be given several times",
    )
    command.add_argument("--json", action="store_true", help="report as JSON")


def tunnel_ports(options: argparse.Namespace) -> dict[int, Any]:
    """The mapping of ``--tunnel-port``, with the tunnels that ``auto`` finds in the input."""
    told = dict(one for one in options.tunnel_port if one != AUTO)
    if AUTO not in options.tunnel_port:
        return told
    if options.input == "-" or not Path(options.input).is_file():
        raise UsageError(
            f"{options.input}: --tunnel-port auto reads the capture twice, which takes a file"
        )
    found = find_tunnels(options.input, told).agreed
    for port, name in found.items():
        complain(f"gso: found --tunnel-port {port}={name}")
    return told | dict(_tunnel_port(f"{port}={name}") for port, name in found.items())


def write_json(command: str, facts: dict[str, Any], file: TextIO | None = None) -> None:
    """Write what a command reports as ``COMMAND.schema.json`` describes it."""
    import json  # noqa: PLC0415  (only --json needs it)

    file = file or sys.stdout
    json.dump({"schema": f"gso.{command}/1", **facts}, file, indent=2)
    file.write("\n")


def _tunnel_port(text: str) -> tuple[int, str | tuple[str, int]]:
    if text == "auto":
        return AUTO
    port, _, kind = text.partition("=")
    name, _, protocol = kind.partition(":")
    if not port.isdecimal() or not 0 < int(port) < 1 << 16 or name not in _TUNNELS:
        _refuse(f"{text!r} is not PORT=TUNNEL, such as 5501=gue ({', '.join(_TUNNELS)})")
    if not protocol:
        return int(port), name
    if name != "fou" or not protocol.isdecimal() or not 0 < int(protocol) < 256:
        _refuse(f"{text!r}: only fou takes an IP protocol, 1 to 255, such as 5557=fou:47")
    return int(port), (name, int(protocol))


def _refuse(message: str) -> NoReturn:
    raise argparse.ArgumentTypeError(message)


def positive(text: str) -> int:
    """Read an option's value that is a number from 1 on."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        _refuse(f"{text!r} is not a number from 1 to {(1 << 31) - 1}")
    return int(text)


def open_source(name: str) -> str | io.FileIO:
    """The input of this name, or standard input for ``-``."""
    if name != "-":
        return name
    source = standard_input("capture")
    if source.isatty():
        raise UsageError("the capture is to come from standard input, but that is a terminal")
    return io.FileIO(source.fileno(), closefd=False)


@contextlib.contextmanager
def open_target(name: str, source: str) -> Iterator[Any]:
    """The file to write, compressed if its name says so; see :func:`open_plain`."""
    with open_plain(name, source) as file, _compressing(name, file) as target:
        yield target


@contextlib.contextmanager
def open_plain(name: str, source: str) -> Iterator[Any]:
    """The file to write. Unless it is a pipe or device, it gets its name when it is complete."""
    if name == "-":
        if sys.stdout.isatty():
            raise UsageError("a capture is binary: write it to a file or a pipe, not a terminal")
        yield io.FileIO(sys.stdout.fileno(), "w", closefd=False)
        return
    if source != "-" and is_same(name, source):
        raise UsageError(f"{name}: IN and OUT are the same file, choose another name for OUT")
    with replacing(name) as file:
        yield file


@contextlib.contextmanager
def _compressing(name: str, file: Any) -> Iterator[Any]:
    try:
        with compressing(name, file) as target:
            yield target
    except DamagedError as error:
        raise UsageError(f"{name}: {error}") from None


@contextlib.contextmanager
def show_progress(name: str) -> Iterator[Callable[[int], None] | None]:
    """A function that shows how many bytes have been read; None without a terminal."""
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
