"""C files in the kernel's style, put together from pieces as bytes say, and changes of them."""

from __future__ import annotations

from typing import NamedTuple

FUNCTIONS = (
    "static int {n}(int a)\n{{\n\treturn {v};\n}}\n",
    "int {n}(struct a *b,\n\t\tint c)\n{{\n\tif (b) {{\n\t\treturn {v};\n\t}}\n\treturn 0;\n}}\n",
    "static inline int {n}(void) {{ return {v}; }}\n",
    'static void __maybe_unused {n}(void)\n{{\n\tpr_warn("}} {{ /* %d", {v});\n}}\n',
    "static int __init {n}(void)\n{{\n\tchar c = '{{';\n\n\treturn c + {v};\n}}\n",
    "#ifdef CONFIG_A\nint {n}(void)\n#else\nint {n}(int b)\n#endif\n{{\n\treturn {v};\n}}\n",
    "void\n{n}(void)\n{{\n\tx({v});\n}}\n",
    "int {n}(int (*f)(int), int b)\n{{\n\treturn f({v});\n}}\n",
    "struct a *{n}(struct a *b)\n{{\n\tfor (;;) {{\n\t\tx({v});\n\t}}\n\treturn b;\n}}\n",
    "__printf(1, 2)\nint {n}(const char *f, ...)\n{{\n\treturn {v};\n}}\n",
    "int {n}(int a) {{\n\treturn {v};\n}}\n",
    "/**\n * {n} - say {{ nothing\n */\nint {n}(int a)\n{{\n\t// one }}\n\treturn {v};\n}}\n",
    "int {n}(int a)\n{{\n\tswitch (a) {{\n#ifdef B\n\tcase {v}:\n#endif\n\t}}\n\treturn 0;\n}}\n",
)
"""Of a name ``n``; a number ``v`` stands in their bodies."""
OTHERS = (
    "struct s{n} {{\n\tint a[{v}];\n}};\n",
    "static const struct ops {n} = {{\n\t.a\t= b,\n\t.c\t= {v},\n}};\n",
    "#define {n}(a) \\\n\tdo {{ \\\n\t\ta = {v}; \\\n\t}} while (0)\n",
    "enum {{ A{n} = {v} }};\n",
    "EXPORT_SYMBOL({n}{v});\n",
    "static int {n} = {v};\n",
    "extern int {n}(int a[{v}]);\n",
    "#if {v}\n#endif\n",
)
"""Code outside functions."""
NOTHING = ("\n", "/* {v} {{ */\n", "// {v} }}\n", "\n\n")
"""What no compiler sees."""
FRAGMENTS = (
    *("{", "}", "(", ")", "\n", "\n}", "{\n", "/*", "*/", "//", '"', "'", "\\", "\\\n", "#", "#if"),
    *("int f(", ") {", ")\n{\n", "f(void)", ";", "=", ",", "__init ", "a" * 600, "F(g, ", "\t"),
    "\0",
    *("\u00e9", "__printf(1, 2) ", "__attribute__((", "const", " ", "do {", "} while (0)"),
)
"""What may stand anywhere in a damaged file."""
_PIECES = (*FUNCTIONS, *OTHERS, *NOTHING)
_EVERY = (*FRAGMENTS, *_PIECES)
MOST = 300
"""Pieces of a file: one that is put together shows with few what it shows with many."""
COUNT, DAMAGED = len(_PIECES), len(_EVERY)
"""Different bytes for `edited`, each twice, and for `damaged`."""


class Edited(NamedTuple):
    """A file before and after a change, and the names of what differs; "" is outside functions."""

    before: str
    after: str
    names: set[str]


def edited(data: bytes) -> Edited:
    """Return a file of a piece a byte, of which those whose byte is odd have another number."""
    before, after, names = [], [], set()
    for number, byte in enumerate(data[:MOST]):
        kind = (byte >> 1) % len(_PIECES)
        piece, name = _PIECES[kind], f"f{number}"
        before.append(piece.format(n=name, v=1))
        after.append(piece.format(n=name, v=1 + (byte & 1)))
        if byte & 1 and piece not in NOTHING:
            names.add(name if piece in FUNCTIONS else "")
    return Edited("".join(before), "".join(after), names)


def damaged(data: bytes) -> str:
    """Return a file of pieces and fragments, a piece a byte."""
    pieces = (_EVERY[byte % DAMAGED] for byte in data[:MOST])
    return "".join(
        piece if piece in FRAGMENTS else piece.format(n=f"f{at % 9}", v=1)
        for at, piece in enumerate(pieces)
    )
