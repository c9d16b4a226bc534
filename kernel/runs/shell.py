"""A shell in the topology: in namespaces of this host, or in a VM with the kernel under test."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from gso.kernel import guest_files
from gso.kernel.errors import UsageError
from gso.kernel.guest.shell import OUTPUT, STATUS
from gso.kernel.machine import vm
from gso.kernel.machine.kept_shell import KeptMachine
from gso.kernel.runs import baseline, namespaces
from gso.kernel.runs.baseline import Asked
from gso.kernel.scenarios import Fault, Scenario, plan
from gso.kernel.trees.patches import Patch
from gso.kernel.trees.targets import Target

from gso.printable import printable_lines


def in_namespaces(scenarios: Sequence[Scenario], command: str | None) -> int:
    """Build the topology in namespaces of this host; return the exit status of the shell.

    What the host's kernel lacks is said for each scenario.
    """
    with tempfile.TemporaryDirectory(prefix="gso-kernel-") as name:
        planned = {"scenarios": plan(scenarios), "shell": {"command": command}}
        return namespaces.call(planned, Path(name), "shell")


def in_machine(
    target: Target,
    *,
    series: list[Patch],
    fault: Fault,
    variant: str,
    scenarios: Sequence[Scenario],
    command: str | None,
    timeout: float,
    shown: Sequence[Path] = (),
) -> int:
    """Boot one variant of a kernel with the topology; return the exit status of the shell.

    ``shown``: folders of this host that the machine sees, too.
    """
    if command is None and not sys.stdin.isatty():
        raise UsageError("the shell needs a terminal; --command runs a command without one")
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="gso-kernel-")))
        kept = None if command else ends.enter_context(KeptMachine(variant))
        target.prepare(baseline.chooser(series, Asked(fault.name)))
        kernel = target.build(variant, folder / "build.log")
        print(printable_lines(f"booting {target.label}, {variant}"), file=sys.stderr)
        try:
            guest = vm.boot(
                kernel,
                {"scenarios": plan(scenarios), "shell": {"command": command}},
                folder / "vm",
                timeout=timeout,
                stop=folder / "stop",
                kept=kept,
                shown=shown,
            )
        finally:
            _pass_on(folder / "vm")
        if kept and not guest["status"]:
            kept.attach()
            return _left(kept.left) if kept.left else 0
        return int(guest["status"])


def _pass_on(machine: Path) -> None:
    """Print what the command and the set-up before it said in the VM."""
    for name, sink in (("guest.log", sys.stderr), (OUTPUT, sys.stdout)):
        if os.path.lexists(machine / name):
            show(machine / name, sink)


def show(path: Path, sink: TextIO) -> None:
    """Write what a guest said, safe for a terminal; into a file or pipe goes all of it."""
    for piece in guest_files.pieces(path):
        sink.write(f"{printable_lines(piece)}\n" if sink.isatty() else piece)


def _left(folder: Path) -> int:
    """Return the status that the user left the shell with; none when the machine was ended."""
    status = folder / STATUS
    return int(guest_files.read(status, 20)) if os.path.lexists(status) else 0
