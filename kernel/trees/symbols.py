"""Where the functions of a built kernel can be counted: by their symbols, or by their callers'."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gso.kernel.bootable import Bootable
from gso.kernel.processes import output
from gso.kernel.trees.functions import Function

# A line of nm --print-size: address, size, kind, name.
_LINE = re.compile(r"^\w+ (\w+) [tTwW] (\S+)$", re.MULTILINE)
# The names that compilers give the copies of a function that are entered in its place.
_COPY = re.compile(r"\.(?:isra|constprop|lto_priv)\b")
# A compiler may put a function so small into its callers, too, although it keeps it.
_SMALL = 100


class Symbol(NamedTuple):
    """A function as it was compiled; ``module`` is empty for the kernel itself."""

    name: str
    module: str
    size: int

    @property
    def place(self) -> str:
        """Return it as the kernel's kprobe_events wants it."""
        return f"{self.module}:{self.name}" if self.module else self.name


Symbols = dict[str, list[Symbol]]
"""By the name of the function in C."""


def plan(functions: Sequence[Function], kernel: Bootable) -> list[dict[str, Any]]:
    """Return what the guest is to count for each function: places, or why there are none."""
    if not functions:
        return []
    symbols = _symbols(kernel)
    return [_planned(function, symbols) for function in functions if function.name]


def _symbols(kernel: Bootable) -> Symbols:
    found: Symbols = defaultdict(list)
    texts = [(m.stem.replace("-", "_"), output("nm", "-S", str(m))) for m in kernel.modules]
    if kernel.symbols:
        texts.append(("", kernel.symbols.read_text()))
    for module, text in texts:
        for size, name in _LINE.findall(text):
            c_name = name.partition(".")[0]
            if name == c_name or _COPY.search(name):
                found[c_name].append(Symbol(name, module, int(size, 16)))
    return found


def _planned(function: Function, symbols: Symbols) -> dict[str, Any]:
    def answer(places: Sequence[Symbol] = (), why: str = "") -> dict[str, Any]:
        return {"name": function.name, "places": [s.place for s in places], "why": why}

    if function.only_at_load:
        return answer(why="it runs when the kernel or its module starts")
    found = list(dict.fromkeys(_standing_for(function, symbols)))
    if not found:
        return answer(why="it has no symbol, nor has a function of its file that calls it")
    names = [symbol.name for symbol in found]
    for symbol in found:
        if names.count(symbol.name) > 1 or len(symbols[symbol.name]) > 1:
            return answer(why=f"there are several functions named {symbol.name}")
    return answer(found)


def _standing_for(function: Function, symbols: Symbols) -> Iterator[Symbol]:
    """Yield the symbols whose entries show that a function may have run."""
    callers = dict(function.callers)
    waiting, seen = [function.name], {function.name}
    while waiting:
        name = waiting.pop()
        own = symbols.get(name, [])
        yield from own
        if not own or any(symbol.size < _SMALL for symbol in own):
            new = [caller for caller in callers.get(name, ()) if caller not in seen]
            seen.update(new)
            waiting += reversed(new)


def text(vmlinux: str) -> str:
    """Return the functions of a kernel's ELF file, to be kept as :attr:`Bootable.symbols`."""
    return "".join(f"{m[0]}\n" for m in _LINE.finditer(output("nm", "-S", vmlinux)))
