"""The words that ``gso`` and its subcommands share: exit statuses, help, the version.

It imports little: ``gso --help`` shows this alone.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from gso.printable import plural

__all__ = [
    "EXAMPLES",
    "FINDINGS",
    "FINE",
    "NO_PACKETS",
    "UNUSABLE",
    "Formatter",
    "Parser",
    "UsageError",
    "exit_status",
    "plural",
    "terminal_width",
    "version",
]

FINE, FINDINGS, UNUSABLE = 0, 1, 2
NO_PACKETS = "the capture has no packets"

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
  2  wrong usage, an input that cannot be used, or nothing that could be looked into
"""


def exit_status(
    *, looked_into: int, wrong: bool, truncated: str | None, damage: str | None = None
) -> int:
    """The exit status of a command that has read a capture; the one rule for all of them.

    Args:
        looked_into: packets that could be looked into; without any, nothing can be said.
        wrong: whether something was found, or left undone.
        truncated: what the end of the file lacks, or None.
        damage: where the file is damaged, which ended it, or None.
    """
    if damage or not looked_into:
        return UNUSABLE
    return FINDINGS if wrong or truncated else FINE


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
    """Columns of the terminal, or what ``COLUMNS`` says; 100 if there is none."""
    # As shutil.get_terminal_size, whose module is a tenth of what a command loads of Python's.
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(1).columns or 100
    except OSError:
        return 100


def version() -> str:
    """The version of the package that is installed."""
    # This import takes as long as all others here.
    from importlib import metadata  # noqa: PLC0415

    try:
        return metadata.version("pygso")
    except metadata.PackageNotFoundError:
        return "(not installed)"
