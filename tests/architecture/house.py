"""Every file of ``gso/`` and ``kernel/``, and the arrows from each to those that it uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from textwrap import shorten

from architecture.statements import Import, Include, c_includes, cython_statements, python_imports

# The folders, and the names under which Python imports them.
PACKAGES = {"gso": "gso", "kernel": "gso.kernel"}
MODULE = (".py", ".pyi", ".pyx", ".pxd")
C = (".c", ".h")


@dataclass(frozen=True)
class Arrow:
    """A file uses another; both are named as units, see `unit`."""

    file: str
    line: int
    statement: str
    source: str
    target: str
    relative: bool

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {shorten(self.statement, 80)}"


class UnknownTargetError(Exception):
    """A file imports or includes what is not there, or what cannot be followed."""


def unit(file: PurePosixPath) -> str:
    """Return the name of what a file is a part of: a module's files are one, each C file is one."""
    return str(file.with_suffix("") if file.suffix in MODULE else file)


def _made(file: Path) -> bool:
    """Tell whether a command made the file: compiled modules, and the C that Cython wrote."""
    return file.suffix in (".so", ".pyc") or (file.suffix == ".c" and file.name.startswith("_"))


class House:
    """The files below ``root``, by package; ``root`` has ``gso/`` and ``kernel/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = [
            PurePosixPath(file.relative_to(root))
            for package in PACKAGES
            for file in sorted((root / package).rglob("*"))
            if file.is_file() and not _made(file)
        ]
        self.units = {unit(file) for file in self.files}

    def arrows(self) -> Iterator[Arrow]:
        """Yield every arrow between two units."""
        for file in self.files:
            for statement in self._statements(file):
                relative = isinstance(statement, Import) and statement.level > 0
                for target in sorted(set(self._targets(file, statement)) - {unit(file)}):
                    yield Arrow(
                        str(file), statement.line, str(statement), unit(file), target, relative
                    )

    def _statements(self, file: PurePosixPath) -> Iterator[Import | Include]:
        if file.suffix not in (*MODULE, *C):
            return
        source = (self.root / file).read_text()
        if file.suffix in C:
            yield from c_includes(source)
        elif file.suffix in (".py", ".pyi"):
            yield from python_imports(source)
        else:
            yield from cython_statements(source)

    def _targets(self, file: PurePosixPath, statement: Import | Include) -> Iterator[str]:
        if isinstance(statement, Include):
            yield from self._included(file, statement)
            return
        module = self._absolute(file, statement)
        if module.split(".")[0] != "gso":
            return
        if not statement.names:
            yield self._unit(module, file, statement)
            return
        for name in statement.names:
            submodule = self._find(f"{module}.{name}")
            yield submodule or self._unit(module, file, statement)

    @staticmethod
    def _absolute(file: PurePosixPath, statement: Import) -> str:
        if not statement.level:
            return statement.module
        folder = file.parents[statement.level - 1].parts
        start = ".".join([PACKAGES[folder[0]], *folder[1:]])
        return f"{start}.{statement.module}" if statement.module else start

    def _find(self, module: str) -> str | None:
        """Return the unit of a module of ours."""
        for folder, package in sorted(PACKAGES.items(), key=lambda item: -len(item[1])):
            if module == package or module.startswith(f"{package}."):
                path = folder + module[len(package) :].replace(".", "/")
                return next((u for u in (path, f"{path}/__init__") if u in self.units), None)
        return None

    def _unit(self, module: str, file: PurePosixPath, statement: Import) -> str:
        found = self._find(module)
        if found is None:
            raise UnknownTargetError(f"{file}:{statement.line}: {statement}: there is no {module}")
        return found

    def _included(self, file: PurePosixPath, include: Include) -> Iterator[str]:
        """Find a header as the compiler does: beside the file, else in any folder of the build."""
        if "." not in include.name:
            raise UnknownTargetError(f"{file}:{include.line}: {include}: not a file's name")
        beside = str(file.parent / include.name)
        same_name = [str(f) for f in self.files if f.name == PurePosixPath(include.name).name]
        if beside in same_name:
            yield beside
        else:
            yield from same_name
