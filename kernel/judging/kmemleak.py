"""Read kmemleak's reports: memory that nothing points to now, by the code that allocated it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_BEGIN = "unreferenced object "
_SIZE = re.compile(r"0x[0-9a-f]+ \(size (\d{1,18})\):")
# "    [<(____ptrval____)>] name+0x1/0x2 [module]" before 6.8, without the address since.
_FRAME = re.compile(r"^    (?:\[<[^>]*>\] )?([\w.]+)\+0x[0-9a-f]+/0x[0-9a-f]+", re.MULTILINE)
# Frames further out are those of the code that the packet's arrival happened to interrupt.
_FRAMES = 8


@dataclass(frozen=True)
class Leak:
    """Objects that one path through the kernel allocated and no code freed; innermost first."""

    stack: tuple[str, ...]
    objects: int
    size: int

    def __str__(self) -> str:
        where = " < ".join(self.stack) or "an unknown place"
        return f"kmemleak: {self.objects} objects leaked, {self.size} bytes, allocated in {where}"


def parse(text: str) -> list[Leak]:
    """Return the leaks in ``/sys/kernel/debug/kmemleak``, those with most objects first."""
    found: dict[tuple[str, ...], list[int]] = {}
    for entry in text.split(_BEGIN)[1:]:
        size = _SIZE.match(entry)
        _, _, trace = entry.partition("backtrace")
        stack = tuple(_FRAME.findall(trace)[:_FRAMES])
        found.setdefault(stack, []).append(int(size[1]) if size else 0)
    leaks = [Leak(stack, len(sizes), sum(sizes)) for stack, sizes in found.items()]
    return sorted(leaks, key=lambda leak: -leak.objects)


def new(unpatched: Iterable[Leak], patched: Iterable[Leak]) -> list[Leak]:
    """Return the leaks of the patched kernel that the unpatched one has not."""
    known = {leak.stack for leak in unpatched}
    return [leak for leak in patched if leak.stack not in known]
