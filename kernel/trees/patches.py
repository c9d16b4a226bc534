"""Patches as data: what they touch, whether they apply, and what a tree becomes with them.

A patched tree is represented by the files that differ from the pristine one (:data:`Files`), so
that applying, reversing and comparing cost nothing and never change the user's tree.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.trees import mails

# Contents of the files that patches touch, by path in the tree; None: the file is absent.
Files = Mapping[str, "bytes | None"]

# Returns a tree's own content of the paths it is given.
Pristine = Callable[[tuple[str, ...]], dict[str, "bytes | None"]]

_LARGEST = 16 << 20
_LONGEST_PART, _DEEPEST = 255, 30
_MOST_LINES = 4
# The names at the top of a kernel tree tell how many leading components a diff has to lose.
_TOP = frozenset(
    (
        *("arch", "block", "certs", "crypto", "Documentation", "drivers", "fs", "include", "init"),
        *("io_uring", "ipc", "kernel", "lib", "LICENSES", "mm", "net", "rust", "samples"),
        *("scripts", "security", "sound", "tools", "usr", "virt", "Makefile", "Kconfig"),
    )
)
_HUNK = re.compile(rb"@@ -\d{1,9}(?:,(\d{1,9}))? \+\d{1,9}(?:,(\d{1,9}))? @@")
# The beginnings of the lines that matter between hunks.
_WORDS = (
    *(b"diff --git ", b"---", b"+++", b"rename", b"copy", b"Binary files "),
    *(b"old mode", b"new mode", b"new file mode", b"deleted file mode", b"index "),
)
# Git quotes other names; no file of a kernel tree has one.
_NAME = re.compile(r"[ -~]{1,4000}")
_LINK_OR_MODULE = re.compile(r"(?:(?:old|new|new file|deleted file) mode|index \S+) 1[26]0000")
# git apply refuses fuzz; with fewer lines of context it accepts what patch(1) would with fuzz.
_LESS_CONTEXT = (2, 1)


# Of git: a binary patch of 2 MB can say that it is 2 GB of zeros.
_LIMITS = ("prlimit", f"--as={1 << 30}", f"--fsize={64 << 20}", "--cpu=60", "--core=0", "--")


class PatchError(TestBedError):
    """A patch does not apply; the message has what ``git apply`` said."""

    def __init__(self, message: str) -> None:
        super().__init__("patch", message)


@dataclass(frozen=True)
class Patch:
    """A unified diff, as git, diff or a mail has it.

    ``touched``: paths in the tree, sorted. ``strip``: leading components to take off the diff's
    paths. ``notes``: what people should know of how it was read. ``others``: the same change, for
    trees whose code around it differs.
    """

    name: str
    text: bytes
    touched: tuple[str, ...]
    strip: int = 1
    notes: tuple[str, ...] = ()
    others: tuple[Patch, ...] = ()

    @property
    def forms(self) -> tuple[Patch, ...]:
        """It and its other forms."""
        return (self, *self.others)

    def fitting(self, files: Files) -> Patch:
        """Return the form that the tree has, or that fits it; without any this one."""
        fits = (form for form in self.forms if _fits(files, form))
        return next(fits, self)

    @classmethod
    def read_forms(cls, paths: Sequence[Path]) -> Patch:
        """Read the files of one patch, each a form of it."""
        first, *others = map(cls.read, paths)
        return replace(first, others=tuple(others))

    @classmethod
    def read(cls, path: Path) -> Patch:
        """Read a file with one patch; whatever cannot be one is a :class:`UsageError`."""
        found = read_series(path)
        if len(found) != 1:
            raise UsageError(f"{path} has {len(found)} patches, expected one")
        return found[0]

    @classmethod
    def parse(cls, name: str, text: bytes, notes: tuple[str, ...] = ()) -> Patch:
        """Find out what a diff touches, and refuse what cannot be applied faithfully."""
        files = list(_sections(text))
        if not files:
            raise UsageError(
                f"{name} has no '--- a/file' and '+++ b/file' lines: not a unified diff"
            )
        strip = 0 if all(f.first in _TOP for f in files) else 1
        touched = sorted({path for file in files for path in file.paths(strip)})
        folders = {str(folder) for path in touched for folder in Path(path).parents}
        if both := folders.intersection(touched):
            raise UsageError(f"{name} takes {min(both)} for a file and for a folder")
        modes = [file.mode_note(strip) for file in files]
        return cls(name, text, tuple(touched), strip, (*notes, *filter(None, modes)))


def read_series(path: Path) -> list[Patch]:
    """Read the patches of a file, in order: one diff, or the mails of an mbox."""
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
    if not mails.is_mail(text):
        return [Patch.parse(path.stem, text)]
    series = mails.read(str(path), text)
    many = len(series.parts) > 1
    found = [
        Patch.parse(f"{path.stem}-{number:04}" if many else path.stem, part)
        for number, part in enumerate(series.parts, 1)
    ]
    return [replace(found[0], notes=(*series.notes, *found[0].notes)), *found[1:]]


@dataclass(frozen=True)
class _Section:
    """The part of a diff for one file: its names and modes."""

    old: str = ""
    new: str = ""
    moved: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    git: bool = False  # the "diff --git" line was met, and no "+++" yet

    @property
    def first(self) -> str:
        return (self.new if self.new != "/dev/null" else self.old).split("/")[0]

    def paths(self, strip: int) -> list[str]:
        # diff(1) names what it compared: of "x.c.orig" and "x.c" the second is the tree's.
        named = self.new if self.new != "/dev/null" else self.old
        return [_inside(named, strip), *(_inside(name, 0) for name in self.moved)]

    def having(self, *, moved: Sequence[str] = (), modes: Sequence[str] = ()) -> _Section:
        """Return it with more such lines; of each kind git writes two for a file."""
        more = replace(self, moved=(*self.moved, *moved), modes=(*self.modes, *modes))
        if max(len(more.moved), len(more.modes)) > _MOST_LINES:
            raise UsageError(f"the diff moves {self.new[:80]!r}, or changes its mode, repeatedly")
        return more

    def mode_note(self, strip: int) -> str:
        if not self.modes:
            return ""
        return f"the file mode of {self.paths(strip)[0]} stays as it is ({', '.join(self.modes)})"


def _inside(name: str, strip: int) -> str:
    if not _NAME.fullmatch(name) or set(name) & {'"', "\\"}:
        raise UsageError(f"no file of a kernel tree is named {name[:80]!r}")
    path = Path(name)
    if any(len(part) > _LONGEST_PART for part in path.parts):
        raise UsageError(f"a name is too long for a file system: {name[:80]!r}")
    if len(path.parts) > _DEEPEST:
        raise UsageError(f"a name has more than {_DEEPEST} folders: {name[:80]!r}")
    if path.is_absolute() or ".." in path.parts or len(path.parts) <= strip:
        raise UsageError(f"the patch names a path outside the tree: {name}")
    return str(Path(*path.parts[strip:]))


def _sections(text: bytes) -> list[_Section]:
    """Return each file's part of a diff, with git's extended headers or without."""
    found: list[_Section] = []
    before = ""
    for line in _headers(text):
        word, _, rest = line.partition(" ")
        name = rest.split("\t")[0].strip().strip('"')
        if match := re.fullmatch(r"diff --git (\S+) (\S+)", line):
            found.append(_Section(match[1], match[2], git=True))
        elif word == "---":
            before = name
        elif word == "+++" and before:
            if not (found and found[-1].git):
                found.append(_Section())
            found[-1] = replace(found[-1], old=before, new=name, git=False)
            before = ""
        elif found and word in ("rename", "copy"):
            _, _, moved = rest.partition(" ")
            found[-1] = found[-1].having(moved=[moved])
        elif _LINK_OR_MODULE.match(line):
            raise UsageError(f"{line!r}: symbolic links and submodules are not applied")
        elif found and line.startswith(("old mode", "new mode")):
            found[-1] = found[-1].having(modes=[line])
        elif line.startswith("Binary files "):
            raise UsageError(
                f"{line!r}: the diff does not hold the content; make it with git diff --binary"
            )
    return found


def _headers(text: bytes) -> Iterator[str]:
    """Yield the lines between hunks: in a hunk, a removed line may look like a header."""
    old = new = 0
    for raw in text.split(b"\n"):
        if old > 0 or new > 0:
            old -= raw[:1] in (b"-", b" ", b"")
            new -= raw[:1] in (b"+", b" ", b"")
        elif match := _HUNK.match(raw):
            old, new = (int(count) if count else 1 for count in match.groups())
        elif raw.startswith(_WORDS):
            yield raw.decode(errors="replace").rstrip("\r")


@dataclass(frozen=True)
class Applied:
    """A tree with a patch, and where the patch did not fit exactly."""

    files: dict[str, bytes | None]
    notes: tuple[str, ...]


def apply(
    files: Files, patch: Patch, *, reverse: bool = False, context: int | None = None
) -> Applied:
    """Return ``files`` with the patch applied (or taken out); raise :class:`PatchError`.

    ``context``: the lines around a change that must agree, where fewer than the patch has.
    """
    with tempfile.TemporaryDirectory(prefix="gso-patch-") as folder:
        tree = Path(folder)
        for name in patch.touched:
            content = files.get(name)
            if content is not None:
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_bytes(content)
        command = [*_LIMITS, "git", "apply", "--verbose", "--whitespace=nowarn", f"-p{patch.strip}"]
        command += ["--reverse"] if reverse else []
        command += [] if context is None else [f"-C{context}"]
        done = subprocess.run(
            [*command, "-"],
            input=patch.text,
            cwd=tree,
            capture_output=True,
            check=False,
            # Inside a repository git would silently skip files that are not below its root.
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent), "LC_ALL": "C"},
        )
        said = done.stderr.decode(errors="replace").strip()
        if "unable to write" in said or "unable to create" in said:
            raise TestBedError("patch", f"git apply cannot write to {tree.parent}:\n{said}")
        if done.returncode < 0:
            said = f"{said}\ngit apply was ended by signal {-done.returncode}: it needs too much"
        if done.returncode:
            way = "be taken out of" if reverse else "be applied to"
            raise PatchError(f"{patch.name} cannot {way} this tree:\n{said}")
        changed = dict(files)
        for name in patch.touched:
            path = tree / name
            changed[name] = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        return Applied(changed, tuple(_misfits(patch, said)))


def _misfits(patch: Patch, said: str) -> Iterator[str]:
    for line in said.splitlines():
        if "offset" in line or "Context reduced" in line:
            yield f"{patch.name}: {line.strip()}"


def apply_with_fuzz(files: Files, patch: Patch) -> Applied:
    """Apply the patch, if need be with less context than it has, and say so."""
    try:
        return apply(files, patch)
    except PatchError:
        for context in _LESS_CONTEXT:
            if applies(files, patch, context=context):
                applied = apply(files, patch, context=context)
                fuzz = f"{patch.name}: fits only with fuzz, {context} lines of context"
                return Applied(applied.files, (fuzz, *applied.notes))
        raise


def applies(
    files: Files, patch: Patch, *, reverse: bool = False, context: int | None = None
) -> bool:
    """Say whether :func:`apply` would succeed."""
    try:
        apply(files, patch, reverse=reverse, context=context)
    except PatchError:
        return False
    return True


def _fits(files: Files, patch: Patch) -> bool:
    return applies(files, patch, reverse=True) or applies(files, patch)


@dataclass(frozen=True)
class Variants:
    """The two trees to compare, and the steps that led from the pristine tree to them."""

    unpatched: dict[str, bytes | None]
    patched: dict[str, bytes | None]
    steps: tuple[str, ...]


def variants(pristine: Pristine, series: Sequence[Patch], fix: Patch | None) -> Variants:
    """Work out the unpatched and the patched tree.

    ``fix`` is the known complete fix of the fault under test: where the tree has it, the unpatched
    tree is the one without it, so that an incomplete patch is not completed by what the tree
    already had.
    Patches of ``series`` that are in the tree already are taken out of the unpatched tree.
    """
    every = [form for patch in (*series, *([fix] if fix else [])) for form in patch.forms]
    base = pristine(tuple(sorted({name for patch in every for name in patch.touched})))
    fix = fix and fix.fitting(base)
    series = [patch.fitting(base) if patch.others else patch for patch in series]
    steps = [note for patch in series for note in patch.notes]
    if fix and applies(base, fix, reverse=True):
        base = apply(base, fix, reverse=True).files
        steps.append(f"the tree has the fix {fix.name}: taken out of the unpatched kernel")
    patched = base
    for patch in series:
        if not applies(patched, patch) and applies(patched, patch, reverse=True):
            if base != patched:
                raise PatchError(f"{patch.name} is in the tree already, but not the one before it")
            base = apply(base, patch, reverse=True).files
            steps.append(f"{patch.name} is in the tree already: taken out of the unpatched kernel")
        else:
            applied = apply_with_fuzz(patched, patch)
            patched = applied.files
            steps.append(f"{patch.name} applied to the patched kernel")
            steps.extend(applied.notes)
    return Variants(base, patched, tuple(steps))
