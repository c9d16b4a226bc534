"""No regular expression of the project takes time that grows with the square of its text.

All of them are found in the sources. Each gets texts that are made of its own parts: a beginning
of what it matches, any few parts of it over and over, and an end that fits nothing.
"""

from __future__ import annotations

import ast
import re
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import gso

_parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
PACKAGES = {
    "gso": Path(gso.__file__).parent,
    "gso.kernel": Path(gso.__file__).parents[1] / "kernel",
}
ANCHORED = {"match", "fullmatch"}
METHODS = {*ANCHORED, "search", "sub", "subn", "findall", "finditer", "split"}
LENGTHS = (5_000, 40_000)
"""Characters of a text, and of a longer one of the same kind, that is tried if need be."""
NOTABLE, SLOW = 0.003, 0.25
"""Seconds of the processor, for both: what grows with the square takes 64 times as long."""
MOST_PARTS = 2
ENDS = ("\0", "")


class Found(NamedTuple):
    """A regular expression in a source, and whether it is only tried at the start of a text."""

    place: str
    pattern: re.Pattern[Any]
    anchored: bool


def sources() -> Iterator[tuple[str, ast.Module, dict[str, Any]]]:
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            name = ".".join((package, *path.relative_to(folder).with_suffix("").parts))
            text = path.read_text()
            if "re." in text and "import re" in text and not name.endswith("__main__"):
                yield name, ast.parse(text), vars(import_module(name.removesuffix(".__init__")))


def expressions() -> Iterator[Found]:
    """Compiled ones of modules by their names, and those that calls have as texts."""
    for module, tree, names in sources():
        methods: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                methods.setdefault(node.value.id, set()).add(node.attr)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                first = node.args[0] if node.args else None
                if (
                    isinstance(node.func.value, ast.Name)
                    and node.func.value.id == "re"
                    and node.func.attr in METHODS
                    and isinstance(first, ast.Constant)
                ):
                    flags = re.MULTILINE | re.DOTALL if node.func.attr not in ANCHORED else 0
                    pattern = re.compile(first.value, flags)
                    yield Found(f"{module}:{node.lineno}", pattern, node.func.attr in ANCHORED)
        for name, value in names.items():
            if isinstance(value, re.Pattern):
                used = methods.get(name, set()) & METHODS
                yield Found(f"{module}.{name}", value, bool(used) and used <= ANCHORED)


def parts(parsed: Any) -> list[str]:
    """Return characters that the pieces of an expression match, in their order."""
    found: list[str] = []
    for code, value in parsed:
        name = str(code)
        if name == "LITERAL":
            found.append(chr(value))
        elif name in ("NOT_LITERAL", "ANY"):
            found.append("a" if value != ord("a") else "b")
        elif name == "IN":
            found.append(member(value))
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            found += parts(value[2]) * max(1, min(value[0], 2))
        elif name == "SUBPATTERN":
            found += parts(value[3])
        elif name == "ATOMIC_GROUP":
            found += parts(value)
        elif name == "BRANCH":
            found += [piece for branch in value[1] for piece in parts(branch)]
    return found


def member(items: list[Any]) -> str:
    """Return a character of a set."""
    kinds = {"CATEGORY_DIGIT": "1", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " "}
    if str(items[0][0]) == "NEGATE":
        without = re.compile("[" + "".join(map(written, items[1:])) + "]")
        return next(sign for sign in "a1 \n(:" if not without.match(sign))
    code, value = items[0]
    if str(code) == "LITERAL":
        return chr(value)
    if str(code) == "RANGE":
        return chr(value[0])
    return kinds.get(str(value), "a" if "NOT_SPACE" in str(value) else " ")


def written(item: Any) -> str:
    code, value = item
    if str(code) == "LITERAL":
        return re.escape(chr(value))
    if str(code) == "RANGE":
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    kinds = {"DIGIT": r"\d", "WORD": r"\w", "SPACE": r"\s"}
    kind = str(value).removeprefix("CATEGORY_")
    return kinds[kind.removeprefix("NOT_")].swapcase() if "NOT_" in kind else kinds[kind]


def words(pieces: list[str]) -> list[str]:
    """Put the letters and digits that follow each other together."""
    found: list[str] = []
    for before, piece in pairwise(["", *pieces]):
        if found and before.isalnum() and piece.isalnum():
            found[-1] += piece
        else:
            found.append(piece)
    return found


def attacks(pattern: re.Pattern[Any]) -> Iterator[tuple[str, str]]:
    """Yield texts that could make it try the same places again and again, each in two lengths."""
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    pieces = parts(_parser.parse(pattern.pattern, flags))
    seen = set()
    for units in (pieces, words(pieces)):
        for start in range(len(units)):
            for length in range(1, MOST_PARTS + 1):
                pump = "".join(units[start : start + length])
                for before in ("", "".join(units[:start])):
                    if pump and (before, pump) not in seen:
                        seen.add((before, pump))
                        for end in ENDS:
                            yield long(before, pump, end)
    for pump in (" ", "\n", "a", "1", "a ", " \n", "(", ")"):
        yield long("", pump, "\0")


def long(before: str, pump: str, end: str) -> tuple[str, str]:
    short, longer = (before + pump * (length // len(pump)) + end for length in LENGTHS)
    return short, longer


def seconds(found: Found, text: str) -> float:
    given: Any = text.encode() if isinstance(found.pattern.pattern, bytes) else text
    begin = time.process_time()
    if found.anchored:
        found.pattern.match(given)
    else:
        for _ in found.pattern.finditer(given):
            pass
    return time.process_time() - begin


FOUND = {found.place: found for found in expressions()}


def slowest(found: Found) -> tuple[float, str]:
    """Return how long the worst of its texts takes, if it is several times as long as it was."""
    worst = 0.0, ""
    for text, longer in attacks(found.pattern):
        if seconds(found, text) > NOTABLE:
            worst = max(worst, (min(seconds(found, longer) for _ in range(2)), text[:60]))
        if worst[0] > SLOW:
            break
    return worst


@pytest.mark.parametrize("place", list(FOUND))
def test_time_grows_with_the_text(place):
    taken, text = slowest(FOUND[place])
    assert taken <= SLOW, f"{FOUND[place].pattern.pattern!r} takes {taken:.2f} s for {text!r}..."
