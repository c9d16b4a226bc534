"""The imports and includes that a source file has, wherever in the file they stand."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Import:
    """``import module``, or ``from module import names``; ``level`` counts the leading dots."""

    line: int
    module: str
    names: tuple[str, ...] = ()
    level: int = 0
    word: str = field(default="import", compare=False)

    def __str__(self) -> str:
        source = "." * self.level + self.module
        if not self.names:
            return f"{self.word} {source}"
        return f"from {source} {self.word} {', '.join(self.names)}"


@dataclass(frozen=True)
class Include:
    """A C header or a piece of Cython that becomes a part of the file."""

    line: int
    name: str

    def __str__(self) -> str:
        return f'include "{self.name}"'


def python_imports(source: str) -> Iterator[Import]:
    """Yield the imports of a Python file, those in functions and below ``TYPE_CHECKING``, too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield Import(node.lineno, node.module or "", names, node.level)


_C_COMMENT = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_C_INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*([^\n]*)", re.MULTILINE)


def c_includes(source: str) -> Iterator[Include]:
    """Yield the includes of a C file; those in angle brackets are the system's and left out."""

    def blank(match: re.Match[str]) -> str:
        text = match[0]
        return text if text.startswith('"') else "\n" * text.count("\n")

    text = _C_COMMENT.sub(blank, source)
    for match in _C_INCLUDE.finditer(text):
        name = match[1].strip()
        if not name.startswith("<"):
            yield Include(text.count("\n", 0, match.start()) + 1, name.strip('"'))


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


_CYTHON = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<string>[A-Za-z]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
    |(?P<joined>\\\n)
    |(?P<newline>\n)
    |(?P<name>\.*[A-Za-z_]\w*(?:\.\w+)*|\.+)
    |(?P<mark>[^\s])""",
    re.VERBOSE | re.DOTALL,
)


def _cython_statements(source: str) -> Iterator[list[_Token]]:
    """Yield the tokens of each statement; a colon ends one, too, as what follows may be another."""
    statement: list[_Token] = []
    depth = 0
    line = 1
    for match in _CYTHON.finditer(source):
        kind, text = str(match.lastgroup), match[0]
        depth += (text in "([{") - (text in ")]}") if kind == "mark" else 0
        ends = kind == "newline" or (kind == "mark" and text in ";:")
        if ends and depth == 0:
            if statement:
                yield statement
            statement = []
        elif kind in ("name", "string", "mark"):
            statement.append(_Token(kind, text, line))
        line += text.count("\n")
    if statement:
        yield statement


def _words(tokens: list[_Token]) -> Iterator[str]:
    """Yield the first name of each part between commas: ``a as b, c`` is ``a`` and ``c``."""
    first = True
    for token in tokens:
        if token.text == ",":
            first = True
        elif first and token.text not in "()":
            yield token.text
            first = False


def _unquoted(string: str) -> str:
    return string.lstrip("bcruBCRU").strip("\"'")


def cython_statements(source: str) -> Iterator[Import | Include]:
    """Yield what a ``.pyx`` or ``.pxd`` imports, cimports and includes, and its C code includes."""
    verbatim = False  # a string here is C code: it follows "cdef extern from"
    for statement in _cython_statements(source):
        words = [token.text for token in statement]
        line = statement[0].line
        if verbatim and statement[0].kind == "string":
            for include in c_includes(_unquoted(words[0])):
                yield Include(line + include.line - 1, include.name)
        verbatim = False
        if words[0] in ("import", "cimport"):
            for module in _words(statement[1:]):
                yield Import(line, module, word=words[0])
        elif words[0] == "from" and len(words) > 3 and words[2] in ("import", "cimport"):
            module = words[1].lstrip(".")
            level = len(words[1]) - len(module)
            yield Import(line, module, tuple(_words(statement[3:])), level, words[2])
        elif words[:3] == ["cdef", "extern", "from"]:
            verbatim = True
            if statement[3].kind == "string" and "<" not in words[3]:
                yield Include(line, _unquoted(words[3]))
        elif words[0] == "include" and len(words) == 2 and statement[1].kind == "string":
            yield Include(line, _unquoted(words[1]))
