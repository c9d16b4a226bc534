"""Kernel configurations from fragments, with every option checked after Kconfig has had its say."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from pathlib import Path

from gso.kernel import guest_files
from gso.kernel.errors import TestBedError, UsageError
from gso.kernel.paths import PACKAGE
from gso.kernel.trees.making import made, make

_FOLDER = PACKAGE / "config"
# One fragment a need: what every small kernel has, and what is had on request.
STANDARD = ("machine", "userspace", "network", "probes", "watchdogs")
_WANTED = re.compile(r"^(?:CONFIG_(\w+)=.+|# CONFIG_(\w+) is not set)", re.MULTILINE)
_BECAME = re.compile(r"^# CONFIG_(\w+) became CONFIG_(\w+)$", re.MULTILINE)
_IGNORED = re.compile(r"\s*(?:#.*)?")
_MOST_SAID, _LONGEST_REASON = 100, 500
_SET = re.compile(r"^CONFIG_(\w+)=", re.MULTILINE)
_ENTRY = re.compile(r"^[ \t]*(?:menu)?config (\w+)\n((?:[ \t].*\n|\n)*)", re.MULTILINE)


def fragment(name: str) -> str:
    """Return a fragment of the package by its name, or of the user by its path."""
    path = _FOLDER / f"{name}.config"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        own = ", ".join(sorted(known.stem for known in _FOLDER.glob("*.config")))
        raise UsageError(f"no configuration fragment {name}: neither a file nor one of {own}")
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the configuration fragment {path}: {error}") from None
    for number, line in enumerate(text.split("\n"), 1):
        if not _WANTED.match(line) and not _IGNORED.fullmatch(line):
            raise UsageError(f"{path}, line {number}: {line[:80]!r} sets no option")
    return text


def fragments(extra: Sequence[str] = ()) -> str:
    """Return the standard fragments and the extra ones as one text."""
    return "\n".join(fragment(name) for name in (*STANDARD, *extra))


def configure(tree: Path, objects: Path, wanted: str, log: Path) -> None:
    """Make ``objects/.config`` with what is wanted and otherwise as little as possible.

    Every time, for another commit may have other options; kconfig leaves an equal file alone.
    """
    merged = objects / "wanted.config"
    guest_files.make_way(merged)
    merged.write_text(wanted)
    goal = [f"O={objects}", f"KCONFIG_ALLCONFIG={merged}", "allnoconfig"]
    make("configure", tree, goal, log, readable=[tree], writable=objects)
    check(wanted, made(objects / ".config").decode(errors="replace"), tree)


def check(wanted: str, config: str, tree: Path) -> None:
    """Raise an error that names each option that did not stick, and what it may depend on.

    One that later kernels have under another name ("# CONFIG_A became CONFIG_B") need not, where
    they have no option of its name and the other is wanted, too.
    """
    have = set(config.split("\n"))
    there = set(_SET.findall(config))
    missing = {
        line: match[1] or match[2]
        for match in _WANTED.finditer(wanted)
        # An option that Kconfig does not even show is as good as unset.
        if (line := match[0].rstrip()) not in have and (match[1] or match[2] in there)
    }
    if not missing:
        return
    entries, now = _entries(tree, set(missing.values())), dict(_BECAME.findall(wanted))
    lost = [
        (line, name)
        for line, name in missing.items()
        if name in entries or f"CONFIG_{now.get(name)}={line.partition('=')[2]}" not in have
    ]
    if not lost:
        return
    reasons = [f"{line}: {_reason(entries.get(name), there)}" for line, name in lost[:_MOST_SAID]]
    if len(lost) > _MOST_SAID:
        reasons.append(f"and {len(lost) - _MOST_SAID} more")
    raise TestBedError("configure", "options that did not stick:\n" + "\n".join(reasons))


def _entries(tree: Path, names: set[str]) -> dict[str, str]:
    """Return the Kconfig text of some options."""
    found: dict[str, str] = {}
    for path in sorted(tree.rglob("Kconfig*")):
        if path.is_file() and not path.is_symlink() and path.suffix != ".o":
            for match in _ENTRY.finditer(guest_files.read(path).decode(errors="replace")):
                if match[1] in names:
                    found.setdefault(match[1], match[2])
    return found


def _reason(entry: str | None, there: Set[str]) -> str:
    return _why(entry, there)[:_LONGEST_REASON]


def _why(entry: str | None, there: Set[str]) -> str:
    if entry is None:
        return "this tree's Kconfig files have no such option"
    depends = re.findall(r"^[ \t]+depends on (.+)$", entry, re.MULTILINE)
    names = dict.fromkeys(re.findall(r"\b[A-Z][A-Z0-9_]+\b", " ".join(depends)))
    unset = [name for name in names if name not in there]
    if unset:
        return f"depends on {' and '.join(depends)}; not set: {', '.join(unset)}"
    if not re.search(r'^[ \t]+(?:bool|tristate|string|int|hex)\s+"', entry, re.MULTILINE):
        return "has no prompt: only another option's select can set it"
    return f"depends on {' and '.join(depends)}" if depends else "another option excludes it"
