"""What the subcommands of ``gso`` share: statuses, options, help."""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from typing import NoReturn

from gso.constants import Tunnel

FINE, FINDINGS, UNUSABLE = 0, 1, 2

_TUNNELS = {
    "gue": Tunnel.GUE,
    "fou": Tunnel.FOU,
    "vxlan": Tunnel.VXLAN,
    "vxlan-gpe": Tunnel.VXLAN_GPE,
    "geneve": Tunnel.GENEVE,
    "none": Tunnel.NONE,
}

EXAMPLES = """\
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


class UsageError(Exception):
    """What is wrong with the usage or the input, and what to do next."""


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, examples as they are written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(100, terminal_width()))


def terminal_width() -> int:
    """Columns of the terminal; 100 if there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def add_common(command: argparse.ArgumentParser) -> None:
    """Options that every subcommand has."""
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


def positive(text: str) -> int:
    """An option's value that counts something."""
    if not text.isdecimal() or not 0 < int(text) < 1 << 31:
        _refuse(f"{text!r} is not a number from 1 to {(1 << 31) - 1}")
    return int(text)


def open_source(name: str) -> str | io.FileIO:
    """The input of this name, or standard input for ``-``."""
    if name != "-":
        return name
    if sys.stdin.isatty():
        raise UsageError("the capture is to come from standard input, but that is a terminal")
    return io.FileIO(sys.stdin.fileno(), closefd=False)


def plural(count: int, word: str) -> str:
    """``1 packet``, ``2 packets``."""
    return f"{count} {word}{'' if count == 1 else 's'}"
