"""Write the rooms of ``docs/architecture.md`` as a graph for Graphviz's ``dot``."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from textwrap import wrap

from architecture.page import GROUND, PAGE, Page, Room

ROOT = Path(__file__).parents[2]
# From above: what uses stands over what it uses.
FOLDERS = {"kernel": "kernel/: the test bed", "gso": "gso/: the library"}
HEAD = """digraph rooms {
  compound=true; newrank=true; nodesep=0.25; ranksep=0.4; pad=0.2;
  fontname="Helvetica"; fontsize=15; bgcolor=white;
  node [shape=box style="filled,rounded" fillcolor="#eef3fa" color="#5b7aa8"
    fontname="Helvetica" fontsize=11 margin="0.12,0.07"];
  edge [color="#44546a" arrowsize=0.7 fontname="Helvetica" fontsize=10];"""


def name(room: Room) -> str:
    """Return the node of a room; the files of the ground are one."""
    if room.floor == GROUND:
        return f"{room.package}: ground"
    return f"{room.package}/{room.names[0]}" if len(room.names) == 1 else f"{room.package}: door"


def arrows(page: Page) -> Iterator[tuple[str, str]]:
    """Yield the arrows that the page names; those to the ground and to all below have no line."""
    for source in page.rooms:
        for target in page.rooms:
            if (
                source.floor > GROUND
                and source.package == target.package
                and any(word.split(".")[0] in target.names for word in source.named)
            ):
                yield name(source), name(target)


def _box(node: str, text: str, width: int) -> str:
    rows = "".join(f'<br/><font point-size="9">{row}</font>' for row in wrap(text, width))
    title = re.split("[/ ]", node)[-1]
    return f'    "{node}" [label=<<b>{title}</b>{rows.replace("`", "")}>];'


def _cluster(page: Page, package: str) -> Iterator[str]:
    floors: dict[int, list[Room]] = defaultdict(list)
    for room in page.rooms:
        if room.package == package:
            floors[room.floor].append(room)
    yield f'  subgraph "cluster {package}" {{'
    yield f'    label="{FOLDERS[package]}"; style=rounded; color="#b8c4d6";'
    yield _box(f"{package}: ground", ", ".join(room.names[0] for room in floors.pop(GROUND)), 80)
    for rooms in floors.values():
        yield from (_box(name(room), room.holds, 26) for room in rooms)
        yield "    { rank=same; " + " ".join(f'"{name(room)}"' for room in rooms) + " }"
    order = [name(floors[floor][0]) for floor in sorted(floors, reverse=True)]
    for upper, lower in pairwise([*order, f"{package}: ground"]):
        yield f'    "{upper}" -> "{lower}" [style=invis];'
    yield "  }"


def graph(page: Page) -> Iterator[str]:
    """Yield the lines of the graph."""
    yield HEAD
    for package in FOLDERS:
        yield from _cluster(page, package)
    for source, target in arrows(page):
        yield f'  "{source}" -> "{target}";'
    ends = 'ltail="cluster kernel" lhead="cluster gso"'
    yield f'  "kernel: ground" -> "gso: door" [{ends} penwidth=2 minlen=2];'
    yield "}"


if __name__ == "__main__":
    print("\n".join(graph(Page((ROOT / PAGE).read_text()))))
