"""The kernels of a run: each knows how to make its unpatched and its patched variant."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

from gso.kernel.bootable import PATCHED, UNPATCHED, VARIANTS, Bootable
from gso.kernel.errors import UsageError
from gso.kernel.trees import debian, modules, toolchain
from gso.kernel.trees.build import SourceTree
from gso.kernel.trees.modules import NoModuleError
from gso.kernel.trees.patches import Files, Pristine, Variants

# Works out the variants to compare from a tree's own files.
Chooser = Callable[[Pristine], Variants]


class Target(ABC):
    """One kernel. ``id`` names its folder, ``label`` is for people."""

    id: str
    label: str

    @abstractmethod
    def prepare(self, choose: Chooser) -> tuple[str, ...]:
        """Fetch what is needed and work out the two variants; return the steps that were taken."""

    def changes(self) -> tuple[Files, Files]:
        """Return the files that the patch touches, before and after; empty: it is not known."""
        return {}, {}

    def work(self) -> str:
        """Return what this host's programs are going to build, for want of it in the cache.

        It is ``modules``, ``kernel`` (a whole one) or nothing.
        """
        return ""

    @abstractmethod
    def build(self, variant: str, log: Path) -> Bootable:
        """Make one variant ready to boot."""

    @abstractmethod
    def outlook(self, choose: Chooser) -> list[str]:
        """Say what preparing and building would do; nothing is fetched or built."""


class PatchedTarget(Target):
    """A kernel whose source is at hand, so that patches can be applied to it."""

    _variants: Variants

    def prepare(self, choose: Chooser) -> tuple[str, ...]:
        """Fetch the source and let ``choose`` work out the variants of it."""
        self._fetch()
        self._variants = choose(self._pristine)
        return self._variants.steps

    def changes(self) -> tuple[Files, Files]:
        """Return the touched files of both variants."""
        return self._variants.unpatched, self._variants.patched

    def build(self, variant: str, log: Path) -> Bootable:
        """Build the variant, or find it in the cache."""
        chosen = self._variants
        return self._build(chosen.unpatched if variant == UNPATCHED else chosen.patched, log)

    def outlook(self, choose: Chooser) -> list[str]:
        """Say what would be fetched, which patches apply, and which builds the cache lacks."""
        missing = self._missing()
        if missing:
            return [*missing, "which patches apply is known when that is here"]
        found = choose(self._pristine)
        variants = ((UNPATCHED, found.unpatched), (PATCHED, found.patched))
        return [
            *found.steps,
            *(f"{name}: {self._build_outlook(files)}" for name, files in variants),
        ]

    def _missing(self) -> list[str]:
        """Return what has to be fetched, as commands."""
        return []

    @abstractmethod
    def _build_outlook(self, files: Files) -> str: ...

    def _fetch(self) -> None:
        """Get what is not here yet."""

    @abstractmethod
    def _pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]: ...

    @abstractmethod
    def _build(self, files: Files, log: Path) -> Bootable: ...


class DebianTarget(PatchedTarget):
    """Debian's kernel as it is, with the touched modules rebuilt.

    Where code is touched that is in no module, a small whole kernel is built from Debian's source.
    ``extra``: configuration fragments of that.
    """

    def __init__(self, wanted: str | None, extra: Sequence[str] = ()) -> None:
        self._kernel, self._extra = debian.choose(wanted), extra
        self._tree: SourceTree | None = None
        self.id = f"debian-{self._kernel.version.split('-')[0]}"
        self.label = f"Debian {self._kernel.release} ({self._kernel.version})"

    def prepare(self, choose: Chooser) -> tuple[str, ...]:
        """Fetch the kernel, work out the variants, and find out what has to be built."""
        steps = super().prepare(choose)
        try:
            for files in self.changes():
                modules.targets(self._kernel, files)
        except NoModuleError as error:
            self._tree = SourceTree(debian.whole_source(self._kernel), extra=self._extra)
            self.label += ", built small"
            how = self._tree.outlook(self._variants.unpatched)
            return (*steps, f"{error.message}: {how}")
        return steps

    def _fetch(self) -> None:
        debian.fetch(self._kernel)
        toolchain.fetch(self._kernel)

    def _missing(self) -> list[str]:
        # Only an unpacked kernel says which compiler it wants.
        fetched = debian.fetched(self._kernel)
        command = (toolchain if fetched else debian).download_command(self._kernel)
        return [f"fetch: {' '.join(command)}"] if command else []

    def work(self) -> str:
        """Return ``modules``, ``kernel`` or nothing; another suite's modules need none of these."""
        if self._tree:
            return _whole(self._tree, *self.changes())
        own = self._kernel.apt.suite is None
        return "modules" if own and not all(self._built(files) for files in self.changes()) else ""

    def _built(self, files: Files) -> bool:
        return modules.built(self._kernel, files)

    def _build_outlook(self, files: Files) -> str:
        if self._built(files):
            return f"modules of {self._kernel.release} are in the cache"
        try:
            names = ", ".join(modules.targets(self._kernel, files))
        except NoModuleError as error:
            return error.message
        return f"{names} of {self._kernel.release} built from {', '.join(sorted(files))}"

    def _pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]:
        return debian.source_files(self._kernel, names)

    def _build(self, files: Files, log: Path) -> Bootable:
        if self._tree:
            return self._tree.build(files, log)
        return modules.modules(self._kernel, files, log)


def _whole(tree: SourceTree, *variants: Files) -> str:
    """Return ``kernel`` where the cache lacks a variant."""
    return "" if all(map(tree.built, variants)) else "kernel"


class TreeTarget(PatchedTarget):
    """A source tree, or a commit of one, built small and whole."""

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        where = f"{tree.version()} from {tree.source}"
        self.id, self.label = f"tree-{tree.version()}", where
        if tree.repository and tree.commit:
            self.id = f"commit-{tree.commit[:12]}"
            self.label = f"{where}, commit {tree.repository.subject(tree.commit)}"

    def work(self) -> str:
        """Return ``kernel`` where the cache lacks a variant."""
        return _whole(self._tree, *self.changes())

    def _pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]:
        return self._tree.pristine(names)

    def _build_outlook(self, files: Files) -> str:
        return self._tree.outlook(files)

    def _build(self, files: Files, log: Path) -> Bootable:
        return self._tree.build(files, log)


class CommitTarget(Target):
    """A commit as the patch: its parent is the unpatched kernel."""

    def __init__(self, source: Path, commit: str, extra: Sequence[str] = ()) -> None:
        patched = SourceTree(source, commit, extra)
        assert patched.repository
        assert patched.commit
        parent = patched.repository.parent(patched.commit)
        self._trees = {UNPATCHED: SourceTree(source, parent, extra), PATCHED: patched}
        self._commits = patched.repository, parent, patched.commit
        self._subject = patched.repository.subject(patched.commit)
        self.id = f"commit-{patched.commit[:12]}"
        self.label = f"{patched.version()} from {patched.source}, commit {self._subject}"

    def prepare(self, choose: Chooser) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing is applied: the commit is the patch."""
        return (f"the unpatched kernel is the parent of commit {self._subject}",)

    def changes(self) -> tuple[Files, Files]:
        """Return the files that the commit touches, in its parent and in itself."""
        repository, parent, commit = self._commits
        names = repository.changed_names(parent, commit)
        before, after = ({n: repository.read(c, n) for n in names} for c in (parent, commit))
        return before, after

    def outlook(self, choose: Chooser) -> list[str]:  # noqa: ARG002
        """Say which of the two builds the cache lacks."""
        return [f"{name}: {tree.outlook({})}" for name, tree in self._trees.items()]

    def work(self) -> str:
        """Return ``kernel`` where the cache lacks the commit or its parent."""
        return next(filter(None, (_whole(tree, {}) for tree in self._trees.values())), "")

    def build(self, variant: str, log: Path) -> Bootable:
        """Build the commit or its parent, or find it in the cache."""
        return self._trees[variant].build({}, log)


class ImageTarget(Target):
    """Two kernels that were built elsewhere, each an image with its modules (or none)."""

    def __init__(self, images: Sequence[Path], modules: Sequence[Path]) -> None:
        for image in images:
            if not image.is_file():
                raise UsageError(f"{image} is not a kernel image: no such file")
        for folder in modules:
            if not (folder / "modules.builtin").is_file():
                raise UsageError(f"{folder} is no lib/modules/RELEASE folder: no modules.builtin")
            if folder.resolve().parts[-3:-1] != ("lib", "modules"):
                raise UsageError(f"{folder} must be named lib/modules/RELEASE, as depmod wants it")
        if len(modules) not in (0, 1, len(images)):
            raise UsageError(f"{len(images)} images, but {len(modules)} folders of modules")
        folders: list[Path | None] = [folder.resolve() for folder in modules] or [None]
        folders *= len(images) // len(folders)
        self._kernels = {
            variant: Bootable(image.resolve(), modules_folder=folder)
            for variant, image, folder in zip(VARIANTS, images, folders, strict=True)
        }
        self.id = f"image-{re.sub(r'[^A-Za-z0-9._+-]', '_', images[-1].name)}"
        self.label = f"{images[-1]} against {images[0]}"

    def prepare(self, choose: Chooser) -> tuple[str, ...]:  # noqa: ARG002
        """Nothing is applied: the images are as they are."""
        return ("two images compared as they are",)

    def outlook(self, choose: Chooser) -> list[str]:  # noqa: ARG002
        """Nothing is fetched or built."""
        return [f"{name}: {kernel.image} as it is" for name, kernel in self._kernels.items()]

    def build(self, variant: str, log: Path) -> Bootable:  # noqa: ARG002
        """Return the image."""
        return self._kernels[variant]


class DebianPair(Target):
    """Two of Debian's kernels as they are: before a fix and after it. Nothing is built."""

    def __init__(self, before: str, after: str) -> None:
        chosen = (debian.choose(before), debian.choose(after))
        if chosen[0] == chosen[1]:
            raise UsageError(f"{before} and {after} are the same kernel, {chosen[0].release}")
        self._kernels = dict(zip(VARIANTS, chosen, strict=True))
        versions = [kernel.version.split("-")[0] for kernel in chosen]
        self.id = f"debian-{'-'.join(versions)}"
        self.label = f"Debian {chosen[1].release} against {chosen[0].release}"

    def prepare(self, choose: Chooser) -> tuple[str, ...]:  # noqa: ARG002
        """Fetch both; nothing is applied."""
        for kernel in self._kernels.values():
            debian.fetch(kernel)
        return ("two of Debian's kernels compared as they are",)

    def outlook(self, choose: Chooser) -> list[str]:  # noqa: ARG002
        """Say what would be fetched."""
        return [
            f"{name}: {kernel.release} as it is" + ", to be fetched" * (not debian.fetched(kernel))
            for name, kernel in self._kernels.items()
        ]

    def build(self, variant: str, log: Path) -> Bootable:  # noqa: ARG002
        """Return the kernel."""
        kernel = self._kernels[variant]
        return Bootable(kernel.image, (), kernel.modules_folder, kernel.config)


def distinct(targets: Sequence[Target]) -> list[Target]:
    """Return the targets with ids that differ: they become folders."""
    seen: dict[str, int] = {}
    for target in targets:
        seen[target.id] = seen.get(target.id, 0) + 1
        if seen[target.id] > 1:
            target.id = f"{target.id}-{seen[target.id]}"
    return list(targets)
