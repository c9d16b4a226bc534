"""The kernels of a run: each knows how to make its unpatched and its patched variant."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from gso.kernel import build, debian, patches
from gso.kernel.build import Bootable, SourceTree
from gso.kernel.patches import Files, Patch, Variants
from gso.kernel.results import UNPATCHED


class Target(ABC):
    """One kernel. ``id`` names its folder, ``label`` is for people."""

    id: str
    label: str

    @abstractmethod
    def prepare(self, series: list[Patch], fix: Patch | None) -> tuple[str, ...]:
        """Fetch what is needed and work out the two variants; return the steps that were taken."""

    @abstractmethod
    def build(self, variant: str, log: Path) -> Bootable:
        """Make one variant ready to boot."""

    @property
    @abstractmethod
    def config(self) -> Path:
        """The kernel's configuration; it is there when a variant was built."""


class PatchedTarget(Target):
    """A kernel whose source is at hand, so that patches can be applied to it."""

    _variants: Variants

    def prepare(self, series: list[Patch], fix: Patch | None) -> tuple[str, ...]:
        """Apply the series; where the tree has ``fix`` already, take it out first."""
        self._fetch()
        self._variants = patches.variants(self._pristine, series, fix)
        return self._variants.steps

    def build(self, variant: str, log: Path) -> Bootable:
        """Build the variant, or find it in the cache."""
        chosen = self._variants
        return self._build(chosen.unpatched if variant == UNPATCHED else chosen.patched, log)

    def _fetch(self) -> None:
        """Get what is not here yet."""

    @abstractmethod
    def _pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]: ...

    @abstractmethod
    def _build(self, files: Files, log: Path) -> Bootable: ...


class DebianTarget(PatchedTarget):
    """Debian's kernel as it is, with the touched modules rebuilt."""

    def __init__(self, wanted: str | None) -> None:
        self._kernel = debian.choose(wanted)
        self.id = f"debian-{self._kernel.version.split('-')[0]}"
        self.label = f"Debian {self._kernel.release} ({self._kernel.version})"

    @property
    def config(self) -> Path:
        """The configuration that Debian built it with."""
        return self._kernel.config

    def _fetch(self) -> None:
        debian.fetch(self._kernel)

    def _pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]:
        return debian.source_files(self._kernel, names)

    def _build(self, files: Files, log: Path) -> Bootable:
        return build.modules(self._kernel, files, log)


class TreeTarget(PatchedTarget):
    """A source tree, built small and whole."""

    def __init__(self, source: Path) -> None:
        self._tree = SourceTree(source)
        self.id = f"tree-{self._tree.version()}"
        self.label = f"{self._tree.version()} from {self._tree.source}"

    @property
    def config(self) -> Path:
        """The small configuration."""
        return self._tree.config

    def _pristine(self, names: tuple[str, ...]) -> dict[str, bytes | None]:
        return self._tree.pristine(names)

    def _build(self, files: Files, log: Path) -> Bootable:
        return self._tree.build(files, log)


def distinct(targets: Sequence[Target]) -> list[Target]:
    """Return the targets with ids that differ: they become folders."""
    seen: dict[str, int] = {}
    for target in targets:
        seen[target.id] = seen.get(target.id, 0) + 1
        if seen[target.id] > 1:
            target.id = f"{target.id}-{seen[target.id]}"
    return list(targets)
