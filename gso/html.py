"""Tables of HTML for notebooks: bounded, and safe whatever a file's text says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from gso.printable import printable

MOST_ROWS = 10
_MOST_TEXT = 400


def html_table(
    title: str, head: Sequence[str], rows: Iterable[Sequence[object]], total: int
) -> str:
    """Make a table of the first ten of `total` rows; every text is escaped, and cut where long."""
    parts = [f"<p>{_cell(title)}</p><table><tr>"]
    parts += [f"<th>{_cell(name)}</th>" for name in head]
    for row in islice(rows, MOST_ROWS):
        parts.append("</tr><tr>")
        parts += [f"<td>{_cell(value)}</td>" for value in row]
    parts.append("</tr></table>")
    if total > MOST_ROWS:
        parts.append(f"<p>and {total - MOST_ROWS} more</p>")
    return "".join(parts)


def html_text(text: str, most: int = 20_000) -> str:
    """Make a block of lines as they are; what is beyond `most` characters is counted, not shown."""
    shown = text if len(text) <= most else text[: text.rfind("\n", 0, most) + 1 or most]
    rest = len(text) - len(shown)
    more = f"<p>and {rest} characters more</p>" if rest else ""
    return f"<pre>{_escape(shown)}</pre>{more}"


def _cell(value: object) -> str:
    text = printable(str(value))
    return _escape(text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]} ...")


def _escape(text: str) -> str:
    from html import escape  # noqa: PLC0415  (it loads 2,231 names of characters)

    return escape(text)
