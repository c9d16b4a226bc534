"""``gso-kernel build``."""

from __future__ import annotations

import argparse
from pathlib import Path

from gso.kernel.commands.common import add_kernels, find_patch, kernel_options
from gso.kernel.commands.saying import say
from gso.kernel.paths import cache_folder
from gso.kernel.report.terminal import TerminalScreen
from gso.kernel.runs.verify import Options, build


def add(command: argparse.ArgumentParser) -> None:
    """Describe the subcommand."""
    command.add_argument("patches", nargs="*", type=Path, metavar="PATCH", help="as in verify")
    add_kernels(command)
    command.add_argument("--quiet", action="store_true", help="no progress, only the result")
    command.set_defaults(run=_build)


def _build(options: argparse.Namespace) -> int:
    wanted = Options(
        patches=[find_patch(path) for path in options.patches],
        results=Path(),
        **kernel_options(options),
    )
    screen = TerminalScreen(quiet=options.quiet)
    folder = cache_folder() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    for name, variant, kernel in build(wanted, folder, screen):
        say(" ".join(map(str, (f"{name} {variant}: {kernel.image}", *kernel.modules))))
    return 0
