"""Build what is booted: the touched modules of a distribution kernel, or a small whole kernel.

Results are cached by content (kernel, files, configuration, compiler), so the same build is never
made twice; and both variants of a tree are built in the same folder, one after the other, so that
the second compiles only what the patch touches.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from gso.kernel.bootable import Bootable
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged, output
from gso.kernel.trees import debian, kconfig, symbols
from gso.kernel.trees.debian import DebianKernel
from gso.kernel.trees.making import check_trust, made, make, runs_commands
from gso.kernel.trees.patches import Files
from gso.kernel.trees.repository import Repository

# What a source tree holds that is made by builds or by version control, not by its authors.
_NOT_SOURCE = (
    *("/.git", "*.o", "*.ko", "*.a", "*.cmd", "*.mod", "*.order", "/vmlinux*", "/.config*"),
    *("/include/config", "/include/generated", "/arch/*/include/generated", "/System.map"),
)


def _key(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode() + b"\0")
    return digest.hexdigest()[:24]


def _content(files: Files) -> list[tuple[str, str | None]]:
    return sorted(
        (name, None if data is None else hashlib.sha256(data).hexdigest())
        for name, data in files.items()
    )


def _write_files(tree: Path, files: Files) -> None:
    """Bring files to their wanted content; leave equal ones alone, so that make sees no change.

    A link in a file's place is not followed: it gives way to the file.
    """
    for name, data in files.items():
        path = tree / name
        _check_inside(tree, Path(name).parent)
        if path.is_symlink() or (data is None and path.exists()):
            path.unlink()
        if data is not None and not (path.is_file() and path.read_bytes() == data):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _check_inside(tree: Path, name: Path) -> None:
    """Raise :class:`TestBedError` for a name that links lead out of the tree."""
    try:
        inside = (tree / name).resolve().is_relative_to(tree.resolve())
    except (OSError, RuntimeError):  # a loop of links
        inside = False
    if not inside:
        raise TestBedError("source", f"{name} is a link that leads out of {tree}")


def modules(kernel: DebianKernel, files: Files, log: Path) -> Bootable:
    """Rebuild the modules that ``files`` (the variant's touched files) belong to."""
    folder = _module_folder(files)
    check_trust(files)
    compiler = _compiler(kernel)
    place = _modules_place(kernel, files)
    index = place / "modules.json"
    work = cache_folder() / "build" / kernel.release
    with only_one(work):
        if index.exists():
            _recall_log(place, log)
        else:
            pristine = debian.source_folder(kernel, folder)
            _restore(pristine, work, folder, {Path(name).name for name in files})
            _write_files(work, files)
            goal = [f"M={work / folder}", f"-j{_jobs()}", f"CC={compiler}", "modules"]
            try:
                make(
                    *("build", kernel.headers, goal, log),
                    readable=[kernel.root],
                    writable=work / folder,
                )
                names = _keep(_touched_modules(work / folder, files), place)
            finally:
                if runs_commands(files):
                    # It could have left objects for the builds that follow.
                    shutil.rmtree(work / folder)
            _keep_log(log, place)
            index.write_text(json.dumps(names))
    names = json.loads(index.read_text())
    return Bootable(
        kernel.image, tuple(place / name for name in names), kernel.modules_folder, kernel.config
    )


def own_module(kernel: DebianKernel, source: Path) -> Path:
    """Build a module of our own from the folder ``source``, which has a Kbuild, for a kernel."""
    compiler = _compiler(kernel)
    texts = {path.name: path.read_bytes() for path in sorted(source.iterdir()) if path.is_file()}
    version = output(compiler, "--version")
    place = cache_folder() / "modules" / _key(kernel.release, kernel.version, version, texts)
    module = place / f"{source.name}.ko"
    with only_one(place):
        if not module.exists():
            work = place / "build"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            _write_files(work, texts)
            command = ["make", "-C", str(kernel.headers), f"M={work}", f"CC={compiler}"]
            # Type information would need pahole, and nothing reads it.
            command += ["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
            logged("build", command, place / "build.log", work)
            (work / module.name).rename(module)
            shutil.rmtree(work)
    return module


def modules_built(kernel: DebianKernel, files: Files) -> bool:
    """Say whether the cache has these modules."""
    return (_modules_place(kernel, files) / "modules.json").exists()


def _modules_place(kernel: DebianKernel, files: Files) -> Path:
    compiler = output(_compiler(kernel), "--version")
    # "logged": made since logs are kept with what was built.
    key = _key("logged", kernel.release, kernel.version, compiler, _content(files))
    return cache_folder() / "modules" / key


def _module_folder(files: Files) -> str:
    folders = {str(Path(name).parent) for name in files}
    sources = {str(Path(name).parent) for name in files if name.endswith((".c", ".h", ".S"))}
    if len(folders) != 1 or folders != sources or folders & {".", "include"}:
        raise TestBedError(
            "build",
            f"the patch touches {', '.join(sorted(files))}; only sources of one module's folder "
            "can be rebuilt for a distribution kernel. Use --source DIR for a whole kernel",
        )
    return folders.pop()


def _restore(pristine: Path, work: Path, name: str, own: set[str]) -> None:
    """Undo what earlier variants changed, but for the files that this one brings itself."""
    folder = work / name
    for path in pristine.rglob("*"):
        inside = path.relative_to(pristine)
        if path.is_dir():
            (folder / inside).mkdir(parents=True, exist_ok=True)
        elif path.name not in own:
            _write_files(work, {f"{name}/{inside}": path.read_bytes()})
    for path in folder.rglob("*"):
        # kbuild writes its own; any other source came with a patch.
        source = path.suffix in (".c", ".h", ".S") and not path.name.endswith(".mod.c")
        if source and not (pristine / path.relative_to(folder)).exists():
            path.unlink()


def _touched_modules(folder: Path, files: Files) -> list[Path]:
    """Return the modules that hold an object of a touched source, from kbuild's .mod files."""
    objects = {Path(name).stem + ".o" for name in files if not name.endswith(".h")}
    found = []
    for mod in sorted(folder.glob("*.mod")):
        parts = {Path(line).name for line in made(mod).decode(errors="replace").split()}
        # A touched header may concern every module of the folder.
        if parts & objects or len(objects) < len(files):
            found.append(mod.with_suffix(".ko"))
    if not found:
        raise TestBedError(
            "build",
            f"{', '.join(sorted(files))} is built into this distribution's kernel, not into a "
            "module. Use --source DIR for a whole kernel",
        )
    return found


def _keep(built: list[Path], place: Path) -> list[str]:
    place.mkdir(parents=True, exist_ok=True)
    for module in built:
        (place / module.name).write_bytes(made(module))
    return [module.name for module in built]


def _keep_log(log: Path, place: Path) -> None:
    """Keep the log of a build beside what it made, for the runs that find that in the cache."""
    shutil.copy2(log, place / "build.log")


def _recall_log(place: Path, log: Path) -> None:
    shutil.copy2(place / "build.log", log)


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


def _compiler(kernel: DebianKernel) -> str:
    """Return the compiler that the distribution built this kernel with."""
    match = re.search(r'^CONFIG_CC_VERSION_TEXT="(\S+)', kernel.config.read_text(), re.MULTILINE)
    name = match[1].rsplit("/", 1)[-1] if match else "gcc"
    name = name.removeprefix("x86_64-linux-gnu-")
    return name if shutil.which(name) else "gcc"


def _jobs() -> int:
    return len(os.sched_getaffinity(0))


class SourceTree:
    """A kernel tree of the user's, copied so that nothing in it is changed, and built small.

    ``revision``: a commit of the tree's repository instead of the files as they lie there.
    ``extra``: configuration fragments beside the standard ones.
    """

    def __init__(
        self, source: Path, revision: str | None = None, extra: Sequence[str] = ()
    ) -> None:
        self.source = source.resolve()
        self.repository = Repository(self.source) if revision else None
        self.commit = self.repository.commit(revision) if self.repository and revision else None
        if any(self.read(name) is None for name in ("Kconfig", "Makefile")):
            raise UsageError(f"{source} is not a kernel tree: no Kconfig and Makefile")
        self._wanted = kconfig.fragments(extra)
        # Commits and the files as they lie there share it: only what differs is compiled.
        self._home = cache_folder() / "trees" / _key(str(self.source), self._wanted)
        self._copy, self._objects = self._home / "source", self._home / "objects"

    def version(self) -> str:
        """Return the version that the tree's Makefile gives, such as ``6.12.117``."""
        text = (self.read("Makefile") or b"").decode(errors="replace")
        values = dict(re.findall(r"^(VERSION|PATCHLEVEL|SUBLEVEL) = (\d+)$", text, re.MULTILINE))
        return ".".join(values.get(key, "?") for key in ("VERSION", "PATCHLEVEL", "SUBLEVEL"))

    def read(self, name: str) -> bytes | None:
        """Return the tree's own content of a file."""
        if self.repository and self.commit:
            return self.repository.read(self.commit, name)
        _check_inside(self.source, Path(name))
        path = self.source / name
        return path.read_bytes() if path.is_file() else None

    def pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]:
        """Return the tree's own content of some files."""
        return {name: self.read(name) for name in names}

    def build(self, files: Files, log: Path) -> Bootable:
        """Build the tree with ``files`` in place of its own.

        Finished images are kept by content. An interrupted build goes on where it was: make
        compares times, and every file that differs is written anew.
        """
        with only_one(self._home):
            place = self._place(files)
            if (place / "bzImage").exists():
                _recall_log(place, log)
            else:
                self._make(files, place, log)
        kept = place / "symbols"
        return Bootable(
            place / "bzImage", config=place / "config", symbols=kept if kept.exists() else None
        )

    def _make(self, files: Files, place: Path, log: Path) -> None:
        check_trust(files)
        self._bring_up_to_date(files, log)
        _write_files(self._copy, files)
        kconfig.configure(self._copy, self._objects, self._wanted, log)
        goal = [f"O={self._objects}", f"-j{_jobs()}", "bzImage"]
        make("build", self._copy, goal, log, readable=[self._copy], writable=self._objects)
        place.mkdir(parents=True, exist_ok=True)
        _keep_log(log, place)
        (place / "config").write_bytes(made(self._objects / ".config"))
        vmlinux = self._objects / "vmlinux"
        if vmlinux.is_file() and not vmlinux.is_symlink():
            (place / "symbols").write_text(symbols.text(str(vmlinux)))
        # Last, and at once: it says that all of this is complete.
        (place / "bzImage.partial").write_bytes(made(self._objects / "arch/x86/boot/bzImage"))
        (place / "bzImage.partial").rename(place / "bzImage")

    def outlook(self, files: Files) -> str:
        """Say what building would do."""
        if (self._place(files) / "bzImage").exists():
            return "the kernel is in the cache"
        again = (self._objects / "vmlinux").exists()
        return "only what differs is compiled" if again else "the whole kernel is compiled"

    def _place(self, files: Files) -> Path:
        return self._home / "images" / self._variant_key(files)

    def _variant_key(self, files: Files) -> str:
        """Return a key for the tree's state, the files, the configuration and the compiler."""
        compiler = output("gcc", "--version")
        # "symbols": made since the functions of a kernel are kept with it.
        return _key("symbols", self._state(), _content(files), self._wanted, compiler)

    def _state(self) -> str:
        if self.repository and self.commit:
            return self.repository.git("rev-parse", f"{self.commit}^{{tree}}").strip()
        state = hashlib.sha256()
        for folder, folders, names in os.walk(self.source):
            folders[:] = sorted(name for name in folders if name != ".git")
            for name in sorted(names):
                status = os.lstat(f"{folder}/{name}")
                state.update(f"{folder}/{name} {status.st_size} {status.st_mtime_ns}\n".encode())
        return state.hexdigest()

    def _bring_up_to_date(self, files: Files, log: Path) -> None:
        """Make the copy equal to the tree; the variant's own files are written afterwards."""
        for folder in (self._objects, self._copy):
            folder.mkdir(parents=True, exist_ok=True)
        if self.repository and self.commit:
            self.repository.check_out(self.commit, self._copy, log)
            return
        excluded = [f"--exclude={pattern}" for pattern in (*_NOT_SOURCE, *(f"/{n}" for n in files))]
        # By content, and what differs gets the time of now: with the tree's own time a file that
        # an earlier variant had changed would come back older than its object, which make trusts.
        command = ["rsync", "-a", "--checksum", "--no-times", "--delete", *excluded]
        logged("source", [*command, f"{self.source}/", f"{self._copy}/"], log, self._home)
