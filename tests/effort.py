"""How hard tests try that could go on for ever."""

from __future__ import annotations

import os
from typing import TypeVar

Item = TypeVar("Item")

_DIVISOR = int(os.environ.get("EXAMPLES_DIVISOR", "1"))


def examples(count: int) -> int:
    """Return how many random examples to try; ``make check`` tries a part of them."""
    return max(count // _DIVISOR, 1)


def some(items: list[Item]) -> list[Item]:
    """Return as many of the items, from all over the list; ``make check`` tries a part of them."""
    return items[::_DIVISOR]
