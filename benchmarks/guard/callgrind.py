"""Read what callgrind wrote: instructions of each function of one shared object or more."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

_NAME = re.compile(r"(?P<key>ob|fn)=\((?P<id>\d+)\)(?: (?P<name>.*))?$")
_COST = re.compile(r"[+-]?\d+ (\d+)$|\* (\d+)$")
_TITLE = "desc: Trigger: Client Request: "


def read_profile(lines: Iterable[str], folder: str) -> tuple[str, Counter[str]]:
    """The title of a dump, and the instructions spent in functions of objects below `folder`.

    A function's own instructions only. A dump names a function or object in full where it first
    mentions it, whatever for, and by its number afterwards.
    """
    title = ""
    names: dict[tuple[str, str], str] = {}
    current = {"ob": "", "fn": ""}
    counts: Counter[str] = Counter()
    inclusive = False
    for line in map(str.rstrip, lines):
        if line.startswith(_TITLE):
            title = line[len(_TITLE) :]
        elif line.startswith("calls="):
            inclusive = True  # the next line is what the called function cost
        elif found := _NAME.match(line.removeprefix("c")):
            key, number, name = found.group("key", "id", "name")
            if name is not None:
                names[key, number] = name
            if not line.startswith("c"):
                current[key] = names[key, number]
        elif cost := _COST.match(line):
            if not inclusive and current["ob"].startswith(folder):
                counts[current["fn"]] += int(cost.group(1) or cost.group(2))
            inclusive = False
    return title, counts


def read_profiles(paths: Iterable[Path], folder: str) -> dict[str, Counter[str]]:
    """All dumps that have a title."""
    profiles = {}
    for path in paths:
        with path.open() as file:
            title, counts = read_profile(file, folder)
        if title:
            profiles[title] = counts
    return profiles
