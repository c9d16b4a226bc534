"""The rooms and the arrows between them, as the tables of ``docs/architecture.md`` allow them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath

PAGE = "docs/architecture.md"
GROUND = 0

_HEADING = re.compile(r"^### The rooms of `(\w+)/`$")
_ROW = re.compile(r"^\| (\d+) \|([^|]*)\|([^|]*)\|([^|]*)\|$")
_PUBLIC = re.compile(r"public modules: (.*?)\.\n", re.DOTALL)


@dataclass(frozen=True)
class Room:
    """A row of a table: folders or files of one package, and what they may use."""

    package: str
    names: tuple[str, ...]
    floor: int
    holds: str
    uses: str = field(repr=False)  # the cell as it stands on the page

    def __str__(self) -> str:
        return ", ".join(f"{self.package}/{name}" for name in self.names)

    def has(self, unit: str) -> bool:
        """Tell whether a file or a unit lies in this room."""
        package, first, *_ = PurePosixPath(unit).parts
        return package == self.package and bool({first, first.split(".")[0]} & set(self.names))

    @property
    def named(self) -> tuple[str, ...]:
        """The names in the cell."""
        return tuple(re.findall(r"`([^`]+)`", self.uses))

    @property
    def isolated(self) -> bool:
        """Not even the ground may be used, nor the own room by its full name."""
        return "relative imports only" in self.uses


class Page:
    """The tables of the page."""

    def __init__(self, text: str) -> None:
        self.rooms: list[Room] = []
        package = ""
        for line in text.splitlines():
            if heading := _HEADING.match(line):
                package = heading[1]
            elif package and (row := _ROW.match(line)):
                names = tuple(re.findall(r"`([^`]+)`", row[2]))
                self.rooms.append(Room(package, names, int(row[1]), row[3].strip(), row[4].strip()))
        public = _PUBLIC.search(text)
        self.public = tuple(re.findall(r"`([\w.]+)`", public[1])) if public else ()

    def room(self, unit: str) -> Room | None:
        """Return the room in which a file or a unit lies."""
        return next((room for room in self.rooms if room.has(unit)), None)

    def allows(self, source: Room, unit: str, *, relative: bool) -> bool:
        """Tell whether a file in ``source`` may use the unit."""
        target = self.room(unit)
        if target is source:
            return relative or not source.isolated
        if target is None or source.isolated:
            return False
        if target.package == source.package:
            if target.floor == GROUND < source.floor:
                return True
            if "all below" in source.uses and target.floor < source.floor:
                return True
        return any(self._names(source, name, unit) for name in source.named)

    def _names(self, source: Room, name: str, unit: str) -> bool:
        """Tell whether a name in a room's cell means the unit."""
        if name == "gso" and source.package != "gso":
            return unit.removesuffix("/__init__").replace("/", ".") in self.public
        path = name.replace(".", "/")
        if not name.startswith("gso."):
            path = f"{source.package}/{path}"
        return unit == path or unit.startswith((f"{path}/", f"{path}."))
