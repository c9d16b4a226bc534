"""Text out of a file, made safe to show."""


def printable(text: str) -> str:
    """The text with control characters escaped, so that it cannot command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The lines of a text, each of them safe to show."""
    return "\n".join(printable(line) for line in text.expandtabs().splitlines())


def plural(count: int, word: str) -> str:
    """``1 packet``, ``2 packets``."""
    return f"{count} {word}{'' if count == 1 else 's'}"
