"""The command ``gso-kernel``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Collection, Sequence
from importlib import import_module
from types import FrameType

from gso.kernel.errors import FULL, TestBedError, UsageError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.processes import SEARCH_PATH

from gso.commands.streams import NO_OUTPUT, complain, discard_output, fill_closed, words
from gso.commands.unforeseen import unforeseen
from gso.commands.usage import Parser, version

COMMANDS = {
    "verify": "say whether a patch fixes the fault",
    "check": "say whether this host's kernel has one of the known faults",
    "hunt": "look for unknown faults, in random stacks of tunnels",
    "zoo": "verify the fix of each known fault, on each kernel",
    "build": "build what verify would boot, and say where it is",
    "bisect": "find the commit that broke a scenario, or that fixed it",
    "bisect-step": None,  # for git bisect run
    "cache": "show or clear what was downloaded and built",
    "shell": "look around in the topology by hand",
    "doctor": "say what is missing on this machine and how to get it",
    "list": "show the patches, faults, scenarios and traffic",
    "report": "make the report of a run again, from its results folder",
    "compare": "say what differs between two runs",
    "trace": "record a log of packets in a VM, for gso diagnose",
    "conformance": "compare gso.segment or gso.coalesce with a real kernel, on random packets",
}
_INTERRUPTED = 130
_BROKEN_PIPE = 141

_EXAMPLES = """\
examples:
  gso-kernel doctor --install
  gso-kernel check
  gso-kernel hunt --kernel 6.12 --seed 7 --for 30m
  gso-kernel verify patches/ipvs-gue-inner-mac-header.patch
  gso-kernel verify --kernel 6.1 my.patch --json result.json
  gso-kernel verify --source ~/linux my.patch
  gso-kernel verify --only vxlan --only 'gue-outer6-*' --except '*-csum' my.patch
  gso-kernel shell --unpatched --command 'send; ip netns exec director ipvsadm -Ln'
  gso-kernel shell --topology --only vxlan
  gso-kernel verify --applications my.patch
  gso-kernel verify --shard 2/8 my.patch --results part2
  gso-kernel report --merge part1 part2 part3 part4 part5 part6 part7 part8
  gso-kernel compare results/20261123-142501-my results/20261124-093047-my
  gso-kernel trace --unpatched -o pwru.log && gso diagnose pwru.log
  gso-kernel conformance --seed 7 --count 5000
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--bisect" not in arguments:
        return _status(arguments)
    try:
        status = _status(arguments)
    except SystemExit as refused:  # the parser's
        status = refused.code if isinstance(refused.code, int) else UsageError.exit_status
    # git bisect takes the status of wrong usage for a bad commit.
    return TestBedError.exit_status if status == UsageError.exit_status else status


def _status(arguments: Sequence[str]) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _interrupt)
    os.environ["PATH"] = SEARCH_PATH
    fill_closed()
    try:
        return _run(arguments)
    except UsageError as error:
        complain(f"gso-kernel: {error}")
        return error.exit_status
    except TestBedError as error:
        complain(f"gso-kernel: {error}\n{error.log_tail}".rstrip())
        return error.exit_status
    except BrokenPipeError:
        # The reader of our output (head, say) has seen enough.
        discard_output()
        return _BROKEN_PIPE
    except KeyboardInterrupt:
        complain("gso-kernel: interrupted; nothing is left running")
        return _INTERRUPTED
    except Exception as error:
        # Whatever this is, it says nothing of the patch; 1 would say "not fixed".
        discard_output()
        complain(f"gso-kernel: {_said(error)}")
        return TestBedError.exit_status


def _run(arguments: Sequence[str]) -> int:
    if sys.stdout is None:
        raise UsageError(NO_OUTPUT)
    try:
        options = parser(arguments).parse_args(arguments)
        status: int = options.run(options)
    finally:  # --help and --version end by SystemExit
        sys.stdout.flush()
    return status


def _said(error: Exception) -> str:
    """Return what an error is about; it is ours unless a guest or the host's disk caused it."""
    if isinstance(error, GuestFileError):
        return str(error)
    if isinstance(error, OSError) and error.errno in FULL:
        return words(error)
    return unforeseen(error)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def parser(arguments: Collection[str]) -> argparse.ArgumentParser:
    """Return the parser of these arguments; no other command's module is imported."""
    program = Parser(
        prog="gso-kernel",
        description="Boot kernels without and with a patch, send real traffic, judge the patch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    program.add_argument("--version", action="version", version=f"gso-kernel {version()}")
    commands = program.add_subparsers(required=True, metavar="COMMAND")
    for name, purpose in COMMANDS.items():
        # Without a purpose it is not listed.
        command = commands.add_parser(name, help=purpose) if purpose else commands.add_parser(name)
        if name in arguments:
            import_module(f"gso.kernel.commands.{name.replace('-', '_')}").add(command)
    return program
