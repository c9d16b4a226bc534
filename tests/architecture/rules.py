"""The rules of the house. Each yields its breaches, said with file, line and rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from architecture.house import Arrow, House
from architecture.page import GROUND, PAGE, Page, Room


def homeless(house: House, page: Page) -> Iterator[str]:
    """Yield the files that lie in no room of the page."""
    for file in house.files:
        if page.room(str(file)) is None:
            yield f"{file}: in no room; {PAGE} has a table of the rooms of {file.parts[0]}/"


def empty(house: House, page: Page) -> Iterator[Room]:
    """Yield the rooms of the page that have no file."""
    for room in page.rooms:
        for name in room.names:
            alone = Room(room.package, (name,), room.floor, room.holds, room.uses)
            if not any(alone.has(str(file)) for file in house.files):
                yield alone


def forbidden(arrows: Iterable[Arrow], page: Page) -> Iterator[tuple[Arrow, str]]:
    """Yield the arrows that the page does not allow, each with what it may not do."""
    for arrow in arrows:
        source = page.room(arrow.source)
        if source is None or page.allows(source, arrow.target, relative=arrow.relative):
            continue
        ground = ", and the ground" if source.floor > GROUND and not source.isolated else ""
        uses = source.uses or "nothing"
        yield arrow, f"{arrow}: {source} may use {uses}{ground} ({PAGE}), not {arrow.target}"


def upward(page: Page) -> Iterator[str]:
    """Yield what the page allows though it does not lead downstairs."""
    for source in page.rooms:
        for target in page.rooms:
            above = target.floor >= max(source.floor, GROUND + 1)
            if source.package != target.package or not above or source is target:
                continue
            unit = f"{target.package}/{target.names[0]}"
            if page.allows(source, unit, relative=False):
                yield f"{PAGE}: {source} may not use {target}, which is not on a lower floor"


def circles(arrows: Iterable[Arrow], name: Callable[[str], str]) -> Iterator[str]:
    """Yield a way along the arrows that leads back to where it began, if there is one.

    ``name`` gives what the unit is taken for: itself, or its room.
    """
    graph: dict[str, set[str]] = defaultdict(set)
    shown: dict[tuple[str, str], Arrow] = {}
    for arrow in arrows:
        source, target = name(arrow.source), name(arrow.target)
        if source != target:
            graph[source].add(target)
            shown.setdefault((source, target), arrow)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        way = error.args[1][::-1]
        steps = [str(shown[pair]) for pair in pairwise(way)]
        yield f"a circle, {' -> '.join(way)}:\n  " + "\n  ".join(steps)
