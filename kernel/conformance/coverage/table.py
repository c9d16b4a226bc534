"""The lines that were reached and those that were not, by file and function, for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gso.kernel.conformance.coverage import counted
from gso.kernel.conformance.coverage.counted import ERROR, OTHER, Reader, Unreached

Counts = dict[str, Counter[int]]
"""For each source file the lines that have code, and how often they were reached."""


@dataclass(frozen=True)
class Line:
    """A line that has code, and how often it was reached; ``why``: why it was not reached."""

    file: str
    function: str
    number: int
    text: str
    count: int
    why: Unreached | None = None


@dataclass
class Tally:
    """The lines of a file or function: how many there are, were reached, or why not."""

    lines: int = 0
    reached: int = 0
    error: int = 0
    other: int = 0
    open: int = 0

    @classmethod
    def of(cls, lines: Iterable[Line]) -> Tally:
        """Count."""
        tally = cls()
        for line in lines:
            tally.lines += 1
            tally.reached += line.count > 0
            if not line.count:
                kind = line.why.kind if line.why else ""
                tally.error += kind == ERROR
                tally.other += kind == OTHER
                tally.open += not kind
        return tally

    @property
    def share(self) -> float:
        """The part of the lines that was reached, of all but the failures."""
        return self.reached / max(self.lines - self.error, 1)

    @property
    def followed(self) -> float:
        """The part that was reached of the lines of what the library follows."""
        return self.reached / max(self.lines - self.error - self.other, 1)

    def cells(self) -> str:
        """Return the cells of a row."""
        numbers = (self.lines, self.reached, self.error, self.other, self.open)
        parts = (f"{100 * part:.1f} %" for part in (self.share, self.followed))
        return " | ".join((*map(str, numbers), *parts))


_HEAD = (
    "| {} | lines | reached | failures | other uses | unexplained | reached of all but failures "
    "| and but other uses |\n|---|---|---|---|---|---|---|---|"
)


def lines(counts: Counts, read: Reader) -> list[Line]:
    """Return the lines of the functions that are meant."""
    return [
        line for file in counted.files() if file.name in counts for line in _of(file, counts, read)
    ]


def _of(file: counted.Counted, counts: Counts, read: Reader) -> Iterator[Line]:
    text = read(file.name)
    meant = counted.lines(file, text)
    rows = [row.strip() for row in text.split("\n")]
    for number, count in sorted(counts[file.name].items()):
        if function := meant.get(number):
            row, above = rows[number - 1], _above(rows, number - 1)
            fits = (one for one in counted.unreached() if one.fits(function, row, above))
            why = None if count else next(fits, None)
            yield Line(file.name, function, number, row, count, why)


def _above(rows: Sequence[str], index: int) -> str:
    return next((row for row in reversed(rows[:index]) if row), "")


def stale(found: Sequence[Line]) -> list[Unreached]:
    """Return the explanations that explain nothing: what they are about was reached."""
    return [one for one in counted.unreached() if not any(line.why is one for line in found)]


def files(found: Sequence[Line]) -> str:
    """Return the table by file."""
    rows = [
        f"| `{file}` | {Tally.of(lines).cells()} |"
        for file, lines in groupby(found, lambda line: line.file)
    ]
    return "\n".join([_HEAD.format("file"), *rows, f"| all | {Tally.of(found).cells()} |"])


def functions(found: Sequence[Line]) -> str:
    """Return a table by function for each file."""
    return "\n\n".join(
        "\n".join(
            [
                f"### `{file}`\n",
                _HEAD.format("function"),
                *(
                    f"| `{function}` | {Tally.of(lines).cells()} |"
                    for function, lines in _by_function(of_file)
                ),
                *_missed(of_file),
            ]
        )
        for file, of_file in ((file, list(own)) for file, own in groupby(found, lambda o: o.file))
    )


def _by_function(found: Iterable[Line]) -> list[tuple[str, list[Line]]]:
    sorts: dict[str, list[Line]] = {}
    for line in found:
        sorts.setdefault(line.function, []).append(line)
    return list(sorts.items())


def _missed(found: Iterable[Line]) -> Iterator[str]:
    """Yield an entry for lines that follow each other and were not reached for one reason."""
    missed = [line for line in found if not line.count]
    if missed:
        yield ""
    for (function, why), group in groupby(missed, lambda line: (line.function, line.why)):
        own = list(group)
        first, last = own[0].number, own[-1].number
        where = f"line {first}" if first == last else f"lines {first} to {last} ({len(own)})"
        told = f"{why.why}" + " (failure)" * (why.kind == ERROR) if why else "**not explained**"
        yield f"- `{function}`, {where}, `{own[0].text}`: {told}"


_INTRODUCTION = """\
# Lines of the kernel that the packets reach

`gso-kernel conformance --coverage FOLDER` made this page. Random packets went through Debian's
kernel {kernel}, and what it made of them was compared with the library ([the kernels
compared](conformance.md)). QEMU noted the instructions that ran, and the kernel's debugging symbols
say of which lines they came.

| run | seed | sent | different |
|---|---|---|---|
{runs}

Counted are the functions that cut super-packets and those by which GRO receives and completes,
with what they take from `include/net/gro.h`. A line is one that has instructions of its own: the
compiler drops some, and puts equal ones together, so that one line can stand for another.
*Failures* are lines that no packet brings about, such as those for want of memory. *Other uses*
are not what the library follows, such as IPsec. Both are named below, with why no packet reached
them. The parts that were reached stand there both ways: of all lines but failures, and of those
that are no other uses either, which leaves what the library follows; where nothing is unexplained,
these are all of them. That a line was reached does not say with which values.

{files}

## By function
"""


def page(kernel: str, runs: Sequence[Mapping[str, Any]], found: Sequence[Line]) -> str:
    """Return the whole page."""
    told = "\n".join(
        f"| {run['mode']} | {run['seed']} | {run['sent']} | {run['different']} |" for run in runs
    )
    head = _INTRODUCTION.format(kernel=kernel, runs=told, files=files(found))
    reached = [
        f"- {', '.join(f'`{glob}`' for glob in one.functions)}"
        + "".join(f", `{line}`" for line in one.lines[:1])
        + f": {one.why}"
        for one in stale(found)
    ]
    tail = ["", "## Explained, and reached all the same", "", *reached] if reached else []
    return "\n".join([head, functions(found), *tail]) + "\n"
