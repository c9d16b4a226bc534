"""The known faults of kernels: data in a TOML file each, beside the patch that fixes it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gso.kernel.errors import UsageError
from gso.kernel.paths import patches_folder
from gso.kernel.scenarios.model import Roles

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


_LISTS = ("files", "functions", "scenarios", "fails")


@dataclass(frozen=True)
class Change:
    """A commit of the kernel, and the versions that had it first, as far as they are known."""

    commit: str
    subject: str
    versions: tuple[str, ...]

    @classmethod
    def parse(cls, table: dict[str, Any]) -> Change:
        """Return the commit of a table in TOML."""
        return cls(**{**table, "versions": tuple(table.get("versions", ()))})


@dataclass(frozen=True)
class Incomplete:
    """A patch that corrects only a part of the fault: no test bed may take it for the fix."""

    patch: str
    title: str
    symptom: str


@dataclass(frozen=True)
class Fault:
    """A fault of the kernel. ``introduced``: ``None`` where the commit is not known.

    ``fixed``: ``None`` where no upstream commit fixes it.

    ``scenarios``: names, globs or groups of the scenarios that are run where none are named;
    ``fails``: of those that fail with the fault, whoever runs them. ``files`` and ``functions``:
    where it is. ``patch``: the complete fix, a file there; ``forms``: the same for kernels whose
    code around it differs. ``applications``: whether the requests of real applications meet the
    fault, too. ``deadly``: whether the kernel dies of it; it is not tried on the one that
    runs.
    """

    name: str
    title: str
    symptom: str
    patch: str
    files: tuple[str, ...]
    functions: tuple[str, ...]
    scenarios: tuple[str, ...]
    fails: tuple[str, ...]
    introduced: Change | None = None
    fixed: Change | None = None
    incomplete: tuple[Incomplete, ...] = ()
    default: bool = False
    applications: bool = False
    deadly: bool = False
    forms: tuple[str, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Fault:
        """Read a fault's file; its name is that of the file."""
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        lists = {key: tuple(table[key]) for key in _LISTS}
        lists["forms"] = tuple(table.get("forms", ()))
        for key in ("introduced", "fixed"):
            if key in table:
                table[key] = Change.parse(table[key])
        table["incomplete"] = tuple(Incomplete(**one) for one in table.get("incomplete", ()))
        return cls(name=path.stem, **{**table, **lists})

    @property
    def roles(self) -> Roles:
        """The duty of a kernel with the fault.

        Whether it has others, too, is not known: what fails with them may fail.
        """
        others = (word for fault in FAULTS if fault != self for word in fault.fails)
        return Roles(self.fails, "control", tuple(others), self.scenarios)

    @property
    def patch_path(self) -> Path:
        """The file of the complete fix."""
        return patches_folder() / self.patch

    @property
    def patch_paths(self) -> list[Path]:
        """The files of the complete fix, one a form; the first is that which people know."""
        return [patches_folder() / name for name in (self.patch, *self.forms)]


FAULTS = tuple(Fault.read(path) for path in sorted(patches_folder().glob("*.toml")))
(DEFAULT_FAULT,) = (fault for fault in FAULTS if fault.default)


def named(name: str) -> Fault:
    """Return the fault of this name; raise :class:`UsageError` where there is none."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    known = ", ".join(fault.name for fault in FAULTS)
    raise UsageError(f"no fault {name!r}; there are {known}")
