"""The command ``gso-kernel``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from gso.kernel.commands import bisect as command_bisect
from gso.kernel.commands import cache as command_cache
from gso.kernel.commands import conformance as conformance_command
from gso.kernel.commands import doctor as command_doctor
from gso.kernel.commands import list as command_list
from gso.kernel.commands import report as report_commands
from gso.kernel.commands import shell as command_shell
from gso.kernel.commands import trace as command_trace
from gso.kernel.commands import verify as command_verify
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.judging.verdict import Verdict
from gso.kernel.runs import doctor

from gso.commands.common import version

_USAGE = 2
_INTERRUPTED = 130

_EXAMPLES = """\
examples:
  gso-kernel doctor --install
  gso-kernel verify patches/ipvs-gue-inner-mac-header.patch
  gso-kernel verify --kernel 6.1 my.patch --json result.json
  gso-kernel verify --source ~/linux my.patch
  gso-kernel verify --only vxlan --only 'gue-outer6-*' --except '*-csum' my.patch
  gso-kernel shell --unpatched --command 'send; ip netns exec director ipvsadm -Ln'
  gso-kernel shell --topology --only vxlan
  gso-kernel verify --applications my.patch
  gso-kernel compare results/20261123-142501-my results/20261124-093047-my
  gso-kernel trace --unpatched -o pwru.log && gso diagnose pwru.log
  gso-kernel conformance --seed 7 --count 5000
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    # Administrators' tools (ipvsadm, modprobe) are in sbin, which is not on every user's path.
    os.environ["PATH"] = doctor.SEARCH_PATH
    try:
        status: int = options.run(options)
    except UsageError as error:
        print(f"gso-kernel: {error}", file=sys.stderr)
        return _USAGE
    except TestBedError as error:
        print(f"gso-kernel: {error}\n{error.log_tail()}", file=sys.stderr)
        return Verdict.INCONCLUSIVE.exit_status
    except BrokenPipeError:
        # The reader of our output (head, say) has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("gso-kernel: interrupted; nothing is left running", file=sys.stderr)
        return _INTERRUPTED
    return status


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gso-kernel",
        description="Boot kernels without and with a patch, send real traffic, judge the patch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gso-kernel {version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        command_verify.add,
        command_bisect.add,
        command_cache.add,
        command_shell.add,
        command_doctor.add,
        command_list.add,
        report_commands.add,
        command_trace.add,
        conformance_command.add,
    ):
        add(commands)
    return parser
