"""Options, and types of their values, that subcommands of ``gso-kernel`` share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gso.kernel.errors import UsageError
from gso.kernel.judging.parts import WHOLE, Part
from gso.kernel.machine import vm
from gso.kernel.paths import patches_folder
from gso.kernel.progress import Progress
from gso.kernel.runs.baseline import Asked
from gso.kernel.sandbox import TRUST

from gso import cluster


def add_selection(command: argparse.ArgumentParser) -> None:
    """Add the options that say which scenarios."""
    add_words(
        command,
        "NAME|GLOB|GROUP",
        "run these scenarios, of all that there are (default: group default); may be repeated; "
        "see list",
        "leave these scenarios out; may be repeated; see list",
    )


def add_words(command: argparse.ArgumentParser, metavar: str, only: str, without: str) -> None:
    """Add ``--only`` and ``--except``, which collect words, with the help of each."""
    for option, destination, text in (("--only", "only", only), ("--except", "without", without)):
        command.add_argument(
            option, dest=destination, action="append", default=[], metavar=metavar, help=text
        )


class _Trust(argparse.Action):
    """Trusts the patch, in this process and in those that it starts."""

    def __call__(self, *_: object) -> None:
        os.environ[TRUST] = "1"


def add_trust(command: argparse.ArgumentParser) -> None:
    """Add the option that builds a patch without a sandbox."""
    command.add_argument(
        "--trust-patch",
        action=_Trust,
        nargs=0,
        help="where this host has no sandbox: build a patch all the same that touches makefiles, "
        "Kconfig files or scripts, though what they say runs on this host",
    )


class _Boot(argparse.Action):
    """Chooses how machines boot, in this process and in those that it starts."""

    def __call__(
        self, _parser: object, _options: object, way: object, _name: object = None
    ) -> None:
        os.environ[vm.WAY] = str(way)


def add_boot(command: argparse.ArgumentParser) -> None:
    """Add the option that says who makes the machine."""
    command.add_argument(
        "--boot",
        action=_Boot,
        choices=vm.WAYS,
        default=argparse.SUPPRESS,
        help="who chooses QEMU's options, the initramfs and the first process: the test bed (qemu, "
        "the default), or virtme-ng (vng)",
    )


def add_kernels(command: argparse.ArgumentParser) -> None:
    """Add the options that say which kernels."""
    add_trust(command)
    kernels = command.add_argument_group("kernels", "several make one run with one report")
    kernels.add_argument(
        "--kernel",
        action="append",
        default=[],
        metavar="VERSION",
        help="Debian kernel, such as 6.1 (default: newest); may be given several times",
    )
    kernels.add_argument(
        "--source",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="kernel tree, dirty or clean, built small; may be given several times",
    )
    kernels.add_argument(
        "--commit",
        metavar="REV",
        help="that commit of the --source repository; without PATCH it is itself the patch",
    )
    kernels.add_argument(
        "--range",
        metavar="A..B",
        help="each commit of the --source repository in this range as the patch, in order",
    )
    kernels.add_argument(
        "--image",
        nargs=2,
        default=[],
        type=Path,
        metavar=("UNPATCHED", "PATCHED"),
        help="two bzImages built elsewhere, compared as they are, without PATCH",
    )
    for side in ("before", "after"):
        kernels.add_argument(
            f"--{side}",
            metavar="VERSION",
            help=f"Debian kernel {side} the fix; both are compared as they are, without PATCH",
        )
    kernels.add_argument(
        "--modules",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="lib/modules/RELEASE of the images: once for both, or twice",
    )
    kernels.add_argument(
        "--config",
        action="append",
        default=[],
        metavar="FRAGMENT",
        help="configuration of --source kernels beside the standard one: a file, leaks (kmemleak) "
        "or locks (lockdep)",
    )
    kernels.add_argument(
        "--as-is",
        action="store_true",
        help="compare with the tree as it is, even where it has the fix of the fault",
    )
    kernels.add_argument(
        "--fault",
        metavar="NAME",
        help="the fault that the patch is about (default: the one whose functions it changes)",
    )


def asked(options: argparse.Namespace) -> Asked:
    """Return what the options say of the comparison."""
    given = vars(options)
    words = {name: given.get(name, ()) for name in ("claims", "only", "without")}
    return Asked(options.fault, options.as_is, **words)


def add_results(command: argparse.ArgumentParser) -> None:
    """Add where the evidence goes."""
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder for the evidence of all runs (default: results)",
    )


def add_shard(command: argparse.ArgumentParser, what: str) -> None:
    """Add the option for a part of the work, such as of the kernels."""
    command.add_argument(
        "--shard",
        type=_part,
        default=WHOLE,
        metavar="I/N",
        help=f"only the I-th of N parts of {what}, for N hosts at once; report --merge puts "
        "their results folders together",
    )


def add_reuse(command: argparse.ArgumentParser) -> None:
    """Add the option that takes boots of earlier runs."""
    command.add_argument(
        "--reuse",
        nargs="?",
        const="",
        metavar="DIR",
        help="boot nothing again that an earlier run with results in DIR (default: --results) has "
        "booted with the same kernel, modules, scenarios, tools and edition of this program",
    )


def reused(options: argparse.Namespace) -> Path | None:
    """Return the folder that :func:`add_reuse` names."""
    if options.reuse is None:
        return None
    folder = Path(options.reuse) if options.reuse else options.results
    if options.reuse and not folder.is_dir():
        raise UsageError(f"--reuse takes a folder with results, and {folder} is none")
    return folder if folder.is_dir() else None


def add_executor(command: argparse.ArgumentParser) -> None:
    """Add the option for a cluster that boots machines."""
    cluster.add_option(command, "boot the machines at the workers of a cluster of Dask")


@contextmanager
def executor(options: argparse.Namespace, progress: Progress) -> Iterator[Executor | None]:
    """Connect to the cluster of :func:`add_executor`; ``None``: this machine."""
    if options.executor is None:
        yield None
        return
    from gso.kernel.fleet.machines import machines  # noqa: PLC0415  (an extra)

    with machines(options.executor, progress.note) as found:
        yield found


def _part(words: str) -> Part:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", words, re.ASCII)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise argparse.ArgumentTypeError(f"{words!r} is not I/N with I from 1 to N")
    return Part(int(match[1]), int(match[2]))


def kernel_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the options of :func:`add_kernels` say, as ``runs.verify.Options`` names it."""
    return {
        "kernels": options.kernel,
        "sources": options.source,
        "asked": asked(options),
        "commit": options.commit,
        "range": options.range,
        "images": options.image,
        "modules": options.modules,
        "pair": (options.before, options.after),
        "config": options.config,
    }


def seconds(text: str) -> float:
    """Read an option's value that is a time."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return value


def count(text: str) -> int:
    """Read an option's value that counts something."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def check_writable(path: Path) -> None:
    """Find out before the long run, not after it."""
    target = path if path.exists() else path.parent
    if path.is_dir() or not path.parent.is_dir() or not os.access(target, os.W_OK):
        raise UsageError(f"cannot write {path}")


def find_patch(path: Path) -> Path:
    """Return the path itself, or that of the package's patch of this name."""
    named = patches_folder() / f"{path.name.removesuffix('.patch')}.patch"
    return named if not path.exists() and path.name == str(path) and named.exists() else path
