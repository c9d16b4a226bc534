"""Read kmemleak's reports: memory that nothing points to now, by the code that allocated it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_BEGIN = "unreferenced object "
_SIZE = re.compile(r"0x[0-9a-f]+ \(size (\d{1,18})\):")
# "    [<(____ptrval____)>] name+0x1/0x2 [module]" before 6.8, without the address since.
_TRACE = "  backtrace"
_FRAME = re.compile(r"    (?:\[<[^>]*>\] )?([\w.]{1,511})\+0x[0-9a-f]+/0x[0-9a-f]+")
# Frames further out are those of the code that the packet's arrival happened to interrupt.
_FRAMES = 8
_MOST_PLACES = 10_000


@dataclass(frozen=True)
class Leak:
    """Objects that one path through the kernel allocated and no code freed; innermost first."""

    stack: tuple[str, ...]
    objects: int
    size: int

    def __str__(self) -> str:
        where = " < ".join(self.stack) or "an unknown place"
        return f"kmemleak: {self.objects} objects leaked, {self.size} bytes, allocated in {where}"


def parse(lines: Iterable[str]) -> list[Leak]:
    """Return the leaks in ``/sys/kernel/debug/kmemleak``, those with most objects first.

    Raises :class:`ValueError` where there are more places than a kernel has that loses memory.
    """
    found: dict[tuple[str, ...], Leak] = {}
    for stack, size in _objects(lines):
        one = found.get(stack, Leak(stack, 0, 0))
        found[stack] = Leak(stack, one.objects + 1, one.size + size)
        if len(found) > _MOST_PLACES:
            raise ValueError(f"memory is lost that more than {_MOST_PLACES} places allocated")
    return sorted(found.values(), key=lambda leak: -leak.objects)


def _objects(lines: Iterable[str]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each object's stack and size."""
    stack: list[str] | None = None
    size, traced = 0, False
    for line in lines:
        if line.startswith(_BEGIN):
            if stack is not None:
                yield tuple(stack), size
            match = _SIZE.match(line, len(_BEGIN))
            stack, size, traced = [], int(match[1]) if match else 0, False
        elif stack is None:
            continue
        elif line.startswith(_TRACE):
            traced = True
        elif traced and len(stack) < _FRAMES and (frame := _FRAME.match(line)):
            stack.append(frame[1])
    if stack is not None:
        yield tuple(stack), size


def new(unpatched: Iterable[Leak], patched: Iterable[Leak]) -> list[Leak]:
    """Return the leaks of the patched kernel that the unpatched one has not."""
    known = {leak.stack for leak in unpatched}
    return [leak for leak in patched if leak.stack not in known]
