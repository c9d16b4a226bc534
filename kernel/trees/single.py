"""One kernel made ready to boot: as it is, without the fix of a fault, with patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.bootable import Bootable
from gso.kernel.progress import Progress
from gso.kernel.trees import build, debian, modules, patches
from gso.kernel.trees.patches import Patch


@dataclass(frozen=True)
class Single:
    """The kernel that is wanted. ``source`` is a tree in place of Debian's kernel ``version``.

    ``fix`` is taken out of the tree before the patches of ``series`` go in.
    """

    version: str | None = None
    source: Path | None = None
    series: Sequence[Patch] = ()
    fix: Patch | None = None


def make(wanted: Single, log: Path, progress: Progress) -> Bootable:
    """Fetch and build what is not in the cache."""
    if wanted.source:
        tree = build.SourceTree(wanted.source)
        progress.stage(f"building {wanted.source}")
        return tree.build(_files(tree.pristine, wanted, progress), log)
    kernel = debian.choose(wanted.version)
    progress.stage(f"fetching Debian's kernel {kernel.release}")
    debian.fetch(kernel)
    if not wanted.series and wanted.fix is None:
        return Bootable(kernel.image, modules_folder=kernel.modules_folder)
    files = _files(lambda names: debian.source_files(kernel, names), wanted, progress)
    progress.stage("building its modules")
    return modules.modules(kernel, files, log)


def _files(
    pristine: Callable[[tuple[str, ...]], dict[str, bytes | None]],
    wanted: Single,
    progress: Progress,
) -> dict[str, bytes | None]:
    found = patches.variants(pristine, wanted.series, wanted.fix)
    for step in found.steps:
        progress.note(step)
    return found.patched
