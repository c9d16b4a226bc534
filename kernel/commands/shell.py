"""``gso-kernel shell``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gso.kernel.bootable import PATCHED, UNPATCHED
from gso.kernel.commands.common import add_boot, add_selection, add_trust, find_patch, seconds
from gso.kernel.runs import shell
from gso.kernel.scenarios import DEFAULT_FAULT, named, select
from gso.kernel.trees.build import SourceTree
from gso.kernel.trees.patches import Patch
from gso.kernel.trees.targets import DebianTarget, TreeTarget


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.description = (
        "Set up client, director and worker with their tunnels, in a VM or in "
        "namespaces of this host, and run commands there; the command send sends traffic. "
        "Exit status: that of the shell; 125 when the topology cannot be had."
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--topology",
        action="store_true",
        help="no VM: in namespaces of this host, as far as its kernel has what is needed",
    )
    where.add_argument("--kernel", metavar="VERSION", help="Debian kernel (default: newest)")
    where.add_argument("--source", type=Path, metavar="DIR", help="kernel tree, built small")
    variant = command.add_mutually_exclusive_group()
    variant.add_argument(
        "--unpatched", action="store_true", help="the kernel with the fault (the default)"
    )
    variant.add_argument(
        "--patched", action="append", default=[], type=Path, metavar="PATCH", help="with this patch"
    )
    command.add_argument(
        "--fault", metavar="NAME", help="the fault of the unpatched kernel; see list"
    )
    add_selection(command)
    command.add_argument(
        "--command", metavar="COMMAND", help="run this and end; no terminal needed"
    )
    add_boot(command)
    command.add_argument(
        "--timeout",
        type=seconds,
        default=300.0,
        metavar="SECONDS",
        help="longest time for --command in a VM, boot included (default: 300)",
    )
    command.add_argument(
        "--show",
        action="append",
        default=[],
        type=_folder,
        metavar="DIR",
        help="a folder of this host that the VM sees at the same place, and cannot change; it sees "
        "none but those of programs otherwise (may be repeated)",
    )
    add_trust(command)
    command.set_defaults(run=_shell)


def _folder(text: str) -> Path:
    folder = Path(text).resolve()
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a folder")
    return folder


def _shell(options: argparse.Namespace) -> int:
    fault = named(options.fault) if options.fault else DEFAULT_FAULT
    scenarios = select(options.only or fault.scenarios, options.without, fault.roles)
    if options.topology:
        return shell.in_namespaces(scenarios, options.command)
    patches = options.patched or [fault.patch_path]
    return shell.in_machine(
        TreeTarget(SourceTree(options.source)) if options.source else DebianTarget(options.kernel),
        series=[Patch.read(find_patch(path)) for path in patches],
        fault=fault,
        variant=PATCHED if options.patched else UNPATCHED,
        scenarios=scenarios,
        command=options.command,
        timeout=options.timeout,
        shown=options.show,
    )
