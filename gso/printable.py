"""Text out of a file, made safe to show."""


def printable(text: str) -> str:
    """The text with control characters escaped, so that it cannot command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
