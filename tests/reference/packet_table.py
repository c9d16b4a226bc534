"""A dictionary that tells which packet each event belongs to: the reference for `PacketTable`."""

from __future__ import annotations

from collections.abc import Iterable

from gso.diagnosis._packet_table import AFTER_FREE, CONSUMES, DROPS, ENTERS

LOWEST_POINTER = 1 << 32


def packet_numbers(
    events: Iterable[tuple[int, int, int, int, int]], room: int
) -> tuple[list[int], int]:
    """Return for each event the number of its packet's first one; and how many were evicted.

    An event is (pointer, what the function does, inner offsets: 0 for none, 1, 2 for unknown,
    whether it tells the place of a drop, its function). Pointers are not hashed here.
    """
    table: dict[int, tuple[int, bool, bool, bool, int]] = {}
    found, evicted = [], 0
    for number, (pointer, kind, inner, place, function) in enumerate(events):
        fresh = (number, False, False, False, -1)
        told = function if place and kind & DROPS else -1
        packet, freed, dropped, encapsulated, placed = table.pop(pointer, fresh)
        again = freed and not kind & AFTER_FREE and (dropped or kind & ENTERS)
        if again or (encapsulated and inner == 0) or placed == told >= 0:
            packet, freed, dropped, encapsulated, placed = fresh
        if packet == number and len(table) == room:
            oldest = next(iter(table))
            evicted += not table.pop(oldest)[1]
        dropped = dropped or bool(kind & DROPS)
        freed = freed or bool(kind & (DROPS | CONSUMES))
        table[pointer] = (
            packet,
            freed,
            dropped,
            encapsulated or inner == 1,
            placed if told < 0 else told,
        )
        found.append(packet)
    return found, evicted
