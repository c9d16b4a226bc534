"""Run a tree's makefiles, in a sandbox where this host has one, and take what they made.

Makefiles, Kconfig files and scripts run commands, and sources include any file that can be read.
So a build sees its tree and the tool chain, and writes into one folder. Whatever it put there is
judged like a guest's files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from gso.kernel import guest_files, sandbox
from gso.kernel.errors import TestBedError
from gso.kernel.guest_files import GuestFileError
from gso.kernel.processes import logged

# Files that are compiled or read by people, and run nothing while a kernel is built.
_RUNS_NOTHING = (".c", ".h", ".S", ".rst", ".txt", ".yaml")


def make(
    stage: str,
    tree: Path,
    arguments: Sequence[str],
    log: Path,
    *,
    readable: Sequence[Path],
    writable: Path,
    root: Path | None = None,
) -> None:
    """Run make in a tree, which sees ``readable``, and ``writable`` to write there.

    ``root``: a folder whose programs are run instead of the host's.
    """
    places = {"readable": readable, "writable": [writable]}
    within = sandbox.confined([], **places, root=root) if sandbox.works() else ()
    logged(stage, ["make", "-C", str(tree), *arguments], log, writable, within)


def made(path: Path) -> bytes:
    """Return the bytes of a file that a build made; a link could lead anywhere."""
    try:
        return guest_files.read(path)
    except GuestFileError:
        raise TestBedError("build", f"{path.name} is no regular file after the build") from None


def runs_commands(names: Iterable[str]) -> list[str]:
    """Return the files among these that may run commands while a kernel is built."""
    return sorted(
        name
        for name in names
        if not name.endswith(_RUNS_NOTHING) and name not in ("MAINTAINERS", "CREDITS")
    )


def check_trust(names: Iterable[str]) -> None:
    """Raise :class:`TestBedError` where a patch could run commands on this host."""
    found = runs_commands(names)
    if found and not sandbox.works() and not sandbox.trusted():
        raise TestBedError(
            "build",
            f"the patch touches {', '.join(found[:3])}, and a build runs what such files say. This "
            "host has no sandbox for it (the Debian package bubblewrap, and namespaces for users); "
            "look at the patch, and give --trust-patch",
        )
