"""How hard random tests try."""

from __future__ import annotations

import os

_DIVISOR = int(os.environ.get("EXAMPLES_DIVISOR", "1"))


def examples(count: int) -> int:
    """Return how many random examples to try; ``make check`` tries a part of them."""
    return max(count // _DIVISOR, 1)
