"""Packets that a command left as they are, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

_MOST_NUMBERS = 8


@dataclass
class Note:
    """Packets that were left as they are for one reason.

    Attributes:
        reason: why, in words.
        count: how many.
        packets: numbers of the first few, counted from 1.
    """

    reason: str
    count: int = 0
    packets: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        numbers = ", ".join(map(str, self.packets)) + "..." * (self.count > len(self.packets))
        count = f"{self.count} packet{'s' * (self.count != 1)}"
        return f"{count} left unchanged (number {numbers}): {self.reason}"


class Notes(dict[str, Note]):
    """Notes by reason."""

    def add(self, reason: str, number: int) -> None:
        """Packet `number` was left unchanged for this reason."""
        note = self.setdefault(reason, Note(reason))
        note.count += 1
        if len(note.packets) < _MOST_NUMBERS:
            note.packets.append(number)

    def as_json(self) -> list[dict[str, object]]:
        """The notes as a report in JSON has them."""
        return [vars(note) for note in self.values()]
