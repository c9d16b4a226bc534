"""Text that comes out of a file, for people to see."""


def printable(text: str) -> str:
    """Text out of a file, safe to show: nothing in it can command the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
