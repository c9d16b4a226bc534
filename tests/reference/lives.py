"""Which packet each event belongs to, told by a dictionary: the judge of the compiled table."""

from __future__ import annotations

from collections.abc import Iterable

from gso._lives import AFTER_FREE, CONSUMES, DROPS, ENTERS

HASHED = 1 << 32


def lives(events: Iterable[tuple[int, int]], room: int) -> tuple[list[int], int]:
    """For (pointer, what the function does): the number of each packet's first event; evictions.

    Only for pointers that are not hashed.
    """
    table: dict[int, tuple[int, bool, bool]] = {}
    found, evicted = [], 0
    for number, (pointer, kind) in enumerate(events):
        life, freed, dropped = table.pop(pointer, (number, False, False))
        if freed and not kind & AFTER_FREE and (dropped or kind & ENTERS):
            life, freed, dropped = number, False, False
        if life == number and len(table) == room:
            oldest = next(iter(table))
            evicted += not table.pop(oldest)[1]
        dropped = dropped or bool(kind & DROPS)
        freed = freed or bool(kind & (DROPS | CONSUMES))
        table[pointer] = life, freed, dropped
        found.append(life)
    return found, evicted
