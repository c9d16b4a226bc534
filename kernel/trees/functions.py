"""The functions of C files in the kernel's style, and which of them a patch changes.

This is no parser of C. The kernel's style puts the closing brace of a function, and mostly the
opening one, at the beginning of a line, and that is what is looked for. What is not found so
counts as code outside functions, which changes too, and is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gso.kernel.trees.patches import Files

OUTSIDE = ""
"""In place of a function's name: macros, structures, variables."""

_SOURCES = (".c", ".h")
# A comment, a string or a character; in the two last a brace is no brace.
_OPAQUE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
# From the line of the opening brace to a closing one at the beginning of a line, or all in a line.
_BODY = re.compile(
    r"^(?:\{|[^\s{}=;][^{}=;\n]*\)[^{}=;\n]*\{)[ \t]*\n.*?^\}", re.MULTILINE | re.DOTALL
)
_ONE_LINE = re.compile(r"^[^\s{}=;#][^{}=;\n]*\)[^{}=;()\n]*\{[^{}\n]*\}[ \t]*$", re.MULTILINE)
_HEAD_END = re.compile(r"[;}]|^[ \t]*\n", re.MULTILINE)
_CALL = re.compile(r"(\w+)\s*\(")
# Attributes with arguments, which may stand before a function's name.
_ATTRIBUTES = re.compile(
    r"__(?:attribute__|printf|scanf|aligned|section|must_hold|acquires|releases|alloc_size"
    r"|no_sanitize|cond_acquires|malloc|counted_by)|const"
)
_ONLY_AT_LOAD = re.compile(r"\b__(?:init|exit)\b")


@dataclass(frozen=True)
class Function:
    """A function that differs.

    ``callers``: pairs of a name and the functions of the same file that mention it: of this one,
    then of those that mention it, and so on. ``only_at_load``: it runs when its module is loaded
    or unloaded, at no other time.
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
    masked = _masked(code)
    found: dict[str, str] = {}
    rest, at = "", 0
    for start, end in _bodies(masked):
        begin = _head(masked, at, start)
        name = _name(masked[begin:start] + masked[start:end].split("{")[0])
        if name is None:
            continue
        rest += code[at:begin]
        # Two of one name are in two branches of the preprocessor.
        found[name] = found.get(name, "") + _spaced(code[begin:end])
        at = end
    found[OUTSIDE] = _spaced(rest + code[at:])
    return found


def _without_comment(match: re.Match[str]) -> str:
    # As many lines as before: a directive ends with its line.
    return match[0] if match[0][0] != "/" else " " + "\n" * match[0].count("\n")


def _masked(code: str) -> str:
    """Return the code, as long as before, with nothing left that only looks like a brace."""
    opaque = _OPAQUE.sub(lambda match: "x" * len(match[0]), code)
    return _DIRECTIVE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), opaque)


def _bodies(masked: str) -> list[tuple[int, int]]:
    found = [match.span() for match in _BODY.finditer(masked)]
    inside = [range(*span) for span in found]
    for match in _ONE_LINE.finditer(masked):
        if not any(match.start() in span for span in inside):
            found.append(match.span())
    return sorted(found)


def _head(masked: str, at: int, start: int) -> int:
    """Return where the declaration before a body begins."""
    ends = [match.end() for match in _HEAD_END.finditer(masked, at, start)]
    return ends[-1] if ends else at


def _name(head: str) -> str | None:
    if "=" in head:
        return None
    depth_0 = re.sub(r"\([^()]*\)", "()", head)
    while "()" in depth_0 and re.search(r"\([^()]+\)", depth_0):
        depth_0 = re.sub(r"\([^()]+\)", "()", depth_0)
    for match in _CALL.finditer(depth_0):
        if not _ATTRIBUTES.fullmatch(match[1]):
            return _defined_by(head, match[1])
    return None


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
    for name in dict.fromkeys([*after, *before]):
        if before.get(name, "") != after.get(name, ""):
            codes = (before.get(name, ""), after.get(name, ""))
            at_load = any(_ONLY_AT_LOAD.search(code.split("{")[0]) for code in codes)
            callers = () if name == OUTSIDE else tuple(_callers(name, {**before, **after}))
            yield Function(file, name, callers, only_at_load=at_load)


def _callers(name: str, text: dict[str, str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    known, waiting = {name}, [name]
    while waiting:
        called = waiting.pop(0)
        word = re.compile(rf"\b{re.escape(called)}\b")
        found = [n for n, code in text.items() if n not in (OUTSIDE, called) and word.search(code)]
        if found:
            yield called, tuple(found)
        waiting += [n for n in found if n not in known]
        known.update(found)
