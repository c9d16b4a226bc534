"""Build a small whole kernel from a tree.

Results are cached by content (tree, files, configuration, compiler), so the same build is never
made twice; and both variants of a tree are built in the same folder, one after the other, so that
the second compiles only what the patch touches.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from gso.kernel.bootable import Bootable
from gso.kernel.errors import UsageError
from gso.kernel.paths import cache_folder, only_one
from gso.kernel.processes import logged, output
from gso.kernel.trees import kconfig, kept, symbols
from gso.kernel.trees.making import check_trust, made, make
from gso.kernel.trees.patches import Files
from gso.kernel.trees.repository import Repository

# Parts of a source tree that builds or version control make, not its authors.
_NOT_SOURCE = (
    *("/.git", "*.o", "*.ko", "*.a", "*.cmd", "*.mod", "*.order", "/vmlinux*", "/.config*"),
    *("/include/config", "/include/generated", "/arch/*/include/generated", "/System.map"),
)

# For the whole small kernel, as measured.
_CPU_MINUTES = 30


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
        self._home = cache_folder() / "trees" / kept.key(str(self.source), self._wanted)
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
        kept.check_inside(self.source, Path(name))
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
                kept.recall_log(place, log)
            else:
                self._make(files, place, log)
        functions = place / "symbols"
        return Bootable(
            place / "bzImage",
            config=place / "config",
            symbols=functions if functions.exists() else None,
        )

    def _make(self, files: Files, place: Path, log: Path) -> None:
        check_trust(files)
        self._bring_up_to_date(files, log)
        kept.write_files(self._copy, files)
        kconfig.configure(self._copy, self._objects, self._wanted, log)
        goal = [f"O={self._objects}", f"-j{kept.jobs()}", "bzImage"]
        make("build", self._copy, goal, log, readable=[self._copy], writable=self._objects)
        place.mkdir(parents=True, exist_ok=True)
        kept.keep_log(log, place)
        (place / "config").write_bytes(made(self._objects / ".config"))
        vmlinux = self._objects / "vmlinux"
        if vmlinux.is_file() and not vmlinux.is_symlink():
            (place / "symbols").write_text(symbols.text(str(vmlinux)))
        # Last, and at once: it says that all of this is complete.
        (place / "bzImage.partial").write_bytes(made(self._objects / "arch/x86/boot/bzImage"))
        (place / "bzImage.partial").rename(place / "bzImage")

    def built(self, files: Files) -> bool:
        """Say whether the cache has this kernel."""
        return (self._place(files) / "bzImage").exists()

    def outlook(self, files: Files) -> str:
        """Say what building would do."""
        if self.built(files):
            return "the kernel is in the cache"
        if (self._objects / "vmlinux").exists():
            return "only what differs is compiled, in a minute or a few"
        minutes = max(_CPU_MINUTES // kept.jobs(), 1)
        return f"the whole kernel is compiled, which takes about {minutes} minutes the first time"

    def _place(self, files: Files) -> Path:
        return self._home / "images" / self._variant_key(files)

    def _variant_key(self, files: Files) -> str:
        """Return a key for the tree's state, the files, the configuration and the compiler."""
        compiler = output("gcc", "--version")
        # "symbols": made since the functions of a kernel are kept with it.
        return kept.key("symbols", self._state(), kept.content(files), self._wanted, compiler)

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
