"""Rebuild modules of a distribution's kernel: those that hold touched files, and no others.

Both variants are built in the same folder, one after the other, and what is made is kept by content
(kernel, files, compiler): the same build is never made twice.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import output
from gso.kernel.trees import debian, kept
from gso.kernel.trees.debian import DebianKernel
from gso.kernel.trees.makefile import BUILT_IN, NAMES, objects, option
from gso.kernel.trees.making import check_trust, made, make, runs_commands
from gso.kernel.trees.patches import Files
from gso.kernel.trees.toolchain import toolchain

_SOURCES = (".c", ".S")
# Files for people and tests, of which no kernel is made.
_NOT_COMPILED = (".rst", ".txt", ".yaml", ".json", "MAINTAINERS", "CREDITS")
_NOT_COMPILED_BELOW = ("Documentation/", "tools/", "samples/")


class Goals(NamedTuple):
    """The modules built in a folder, with options that this kernel's configuration lacks."""

    modules: list[str]
    options: list[str]


class NoModuleError(TestBedError):
    """A touched file is in no module of this kernel: it is built in, or belongs to all of it."""

    def __init__(self, why: str) -> None:
        super().__init__("build", f"{why}; only a whole kernel shows what the patch does")


def compiled(names: Iterable[str]) -> list[str]:
    """Return the files among these that a kernel is made of."""
    return sorted(
        name
        for name in names
        if not name.endswith(_NOT_COMPILED) and not name.startswith(_NOT_COMPILED_BELOW)
    )


def modules(kernel: DebianKernel, files: Files, log: Path) -> Bootable:
    """Rebuild the modules that ``files`` (the variant's touched files) belong to.

    Raises:
        NoModuleError: a file is in none.
    """
    check_trust(files)
    place = _place(kernel, files)
    index = place / "modules.json"
    with only_one(_work(kernel)):
        if index.exists():
            kept.recall_log(place, log)
        else:
            names = []
            for folder, goals in _planned(kernel, files).items():
                _build(kernel, folder, goals, log)
                names += _keep([_work(kernel) / folder / f"{n}.ko" for n in goals.modules], place)
            if runs_commands(files):
                # It could have left objects for the builds that follow.
                shutil.rmtree(_work(kernel))
            kept.keep_log(log, place)
            index.write_text(json.dumps(names))
    names = json.loads(index.read_text())
    return Bootable(
        kernel.image, tuple(place / name for name in names), kernel.modules_folder, kernel.config
    )


def targets(kernel: DebianKernel, files: Files) -> list[str]:
    """Return the modules that would be built; raise :class:`NoModuleError` as :func:`modules`."""
    with only_one(_work(kernel)):
        return [n for goals in _planned(kernel, files).values() for n in goals.modules]


def built(kernel: DebianKernel, files: Files) -> bool:
    """Say whether the cache has these modules."""
    return (_place(kernel, files) / "modules.json").exists()


def _work(kernel: DebianKernel) -> Path:
    return cache_folder() / "build" / kernel.release


def _place(kernel: DebianKernel, files: Files) -> Path:
    programs = toolchain(kernel).version()
    # "touched": made since only the touched modules are built.
    key = kept.key("touched", kernel.release, kernel.version, programs, kept.content(files))
    return cache_folder() / "modules" / key


def _planned(kernel: DebianKernel, files: Files) -> Mapping[str, Goals]:
    """Return the modules to build in each folder, with everything they need put there."""
    found: dict[str, Goals] = {}
    by_folder: dict[str, set[str]] = defaultdict(set)
    for name in compiled(files):
        by_folder[str(Path(name).parent)].add(name)
    if not by_folder:
        raise TestBedError("build", f"no kernel is made of {', '.join(sorted(files))}")
    for folder, names in sorted(by_folder.items()):
        if folder in (".", "include") or folder.startswith("include/"):
            raise NoModuleError(f"{min(names)} belongs to the whole kernel")
        _restore(kernel, folder, files)
        found[folder] = _touched(kernel, folder, names)
    return found


def _restore(kernel: DebianKernel, folder: str, files: Files) -> None:
    """Undo what earlier variants changed, and bring in the files of this one."""
    pristine, work = debian.source_folder(kernel, folder), _work(kernel)
    wanted = {f"{folder}/{path.relative_to(pristine)}": path for path in _own(pristine)}
    # Some sources include headers of the folder above.
    above = str(Path(folder).parent)
    wanted |= {f"{above}/{path.name}": path for path in pristine.parent.glob("*.h")}
    kept.write_files(work, {n: p.read_bytes() for n, p in wanted.items() if n not in files})
    for path in _own(work / folder):
        # kbuild writes its own; any other source came with a patch.
        source = path.suffix in (*_SOURCES, ".h") and not path.name.endswith(".mod.c")
        if source and f"{folder}/{path.relative_to(work / folder)}" not in wanted:
            path.unlink()
    kept.write_files(work, {n: data for n, data in files.items() if n.startswith(f"{folder}/")})


def _own(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, and of those below that have no makefile of their own."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_symlink() or path.is_file():
            yield path
        elif path.is_dir() and not any((path / name).is_file() for name in NAMES):
            yield from _own(path)


def _touched(kernel: DebianKernel, folder: str, names: set[str]) -> Goals:
    """Return the modules of a folder that the files are parts of, and the options they need."""
    place, options = _work(kernel) / folder, set[str]()
    known = objects(place, kernel.config)
    found: set[str] = set()
    for name in sorted(names):
        for source in _sources(place, str(Path(name).relative_to(folder))):
            part = f"{source[:-2]}.o"
            wanted = option(place, part) if part not in known else None
            if wanted and f"{wanted}=" not in kernel.config.read_text():
                # The kernel goes without the module, but would take it.
                options.add(f"{wanted}=m")
                known = objects(place, kernel.config, sorted(options))
            found.add(_module(kernel, folder, part, known))
    # A makefile concerns all of them, and a file that nothing includes none in particular.
    every = {module for module in known.values() if module != BUILT_IN}
    if not (found or every):
        raise NoModuleError(f"{folder} has no module in {kernel.release}")
    return Goals(sorted(found or every), sorted(options))


def _module(kernel: DebianKernel, folder: str, part: str, known: Mapping[str, str]) -> str:
    source = f"{folder}/{part[:-2]}.c"
    if part not in known:
        raise NoModuleError(f"{source} is not compiled in {kernel.release}")
    if known[part] == BUILT_IN:
        raise NoModuleError(f"{source} is built into {kernel.release}")
    return known[part]


def _sources(folder: Path, name: str) -> list[str]:
    """Return the file itself or, for a header, the sources of its folder that include it."""
    if name.endswith(_SOURCES):
        return [name]
    if not name.endswith(".h"):
        return []
    waiting, seen = [name], {name}
    found: set[str] = set()
    while waiting:
        include = re.compile(
            rb'#\s*include\s+"(?:[^"]*/)?' + re.escape(waiting.pop().encode()) + b'"'
        )
        for path in folder.glob("*.[chS]"):
            if path.name not in seen and include.search(made(path)):
                seen.add(path.name)
                (found.add if path.suffix in _SOURCES else waiting.append)(path.name)
    return sorted(found)


def _build(kernel: DebianKernel, folder: str, goals: Goals, log: Path) -> None:
    work = _work(kernel) / folder
    wanted = [*goals.options, *(f"{name}.ko" for name in goals.modules)]
    _make(kernel, work, wanted, log, readable=[kernel.root, _work(kernel)])


def _make(
    kernel: DebianKernel, folder: Path, goals: list[str], log: Path, readable: list[Path]
) -> None:
    tools = toolchain(kernel)
    goals = [f"M={folder}", f"-j{kept.jobs()}", f"CC={tools.compiler}", *goals]
    tree, root = kernel.headers, tools.root
    make("build", tree, goals, log, readable=readable, writable=folder, root=root)


def own_module(kernel: DebianKernel, source: Path) -> Path:
    """Build a module of our own from the folder ``source``, which has a Kbuild, for a kernel."""
    texts = {path.name: path.read_bytes() for path in sorted(source.iterdir()) if path.is_file()}
    programs = toolchain(kernel).version()
    place = cache_folder() / "modules" / kept.key(kernel.release, kernel.version, programs, texts)
    module = place / f"{source.name}.ko"
    with only_one(place):
        if not module.exists():
            work = place / "build"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            kept.write_files(work, texts)
            # Type information would need pahole, and nothing reads it.
            goals = ["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
            _make(kernel, work, goals, place / "build.log", readable=[kernel.root])
            (work / module.name).rename(module)
            shutil.rmtree(work)
    return module


def _keep(built: list[Path], place: Path) -> list[str]:
    place.mkdir(parents=True, exist_ok=True)
    for module in built:
        (place / module.name).write_bytes(made(module))
    return [module.name for module in built]


def check_modules(kernel: Bootable, running: dict[str, str]) -> None:
    """Make sure that the modules under test, and not the distribution's, were running."""
    for module in kernel.modules:
        notes = output("readelf", "-n", str(module))
        match = re.search(r"Build ID: ([0-9a-f]+)", notes)
        built = match[1] if match else "none"
        found = running.get(module.stem.replace("-", "_"), "none")
        if built != found:
            raise TestBedError(
                "guest", f"{module.name} has build ID {built}, but {found} was running"
            )
