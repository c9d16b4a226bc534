"""Text out of a file, made safe to show."""

from __future__ import annotations

from collections.abc import Iterator

REPORT_WIDTH = 96


def printable(text: str) -> str:
    """The text with control characters escaped, so that it cannot command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The lines of a text, each of them safe to show."""
    return "\n".join(printable(line) for line in text.expandtabs().splitlines())


def plural(count: int, word: str) -> str:
    """``1 packet``, ``2 packets``."""
    return f"{count} {word}{'' if count == 1 else 's'}"


def wrapped(label: str, text: str, indent: str = "  ") -> Iterator[str]:
    """Yield the lines of a paragraph of a report; the text is made safe to show."""
    import textwrap  # noqa: PLC0415  (its patterns are slow to compile)

    yield from textwrap.wrap(
        label + printable(text),
        REPORT_WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
