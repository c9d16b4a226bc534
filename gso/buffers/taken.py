"""The bytes of what users call a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsBytes

if TYPE_CHECKING:
    from typing_extensions import Buffer


def frame_bytes(frame: Buffer | SupportsBytes) -> bytes:
    """Return a copy of a buffer's bytes, or of what makes bytes of itself, as scapy's packets do.

    Raises TypeError for anything else.
    """
    try:
        return bytes(memoryview(frame))  # type: ignore[arg-type]
    except TypeError:
        if hasattr(type(frame), "__bytes__"):
            return bytes(frame)
        raise
