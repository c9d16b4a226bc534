"""The functions of C files in the kernel's style, and which of them a patch changes.

This is no parser of C. The kernel's style puts the closing brace of a function, and mostly the
opening one, at the beginning of a line, and that is what is looked for. What is not found so
counts as code outside functions, which changes too, and is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gso.kernel.trees.patches import Files

OUTSIDE = ""
"""In place of a function's name: macros, structures, variables."""

_SOURCES = (".c", ".h")
# A comment, a string or a character; in the two last a brace is no brace. One that is not closed
# goes on to the end, of the text or of the line, as it does for a compiler.
_OPAQUE = re.compile(
    r'/\*.*?(?:\*/|\Z)|//[^\n]*|"(?:\\.|[^"\\\n])*(?:"|$|\\?\Z)|\'(?:\\.|[^\'\\\n])*(?:\'|$|\\?\Z)',
    re.DOTALL | re.MULTILINE,
)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
# A line with which a body begins, and one that has all of it.
_OPENS = re.compile(r"\{|[^\s{}=;][^{}=;]*\{")
_ONE_LINE = re.compile(r"[^\s{}=;#][^{}=;]*\)[^{}=;()]*\{[^{}]*\}[ \t]*")
_HEAD_END = re.compile(r"[;}]|^[ \t]*\n", re.MULTILINE)
_PARENTHESIS = re.compile(r"([()])")
# No symbol of a kernel is longer (KSYM_NAME_LEN in include/linux/kallsyms.h).
_CALL = re.compile(r"(?<!\w)(\w{1,511})\s*\(")
_WORD = re.compile(r"\w+")
# Attributes with arguments, which may stand before a function's name.
_ATTRIBUTES = re.compile(
    r"__(?:attribute__|printf|scanf|aligned|section|must_hold|acquires|releases|alloc_size"
    r"|no_sanitize|cond_acquires|malloc|counted_by)|const"
)
_ONLY_AT_LOAD = re.compile(r"\b__(?:init|exit)\b")
_MOST_CALLERS, _MOST_IN_ALL = 300, 300_000


@dataclass(frozen=True)
class Function:
    """A function that differs.

    ``callers``: pairs of a name and the functions of the same file that mention it: of this one,
    then of those that mention it, and so on; the nearest, where there are too many.
    ``only_at_load``: it runs when its module is loaded or unloaded, at no other time.
    """

    file: str
    name: str
    callers: tuple[tuple[str, tuple[str, ...]], ...] = ()
    only_at_load: bool = False

    def __str__(self) -> str:
        return self.name or f"code of {self.file} outside functions"


def functions(text: str) -> dict[str, str]:
    """Return each function's code without comments and spacing, and under ``OUTSIDE`` the rest."""
    code = _OPAQUE.sub(_without_comment, text)
    # Two of one name are in two branches of the preprocessor.
    found: dict[str, list[str]] = {}
    rest: list[str] = []
    at = 0
    for name, begin, end in _found(_masked(code)):
        rest.append(code[at:begin])
        found.setdefault(name, []).append(_spaced(code[begin:end]))
        at = end
    found[OUTSIDE] = [_spaced("".join([*rest, code[at:]]))]
    return {name: "".join(parts) for name, parts in found.items()}


def extents(text: str) -> list[tuple[str, range]]:
    """Return the functions in their order, each with the numbers of its lines."""
    code = _OPAQUE.sub(_without_comment, text)
    found = []
    for name, begin, end in _found(_masked(code)):
        own = code[begin:end].lstrip()
        last = code.count("\n", 0, end) + 1
        found.append((name, range(last - own.count("\n"), last + 1)))
    return found


def _found(masked: str) -> Iterator[tuple[str, int, int]]:
    """Yield each function, with where its declaration begins and its body ends."""
    seen = begin = 0
    for start, end in _bodies(masked):
        begin = _head(masked, seen, start, begin)
        name = _name(masked[begin:start] + masked[start:end].partition("{")[0])
        seen = start
        if name is not None:
            yield name, begin, end
            seen = begin = end


def _without_comment(match: re.Match[str]) -> str:
    # As many lines as before: a directive ends with its line.
    return match[0] if match[0][0] != "/" else " " + "\n" * match[0].count("\n")


def _masked(code: str) -> str:
    """Return the code, as long as before, with nothing left that only looks like a brace."""
    opaque = _OPAQUE.sub(lambda match: "x" * len(match[0]), code)
    return _DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), opaque)


def _bodies(masked: str) -> Iterator[tuple[int, int]]:
    """Yield where each body is, from the start of its line to the brace that closes it."""
    last = masked.rfind("\n}")
    start, at = -1, 0
    for line in masked.split("\n"):
        if start >= 0:
            if line.startswith("}"):
                yield start, at + 1
                start = -1
        elif at < last and _opens(line.rstrip(" \t")):
            start = at
        elif _ONE_LINE.fullmatch(line):
            yield at, at + len(line)
        at += len(line) + 1


def _opens(line: str) -> bool:
    return bool(_OPENS.fullmatch(line)) and (line == "{" or ")" in line[1:])


def _head(masked: str, at: int, start: int, begin: int) -> int:
    """Return where the declaration before a body begins: the last end, or what is known of one."""
    ends = [match.end() for match in _HEAD_END.finditer(masked, at, start)]
    if masked[start] == "{":
        # Nothing but directives may stand between: "#endif" of a head that has two forms.
        last = at + len(masked[at:start].rstrip())
        ends = [end for end in ends if end <= last]
    return ends[-1] if ends else begin


def _name(head: str) -> str | None:
    if "=" in head:
        return None
    for match in _CALL.finditer(_outermost(head)):
        if not _ATTRIBUTES.fullmatch(match[1]):
            return _defined_by(head, match[1])
    return None


def _outermost(head: str) -> str:
    """Return the text without what is in parentheses."""
    depth, kept = 0, []
    for piece in _PARENTHESIS.split(head):
        depth -= piece == ")" and depth > 0
        if not depth:
            kept.append(piece)
        depth += piece == "("
    return "".join(kept)


def _defined_by(head: str, name: str) -> str:
    """Return the name itself, or of ``BPF_CALL_4(name, ...)`` and its kin the first argument."""
    first = re.search(rf"\b{name}\s*\(\s*(\w+)\s*,", head) if name.isupper() else None
    return first[1] if first else name


def _spaced(code: str) -> str:
    return " ".join(code.split())


def changed(before: Files, after: Files) -> list[Function]:
    """Return what differs, file by file; for code outside functions one without a name."""
    return [
        function
        for name in sorted({*before, *after})
        if name.endswith(_SOURCES) and before.get(name) != after.get(name)
        for function in _changed(name, _text(before, name), _text(after, name))
    ]


def _text(files: Mapping[str, bytes | None], name: str) -> dict[str, str]:
    return functions((files.get(name) or b"").decode(errors="replace"))


def _changed(file: str, before: dict[str, str], after: dict[str, str]) -> Iterator[Function]:
    mentions = _mentions({**before, **after})
    every = dict.fromkeys([*after, *before])
    names = [name for name in every if before.get(name, "") != after.get(name, "")]
    most = min(_MOST_CALLERS, 1 + _MOST_IN_ALL // max(len(names), 1))
    for name in names:
        codes = (before.get(name, ""), after.get(name, ""))
        at_load = any(_ONLY_AT_LOAD.search(code.partition("{")[0]) for code in codes)
        callers = () if name == OUTSIDE else tuple(_callers(name, mentions, most))
        yield Function(file, name, callers, only_at_load=at_load)


def _mentions(text: Mapping[str, str]) -> dict[str, list[str]]:
    """Return for each function those of the same file that mention it."""
    found: dict[str, list[str]] = {}
    for name, code in text.items():
        if name != OUTSIDE:
            for word in dict.fromkeys(_WORD.findall(code)):
                if word in text and word != name:
                    found.setdefault(word, []).append(name)
    return found


def _callers(
    name: str, mentions: Mapping[str, Sequence[str]], most: int
) -> Iterator[tuple[str, tuple[str, ...]]]:
    known, waiting = {name}, [name]
    for called in waiting:
        found = tuple(mentions.get(called, ())[:most])
        if found:
            yield called, found
        new = [one for one in found if one not in known][: most - len(known)]
        waiting += new
        known.update(new)
