"""The pages of the reference, each from the table or the parser that says it."""

from __future__ import annotations

from collections.abc import Callable

from making import commands, interface, plots, support, tables

_MAKERS: dict[str, Callable[[], str]] = {
    "reference/library.md": interface.library,
    "reference/gso.md": lambda: commands.page("gso"),
    "reference/gso-kernel.md": lambda: commands.page("gso-kernel"),
    "reference/rules.md": tables.rules,
    "reference/drop-reasons.md": tables.drop_reasons,
    "reference/trace-formats.md": tables.trace_formats,
    "reference/scenarios.md": tables.scenarios,
    "reference/faults.md": tables.faults,
    "reference/schemas.md": tables.schemas,
    "reference/support.md": support.page,
}


def texts() -> dict[str, str]:
    """Return the path and the text of each page that is made."""
    return {path: make() for path, make in _MAKERS.items()}


def finished(path: str, text: str) -> str:
    """Return a page's text with the drawings that are made from it."""
    return plots.with_chart(text) if path == "benchmarks.md" else text
