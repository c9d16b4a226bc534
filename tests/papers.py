"""The blocks of code in the papers: README, CONTRIBUTING, and the pages of docs/."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAPERS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks/README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_FENCE = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
EXIT = re.compile(r"# exit status (\d)\b")


@dataclass(frozen=True)
class Block:
    """A block of code; ``reason``: why it is not run, empty where it is."""

    paper: Path
    line: int
    language: str
    text: str
    reason: str

    def __str__(self) -> str:
        return f"{self.paper.relative_to(ROOT)}:{self.line}"

    def commands(self) -> Iterator[tuple[str, int, str]]:
        """Yield each command, the exit status it must have, and for ``console`` what it prints."""
        if self.language == "console":
            for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
                line, _, shown = part.partition("\n")
                yield line, _status(line), shown
        else:
            for line in self.text.replace("\\\n", " ").splitlines():
                if line.strip() and not line.startswith("#"):
                    yield line, _status(line), ""


def _status(line: str) -> int:
    found = EXIT.search(line)
    return int(found[1]) if found else 0


def blocks(paper: Path) -> list[Block]:
    """Return the blocks of a paper in their order."""
    text = paper.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        mark = match["mark"] or ""
        reason = mark.removeprefix("not run: ") if mark.startswith("not run: ") else ""
        line = text.count("\n", 0, match.start("language")) + 1
        found.append(Block(paper, line, match["language"].strip(), match["text"], reason))
    return found


def without_blocks(paper: Path) -> str:
    """Return what stands outside of its blocks."""
    return _FENCE.sub("", paper.read_text(encoding="utf-8"))
