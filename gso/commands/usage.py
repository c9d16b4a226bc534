"""The words that ``gso`` and its subcommands share: exit statuses, help, the version.

It imports little: ``gso --help`` shows this alone.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from typing import Any

from gso.printable import plural

__all__ = [
    "EXAMPLES",
    "FINDINGS",
    "FINE",
    "UNUSABLE",
    "Formatter",
    "Parser",
    "UsageError",
    "plural",
    "terminal_width",
    "version",
]

FINE, FINDINGS, UNUSABLE = 0, 1, 2

EXAMPLES = """\
examples:
  gso segment host.pcapng wire.pcapng --gso-size 1448
  tcpdump -w - -i eth0 | gso segment - - --gso-size 1448 | tshark -r -
  gso segment host.pcap wire.pcap             segment sizes from the TCP handshakes
  gso coalesce wire.pcapng host.pcapng        what GRO would make of it
  gso info host.pcapng                        flows, tunnels, super-packets
  gso explain host.pcapng -n 7 --tunnel-port 5501=gue
  gso validate host.pcapng --mtu 1500
  gso diagnose pwru.log.gz                    which header offset is wrong, and who left it so
  gso watch --seconds 60                      the same of this host's own packets

exit status:
  0  all is well
  1  something was found: see the report
  2  wrong usage, or an input that cannot be used
"""


class UsageError(Exception):
    """Wrong usage or input; the message says what to do next, too."""


class Parser(argparse.ArgumentParser):
    """A parser whose --help fails where it cannot be written; argparse would say nothing."""

    def print_help(self, file: Any = None) -> None:
        """Write the help."""
        (file or sys.stdout).write(self.format_help())


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal, examples as they are written."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=min(100, terminal_width()))


def terminal_width() -> int:
    """Columns of the terminal; 100 if there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def version() -> str:
    """The version of the package that is installed."""
    # This import takes as long as all others here.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version("pygso")
    except metadata.PackageNotFoundError:
        return "(not installed)"
