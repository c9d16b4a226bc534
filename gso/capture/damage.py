"""The error for a file that cannot be right."""

from __future__ import annotations

from gso.constants import Reason
from gso.errors import GsoError


def damaged(offset: int, text: str, field: str, limit: int, reason: Reason) -> GsoError:
    """The error for a capture file that cannot be right at `offset`."""
    return GsoError(
        f"damaged capture at byte {offset}: {text}",
        reason=reason,
        field=field,
        offset=offset,
        limit=limit,
    )
