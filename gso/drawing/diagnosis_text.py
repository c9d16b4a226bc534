"""A diagnosis in lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from gso.diagnosis import Case, Diagnosis
from gso.drawing.offsets import drawing
from gso.drawing.report import (
    Fact,
    Heading,
    Item,
    Lines,
    Sample,
    event_text,
    report_items,
    sample_end,
)  # fmt: skip
from gso.printable import REPORT_WIDTH, printable, wrapped

__all__ = ["as_text", "report"]


def report(name: str, diagnosis: Diagnosis) -> Iterator[str]:
    """The diagnosis of one log in lines of text, safe to show."""
    for item in report_items(name, diagnosis):
        yield from map(printable, as_text(item))


def as_text(item: Item) -> Iterator[str]:
    """The lines of one item of a report; what comes from a log is not made safe yet."""
    match item:
        case Heading(text, level):
            yield from () if level == 1 else ("",)
            yield text
        case Fact():
            yield from _fact_text(item)
        case Lines(title, lines):
            yield title
            yield from (f"  {line}" for line in lines)
        case Sample(case, title):
            yield from ("", f"  {title}")
            yield from _sample_text(case)


def _fact_text(fact: Fact, indent: str = "") -> Iterator[str]:
    if fact.code:
        yield f"  {fact.label:<17}{fact.code}"
        yield from (f"  {'':<17}{fact.note}",) if fact.note else ()
    else:
        yield from wrapped(fact.label, fact.text, indent + "  " * fact.depth)


def _sample_text(case: Case) -> Iterator[str]:
    for event in case.events:
        mark = "  <--" if event is case.example and case.fields else ""
        yield f"    {event_text(event)}{mark}"
    for fact in sample_end(case):
        yield from _fact_text(fact, "    ")
    lines = list(drawing(case, REPORT_WIDTH - 4))
    if lines:
        yield ""
        yield from (f"    {line}" for line in lines)
