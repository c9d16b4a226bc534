"""A kernel that can be booted, and the two variants of it that a run compares."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

UNPATCHED, PATCHED = "unpatched", "patched"
VARIANTS = (UNPATCHED, PATCHED)


@dataclass(frozen=True)
class Bootable:
    """A kernel image, and modules to load in place of its own (in this order).

    ``symbols``: a file with its functions, as ``nm --print-size`` lists them; ``None``: not known.
    ``modules_folder``: its own modules, a folder ``lib/modules/RELEASE``; ``None``: all built in.
    """

    image: Path
    modules: tuple[Path, ...] = ()
    modules_folder: Path | None = None
    config: Path | None = None
    symbols: Path | None = None
