"""Patches as data: what they touch, whether they apply, and what a tree becomes with them.

A patched tree is represented by the files that differ from the pristine one (:data:`Files`), so
that applying, reversing and comparing cost nothing and never change the user's tree.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gso.kernel.errors import TestBedError, UsageError

# Contents of the files that patches touch, by path in the tree; None: the file is absent.
Files = Mapping[str, "bytes | None"]

_HEADER = re.compile(rb"^(?:---|\+\+\+) ([^\t\r\n]+)", re.MULTILINE)
_LARGEST = 16 << 20


class PatchError(TestBedError):
    """A patch does not apply; the message has what ``git apply`` said."""

    def __init__(self, message: str) -> None:
        super().__init__("patch", message)


@dataclass(frozen=True)
class Patch:
    """A unified diff with ``a/`` and ``b/`` prefixes, as ``git format-patch`` writes.

    ``touched``: paths in the tree, sorted.
    """

    name: str
    text: bytes
    touched: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Patch:
        """Read a patch file; whatever cannot be one is a :class:`UsageError` that says why."""
        try:
            size = path.stat().st_size
            text = path.read_bytes() if size <= _LARGEST else b""
        except IsADirectoryError:
            raise UsageError(f"{path} is a directory, not a patch") from None
        except OSError as error:
            raise UsageError(f"cannot read the patch {path}: {error.strerror}") from None
        if size > _LARGEST:
            raise UsageError(f"{path} has {size} bytes; a patch has at most {_LARGEST}")
        if not text.strip():
            raise UsageError(f"the patch {path} is empty")
        touched = sorted(_touched(text))
        if not touched:
            raise UsageError(
                f"{path} has no '--- a/file' and '+++ b/file' lines: not a unified diff"
            )
        return cls(path.stem, text, tuple(touched))


def _touched(text: bytes) -> set[str]:
    found = set()
    for raw in _HEADER.findall(text):
        name = raw.decode(errors="replace").strip()
        if name == "/dev/null" or not re.match(r"[ab]/", name):
            continue
        path = Path(name[2:])
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"the patch names a path outside the tree: {name}")
        found.add(str(path))
    return found


def apply(files: Files, patch: Patch, *, reverse: bool = False) -> dict[str, bytes | None]:
    """Return ``files`` with the patch applied (or taken out); raise :class:`PatchError`."""
    with tempfile.TemporaryDirectory(prefix="gso-patch-") as folder:
        tree = Path(folder)
        for name in patch.touched:
            content = files.get(name)
            if content is not None:
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes(content)
        done = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", *(["--reverse"] if reverse else []), "-"],
            input=patch.text,
            cwd=tree,
            capture_output=True,
            check=False,
            # Inside a repository git would silently skip files that are not below its root.
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)},
        )
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()
            way = "be taken out of" if reverse else "be applied to"
            raise PatchError(f"{patch.name} cannot {way} this tree:\n{said}")
        changed = dict(files)
        for name in patch.touched:
            path = tree / name
            changed[name] = path.read_bytes() if path.is_file() else None
        return changed


def applies(files: Files, patch: Patch, *, reverse: bool = False) -> bool:
    """Say whether :func:`apply` would succeed."""
    try:
        apply(files, patch, reverse=reverse)
    except PatchError:
        return False
    return True


@dataclass(frozen=True)
class Variants:
    """The two trees to compare, and the steps that led from the pristine tree to them."""

    unpatched: dict[str, bytes | None]
    patched: dict[str, bytes | None]
    steps: tuple[str, ...]


def variants(
    pristine: Callable[[tuple[str, ...]], dict[str, bytes | None]],
    series: list[Patch],
    fix: Patch | None,
) -> Variants:
    """Work out the unpatched and the patched tree.

    ``pristine`` returns the tree's own content of the paths it is given. ``fix`` is the known
    complete fix of the fault under test: where the tree has it, the unpatched tree is the one
    without it, so that an incomplete patch is not completed by what the tree already had.
    Patches of ``series`` that are in the tree already are taken out of the unpatched tree.
    """
    every = [*series, *([fix] if fix else [])]
    base = pristine(tuple(sorted({name for patch in every for name in patch.touched})))
    steps = []
    if fix and applies(base, fix, reverse=True):
        base = apply(base, fix, reverse=True)
        steps.append(f"the tree has the fix {fix.name}: taken out of the unpatched kernel")
    patched = base
    for patch in series:
        if not applies(patched, patch) and applies(patched, patch, reverse=True):
            if base != patched:
                raise PatchError(f"{patch.name} is in the tree already, but not the one before it")
            base = apply(base, patch, reverse=True)
            steps.append(f"{patch.name} is in the tree already: taken out of the unpatched kernel")
        else:
            patched = apply(patched, patch)
            steps.append(f"{patch.name} applied to the patched kernel")
    return Variants(base, patched, tuple(steps))
